"""Strategies, measures and annotation backends of other packages, found by their entry points.

A package offers one by an entry point in its pyproject.toml, in the group of its kind:

    [project.entry-points."earmark.strategies"]
    farthest = "acme_sampling:farthest"

Names are read from the installed packages' metadata. A package is imported once one of its names is used.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

from corpus.errors import EarmarkError, PluginError, SettingsError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a package can offer: the group of its entry points, and what people call one of them."""

    group: str
    noun: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What trying a rule found.

    Attributes:
        rule: as a sentence.
        problem: what is wrong; "" where the rule is kept.
    """

    rule: str
    problem: str


STRATEGIES: Final = Kind("earmark.strategies", "strategy")
MEASURES: Final = Kind("earmark.measures", "measure")
BACKENDS: Final = Kind("earmark.backends", "annotation backend")


def names(kind: Kind) -> list[str]:
    """Return the names that other packages offer, sorted."""
    return sorted(_offers(kind, tuple(sys.path)))


def known(kind: Kind, own: Collection[str]) -> list[str]:
    """Return every name of a kind, earmark's own and those of other packages, sorted."""
    return sorted({*own, *names(kind)})


def require_known(kind: Kind, name: str, own: Collection[str]) -> None:
    """Check that earmark or another package has the name; import nothing.

    Raises:
        SettingsError: nobody has it; the message lists the known names.
    """
    if name not in own and name not in names(kind):
        raise SettingsError(f"{kind.noun} {name!r} is unknown; known are {', '.join(known(kind, own))}")


def require_unclaimed(kind: Kind, name: str) -> None:
    """Check that no other package claims one of earmark's own names.

    Raises:
        PluginError: one does; the message names the package and the remedy.
    """
    offers = _offers(kind, tuple(sys.path)).get(name, ())
    if offers:
        raise PluginError(
            f"{kind.noun} {name!r} of package {_package(offers[0])} has the name of one that comes with earmark; "
            "uninstall the package, or ask its makers for another name"
        )


def load(kind: Kind, name: str, own: Collection[str]) -> Any:
    """Return what the package behind a name that is not earmark's own offers; import the package.

    Args:
        kind: of the name.
        name: known, and none of `own`.
        own: earmark's own names, for the message.

    Raises:
        SettingsError: nobody has the name; the message lists the known names.
        PluginError: two packages offer the name, or it can't be loaded; the message names packages and remedy.
    """
    require_known(kind, name, own)
    return _loaded(kind, name, tuple(sys.path))


def package_of(kind: Kind, name: str) -> str:
    """Return name and version of the package that offers a name."""
    return _package(_offers(kind, tuple(sys.path))[name][0])


def guarded(kind: Kind, name: str, function: Callable[..., T]) -> Callable[..., T]:
    """Return the function such that whatever it raises becomes one line that names the package.

    The message of the exception is left out, since it may hold content.
    """
    package = package_of(kind, name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> T:
        try:
            return function(*args, **kwargs)
        except EarmarkError:
            raise
        except Exception as error:
            raise PluginError(
                f"{kind.noun} {name!r} of package {package} failed: {type(error).__name__}; "
                f"`earmark check-plugin {name}` tries it, choose another one meanwhile"
            ) from None

    return call


def try_rule(rule: Callable[..., str], cases: Iterable[tuple[Any, ...]]) -> Finding:
    """Return what a rule says of the first case that breaks it; what it raises counts as broken.

    Args:
        rule: returns what is wrong, "" where nothing is; the first line of its docstring says what it asks for.
        cases: its arguments, case by case.
    """
    sentence = (rule.__doc__ or rule.__name__).splitlines()[0].rstrip(".")
    for case in cases:
        try:
            problem = rule(*case)
        except Exception as error:  # of the code that is tried, which may raise whatever it likes
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if problem:
            return Finding(sentence, problem)
    return Finding(sentence, "")


@functools.lru_cache(maxsize=64)
def _offers(kind: Kind, path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name, as found on the import path."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=kind.group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


@functools.lru_cache(maxsize=256)
def _loaded(kind: Kind, name: str, path: tuple[str, ...]) -> Any:
    first, *others = _offers(kind, path)[name]
    if others:
        packages = ", ".join(_package(entry) for entry in (first, *others))
        raise PluginError(f"{kind.noun} {name!r} is offered by several packages: {packages}; uninstall all but one")
    try:
        return first.load()
    except Exception as error:
        raise PluginError(
            f"{kind.noun} {name!r} of package {_package(first)} can't be loaded "
            f"({type(error).__name__}: {' '.join(str(error).split())}); upgrade or uninstall the package"
        ) from None


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "of unknown name"

"""Plugins: strategies, measures and annotation backends of other packages, found by their entry points.

A package offers one by an entry point in its pyproject.toml, in the group of its kind:

    [project.entry-points."earmark.strategies"]
    farthest = "acme_sampling:farthest"

Names are read from the metadata of the installed packages. A package is imported only when one of its names is used.
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
    """A kind of plugin: the group of its entry points, and the noun for one of them in messages."""

    group: str
    noun: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of trying one rule.

    Attributes:
        rule: the rule as a sentence.
        problem: what is wrong; "" where the rule is kept.
    """

    rule: str
    problem: str


STRATEGIES: Final = Kind("earmark.strategies", "strategy")
MEASURES: Final = Kind("earmark.measures", "measure")
BACKENDS: Final = Kind("earmark.backends", "annotation backend")


def names(kind: Kind) -> list[str]:
    """Return the names of a kind that other packages offer, sorted."""
    return sorted(_offers(kind, tuple(sys.path)))


def all_names(kind: Kind, own: Collection[str]) -> list[str]:
    """Return every name of a kind, earmark's own and those of other packages, sorted."""
    return sorted({*own, *names(kind)})


def require_known(kind: Kind, name: str, own: Collection[str]) -> None:
    """Check that earmark or another package offers the name; import nothing.

    Raises:
        SettingsError: nobody offers it; the message lists the names that exist.
    """
    if name not in own and name not in names(kind):
        raise SettingsError(f"{kind.noun} {name!r} is unknown; known are {', '.join(all_names(kind, own))}")


def require_unclaimed(kind: Kind, name: str) -> None:
    """Check that no other package claims one of earmark's own names.

    Raises:
        PluginError: another package does; the message names the package and the remedy.
    """
    offers = _offers(kind, tuple(sys.path)).get(name, ())
    if offers:
        raise PluginError(
            f"{kind.noun} {name!r} of package {_package(offers[0])} has the name of one that comes with earmark; "
            "uninstall the package, or ask its makers for another name"
        )


def load(kind: Kind, name: str, own: Collection[str]) -> Any:
    """Import the package that offers a name, and return the object behind the name.

    Args:
        kind: of the name.
        name: offered by another package, and none of `own`.
        own: earmark's own names, for the message.

    Raises:
        SettingsError: nobody offers the name; the message lists the names that exist.
        PluginError: two packages offer the name, or it can't be loaded; the message names the packages and the remedy.
    """
    require_known(kind, name, own)
    return _loaded(kind, name, tuple(sys.path))


def package_of(kind: Kind, name: str) -> str:
    """Return the name and version of the package that offers a name."""
    return _package(_offers(kind, tuple(sys.path))[name][0])


def guarded(kind: Kind, name: str, function: Callable[..., T]) -> Callable[..., T]:
    """Return the function so that any exception it raises becomes a `PluginError` of one line that names the package.

    The message of the exception is left out, since it may contain content.
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
    """Try a rule on cases up to the first that breaks it; an exception counts as a broken rule.

    Args:
        rule: returns what is wrong, "" if nothing is; the first line of its docstring is the rule as a sentence.
        cases: arguments of the rule, case by case.
    """
    sentence = (rule.__doc__ or rule.__name__).splitlines()[0].rstrip(".")
    for case in cases:
        try:
            problem = rule(*case)
        except Exception as error:  # the plugin under test may raise anything
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if problem:
            return Finding(sentence, problem)
    return Finding(sentence, "")


@functools.lru_cache(maxsize=64)
def _offers(kind: Kind, path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name; `path` is the import path, a part of the cache's key."""
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

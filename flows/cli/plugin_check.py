"""What `earmark check-plugin` does: every rule of a kind, tried on what a name stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annotation.backend_checks import check_backend
from corpus import plugins
from corpus.errors import SettingsError
from corpus.plugins import Finding
from flows.runtime.results import Result
from flows.runtime.settings import BACKENDS
from flows.steps.annotation_backends import connect_of
from sampling.measures import MEASURES, measure_entry
from sampling.plugin_checks import check_measure, check_strategy
from sampling.strategies.registry import STRATEGIES, strategy

OWN: Final = "earmark"


@dataclass(frozen=True, slots=True)
class PluginCheck(Result):
    """What the rules of one kind say of a name.

    Attributes:
        kind: `strategy`, `measure` or `annotation backend`.
        name: as it was offered.
        package: name and version of the package; `earmark` for its own.
        findings: one for each rule.
    """

    kind: str
    name: str
    package: str
    findings: tuple[Finding, ...]


def check_named(name: str, options: Mapping[str, Any]) -> list[PluginCheck]:
    """Return what the rules say of everything that has the name: a strategy, a measure, a backend.

    Args:
        name: of an entry point, or of one of earmark's own strategies or measures.
        options: of the place where a backend is tried.

    Raises:
        SettingsError: nothing has the name; the message lists the known ones.
        PluginError: it can't be loaded; the message names the package.
        Refused: the place of a backend holds tasks.
    """
    checks = []
    # As the package offers it, not guarded as in use: its makers want to read what it raises.
    if name in plugins.all_names(plugins.STRATEGIES, STRATEGIES):
        function = strategy(name)
        raw = function if name in STRATEGIES else plugins.load(plugins.STRATEGIES, name, STRATEGIES)
        checks.append(_check(plugins.STRATEGIES, name, name in STRATEGIES, check_strategy(raw)))
    if name in plugins.all_names(plugins.MEASURES, MEASURES):
        entry = measure_entry(name)
        raw = entry if name in MEASURES else plugins.load(plugins.MEASURES, name, MEASURES)
        checks.append(_check(plugins.MEASURES, name, name in MEASURES, check_measure(raw)))
    if name in plugins.names(plugins.BACKENDS):
        checks.append(_check(plugins.BACKENDS, name, False, check_backend(connect_of(name), options)))
    elif name in BACKENDS:
        raise SettingsError(f"annotation backend {name!r} is earmark's own, which its tests try")
    if not checks:
        kinds = ((plugins.STRATEGIES, STRATEGIES), (plugins.MEASURES, MEASURES), (plugins.BACKENDS, BACKENDS))
        known = "; ".join(f"{kind.group}: {', '.join(plugins.all_names(kind, own))}" for kind, own in kinds)
        raise SettingsError(f"{name!r} is unknown; known are {known}")
    return checks


def _check(kind: plugins.Kind, name: str, own: bool, findings: list[Finding]) -> PluginCheck:
    return PluginCheck(kind.noun, name, OWN if own else plugins.package_of(kind, name), tuple(findings))

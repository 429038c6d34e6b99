"""Check a strategy, measure or annotation backend against every rule of its kind, for `earmark check-plugin`."""

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
"""The package name of earmark's own strategies and measures."""


@dataclass(frozen=True, slots=True)
class PluginCheck(Result):
    """The findings on one plugin.

    Attributes:
        kind: `strategy`, `measure` or `annotation backend`.
        name: of the plugin.
        package: name and version of the package that offers it; `earmark` for its own.
        findings: one for each rule.
    """

    kind: str
    name: str
    package: str
    findings: tuple[Finding, ...]


def check_named(name: str, options: Mapping[str, Any]) -> list[PluginCheck]:
    """Check everything that has the name: a strategy, a measure, a backend.

    Args:
        name: of an entry point, or of one of earmark's own strategies or measures.
        options: of the place where a backend is tried, see `export.options`.

    Raises:
        SettingsError: nothing has the name; the message lists the names that there are.
        PluginError: the plugin can't be loaded; the message names the package.
        Refused: the place of a backend has tasks already.
    """
    checks = []
    # The plugin is loaded without the guard that it has in use, so that its makers can read what it raises.
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
        raise SettingsError(f"annotation backend {name!r} is earmark's own; its tests check it, name another")
    if not checks:
        kinds = ((plugins.STRATEGIES, STRATEGIES), (plugins.MEASURES, MEASURES), (plugins.BACKENDS, BACKENDS))
        known = "; ".join(f"{kind.group}: {', '.join(plugins.all_names(kind, own))}" for kind, own in kinds)
        raise SettingsError(f"{name!r} is unknown; known are {known}")
    return checks


def _check(kind: plugins.Kind, name: str, own: bool, findings: list[Finding]) -> PluginCheck:
    return PluginCheck(kind.noun, name, OWN if own else plugins.package_of(kind, name), tuple(findings))

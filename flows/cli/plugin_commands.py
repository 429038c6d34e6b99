"""Strategies, measures and annotation backends of other packages: what they are tried on before they are relied on."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import Config, Json, Set, app, settings_of
from flows.runtime import console

HELP = (
    "Tries a strategy, measure or annotation backend of another package on the rules that earmark's own keep.\n\n"
    "A package offers them by entry points. earmark.strategies: a function of pool, count, scores and generator that "
    "returns rows. earmark.measures: a sampling.measures.Measure. earmark.backends: a function of options that returns "
    "an annotation.backend.AnnotationBackend.\n\n"
    "Strategies and measures are tried on made-up pools from seeded generators. A backend is tried with made-up tasks "
    "at the place that --set export.options names, which must hold no tasks, and is left empty. Nothing of the home is "
    "read.\n\n"
    "Ends with status 1 where a rule is broken."
)


@app.command("check-plugin", help=HELP)
def check_plugin(
    name: Annotated[str, typer.Argument(help="As its package offers it; one of earmark's own is tried as well.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Try what another package offers on the rules that earmark's own keep."""
    settings = settings_of(config, overrides)
    from corpus.errors import Refused
    from flows.cli.plugin_check import check_named

    checks = check_named(name, settings.export.options)
    if as_json:
        console.show_json([check.to_json() for check in checks])
    else:
        for check in checks:
            rows = [("broken" if found.problem else "kept", found.rule, found.problem) for found in check.findings]
            console.show_table(f"{check.kind} {name} of {check.package}", ("", "rule", "problem"), rows, last_wide=True)
    broken = [found for check in checks for found in check.findings if found.problem]
    if broken:
        raise Refused(f"{name} breaks {len(broken)} rules, the first: {broken[0].rule}: {broken[0].problem}")

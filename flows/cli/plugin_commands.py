"""The command that checks strategies, measures and annotation backends of other packages: check-plugin."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import Config, Json, Set, app, settings_of
from flows.runtime import console

HELP = (
    "Check a strategy, measure or annotation backend of another package against the rules that earmark's own keep.\n\n"
    "A package offers them by entry points. earmark.strategies: a function of pool, count, scores and generator that "
    "returns rows. earmark.measures: a sampling.measures.Measure. earmark.backends: a function of options that returns "
    "an annotation.backend.AnnotationBackend.\n\n"
    "Strategies and measures are tried on made-up pools from seeded generators. A backend is tried with made-up tasks "
    "at the place that --set export.options names; the place must be without tasks, and is without tasks afterwards. "
    "Nothing of the home is read.\n\n"
    "The exit status is 1 if a rule is broken."
)


@app.command("check-plugin", help=HELP)
def check_plugin(
    name: Annotated[str, typer.Argument(help="Name of the entry point, or of one of earmark's own.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Check what another package offers against the rules that earmark's own strategies, measures and backends keep."""
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

"""The command that ends for good what is older than its class may become.

It starts no flow, as an erasure does not: nothing of it is for Prefect's records.
"""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import Config, Json, Set, actor_name, app, open_home, show_result


@app.command()
def retain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List how many of which class would end; change nothing.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="End also what new limits, a clock that moved on, or late rows would end, however much it is."
        ),
    ] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """End for good what is older than its class may become: keys, rows, bytes; the nightly run does it, too."""
    from corpus.tables import people
    from flows.reports.retain_table import show_retention
    from flows.steps import retain as step

    with open_home(config, overrides, lock=None if dry_run else "retain") as (corpus, settings):
        if dry_run:
            report = step.preview(corpus)
        else:
            report = step.retain(corpus, settings, people.holder(actor_name(None)), unbounded=yes)
    show_result(report.to_json(), as_json, show_retention)
    if not dry_run:
        step.refuse_bound(report)
    if report.finished is not None and report.finished.not_done:
        raise typer.Exit(1)

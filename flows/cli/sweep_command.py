"""The command that tries settings of a training: sweep."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import Config, Json, Kind, SwitchBase, app, run_flow, settings_of
from flows.runtime import console


@app.command()
def sweep(
    kind: Kind,
    tried: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Values to try, key=value,value, such as intent.fit.epochs=5,10; or another setting of the home.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Try only this many combinations, drawn at random; default all.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many times each is trained, each time with another seed.")] = 1,
    folds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Split the speakers into so many groups and measure on each in turn; 1: measure on the dev rows; "
            "default 1 where those are enough, else 5.",
        ),
    ] = None,
    switch_base: SwitchBase = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the trials, their rows and how long they take; write nothing.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try settings of a training on the labels of today; rank them by the dev rows. Nothing is registered or judged."""
    from corpus.errors import Refused
    from flows.models.base_models import refuse_other_base
    from flows.reports.sweep_table import show_sweep, show_sweep_preview
    from flows.runtime.session import opened
    from flows.steps.sweep_grid import read_choices, tried_and_other
    from flows.steps.sweep_plan import plan
    from flows.steps.sweep_preview import preview

    mine, other = tried_and_other(kind, tried or [])
    read_choices(kind, mine)
    settings = settings_of(config, other)
    with opened(settings, create=False) as corpus:  # refuse what can't be tried before the slow start of a server
        if not switch_base:
            refuse_other_base(corpus, settings.home, settings.models)
        planned = plan(corpus, settings, kind, mine, trials, seeds, folds)
        if dry_run:
            shown = preview(corpus, planned).to_json()
            console.show_json(shown) if as_json else show_sweep_preview(shown)
            return
    document = run_flow(
        "sweep", config, other, kind=kind, tried=mine, trials=trials, seeds=seeds, folds=folds, switch_base=switch_base
    ).to_json()
    console.show_json(document) if as_json else show_sweep(document)
    if document["best"] is None:
        raise Refused("no trial was trained to its end; the table says why")

"""Commands on the home: status, nights, report, doctor, config, upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import (
    Config,
    Json,
    Set,
    app,
    config_app,
    open_home,
    report_app,
    settings_of,
    show_result,
)
from flows.runtime import console
from flows.runtime.yaml_text import dump_yaml

if TYPE_CHECKING:
    from flows.runtime.upgrade import UpgradeReport


@app.command()
def status(
    late_after: Annotated[
        float | None,
        typer.Option(
            "--late-after",
            min=0,
            max=87_600,
            help="Exit with status 1 if the newest night is not done this many hours after it closed.",
        ),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show what is in the home: utterances, rounds, tasks, labels, models; exit status 1 if a champion is tainted."""
    settings = settings_of(config, overrides)
    from flows.reports.status import refuse_late_night, status_of
    from flows.reports.status_table import show_status

    report = status_of(settings)
    show_result(report, as_json, show_status)
    if late_after is not None:
        refuse_late_night(settings, late_after)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def nights(
    last: Annotated[int, typer.Option("--last", min=1, help="How many nights, the newest.")] = 14,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """List the nights: what was received, scored, chosen, answered and learned, and whether each is done."""
    from flows.reports.nights import nights_of
    from flows.reports.nights_table import show_nights

    with open_home(config, overrides) as (corpus, settings), corpus.read() as conn:
        rows = nights_of(conn, settings.night, last, corpus.clock())
    show_result(rows, as_json, show_nights)


@report_app.callback()
def report(
    context: typer.Context,
    weeks: Annotated[int, typer.Option(min=1, help="How many weeks the report goes back.")] = 8,
    out: Annotated[Path | None, typer.Option(help="Folder of the page and its plots; default `<home>/report`.")] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Report annotation by week: throughput, agreement, minutes per point of WER, accidental activations."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    from flows.reports.annotation_weekly_page import show_weekly, write_report

    with open_home(config, overrides) as (corpus, settings):
        how, folder = settings.score.transcribe, out or settings.home / "report"
        found = write_report(corpus, settings.inventory, how, settings.promotion, folder, weeks)
    show_result(found, as_json, show_weekly)


def _refuse_options_before(context: typer.Context) -> None:
    """Refuse options of `earmark report` that stand before the name of another report, which would not read them.

    Raises:
        UsageError: there is one.
    """
    from corpus.errors import UsageError

    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name) if parameter.name else None
        if source is not None and source.name == "COMMANDLINE":
            name = f"earmark report {context.invoked_subcommand}"
            raise UsageError(f"{parameter.opts[0]}: give options after the name of the report: {name} [OPTIONS]")


@report_app.command("night")
def report_night(
    night: Annotated[
        str | None, typer.Argument(help="Day on which the night closes, such as 2026-11-22; default the newest.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file of the page; default `<home>/report/night-<NIGHT>.html`.")
    ] = None,
    charts: Annotated[
        Path | None, typer.Option(help="Folder for the charts as SVG files, too, for documents and slides.")
    ] = None,
    named: Annotated[str | None, typer.Option("--night", help="The same as the argument.")] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Write one night as an HTML page: funnel, models, traffic, choice, minutes, slices, decisions, caps."""
    from corpus.errors import UsageError
    from flows.reports.night_html import show_night, write_night_page
    from flows.runtime.output_files import output_place

    if night is not None and named is not None and night != named:
        raise UsageError(f"nights {night} and {named} are both given; a page is of one night")
    night = night or named
    with open_home(config, overrides) as (corpus, settings):
        if charts is not None:
            output_place(charts, "--charts", settings.home)  # before the page is written
        found, file = write_night_page(corpus, settings, night, out)
    if charts is not None:
        from flows.reports.night_charts import write_charts

        write_charts(found, settings.promotion, charts, settings.home)
    if as_json:
        console.show_json(found.to_json() | {"page": str(file)})
    else:
        show_night(found, file)


@app.command()
def doctor(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Delete orphans and unfinished files of killed runs, finish erasures that were killed or did not "
            "reach a server, replace a base that can't be used as champion, and make MLflow's aliases agree with the "
            "records.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what --repair would delete or replace; change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --repair: delete the orphans that are listed, however many they are.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Verify every byte of clips, texts, keys, parts, models and databases, too.")
    ] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Check the home: both audit logs, packs, parts, models, tasks; exit status 1 where something is wrong."""
    settings = settings_of(config, overrides)
    from flows.reports.doctor import examine
    from flows.reports.doctor_table import show_findings

    if repair and not dry_run:
        from corpus.errors import EarmarkError
        from flows.steps.erase import finish

        with open_home(config, overrides, lock="doctor --repair") as (corpus, _):
            try:
                finish(corpus, settings)
            except EarmarkError as error:  # what is left of it is among the problems below, and stops no other repair
                console.note(f"an erasure is not finished: {error}")
    report = examine(settings, repair=repair, dry_run=dry_run, unbounded=yes, deep=deep)
    show_result(report, as_json, show_findings)
    if report.problems:
        raise typer.Exit(1)


@config_app.command("show")
def config_show(
    key: Annotated[
        str | None, typer.Argument(help="Only this branch or setting, such as sampling or sampling.minutes.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show what each setting does, its type and default, and where its value comes from."
        ),
    ] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show the value of every setting; tokens, and users and passwords in URLs, are shown as ***."""
    settings = settings_of(config, overrides)
    from flows.cli import settings_explained as explained

    if explain:
        from flows.runtime.settings_layers import changes, origins

        rows = explained.explain(settings, origins(changes(config, overrides or [])), key)
        if as_json:
            console.show_json([row.to_json() for row in rows])
        else:
            explained.show_explained(rows)
        return
    tree = explained.part_of(explained.shown(settings), None if key is None else explained.known_key(key))
    if as_json:
        console.show_json(tree)
    else:
        print(dump_yaml(tree).removesuffix("...\n"), end="")


@app.command()
def upgrade(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Upgrade records, vault and MLflow's store to the newest schema; back them up first."""
    settings = settings_of(config, overrides)
    from flows.runtime.upgrade import upgrade_all

    report = upgrade_all(settings)
    show_result(report, as_json, _show_upgrade)


def _show_upgrade(report: UpgradeReport) -> None:
    """Print the schemas of every store, before and after."""
    lines = {}
    for which, change in (("records", report.records), ("vault", report.vault)):
        unchanged = change.before == change.after
        lines[which] = (
            f"{change.after}, newest already" if unchanged else f"{change.before or 'empty'} -> {change.after}"
        )
    console.show_pairs("upgraded", {**lines, "tracking": report.tracking})

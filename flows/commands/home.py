"""What is in the home, whether it is sound, and who opened what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import console
from flows.commands.options import (
    Config,
    Json,
    Set,
    app,
    audit_app,
    config_app,
    settings_of,
    show_report,
)


@app.command()
def status(
    late_after: Annotated[
        float | None,
        typer.Option("--late-after", min=0, help="Exit status 1 where a night is not through so many hours later."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """What is in the home: utterances, rounds, tasks, labels, models; exit status 1 where a champion is tainted."""
    settings = settings_of(config, overrides)
    from flows.inspect import refuse_late_night, show_status, status_of

    report = status_of(settings)
    if as_json:
        console.show_json(report)
    else:
        show_status(report)
    if late_after is not None:
        refuse_late_night(settings, late_after)
    if report["problems"]:
        raise typer.Exit(1)


@app.command()
def report(
    weeks: Annotated[int, typer.Option(min=1, help="How many weeks back.")] = 8,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page and its pictures; default <home>/report.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """The week of the annotators: throughput, agreement, minutes per point of WER, accidental activations."""
    settings = settings_of(config, overrides)
    from flows.session import opened
    from flows.weekly import write_report

    with opened(settings, create=False) as corpus:
        found = write_report(corpus, settings, out or settings.home / "report", weeks)
    if as_json:
        console.show_json(found)
    else:
        for name in ("weeks", "people", "locales"):
            if found[name]:
                headers = list(found[name][0])
                console.show_table(name, headers, [[row[h] for h in headers] for row in found[name]])
        console.show_pairs("cost", found["cost"])
        print(f"page  {found['page']}")


@app.command()
def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Sweep orphans and what killed runs left; make aliases agree.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what --repair would sweep; delete nothing.")] = False,
    all_orphans: Annotated[
        bool, typer.Option("--all-orphans", help="With --repair: sweep orphans, however large their share is.")
    ] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Checks the home: both audit chains, packs, parts, models, tasks; exit status 1 where something is wrong."""
    settings = settings_of(config, overrides)
    from flows.inspect import examine, show_findings

    report = examine(settings, repair=repair, dry_run=dry_run, all_orphans=all_orphans)
    if as_json:
        console.show_json(report)
    else:
        show_findings(report)
    if report["problems"]:
        raise typer.Exit(1)


@audit_app.command("verify")
def audit_verify(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Both audit chains verify, or the first broken row is named."""
    settings = settings_of(config, overrides)
    from flows.inspect import verify_audit

    show_report("audit chains verify", verify_audit(settings), as_json)


@audit_app.command("show")
def audit_show(
    last: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """The last acts, with ids and counts."""
    settings = settings_of(config, overrides)
    from flows.inspect import audit_rows

    rows = audit_rows(settings, last)
    if as_json:
        console.show_json(rows)
    else:
        headers = ("chain", "seq", "at", "actor", "act", "detail")
        console.show_table("audit", headers, [[row[h] for h in headers] for row in rows], last_wide=True)


@config_app.command("show")
def config_show(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Every setting as resolved; users and passwords in URLs are blanked."""
    settings = settings_of(config, overrides)
    from flows.environment import without_secrets

    tree = without_secrets(settings.model_dump(mode="json"))
    if as_json:
        console.show_json(tree)
    else:
        import yaml

        print(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), end="")


@app.command()
def upgrade(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Brings records, vault and MLflow's store to the newest schema; back them up first."""
    settings = settings_of(config, overrides)
    from flows.upgrade import show_upgrade, upgrade_all

    report = upgrade_all(settings)
    if as_json:
        console.show_json(report)
    else:
        show_upgrade(report)

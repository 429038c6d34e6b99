"""The commands that erase: utterances by id, accounts, and devices by serial number.

They start no flow, so that no account and no serial number is in Prefect's records.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Config, Json, Set, actor_name, erase_app, open_home, show_result

if TYPE_CHECKING:
    from flows.steps.erase import What

Stdin = Annotated[bool, typer.Option("--stdin", help="Read the names from standard input, one a line.")]
Why = Annotated[
    str | None, typer.Option("--why", help="The reason, for the audit chain; no name, no quote. Default: request.")
]
Since = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="Only what arrived from this day on, in UTC; the account stays."),
]
Until = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], help="Only what arrived up to the end of this day, in UTC."),
]
ErasePreview = Annotated[bool, typer.Option("--dry-run", help="List what would be erased; change nothing.")]
Yes = Annotated[
    bool, typer.Option("--yes", help="Erase more than 1 % of the utterances, or than 1,000, without a question.")
]


@erase_app.command()
def utterance(
    ids: Annotated[list[str] | None, typer.Argument(help="Utterance ids, as lineage and datasets show them.")] = None,
    stdin: Stdin = False,
    why: Why = None,
    dry_run: ErasePreview = False,
    yes: Yes = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Erase utterances by their ids."""
    _erase("utterance", ids, stdin, (None, None), why, (dry_run, yes), config, overrides, as_json)


@erase_app.command()
def account(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(help="Accounts, as manifests have them; with --stdin no other program sees them."),
    ] = None,
    stdin: Stdin = False,
    since: Since = None,
    until: Until = None,
    why: Why = None,
    dry_run: ErasePreview = False,
    yes: Yes = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Erase all utterances of accounts and the accounts, or only what arrived on some days."""
    _erase("account", accounts, stdin, (since, until), why, (dry_run, yes), config, overrides, as_json)


@erase_app.command()
def device(
    serials: Annotated[
        list[str] | None, typer.Argument(help="Serial numbers, as manifests have them; --stdin keeps them to itself.")
    ] = None,
    stdin: Stdin = False,
    since: Since = None,
    until: Until = None,
    why: Why = None,
    dry_run: ErasePreview = False,
    yes: Yes = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Erase all utterances of devices, or only what arrived on some days."""
    _erase("device", serials, stdin, (since, until), why, (dry_run, yes), config, overrides, as_json)


def _erase(
    what: What,
    given: list[str] | None,
    stdin: bool,
    days: tuple[datetime | None, datetime | None],
    why: str | None,
    asked: tuple[bool, bool],
    config: Path | None,
    overrides: list[str] | None,
    as_json: bool,
) -> None:
    names = _names(what, given, stdin=stdin)
    since, until = _window(*days)
    dry_run, yes = asked
    from corpus.errors import Refused
    from corpus.tables import people
    from flows.reports.erase_table import show_erasure
    from flows.steps import erase, erase_receipt

    reason = erase.checked_reason(why, () if what == "utterance" else names)
    actor = people.holder(actor_name(None))
    with open_home(config, overrides, lock=None if dry_run else "erase") as (corpus, settings):
        target = erase.find_target(corpus, what, names, since, until)
        report = erase.preview(corpus, target)
        if not dry_run and not yes:
            try:
                erase.refuse_many(corpus, report)
            except Refused:
                show_result(report.to_json(), as_json, show_erasure)
                raise
        if not dry_run:
            before = erase_receipt.lengths(corpus)
            report = erase.erase(corpus, settings, target, reason, actor)
            written = erase_receipt.write_receipt(corpus, settings.home, settings.audit, target, report, before)
            report = replace(report, receipt=written)
    show_result(report.to_json(), as_json, show_erasure)
    if report.finished is not None and report.finished.not_done:
        raise typer.Exit(1)


def _names(what: What, given: list[str] | None, *, stdin: bool) -> list[str]:
    """Return what is to be erased, each once.

    Raises:
        UsageError: nothing is named, or it is named twice over.
    """
    from corpus.errors import UsageError

    if stdin and given:
        raise UsageError(f"name what to erase as arguments or with --stdin, not both: earmark erase {what} --stdin")
    names = [line.strip() for line in sys.stdin.read().splitlines()] if stdin else list(given or ())
    names = [name for name in dict.fromkeys(names) if name]
    if not names:
        where = "standard input is empty" if stdin else "nothing is named"
        raise UsageError(f"{where}: earmark erase {what} takes names as arguments, or one a line with --stdin")
    return names


def _window(since: datetime | None, until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return the times from which and before which utterances count.

    Raises:
        UsageError: no day is between them.
    """
    from corpus.errors import UsageError

    begin = None if since is None else since.replace(tzinfo=UTC)
    end = None if until is None else until.replace(tzinfo=UTC) + timedelta(days=1)
    if begin is not None and end is not None and begin >= end:
        raise UsageError("--from is after --to; give the first day and the last day")
    return begin, end

"""The commands on consent: show, set, import.

They start no flow, so that no account is in Prefect's records.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Config, Json, Set, actor_name, consent_app, open_home, show_result

if TYPE_CHECKING:
    from flows.steps.consent import ConsentChange

Account = Annotated[
    str | None, typer.Argument(help="The account, as manifests have it; with --stdin no other program sees it.")
]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the account from standard input, in one line.")]
Uses = Annotated[
    str | None, typer.Option("--no", help="Uses to withdraw: score, annotate, train, with commas; or all.")
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        max=86_400,
        help="How long to wait, in seconds, for a command that has the home, before tasks and models are left to it.",
    ),
]
ConsentPreview = Annotated[bool, typer.Option("--dry-run", help="Say what is named; change nothing.")]


@consent_app.command()
def show(
    account: Account = None,
    stdin: Stdin = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show what an account may be used for now, since when, and how many of its utterances for what."""
    from flows.reports.consent_table import show_consent
    from flows.steps import consent

    name = _account(account, "show", stdin=stdin)
    with open_home(config, overrides) as (corpus, _):
        report = consent.show(corpus, name)
    show_result(report.to_json(), as_json, show_consent)


@consent_app.command("set")
def set_(
    account: Account = None,
    stdin: Stdin = False,
    no: Uses = None,
    yes: Annotated[
        str | None,
        typer.Option("--yes", help="Uses that the customer allows for what arrives from now on, with commas."),
    ] = None,
    notice: Annotated[
        str | None, typer.Option("--notice", help="Version of the notice that the customer saw, with --yes.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Keep it also for an account that has no utterance yet.")] = False,
    dry_run: ConsentPreview = False,
    wait: Wait = 60.0,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Withdraw consent at once, for all that arrived until now, or state one for what arrives from now on."""
    from corpus.errors import UsageError
    from corpus.ingest.manifest_row import is_notice
    from flows.reports.consent_table import show_change
    from flows.steps import consent

    wanted = consent.Wanted(consent.uses_in(no, "--no"), consent.uses_in(yes, "--yes"), None, notice)
    if not wanted.no and not wanted.yes:
        raise UsageError("nothing is stated: give --no with uses to withdraw, such as --no annotate,train, or --yes")
    if wanted.no & wanted.yes:
        raise UsageError("a use is in --no and in --yes; name it once")
    if not is_notice(notice) or (notice is not None and "annotate" not in wanted.yes):
        raise UsageError("--notice is the version of the notice, of 1 to 64 characters, with --yes annotate")
    name = _account(account, "set", stdin=stdin)
    with open_home(config, overrides) as (corpus, settings):
        if consent.counted_notice(settings.ingest, wanted).yes != wanted.yes:
            raise UsageError(
                "a consent to annotate needs a notice that counts: give --notice with the version that the customer"
                " saw, one of ingest.notices where those are set"
            )
        if not new:
            consent.show(corpus, name)
        report = consent.change(corpus, settings, [(name, wanted)], actor_name(None), dry_run=dry_run, wait=wait)
    show_result(report.to_json(), as_json, show_change)
    _fail_if_not_done(report)


@consent_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSON Lines with account, consent, and maybe time and notice.")],
    dry_run: ConsentPreview = False,
    wait: Wait = 60.0,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Apply a list of consents: what a line leaves out is withdrawn; exit status 1 where a line has a fault."""
    from dataclasses import replace

    from flows.reports.consent_table import show_change
    from flows.steps import consent

    wanted, faults = consent.read_statements(file)
    with open_home(config, overrides) as (corpus, settings):
        report = consent.change(corpus, settings, wanted, actor_name(None), dry_run=dry_run, wait=wait)
    report = replace(report, lines=len(wanted), faulty=len(faults), faults=consent.shown_faults(faults))
    show_result(report.to_json(), as_json, show_change)
    _fail_if_not_done(report)
    if faults:
        raise typer.Exit(1)


def _fail_if_not_done(report: ConsentChange) -> None:
    if report.reached is not None and report.reached.not_done:
        raise typer.Exit(1)


def _account(given: str | None, command: str, *, stdin: bool) -> str:
    """Return the account that is named.

    Raises:
        UsageError: none is named, or more than one.
    """
    from corpus.errors import UsageError

    lines = [line for line in sys.stdin.read().splitlines() if line.strip()] if stdin else []
    named = [*([given] if given else []), *lines]
    if len(named) != 1:
        raise UsageError(f"name one account, as argument or with --stdin: earmark consent {command} --stdin")
    return named[0]

"""The commands that erase: utterances by id, accounts, and devices by serial number.

They start no flow, so that no account and no serial number is in Prefect's records.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import Config, Json, Set, actor_name, erase_app, open_home, show_result

if TYPE_CHECKING:
    from corpus.handle import Corpus
    from flows.steps.erase import EraseReport
    from flows.steps.erase_target import What

Names = list[str] | None
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
WaitToErase = Annotated[
    float,
    typer.Option(
        "--wait", min=0, max=86_400, help="How long to wait for another command that has the home, in seconds."
    ),
]


@dataclass(frozen=True)
class Common:
    """The options that all erasures have, in the order of the help."""

    stdin: Stdin = False
    why: Why = None
    dry_run: ErasePreview = False
    yes: Yes = False
    wait: WaitToErase = 600.0
    config: Config = None
    overrides: Set = None
    as_json: Json = False


def _with_common(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options of the function, and those of `Common`, which it takes as `common`."""
    own = [each for each in inspect.signature(function, eval_str=True).parameters.values() if each.name != "common"]
    shared = list(inspect.signature(Common, eval_str=True).parameters.values())

    @functools.wraps(function)
    def command(**given: Any) -> None:
        common = Common(**{each.name: given.pop(each.name) for each in shared})
        function(**given, common=common)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *shared)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


@erase_app.command()
@_with_common
def utterance(
    ids: Annotated[Names, typer.Argument(help="Utterance ids, as lineage and datasets show them.")] = None,
    *,
    common: Common,
) -> None:
    """Erase utterances by their ids."""
    _erase("utterance", ids, common)


@erase_app.command()
@_with_common
def account(
    accounts: Annotated[
        Names, typer.Argument(help="Accounts, as manifests have them; with --stdin no other program sees them.")
    ] = None,
    since: Since = None,
    until: Until = None,
    *,
    common: Common,
) -> None:
    """Erase all utterances of accounts and the accounts, or only what arrived on some days."""
    _erase("account", accounts, common, since, until)


@erase_app.command()
@_with_common
def device(
    serials: Annotated[
        Names, typer.Argument(help="Serial numbers, as manifests have them; --stdin keeps them to itself.")
    ] = None,
    since: Since = None,
    until: Until = None,
    *,
    common: Common,
) -> None:
    """Erase all utterances of devices, or only what arrived on some days."""
    _erase("device", serials, common, since, until)


def _erase(
    what: What, given: Names, common: Common, first: datetime | None = None, last: datetime | None = None
) -> None:
    names = _names(what, given, stdin=common.stdin)
    since, until = _window(first, last)
    from corpus.errors import EarmarkError
    from corpus.tables import people
    from flows.reports.erase_table import show_erasure
    from flows.steps import erase, erase_receipt, erase_target

    reason = erase.checked_reason(common.why, () if what == "utterance" else names)
    actor = people.holder(actor_name(None))
    with open_home(common.config, common.overrides) as (corpus, settings):
        report = erase.preview(corpus, erase_target.find_target(corpus, what, names, since, until))
        if not common.dry_run:
            if not common.yes:
                _refuse_many(corpus, report, as_json=common.as_json)
            closes = names if what == "account" and since is None and until is None else []
            with _home_of_its_own(corpus, closes, actor, common.wait):
                target = erase_target.find_target(corpus, what, names, since, until)  # more may have come meanwhile
                before = erase_receipt.lengths(corpus)
                report = erase.erase(corpus, settings, target, reason, actor)
                try:
                    written = erase_receipt.write_receipt(corpus, settings.home, settings.audit, target, report, before)
                except EarmarkError:  # what is erased is said in any case
                    show_result(report.to_json(), common.as_json, show_erasure)
                    raise
                report = replace(report, receipt=written)
    show_result(report.to_json(), common.as_json, show_erasure)
    if report.finished is not None and report.finished.not_done:
        raise typer.Exit(1)


def _refuse_many(corpus: Corpus, report: EraseReport, *, as_json: bool) -> None:
    from corpus.errors import Refused
    from flows.reports.erase_table import show_erasure
    from flows.steps import erase

    try:
        erase.refuse_many(corpus, report)
    except Refused:
        show_result(report.to_json(), as_json, show_erasure)
        raise


@contextmanager
def _home_of_its_own(corpus: Corpus, accounts: list[str], actor: str, wait: float) -> Iterator[None]:
    """Lock the home until the block ends; while another command has it, the accounts are closed for every use.

    Raises:
        HomeBusy: it has the home longer than is waited; nothing was erased.
    """
    from corpus.errors import HomeBusy
    from flows.runtime.lock import hold_when_free
    from flows.steps import erase

    with ExitStack() as stack:
        try:
            closing = functools.partial(erase.close_accounts, corpus, accounts, actor)
            stack.enter_context(hold_when_free(corpus.settings, "erase", wait, closing))
        except HomeBusy as busy:
            closed = "; nothing of what is named may be opened any more, but" if accounts else ";"
            raise HomeBusy(
                f"{str(busy).partition(';')[0]}{closed} nothing is erased yet; run the same command again when it ends,"
                " or with a longer --wait"
            ) from None
        yield


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

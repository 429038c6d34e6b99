"""Consent by account, apart from manifests: show it, withdraw it or state it, and read lists of statements.

No account is stored, logged or returned in clear: results have pseudonyms and counts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from corpus.errors import EarmarkError, HomeBusy, RecordError, UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import IngestSettings
from corpus.ingest.manifest_row import ConsentStatement, parse_statement
from corpus.settings import places
from corpus.storage.database import engine, writing
from corpus.storage.json_lines import read_lines, strict_json
from corpus.tables import consent_use, erased, models
from corpus.tables.consent_use import Narrowed
from corpus.vault import consent, find, stated_consent
from corpus.vault.stated_consent import Agreement
from flows.runtime import progress
from flows.runtime.lock import hold_when_free
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasIngest
from flows.steps import erase
from flows.steps.erase import FinishReport, SettingsOfErase

_LONGEST: Final = 1 << 16
_FIELDS: Final = ("account", "consent", "time", "notice")
_SHOWN: Final = 100


WAITS: Final = (
    "what is withdrawn may not be opened from now on; its tasks, Label Studio and MLflow are reached when that command "
    "ends, or by the next earmark nightly, consent, erase or doctor --repair"
)
"""What becomes of a withdrawal whose home stays in use."""


class SettingsOfConsent(SettingsOfErase, HasIngest, Protocol):
    """The settings that a withdrawal reads: where tasks are, and which notices count."""


@dataclass(frozen=True, slots=True)
class UseNow(Result):
    """Whether an account may be used for something now, since when, and how many of its utterances."""

    allowed: bool
    since: datetime | None
    utterances: int


@dataclass(frozen=True, slots=True)
class ConsentReport(Result):
    """What accounts may be used for now.

    Attributes:
        speaker: pseudonym.
        uses: by use.
        utterances: how many utterances may be used for which uses together.
        notice: version of the notice that the customer saw, where it was stated apart from rows.
    """

    speaker: str
    uses: Mapping[str, UseNow]
    utterances: Mapping[str, int]
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class FaultyLine(Result):
    """A line of a list of statements that can't be used, with the field and the remedy, never a value."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentChange(Result):
    """What statements changed.

    Attributes:
        dry_run: whether nothing was changed.
        lines: lines of the file that could be read; None without a file.
        faults: the first lines that could not be read; None without a file.
        accounts: how many accounts were named, and how many of them the vault did not know.
        unknown: how many of them the vault did not know.
        unnoticed: how many consents to annotation do not count, as no notice that counts is named; None where none.
        too_late: how many consents do not count, as a withdrawal came after them or with them; None where none.
        narrowed: what was taken out of use; None where nothing was, and with `dry_run`.
        reached: what was taken back from people and models; None with `dry_run`, and where nothing was left to do.
        waits: why that is done later, and by whom; None where it was done.
        weights: versions whose weights would be destroyed, as they learned from what may no longer be trained on; None
            without `dry_run`.
    """

    dry_run: bool
    lines: int | None = None
    faulty: int | None = None
    faults: tuple[FaultyLine, ...] | None = None
    accounts: int
    unknown: int
    unnoticed: int | None = None
    too_late: int | None = None
    narrowed: Narrowed | None = None
    reached: FinishReport | None = None
    waits: str | None = None
    weights: tuple[str, ...] | None = None


def show(corpus: Corpus, account: str) -> ConsentReport:
    """Return what an account may be used for now.

    Raises:
        UsageError: the vault does not know the account.
    """
    try:
        found = stated_consent.account_consent(corpus.vault, account)
    except RecordError as error:
        raise UsageError(str(error)) from error
    uses = {name: UseNow(**asdict(use)) for name, use in found.uses.items()}
    return ConsentReport(found.speaker_id, uses, found.utterances, found.notice)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is stated of an account.

    Attributes:
        no: consents that it takes back.
        yes: consents that it gives from now on.
        at: when it gave them; None for now.
        notice: version of the notice that the customer saw.
    """

    no: frozenset[str] = frozenset()
    yes: frozenset[str] = frozenset()
    at: datetime | None = None
    notice: str | None = None


def change(
    corpus: Corpus,
    settings: SettingsOfConsent,
    wanted: Sequence[tuple[str, Wanted]],
    actor: str,
    *,
    dry_run: bool,
    wait: float = 0.0,
) -> ConsentChange:
    """Withdraw and state consents by account; then take what was withdrawn from people, and mark what learned from it.

    Of several statements of an account all withdrawals count. They count at the next opening of the door, whatever has
    the home or its records; only what reaches out waits for them.

    Args:
        corpus: the handle; its home must not be locked by this process.
        settings: where tasks are, and which notices count.
        wanted: what is stated, by account.
        actor: who states it, for the audit chain.
        dry_run: change nothing.
        wait: how long to wait for a command that has the home, before what reaches out is left to it, and for a program
            that has the records [s].
    """
    counted = [(account, counted_notice(settings.ingest, each)) for account, each in wanted]
    unnoticed = sum(each.yes != before.yes for (_, each), (_, before) in zip(counted, wanted, strict=True)) or None
    named = {account for account, _ in wanted}
    unknown = len(named - stated_consent.known(corpus.vault, named))
    if dry_run:
        weights = _would_destroy(corpus, {account for account, each in counted if "train" in each.no})
        return ConsentChange(dry_run=True, accounts=len(named), unknown=unknown, unnoticed=unnoticed, weights=weights)
    before = consent_use.before(corpus)
    now = corpus.clock()
    stated: dict[str, frozenset[str]] = {}
    for account, each in counted:
        stated[account] = stated.get(account, consent.ALL) - each.no
    withdraws = any(allowed != consent.ALL for allowed in stated.values())
    if withdraws:  # before the first no, so that a kill leaves nothing behind unnoticed; the no waits for nothing
        _note(corpus, 0.0)
    consent.apply_statements(corpus.vault, stated, now, actor)
    given = [Agreement(account, each.yes & stated[account], each.at, each.notice) for account, each in counted]
    given = [each for each in given if each.consent]
    took = stated_consent.agree(corpus.vault, given, now, actor)
    narrowed = consent_use.narrowed_since(corpus, before)
    left = _note_after(corpus, wait) if withdraws else None
    reached, waits = _reach_out(corpus, settings, actor, wait) if left is None else (left, None)
    return ConsentChange(
        dry_run=False,
        accounts=len(named),
        unknown=unknown,
        unnoticed=unnoticed,
        too_late=sum(counts != each.consent for counts, each in zip(took, given, strict=True)) or None,
        narrowed=narrowed,
        reached=reached,
        waits=waits,
    )


def counted_notice(settings: IngestSettings, wanted: Wanted) -> Wanted:
    """Return a statement with the notice that counts; without one, a consent to annotation is left out."""
    if "annotate" not in wanted.yes:
        return wanted
    notice, known = wanted.notice or settings.notice, settings.notices
    if notice is not None and (known is None or notice in known):
        return replace(wanted, notice=notice)
    return replace(wanted, yes=wanted.yes - {"annotate"})


def _note_after(corpus: Corpus, wait: float) -> FinishReport | None:
    """Note, after a withdrawal, what it has to reach: a run that reached it before has seen nothing of it.

    Returns:
        Where another program has the records longer than is waited, the places that are not noted; else None.
    """
    why = _note(corpus, 0.0)
    if why is not None and wait:
        progress.note(f"the withdrawal counts already; its tasks are not reached yet: {why}; waiting for {wait:g} s")
        why = _note(corpus, wait)
    if why is None:
        return None
    left = f"{why}; the withdrawal counts already, so nothing of it may be opened: run the same command again"
    return FinishReport(not_done=dict.fromkeys(erased.WITHDRAWN_HOPS, left))


def _note(corpus: Corpus, patience: float) -> str | None:
    """Note that places are to be reached for a withdrawal; return why that can't be done, None where it is done."""
    records = engine(places(corpus.settings).records_url, patience)  # the corpus' own waits for long, the no must not
    try:
        with writing(records) as conn:
            erased.note_withdrawal(conn, erased.WITHDRAWN_HOPS, corpus.clock())
    except EarmarkError as error:
        return str(error).partition(";")[0]
    finally:
        records.dispose()
    return None


def _would_destroy(corpus: Corpus, accounts: Collection[str]) -> tuple[str, ...]:
    """Return the versions whose weights go where nothing of the accounts may be trained on any more."""
    speakers = [find.find_account(corpus.vault, account).speaker_id for account in sorted(accounts)]
    with corpus.read() as conn:
        ids = [i for speaker in speakers if speaker is not None for i in erased.of_speaker(conn, speaker)]
        return models.would_destroy(conn, models.learners(conn, ids))


def _reach_out(
    corpus: Corpus, settings: SettingsOfErase, actor: str, wait: float
) -> tuple[FinishReport | None, str | None]:
    """Close the tasks of what was withdrawn, everywhere, and mark versions, once no other command has the home.

    Returns:
        What was done; None where nothing is left to do. And what waits, in one sentence, where the home stays in use.
    """
    try:
        with hold_when_free(corpus.settings, "consent", wait):
            done = erase.finish(corpus, settings, actor)
    except HomeBusy as busy:
        return None, f"{str(busy).partition(';')[0]}: {WAITS}"
    return (done if isinstance(done, FinishReport) else None), None


def uses_in(text: str | None, option: str) -> frozenset[str]:
    """Return the uses that an option names, with commas between them, or `all`.

    Raises:
        UsageError: one is unknown.
    """
    if text is None:
        return frozenset()
    named = {each.strip() for each in text.split(",") if each.strip()}
    if named == {"all"}:
        return consent.ALL
    if not named or named - consent.ALL:
        raise UsageError(f"{option} names an unknown use; known are {', '.join(consent.CONSENTS)}, and all")
    return frozenset(named)


# --- lists of statements ----------------------------------------------------------------------------------------------


def read_statements(path: Path) -> tuple[list[tuple[str, Wanted]], list[FaultyLine]]:
    """Return what a CSV or JSON Lines file states, and its faulty lines.

    A line is a whole statement: what its consent leaves out is withdrawn, and what it names is given from now on. Where
    the account can be read and the consent can't, annotation and training are withdrawn, as in a manifest.

    Raises:
        UsageError: the file can't be read, or has no line that can be.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path.name} can't be read: {error.strerror}; give a CSV or JSON Lines file") from error
    wanted: list[tuple[str, Wanted]] = []
    faults: list[FaultyLine] = []
    for line in _json_lines(data) if path.suffix.lower() == ".jsonl" else _csv_lines(data, path.name):
        if line.fault:
            faults.append(FaultyLine(line.number, line.fault))
        for each in line.statements:
            yes = frozenset() if line.fault else each.consent
            wanted.append((each.account, Wanted(consent.ALL - each.consent, yes, each.at, line.notice)))
    if not wanted:
        detail = f"; line {faults[0].line}: {faults[0].detail}" if faults else ""
        raise UsageError(f"{path.name} has no line that can be read, so nothing is changed{detail}")
    return wanted, faults


def shown_faults(faults: Sequence[FaultyLine]) -> tuple[FaultyLine, ...]:
    """Return the first faulty lines."""
    return tuple(faults[:_SHOWN])


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a list: what it states, and its fault; "" for none."""

    number: int
    statements: tuple[ConsentStatement, ...]
    fault: str
    notice: str | None


def _line(number: int, value: object) -> _Line:
    statements, fault = parse_statement(value)
    notice = value.get("notice") if isinstance(value, dict) and not fault else None
    return _Line(number, statements, fault, notice)


def _json_lines(data: bytes) -> Iterator[_Line]:
    for number, line in read_lines(io.BytesIO(data), _LONGEST):
        try:
            yield _line(number, None if line is None else strict_json(line))
        except (ValueError, RecursionError):
            yield _line(number, None)


def _csv_lines(data: bytes, name: str) -> Iterator[_Line]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8; save it in UTF-8") from error
    rows = csv.reader(io.StringIO(text))
    try:
        header = [cell.strip() for cell in next(rows, [])]
        missing = [field for field in ("account", "consent") if field not in header]
        if missing or len(set(header)) < len(header) or set(header) - set(_FIELDS):
            raise UsageError(f"{name}: the first line must name the columns {', '.join(_FIELDS)}, each once")
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                yield _line(rows.line_num, None)
                continue
            given = dict(zip(header, cells, strict=True))
            values = {
                name: value.replace(",", " ").replace(";", " ").split() if name == "consent" else value
                for name, value in given.items()
                if value.strip() or name == "consent"
            }
            yield _line(rows.line_num, values)
    except csv.Error as error:
        raise UsageError(f"{name} line {rows.line_num}: {error}; write the table again") from error

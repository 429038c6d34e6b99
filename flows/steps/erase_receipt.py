"""Receipts of erasures: what was erased where and when, signed, for the customer or the regulator who asked for it.

A receipt names nobody: it has counts, times, and the digest of the ids. It verifies by the public key alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from corpus.errors import Damaged, SettingsError, UsageError
from corpus.handle import Corpus
from corpus.records.base import digest
from corpus.storage import audit_chain
from corpus.storage.database import reading
from corpus.storage.durable_write import write_new_file
from corpus.storage.signed_note import Signer, Verifier, notes_of, open_note
from corpus.storage.store_faults import fault_of
from corpus.tables import checkpoints
from corpus.tables.checkpoints import LOGS, TABLES, Log, read_checkpoint
from corpus.tables.erased import HOPS
from flows.runtime.results import Result
from flows.runtime.sealing import AuditSettings, seal
from flows.steps.erase import EraseReport, FinishReport
from flows.steps.erase_target import Target

FOLDER: Final = "receipts"
"""Folder of the receipts in the home."""

_TITLE: Final = "receipt of an erasure"


@dataclass(frozen=True, slots=True)
class Receipt(Result):
    """A receipt that was verified.

    Attributes:
        signed_by: name of the key.
        lines: what it says.
    """

    signed_by: str
    lines: tuple[str, ...]


def lengths(corpus: Corpus) -> dict[Log, int]:
    """Return how many rows the logs have, before an erasure begins; nothing is erased that no receipt can be signed of.

    Raises:
        SettingsError: the audit key is missing, or is none.
        HostFault: its file can't be read or written.
    """
    try:
        checkpoints.audit_signer(corpus)
    except SettingsError as error:
        raise SettingsError(f"nothing is erased, as no receipt can be signed: {error}") from None
    return {log: audit_chain.length(checkpoints.engine_of(corpus, log), TABLES[log]) for log in LOGS}


def write_receipt(
    corpus: Corpus,
    home: Path,
    settings: AuditSettings,
    target: Target,
    report: EraseReport,
    before: dict[Log, int],
) -> Path | None:
    """Seal the logs and write the receipt of an erasure; return its file, None where nothing was to be erased.

    Args:
        corpus: the handle.
        home: folder of the home.
        settings: where copies of checkpoints go.
        target: what was to be erased.
        report: what was erased.
        before: what `lengths` returned before the erasure.

    Raises:
        HostFault: the receipt can't be written; the erasure is done, and its next run writes one.
    """
    if not target.utterance_ids and not target.speakers:
        return None
    key = checkpoints.audit_signer(corpus)
    assert key is not None  # what is erased from can be written to
    seal(corpus, settings)
    now = datetime.now(UTC)
    note = key.sign("".join(f"{line}\n" for line in _lines(corpus, key, target, report, before, now)))
    file = home / FOLDER / f"{now:%Y%m%dT%H%M%S}-{digest(note)[:8]}.receipt"
    try:
        write_new_file(file, [note.encode()])
    except OSError as error:
        raise fault_of(error, f"the receipt {file}") from error
    return file


def read_receipt(file: Path, verifier: Verifier) -> Receipt:
    """Return what a receipt says, after its signature was verified.

    Raises:
        UsageError: the file can't be read, or is no receipt.
        Damaged: the key did not sign it, or it was changed since.
    """
    try:
        note = next(iter(notes_of(file.read_text(encoding="utf-8"))), "")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"the receipt {file} can't be read; name a file that earmark erase wrote") from None
    try:
        name, title, *lines = open_note(note, verifier).splitlines()
    except Damaged:
        raise Damaged(
            f"the receipt {file} is not signed by the key {verifier.name}, or was changed after it was signed"
        ) from None
    if title != _TITLE:
        raise UsageError(f"{file} is signed, and no receipt of an erasure; name a file that earmark erase wrote")
    return Receipt(name, tuple(lines))


def _lines(
    corpus: Corpus, key: Signer, target: Target, report: EraseReport, before: dict[Log, int], now: datetime
) -> Iterator[str]:
    yield from (key.name, _TITLE)
    yield f"asked for: {len(target.utterance_ids)} utterances, {len(target.speakers)} accounts"
    yield f"digest of the utterance ids: {digest(list(target.utterance_ids))}"
    yield from _rows(corpus, before)
    held = f"utterances {report.utterances}, labels {report.labels}, answers {report.answers}"
    yield f"taken from the records: {held}, files of statistics {report.parts}"
    done = report.finished or FinishReport()
    counts = {
        "packs": f"{done.packs} written anew or removed",
        "tasks": f"{done.task_files} files and {done.answer_lines} lines removed",
        "annotation server": f"{done.removed_there} tasks removed",
        "model registry": f"{len(report.tainted)} versions marked: {', '.join(report.tainted) or 'none'}",
        "weights": f"of {len(done.destroyed)} versions destroyed: {', '.join(done.destroyed) or 'none'}",
    }
    for hop in HOPS:
        if hop in done.not_done:
            yield f"NOT REACHED: {hop}; a later run of the same erasure writes a receipt of it"
        elif hop in done.reached:
            yield f"{_time(done.reached[hop])} {hop}: {counts[hop]}"
    for folder in report.datasets:
        yield f"OUT OF REACH: a dataset that was handed out, {Path(folder).name}"
    notes = checkpoints.stored_notes(corpus, "records")
    sealed = read_checkpoint(notes[max(notes)], key.verifier)
    sizes = ", ".join(f"{sealed.heads[log].size} rows of the {log}" for log in LOGS)
    yield f"sealed by checkpoint {sealed.counter}: {sizes}"
    yield f"{_time(now)} signed"


def _rows(corpus: Corpus, before: dict[Log, int]) -> Iterator[str]:
    """Yield what the rows of the logs say that the erasure added, the vault first, as it is erased first."""
    for log in ("vault", "records"):
        with reading(checkpoints.engine_of(corpus, log)) as conn:
            for row in audit_chain.acts(conn, TABLES[log], "destroy", "forget", "erase"):
                if row.seq <= before[log]:
                    continue
                count = row.detail["result"]["erased"] if log == "records" else row.detail["destroyed"]
                what = {
                    "destroy": "keys destroyed",
                    "forget": "keys destroyed with the account",
                    "erase": "rows erased",
                }
                yield f"{_time(row.at)} {log}, row {row.seq} of its log: {count} {what[row.act]}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")

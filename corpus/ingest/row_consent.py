"""The consent of manifest rows: what they withdraw counts before anything else, whatever becomes of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from corpus.handle import Corpus
from corpus.ingest.manifest_row import BadRow, ManifestRow
from corpus.ingest.usable_recordings import MAY_CHANGE, event_utterances
from corpus.records.base import digest
from corpus.vault import consent, first_receipts, stated_consent
from corpus.vault.event_ids import Event


class NoticeSettings(Protocol):
    """Which notices count: that of rows that name none, and those that are known; see `IngestSettings`."""

    @property
    def notice(self) -> str | None:
        """Version that customers of rows without one saw."""
        ...

    @property
    def notices(self) -> tuple[str, ...] | None:
        """Versions that count; None for all."""
        ...


def apply(corpus: Corpus, rows: Sequence[ManifestRow | BadRow], now: datetime) -> bool:
    """Withdraw what rows do not consent to, of all that arrived or was received until now; return whether any did so.

    Args:
        corpus: the corpus whose vault keeps it.
        rows: of a batch.
        now: receipt of the batch; that of its clips must be the same, else a no closes none of them that is ahead.
    """
    repeated = _repeated(corpus, rows)
    stated: dict[str, frozenset[str]] = {}
    for row in rows:
        for each in row.statements if row.line not in repeated else ():
            stated[each.account] = stated.get(each.account, consent.ALL) & each.consent
    consent.apply_statements(corpus.vault, stated, now)
    return any(allowed != consent.ALL for allowed in stated.values())


def noticed(
    corpus: Corpus, rows: Sequence[ManifestRow | BadRow], settings: NoticeSettings
) -> list[ManifestRow | BadRow]:
    """Return the rows with the consents that count: one to annotation only with a notice that says so.

    Where a row names no notice, it is that of its account, as stated apart from rows before the clip arrived and was
    received, or that of the settings.
    """
    asked = {row.account for row in rows if isinstance(row, ManifestRow) and "annotate" in row.consent}
    if not asked:
        return list(rows)
    stated = stated_consent.notices(corpus.vault, sorted(asked)) if settings.notice is None else {}
    receipts = first_receipts_of(corpus, rows, corpus.clock()) if stated else {}

    def seen_before(row: ManifestRow) -> str | None:
        notice = stated.get(row.account)
        return notice.version if notice is not None and notice.at < min(row.arrived_at, receipts[row.line]) else None

    def counted(row: ManifestRow | BadRow) -> ManifestRow | BadRow:
        if isinstance(row, BadRow) or "annotate" not in row.consent:
            return row
        seen = row.notice or seen_before(row) or settings.notice
        if seen is not None and (settings.notices is None or seen in settings.notices):
            return replace(row, notice=seen)
        return replace(row, consent=row.consent - {"annotate"}, unnoticed=True)

    return [counted(row) for row in rows]


def _repeated(corpus: Corpus, rows: Sequence[ManifestRow | BadRow]) -> set[int]:
    """Return the lines of stored events that take back nothing of the consent that these were ingested with.

    Such a statement is that of the first delivery, and counted then. Taken as a new one it would withdraw from newer
    clips, wherever a manifest or a corpus delivers all rows so far again.
    """
    asked = {row.line: row for row in rows if isinstance(row, ManifestRow) and row.statements[0].consent != consent.ALL}
    named = event_utterances(corpus, asked.values())
    stored = consent.ingested_consents(corpus.vault, list(named.values()))
    return {line for line, id_ in named.items() if id_ in stored and stored[id_] <= asked[line].statements[0].consent}


def first_receipts_of(corpus: Corpus, rows: Sequence[ManifestRow | BadRow], now: datetime) -> dict[int, datetime]:
    """Return when the event of each valid row was first received, by line: now, unless it was refused before."""
    events = {row.line: _event(row) for row in rows if isinstance(row, ManifestRow)}
    known = first_receipts.known(corpus.vault, list(events.values()))
    return {line: min(known.get(event, now), now) for line, event in events.items()}


def not_received(corpus: Corpus, rows: Sequence[ManifestRow | BadRow]) -> list[ManifestRow | BadRow]:
    """Return the refused rows of whose receipt the vault knows nothing, as in one of an older backup or version."""
    events = {row.line: _event(row) for row in rows if isinstance(row, ManifestRow)}
    known = first_receipts.known(corpus.vault, list(events.values()))
    return [row for row in rows if events.get(row.line) not in known]


def keep_first_receipts(
    corpus: Corpus, rows: Sequence[ManifestRow | BadRow], receipts: Mapping[int, datetime], reasons: Mapping[int, str]
) -> None:
    """Keep when events were first received that are refused now and may be accepted later.

    Args:
        corpus: the corpus whose vault keeps them.
        rows: of the batch.
        receipts: when the events of valid rows were first received, by line.
        reasons: of the refused rows, by line.
    """
    waiting = [row for row in rows if isinstance(row, ManifestRow) and reasons.get(row.line) in MAY_CHANGE]
    if waiting:
        received: dict[Event, datetime] = {}
        for row in waiting:
            at = receipts[row.line]
            received[_event(row)] = min(at, received.get(_event(row), at))
        first_receipts.keep(corpus.vault, received)


def _event(row: ManifestRow) -> Event:
    return row.account, row.event_id or digest([row.device_serial, row.arrived_at.isoformat()])

"""Utterances: those that were accepted, their state, and why other lines of a manifest were refused."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.arrivals import Utterance, Wake
from corpus.records.base import Strings, canonical_json, digest
from corpus.storage import cipher
from corpus.storage.content_codec import SAMPLE_BYTES, seal_name
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.operations import Operation
from corpus.storage.packs import Location, PackWriter
from corpus.storage.records_schema import packs, utterances
from corpus.storage.records_schema import refusals as refusals_table
from corpus.tables import retention

State = Literal["accepted", "set_aside", "erased"]

Arrived = tuple[Utterance, bytes, bytes]
"""An utterance, its key, which the vault has or is about to store, and its audio, encoded by `encode_audio`."""


def write_audio(writer: PackWriter, arrivals: Iterable[Arrived]) -> list[Utterance]:
    """Give the audio of utterances to a writer of packs; return their records, each once, in order.

    Args:
        writer: writer of the packs; it may still be writing when this returns.
        arrivals: read as a stream.

    Raises:
        RecordError: the audio of an utterance has another length than its record.
    """
    fresh: dict[str, Utterance] = {}
    for utterance, key, pcm in arrivals:
        utterance_id = utterance.utterance_id
        if utterance_id in fresh:
            continue
        if len(pcm) != SAMPLE_BYTES * utterance.num_samples:
            raise RecordError(
                f"utterance {utterance_id}: {len(pcm)} bytes of audio, but {utterance.num_samples} samples in its"
                " record; give the audio that the record describes"
            )
        writer.append(utterance_id, cipher.encrypt(key, pcm, seal_name(utterance_id, "audio")))
        fresh[utterance_id] = utterance
    return list(fresh.values())


def put(
    op: Operation, arrived: Sequence[Utterance], locations: Mapping[str, Location], sizes: Mapping[str, int]
) -> list[str]:
    """Store the rows of utterances whose packs are written; return the ids that are new, in order.

    Utterances that are stored already are not changed.

    Args:
        op: the operation.
        arrived: the utterances, in the order of intake.
        locations: where their audio is, by id.
        sizes: of the packs [bytes]; those that hold none of the utterances are left out.
    """
    used = {locations[utterance.utterance_id].pack for utterance in arrived}
    insert_new(
        op.conn,
        packs,
        [{"pack": name, "size": sizes[name], "operation_id": op.operation_id} for name in sizes if name in used],
    )
    return insert(op.conn, arrived, locations, operation_id=op.operation_id)


def insert(
    conn: sa.Connection,
    arrived: Sequence[Utterance],
    locations: Mapping[str, Location],
    *,
    operation_id: str = "",
) -> list[str]:
    """Store the rows of utterances; return the ids that are new.

    Args:
        conn: transaction on the records.
        arrived: the utterances, in the order of intake.
        locations: where their audio is, by id.
        operation_id: operation that ingests them.
    """
    stored = stored_ids(conn, [utterance.utterance_id for utterance in arrived])
    order = last_order(conn)
    rows: dict[str, dict[str, Any]] = {}
    for utterance in arrived:
        if utterance.utterance_id not in stored and utterance.utterance_id not in rows:
            order += 1
            rows[utterance.utterance_id] = _row(utterance, locations.get(utterance.utterance_id), order, operation_id)
    insert_new(conn, utterances, list(rows.values()))
    return list(rows)


def stored_ids(conn: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Return the ids that have a row, in any state."""
    statement = sa.select(utterances.c.utterance_id)
    return {row.utterance_id for row in fetch_among(conn, statement, utterances.c.utterance_id, ids)}


def get(conn: sa.Connection, ids: Sequence[str]) -> list[Utterance]:
    """Return the utterances in the order of the ids.

    Raises:
        RecordError: an id has no row; the message names the first.
    """
    found = fetch_among(conn, sa.select(utterances), utterances.c.utterance_id, ids)
    rows = {row.utterance_id: as_utterance(row) for row in found}
    _require_all(rows, ids)
    return [rows[i] for i in ids]


def in_window(
    conn: sa.Connection,
    start: datetime | None = None,
    end: datetime | None = None,
    states: Sequence[State] = ("accepted",),
) -> list[str]:
    """Return the sorted ids of utterances in one of the states that arrived in [start, end); None for no limit."""
    statement = sa.select(utterances.c.utterance_id).where(utterances.c.state.in_(states))
    if start is not None:
        statement = statement.where(utterances.c.arrived_at >= start)
    if end is not None:
        statement = statement.where(utterances.c.arrived_at < end)
    return sorted(conn.execute(statement).scalars())


def orders(conn: sa.Connection, start: datetime, end: datetime) -> list[tuple[str, datetime, int]]:
    """Return (id, arrival, order of intake) of the accepted utterances that arrived in [start, end)."""
    columns = (utterances.c.utterance_id, utterances.c.arrived_at, utterances.c.event_order)
    window = (utterances.c.arrived_at >= start, utterances.c.arrived_at < end)
    rows = conn.execute(sa.select(*columns).where(utterances.c.state == "accepted", *window))
    return [(row.utterance_id, row.arrived_at, int(row.event_order)) for row in rows]


def last_order(conn: sa.Connection) -> int:
    """Return the order of intake of the newest row, 0 where there is none."""
    return int(conn.execute(sa.select(sa.func.coalesce(sa.func.max(utterances.c.event_order), 0))).scalar_one())


def newest_arrival(conn: sa.Connection, before: datetime | None = None) -> datetime | None:
    """Return when the newest utterance arrived, in any state, or the newest of those that arrived before a moment."""
    newest = sa.func.max(utterances.c.arrived_at, type_=utterances.c.arrived_at.type)
    statement = sa.select(newest) if before is None else sa.select(newest).where(utterances.c.arrived_at < before)
    found: datetime | None = conn.execute(statement).scalar()
    return found


def erased(conn: sa.Connection, ids: Sequence[str]) -> list[str]:
    """Return the ids of those utterances that were erased, or that retention ended: nothing is left of them."""
    statement = sa.select(utterances.c.utterance_id).where(utterances.c.state == "erased")
    return [row.utterance_id for row in fetch_among(conn, statement, utterances.c.utterance_id, ids)]


def first_arrivals(conn: sa.Connection, speaker_ids: Sequence[str]) -> dict[str, datetime]:
    """Return when the first utterance of each speaker arrived, in any state, by speaker id."""
    first = sa.func.min(utterances.c.arrived_at, type_=utterances.c.arrived_at.type)
    statement = sa.select(utterances.c.speaker_id, first).group_by(utterances.c.speaker_id)
    return {row[0]: row[1] for row in fetch_among(conn, statement, utterances.c.speaker_id, speaker_ids)}


def all_ids(conn: sa.Connection) -> set[str]:
    """Return the ids of all rows, erased ones included."""
    return set(conn.execute(sa.select(utterances.c.utterance_id)).scalars())


def live_ids(conn: sa.Connection) -> set[str]:
    """Return the ids of all rows that are not erased."""
    return set(conn.execute(sa.select(utterances.c.utterance_id).where(utterances.c.state != "erased")).scalars())


def reading_order(conn: sa.Connection, ids: Sequence[str]) -> list[str]:
    """Return the ids in the order of their audio in the packs, which is the fastest order to read them."""
    columns = (utterances.c.pack, utterances.c.pack_offset, utterances.c.utterance_id)
    rows = fetch_among(conn, sa.select(*columns), utterances.c.utterance_id, ids)
    return [row.utterance_id for row in sorted(rows, key=lambda r: (r.pack or "", r.pack_offset or 0, r.utterance_id))]


@dataclass(frozen=True, slots=True)
class PoolColumns:
    """Columns of N utterances that sampling needs, in the order of the given ids.

    Attributes:
        speaker_ids, splits, locales, device_types, states: (N,) str.
        durations: (N,) float64 [s].
        attributes: (N,) str by name of the attribute; "" where an utterance does not have it.
    """

    speaker_ids: Strings
    splits: Strings
    durations: npt.NDArray[np.float64]
    locales: Strings
    device_types: Strings
    attributes: dict[str, Strings]
    states: Strings


def locales(conn: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return the locale of each utterance, by id."""
    columns = (utterances.c.utterance_id, utterances.c.locale)
    return {row.utterance_id: row.locale for row in fetch_among(conn, sa.select(*columns), columns[0], ids)}


def pool_columns(conn: sa.Connection, ids: Sequence[str] | Strings) -> PoolColumns:
    """Return the columns of a pool, each in the order of the ids.

    Raises:
        RecordError: an id has no row; the message names the first.
    """
    wanted = [str(i) for i in ids]
    names = ("speaker_id", "split", "locale", "device_type", "attributes", "state", "num_samples", "sample_rate")
    columns = [utterances.c[name] for name in names]
    rows: dict[str, tuple[Any, ...]] = {}
    for row in fetch_among(conn, sa.select(utterances.c.utterance_id, *columns), utterances.c.utterance_id, wanted):
        rows[row[0]] = tuple(row[1:])
    _require_all(rows, wanted)
    values = list(zip(*(rows[i] for i in wanted), strict=True)) or [()] * len(names)
    text = {name: np.array(values[k], dtype=np.str_) for k, name in enumerate(names[:6])}
    return PoolColumns(
        speaker_ids=text["speaker_id"],
        splits=text["split"],
        durations=np.array(values[6], np.float64) / np.array(values[7], np.float64),
        locales=text["locale"],
        device_types=text["device_type"],
        attributes=_attributes(values[4]),
        states=text["state"],
    )


def wake_scores(conn: sa.Connection, ids: Sequence[str] | Strings) -> npt.NDArray[np.float64]:
    """Return the score of each wake word, (N,) float64 in the order of the ids; NaN where a button woke the device.

    Raises:
        RecordError: an id has no row; the message names the first.
    """
    wanted = [str(i) for i in ids]
    columns = (utterances.c.utterance_id, utterances.c.wake)
    found = {row.utterance_id: row.wake for row in fetch_among(conn, sa.select(*columns), columns[0], wanted)}
    _require_all(found, wanted)
    given = (json.loads(found[i]).get("score") for i in wanted)
    return np.array([np.nan if score is None else score for score in given], np.float64)


def accepted(conn: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that are neither set aside nor erased."""
    statement = sa.select(utterances.c.utterance_id).where(utterances.c.state == "accepted")
    return {row.utterance_id for row in fetch_among(conn, statement, utterances.c.utterance_id, ids)}


def _attributes(texts: Sequence[str]) -> dict[str, Strings]:
    # Millions of rows share a few thousand sets of attributes: each is parsed once.
    distinct = {text: json.loads(text) for text in set(texts)}
    names = sorted({name for values in distinct.values() for name in values})
    return {name: np.array([distinct[text].get(name, "") for text in texts], dtype=np.str_) for name in names}


def counts(conn: sa.Connection) -> dict[str, int]:
    """Return how many rows were received, accepted and refused, and how many utterances are in each state.

    received = accepted + refused; accepted = available + set_aside + erased + expired.
    """
    state = retention.state_now()
    statement = sa.select(state, sa.func.count()).group_by(state)
    by_state = {state: int(number) for state, number in conn.execute(statement)}
    refused = conn.execute(sa.select(sa.func.count()).select_from(refusals_table)).scalar_one()
    accepted = sum(by_state.values())
    return {
        "received": accepted + refused,
        "accepted": accepted,
        "refused": refused,
        "available": by_state.get("accepted", 0),
        "set_aside": by_state.get("set_aside", 0),
        "erased": by_state.get("erased", 0),
        "expired": by_state.get("expired", 0),
    }


def set_aside(conn: sa.Connection, ids: Sequence[str], reason: str) -> int:
    """Set accepted utterances aside, for a reason in one or two words; return how many."""
    return _move(conn, ids, "accepted", "set_aside", reason)


def set_aside_digest(conn: sa.Connection) -> dict[str, str]:
    """Return the digest of what is set aside and why, for the audit row of each step that changes it."""
    statement = sa.select(utterances.c.utterance_id, utterances.c.state_reason).where(utterances.c.state == "set_aside")
    return {"set_aside": digest(sorted([row[0], row[1]] for row in conn.execute(statement)))}


def state_graver(conn: sa.Connection, ids: Sequence[str], reason: str, lesser: Collection[str]) -> None:
    """Give a reason to those utterances that are set aside for a lesser one."""
    statement = sa.select(utterances.c.utterance_id).where(
        utterances.c.state == "set_aside", utterances.c.state_reason.in_(lesser)
    )
    found = [{"id": row.utterance_id} for row in fetch_among(conn, statement, utterances.c.utterance_id, ids)]
    if found:
        update = sa.update(utterances).where(utterances.c.utterance_id == sa.bindparam("id"))
        conn.execute(update.values(state_reason=reason), found)


def refuse_lines(
    conn: sa.Connection,
    operation_id: str,
    reasons: Mapping[int, str],
    arrived_at: Mapping[int, datetime] | None = None,
) -> None:
    """Store which lines of a manifest were refused, each with its reason in one word and, if readable, its time."""
    times = arrived_at or {}
    rows = [
        {"operation_id": operation_id, "line": line, "reason": reason, "arrived_at": times.get(line)}
        for line, reason in reasons.items()
    ]
    insert_new(conn, refusals_table, rows)


def refusals(conn: sa.Connection, operation_ids: Sequence[str] | None = None) -> dict[str, int]:
    """Return how many lines were refused in the operations (in all where None), by reason."""
    statement = sa.select(refusals_table.c.reason, refusals_table.c.operation_id)
    rows = (
        conn.execute(statement)
        if operation_ids is None
        else fetch_among(conn, statement, refusals_table.c.operation_id, operation_ids)
    )
    found: dict[str, int] = {}
    for row in rows:
        found[row.reason] = found.get(row.reason, 0) + 1
    return dict(sorted(found.items()))


def _require_all(found: Mapping[str, Any], ids: Sequence[str]) -> None:
    """Check that every id was found.

    Raises:
        RecordError: an id was not; the message names the first.
    """
    missing = next((i for i in ids if i not in found), None)
    if missing is not None:
        raise RecordError(f"utterance {missing} is unknown; check the id")


def as_utterance(row: sa.Row[Any]) -> Utterance:
    """Return a row as a record."""
    return Utterance(
        utterance_id=row.utterance_id,
        speaker_id=row.speaker_id,
        arrived_at=row.arrived_at,
        sample_rate=row.sample_rate,
        num_samples=row.num_samples,
        locale=row.locale,
        device_type=row.device_type,
        wake=Wake(**json.loads(row.wake)),
        split=row.split,
        attributes=json.loads(row.attributes),
    )


def as_location(row: sa.Row[Any]) -> Location | None:
    """Return where the audio of a row is, None where it has none."""
    return None if row.pack is None else Location(row.pack, row.pack_offset, row.pack_length)


def _row(utterance: Utterance, location: Location | None, order: int, operation_id: str) -> dict[str, Any]:
    return {
        "utterance_id": utterance.utterance_id,
        "event_order": order,
        "speaker_id": utterance.speaker_id,
        "arrived_at": utterance.arrived_at,
        "sample_rate": utterance.sample_rate,
        "num_samples": utterance.num_samples,
        "locale": utterance.locale,
        "device_type": utterance.device_type,
        "wake": canonical_json(asdict(utterance.wake)),
        "split": utterance.split,
        "attributes": canonical_json(dict(utterance.attributes)),
        "pack": location and location.pack,
        "pack_offset": location and location.offset,
        "pack_length": location and location.length,
        "state": "accepted",
        "state_reason": "",
        "operation_id": operation_id,
    }


def _move(conn: sa.Connection, ids: Sequence[str], old: State, new: State, reason: str) -> int:
    statement = sa.select(utterances.c.utterance_id).where(utterances.c.state == old)
    moving = [row.utterance_id for row in fetch_among(conn, statement, utterances.c.utterance_id, ids)]
    if moving:
        update = sa.update(utterances).where(utterances.c.utterance_id == sa.bindparam("id"))
        conn.execute(update.values(state=new, state_reason=reason), [{"id": i} for i in moving])
    return len(moving)

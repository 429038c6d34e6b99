"""Exported datasets: where copies of labelled utterances lie outside the home, which ones, and until when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import sqlalchemy as sa

from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import dataset_rows, datasets


@dataclass(frozen=True, slots=True)
class Dataset:
    """An exported dataset.

    Attributes:
        dataset_id: its id.
        place: absolute path of its folder at the time of the export.
        format: its format.
        with_audio: whether it holds clips.
        at: when it was exported (UTC).
        expires_at: when it has to be deleted (UTC); None for one without audio that has no date.
        rows: how many utterances it holds, without those erased since.
    """

    dataset_id: str
    place: str
    format: str
    with_audio: bool
    at: datetime
    expires_at: datetime | None
    rows: int


def put(conn: sa.Connection, dataset: Dataset, utterance_ids: Collection[str]) -> None:
    """Store an exported dataset and the ids of its utterances; `rows` is their number."""
    names = ("dataset_id", "place", "format", "with_audio", "at", "expires_at")
    insert_new(conn, datasets, [{name: getattr(dataset, name) for name in names}])
    insert_new(
        conn, dataset_rows, [{"dataset_id": dataset.dataset_id, "utterance_id": i} for i in sorted(utterance_ids)]
    )


def all_datasets(conn: sa.Connection) -> list[Dataset]:
    """Return every exported dataset that is not known to be deleted, oldest first."""
    count = sa.select(sa.func.count()).where(dataset_rows.c.dataset_id == datasets.c.dataset_id).scalar_subquery()
    rows = conn.execute(sa.select(datasets, count.label("rows")).order_by(datasets.c.at, datasets.c.dataset_id))
    return [Dataset(**row._mapping) for row in rows]


def until_text(expires_at: datetime) -> str:
    """Return until when a dataset may be kept: a whole day as the day that was given, not as the midnight after it."""
    moment = expires_at.astimezone(UTC)
    if moment.time() == time():
        return f"the end of {moment - timedelta(days=1):%Y-%m-%d} (UTC)"
    return f"{moment:%Y-%m-%d %H:%M} (UTC)"


def state_of(dataset: Dataset, now: datetime) -> str:
    """Return `gone` where the folder was deleted by hand, `expired` where it is there after its date, else `there`."""
    if not Path(dataset.place).exists():
        return "gone"
    return "expired" if dataset.expires_at is not None and dataset.expires_at <= now else "there"


def holding(conn: sa.Connection, utterance_ids: Collection[str]) -> list[str]:
    """Return the places of the datasets that hold one of the utterances, sorted."""
    statement = (
        sa.select(datasets.c.place).join(dataset_rows, dataset_rows.c.dataset_id == datasets.c.dataset_id).distinct()
    )
    return sorted(
        {row.place for row in fetch_among(conn, statement, dataset_rows.c.utterance_id, sorted(utterance_ids))}
    )


def drop(conn: sa.Connection, dataset_id: str) -> None:
    """Remove a dataset whose folder was deleted."""
    conn.execute(sa.delete(dataset_rows).where(dataset_rows.c.dataset_id == dataset_id))
    conn.execute(sa.delete(datasets).where(datasets.c.dataset_id == dataset_id))


def erase(conn: sa.Connection, utterance_ids: Collection[str]) -> None:
    """Remove the ids of erased utterances; `holding` has to be asked before."""
    each = [{"id": i} for i in utterance_ids]
    if each:
        conn.execute(sa.delete(dataset_rows).where(dataset_rows.c.utterance_id == sa.bindparam("id")), each)

"""The datasets that were handed out, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from corpus.tables.datasets import until_text
from flows.reports.report_words import worded
from flows.runtime import console


def show_dataset(title: str, document: Mapping[str, Any]) -> None:
    """Print what was handed out, or was deleted, and until when it may be kept.

    Args:
        title: what was done.
        document: of a `DatasetReport` or a `DatasetRow`.
    """
    pairs = dict(document)
    if pairs.get("at"):
        pairs["at"] = f"{_minute(pairs['at'])} (UTC)"
    if pairs.get("expires_at"):
        pairs["expires_at"] = _until(pairs["expires_at"])
    console.show_pairs(title, worded("dataset", pairs))


def show_datasets(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each dataset, the documents of `DatasetRow`: what it holds, where, and until when."""
    if not rows:
        console.show_line("no dataset was handed out")
        return
    headers = ("dataset", "format", "clips", "rows", "handed out (UTC)", "kept until (UTC)", "state", "place")
    console.show_table("datasets", headers, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> tuple[str | int | None, ...]:
    clips = "yes" if row["with_audio"] else "no"
    until = _until(row["expires_at"]).removeprefix("the ").removesuffix(" (UTC)") if row["expires_at"] else None
    return row["dataset_id"], row["format"], clips, row["rows"], _minute(row["at"]), until, row["state"], row["place"]


def _minute(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}"


def _until(expires_at: str) -> str:
    return until_text(datetime.fromisoformat(expires_at))

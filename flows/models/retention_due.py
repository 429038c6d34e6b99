"""What retention is to end now, and what of it waits for a question as neither limits nor time explain it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.tables import retention, utterances
from corpus.tables.retention import Class

FEW: Final = 10
"""How many utterances end without a question, however few there are, whatever explains it."""

SHARE: Final = 0.01
"""More than this share of what is held otherwise, and more than `FEW`, ends only where limits and time explain it."""

WEEK: Final = timedelta(days=8)
"""What may have passed since the last run, of which the day is known; a clock that is further on may be wrong."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to end by class; with the reason where what nothing explains is left out of it."""

    ids: Mapping[Class, list[str]] = field(default_factory=dict)
    refused: str | None = None

    @property
    def all_ids(self) -> list[str]:
        """Return all ids, sorted."""
        return sorted(i for ids in self.ids.values() for i in ids)


def find_due(corpus: Corpus, *, unbounded: bool) -> Due:
    """Return what is to end now.

    What passed its limit since the last run, by the limits that were applied then, is explained: it ends without a
    bound, where that run was a week ago at most. Anything else may be a mistake, such as shorter limits, a clock that
    is ahead, or rows that were past their limit when they came. Where that is much, it is left out, and named.

    Args:
        corpus: the handle.
        unbounded: end it all the same.
    """
    limits, now = retention.limits_of(corpus.settings), corpus.clock()
    with corpus.read() as conn:
        due = retention.expired(conn, limits, now)
        if unbounded:
            return Due(due)
        before, last = retention.applied_limits(conn), retention.last_run(conn)
        explained = _explained(conn, {name: max(limits[name], before[name]) for name in limits}, last, now)
        held = len(utterances.live_ids(conn)) - _count(explained.values())
    more = _count(due.values()) - _count(explained.values())
    if more <= max(FEW, SHARE * held):
        return Due(due)
    shorter = any(limits[name] < before[name] for name in limits)
    return Due(explained, _refusal(more, held, None if shorter else last))


def _explained(
    conn: sa.Connection, limits: retention.Limits, last: datetime | None, now: datetime
) -> dict[Class, list[str]]:
    """Return what passed these limits since the last run, at most a week after it, and what is marked already."""
    always = set(retention.unfinished(conn))
    over = retention.expired(conn, limits, now if last is None else min(now, last + WEEK))
    earlier = over if last is None else retention.expired(conn, limits, last)
    left_then = {i for ids in earlier.values() for i in ids} - always
    found = {name: [i for i in ids if i not in left_then] for name, ids in over.items()}
    return {name: ids for name, ids in found.items() if ids}


def _refusal(more: int, held: int, last: datetime | None) -> str:
    """Return why what nothing explains is left out: the time since the last run, where that is given, else limits."""
    remedy = "read the list of earmark retain --dry-run, then"
    if last is None:
        return (
            f"limits of retention that were not applied before would end {more} of the {held} utterances that are held,"
            f" and none of these was ended; {remedy} correct corpus.retention_days and those beside it, or run earmark"
            " retain --yes"
        )
    return (
        f"retention last ran on {last:%Y-%m-%d}, which does not explain that {more} of the {held} utterances that are "
        "held would end, and none of these was ended: the clock is ahead, no night ran for more than a week, or they "
        f"were past their time when they came; {remedy} put the clock right, or run earmark retain --yes"
    )


def _count(lists: Collection[list[str]]) -> int:
    return sum(map(len, lists))

"""Retain: end for good what is older than its class may become, in every place that an erasure reaches.

What ends is marked in the records before its first key goes. So a kill is finished by the next night, and a longer
limit that is set later brings nothing back. What ended taints no version: those that learned from it are marked as such
and are due for a retraining, see `flows.models.expired`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import sqlalchemy as sa

from corpus.errors import Refused
from corpus.handle import Corpus
from corpus.tables import erased, expiry, models, retention, utterances
from corpus.tables.retention import Class
from flows.runtime.results import Result, Skipped
from flows.steps import erase
from flows.steps.erase import FinishReport, SettingsOfErase

FEW: Final = 10
"""How many utterances end without a question, however few there are, whatever explains it."""

SHARE: Final = 0.01
"""More than this share of what is held otherwise, and more than `FEW`, ends only where limits and time explain it."""

WEEK: Final = timedelta(days=8)
"""What may have passed since the last run, of which the day is known; a clock that is further on may be wrong."""


class SettingsOfRetain(SettingsOfErase, Protocol):
    """The settings that retention reads: where tasks, answers and versions are."""


@dataclass(frozen=True, slots=True)
class RetainReport(Result):
    """What retention ended, or would end.

    Attributes:
        expired: how many utterances by class.
        limits: how many days each class is kept.
        held: how many utterances are held, with these.
        labels, answers, open_tasks: theirs.
        parts, packs: files with their statistics, and with their clips, which are written anew.
        learned: versions that learned from them.
        weights: tainted versions that do not serve, whose weights are destroyed with it.
        datasets: folders outside the home that hold a copy, which no retention reaches.
        refused: why what nothing explains was not ended; None where all was.
        finished: what was done in the places beyond the records; None before it was done.
    """

    expired: Mapping[Class, int]
    limits: Mapping[Class, int]
    held: int
    labels: int = 0
    answers: int = 0
    open_tasks: int = 0
    parts: int = 0
    packs: int = 0
    learned: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    refused: str | None = None
    finished: FinishReport | None = None


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


def preview(corpus: Corpus) -> RetainReport:
    """Return what retention would end, whatever the bound; nothing is changed."""
    due = find_due(corpus, unbounded=True)
    with corpus.read() as conn:
        report = _report(corpus, conn, due)
    return replace(report, refused=find_due(corpus, unbounded=False).refused)


def _report(corpus: Corpus, conn: sa.Connection, due: Due) -> RetainReport:
    held = erased.footprint(conn, due.all_ids, corpus.clock())
    return RetainReport(
        expired={name: len(ids) for name, ids in due.ids.items()},
        limits=retention.limits_of(corpus.settings),
        held=len(utterances.live_ids(conn)),
        labels=held.labels,
        answers=held.answers,
        open_tasks=held.open_tasks,
        parts=held.parts,
        packs=held.packs,
        learned=tuple(f"{kind}/{version}" for kind, version in held.versions),
        weights=tuple(f"{kind}/{version}" for kind, version in models.to_destroy(conn)),
        datasets=held.datasets,
        refused=due.refused,
    )


def retain(
    corpus: Corpus, settings: SettingsOfRetain, actor: str = "earmark", *, unbounded: bool = False
) -> RetainReport:
    """End what has expired, keys first, and finish what was left to do; the same call again changes nothing more.

    Args:
        corpus: the handle.
        settings: where tasks, answers and versions are.
        actor: who does it, for the audit chain.
        unbounded: end also what neither limits that were applied before nor time explain, however much it is.
    """
    due = find_due(corpus, unbounded=unbounded)
    with corpus.read() as conn:
        report = _report(corpus, conn, due)
        applied, last = retention.applied_limits(conn), retention.last_run(conn)
    if due.ids:
        erased.begin(corpus, (), due.ids)
        expiry.expire_marked(corpus, actor)
    if due.refused is None and applied != report.limits:
        retention.apply_limits(corpus, report.limits)
    now = corpus.clock()
    if due.refused is None or (last is not None and last <= now <= last + WEEK):  # not by a clock that may be ahead
        retention.note_run(corpus, now)
    done = erase.finish(corpus, settings, actor)
    return replace(report, finished=done if isinstance(done, FinishReport) else FinishReport())


def nightly(corpus: Corpus, settings: SettingsOfRetain) -> RetainReport | Skipped:
    """Do what `retain` does, where nobody watches; a night on which nothing ends says so."""
    report = retain(corpus, settings)
    is_idle = not report.expired and report.refused is None and report.finished == FinishReport()
    return Skipped("nothing has expired") if is_idle else report


def refuse_bound(report: RetainReport) -> None:
    """Refuse with what was left out.

    Raises:
        Refused: something was.
    """
    if report.refused:
        raise Refused(report.refused)

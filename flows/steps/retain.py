"""Retain: end for good what is older than its class may become, in every place that an erasure reaches.

What ends is marked in the records before its first key goes. So a kill is finished by the next night, and a longer
limit that is set later brings nothing back. What ended taints no version: those that learned from it are marked as such
and are due for a retraining, see `flows.models.expired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import sqlalchemy as sa

from corpus.errors import Refused
from corpus.handle import Corpus
from corpus.tables import erased, expiry, models, retention, utterances
from corpus.tables.retention import Class
from flows.models.retention_due import WEEK, Due, find_due
from flows.runtime.results import Result, Skipped
from flows.steps import erase
from flows.steps.erase import FinishReport, SettingsOfErase


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

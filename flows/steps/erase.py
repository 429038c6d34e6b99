"""Erase utterances, accounts or devices: keys first, then rows, then every place that has something of them.

Each place that is still to be reached is a row in the records from before the first key is destroyed until it was
reached. So whatever is killed, or does not answer, is finished by the next erasure, night or repair.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from corpus.errors import EarmarkError, Refused, UsageError
from corpus.handle import Corpus
from corpus.tables import erased, erasure, models, orphans, retention, utterances
from corpus.tables.erased import Footprint, Hop
from corpus.vault import consent
from flows.models.aliases import mirror_versions
from flows.models.rows_gone import mark_figures
from flows.models.tainted import tainted_champions
from flows.runtime import progress
from flows.runtime.results import Result, Skipped
from flows.runtime.settings_parts import HasAnswers, HasErasure, HasTaskFolder, HasTracking
from flows.steps import annotation_backends
from flows.steps.annotation_backends import SettingsOfBackend
from flows.steps.destroy_weights import destroy_weights
from flows.steps.erase_target import Target
from flows.tasks import erased_answers, task_status

FEW: Final = 10
"""How many utterances are erased without a question, however few there are."""

MANY: Final = 1000
"""More utterances than these are never erased without a question."""

SHARE: Final = 0.01
"""More than this share of the utterances, where it is more than `FEW`, is not erased without a question."""

MOST_WHY: Final = 120
"""Most characters of a reason, which stays with each erased row and in the audit chain."""


class SettingsOfErase(SettingsOfBackend, HasTaskFolder, HasAnswers, HasErasure, HasTracking, Protocol):
    """The settings that an erasure reads: where tasks, answers and versions are."""


@dataclass(frozen=True, slots=True)
class EraseReport(Result):
    """What an erasure took away, or would take away.

    Attributes:
        utterances, labels, answers, open_tasks, clips_out, parts, packs: see `corpus.tables.erased.Footprint`.
        tainted: versions that learned from what is erased.
        weights: versions whose weights are destroyed at once: tainted ones that do not serve.
        champions: what becomes of champions that learned from what was erased, in one sentence each.
        datasets: folders outside the home that hold a copy, which no erasure reaches.
        notes: see `Target`.
        finished: what was done in the places beyond the records; None before it was done.
        receipt: file of the signed receipt; None without one.
    """

    utterances: int
    labels: int
    answers: int
    open_tasks: int
    clips_out: int
    parts: int
    packs: int
    tainted: tuple[str, ...]
    datasets: tuple[str, ...]
    notes: tuple[str, ...]
    weights: tuple[str, ...] = ()
    champions: tuple[str, ...] = ()
    finished: FinishReport | None = None
    receipt: Path | None = None


@dataclass(frozen=True, slots=True)
class FinishReport(Result):
    """What an erasure did beyond the records.

    Attributes:
        completed: utterances whose keys an erasure had destroyed before it was killed, and that are erased now.
        packs: how many packs were written anew without their clips, or removed.
        packs_left: how many packs with bytes of erased clips could not be written anew, as they are damaged.
        tasks: how many tasks were closed, as nobody may open their clips any more.
        task_files: how many clips and files were removed from the task folder.
        answer_lines: how many lines were removed from files of answers.
        withdrawn: versions that were marked, as they learned from what may no longer be trained on.
        nameless: by file of answers how many records name no task of the home; they stay, as nobody knows whose they
            are.
        removed_there: how many tasks were removed from the annotation backend and Label Studio.
        destroyed: versions whose weights were destroyed: they are tainted and do not serve.
        not_done: by place why it could not be reached; the next erasure, night or repair tries again.
        reached: by place when it was reached.
    """

    completed: int = 0
    packs: int = 0
    packs_left: int = 0
    tasks: int = 0
    task_files: int = 0
    answer_lines: int = 0
    withdrawn: tuple[str, ...] = ()
    removed_there: int = 0
    not_done: Mapping[Hop, str] = field(default_factory=dict)
    nameless: Mapping[str, int] = field(default_factory=dict)
    destroyed: tuple[str, ...] = ()
    reached: Mapping[Hop, datetime] = field(default_factory=dict)


# --- before and after -------------------------------------------------------------------------------------------------


def preview(corpus: Corpus, target: Target) -> EraseReport:
    """Return what an erasure would take away; nothing is changed."""
    with corpus.read() as conn:
        held = erased.footprint(conn, target.utterance_ids, corpus.clock())
        return replace(_report(held, target.notes), weights=models.would_destroy(conn, held.versions))


def _report(held: Footprint, notes: tuple[str, ...]) -> EraseReport:
    return EraseReport(
        utterances=held.utterances,
        labels=held.labels,
        answers=held.answers,
        open_tasks=held.open_tasks,
        clips_out=held.clips_out,
        parts=held.parts,
        packs=held.packs,
        tainted=tuple(f"{kind}/{version}" for kind, version in held.versions),
        datasets=held.datasets,
        notes=notes,
    )


def refuse_many(corpus: Corpus, report: EraseReport) -> None:
    """Refuse an erasure of more utterances than are erased without a question.

    Raises:
        Refused: there are more.
    """
    with corpus.read() as conn:
        most = min(MANY, max(FEW, int(SHARE * utterances.counts(conn)["accepted"])))
    if report.utterances > most:
        raise Refused(
            f"{report.utterances} utterances are more than the {most} that are erased without a question, and nothing "
            "was erased; read the list above, then run it again with --yes"
        )


def checked_reason(why: str | None, names: Collection[str]) -> str:
    """Return the reason as it is stored, in one line.

    Raises:
        UsageError: it is too long, or it has one of the names that are to be forgotten.
    """
    reason = " ".join((why or "request").split()) or "request"
    if len(reason) > MOST_WHY:
        raise UsageError(f"--why has {len(reason)} characters, at most {MOST_WHY} are kept; shorten it")
    if any(name.casefold() in reason.casefold() for name in names):
        raise UsageError("--why stays in the audit chain for ever: leave out what is to be erased")
    return reason


def close_accounts(corpus: Corpus, accounts: Sequence[str], actor: str) -> None:
    """Withdraw all uses of accounts that are to be erased, at the next opening of the door, as the home is in use.

    Keys stay until it is free: a step that runs without one of them would fail.
    """
    consent.apply_statements(corpus.vault, dict.fromkeys(accounts, frozenset()), corpus.clock(), actor)


def erase(corpus: Corpus, settings: SettingsOfErase, target: Target, reason: str, actor: str) -> EraseReport:
    """Erase the target, and finish what earlier erasures left to do; the same call again changes nothing more.

    Args:
        corpus: the handle.
        settings: where tasks, answers and versions are.
        target: what is to be erased.
        reason: for the audit chain, see `checked_reason`.
        actor: who erases, for the audit chain.
    """
    before = preview(corpus, target)
    tainted, folders, rewritten = set(before.tainted), set(before.datasets), 0
    if target.utterance_ids or target.speakers:
        erased.begin(corpus, target.utterance_ids)
    whole: set[str] = set()
    for speaker in target.speakers:
        with corpus.read() as conn:
            whole |= set(erased.of_speaker(conn, speaker))
        result = erasure.erase_speaker(corpus, speaker, reason=reason, actor=actor)
        tainted, folders, rewritten = _with(result, tainted, folders, rewritten)
    rest = [i for i in target.utterance_ids if i not in whole]
    if rest:
        result = erasure.erase_utterances(corpus, rest, reason=reason, actor=actor)
        tainted, folders, rewritten = _with(result, tainted, folders, rewritten)
    done = finish(corpus, settings, actor)
    with corpus.read() as conn:
        champions = tuple(tainted_champions(conn, settings.erasure, corpus.clock()))
    finished = done if isinstance(done, FinishReport) else FinishReport()
    return replace(
        before,
        weights=finished.destroyed,
        parts=max(before.parts, rewritten),
        tainted=tuple(sorted(tainted)),
        datasets=tuple(sorted(folders)),
        champions=champions,
        finished=finished,
    )


def _with(
    result: erasure.ErasureResult, tainted: set[str], folders: set[str], rewritten: int
) -> tuple[set[str], set[str], int]:
    return tainted | set(result["tainted"]), folders | set(result["datasets"]), rewritten + result["parts_rewritten"]


# --- what is left to do -----------------------------------------------------------------------------------------------


def finish(corpus: Corpus, settings: SettingsOfErase, actor: str = "earmark") -> FinishReport | Skipped:
    """Finish what erasures and withdrawals left to do: they were killed, or the home was in use, or nothing answered.

    A place that can't be reached is named, and stops no other.
    """
    if not (_noted(corpus) or _to_destroy(corpus)):
        with corpus.read() as conn:
            if not retention.unfinished(conn):
                return Skipped("no erasure or withdrawal is unfinished")
    report = FinishReport(completed=len(orphans.finish_erasures(corpus)))
    for hop in progress.over(erased.HOPS, "erasing beyond the records", len(erased.HOPS), "places"):
        since = _noted(corpus).get(hop)
        if since is None and not (hop == "weights" and _to_destroy(corpus)):
            continue
        try:
            report = _reach(hop, corpus, settings, actor, report)
        except (EarmarkError, OSError) as error:
            report = _with_left(report, hop, _why(error))
        if since is not None and hop not in report.not_done:
            erased.reached(corpus, hop, since)
            report = replace(report, reached={**report.reached, hop: datetime.now(UTC)})
    return report


def is_noted_since(corpus: Corpus, moment: datetime) -> bool:
    """Return whether a place was noted since a moment, as by a withdrawal while another command had the home."""
    return any(since >= moment for since in _noted(corpus).values())


def _noted(corpus: Corpus) -> dict[Hop, datetime]:
    with corpus.read() as conn:
        return erased.not_reached(conn)


def _to_destroy(corpus: Corpus) -> bool:
    with corpus.read() as conn:
        return bool(models.to_destroy(conn))


def _with_left(report: FinishReport, hop: Hop, why: str) -> FinishReport:
    return replace(report, not_done={**report.not_done, hop: why})


def _why(error: EarmarkError | OSError) -> str:
    if isinstance(error, EarmarkError):
        return str(error)
    what = f"{type(error).__name__}: {error.filename}" if error.filename else type(error).__name__
    return f"{what}; see to its rights or its disk"


def _reach(hop: Hop, corpus: Corpus, settings: SettingsOfErase, actor: str, report: FinishReport) -> FinishReport:
    """Erase in one place; return the report with what was done there."""
    if hop == "packs":
        return _reach_packs(corpus, actor, report)
    if hop == "tasks":
        return _reach_tasks(corpus, settings.task_folder, settings.answers, settings.export.due_days, report)
    if hop == "annotation server":
        return replace(report, removed_there=annotation_backends.remove_closed(corpus, settings))
    if hop == "weights":
        return replace(report, destroyed=destroy_weights(corpus, settings.home, settings.tracking))
    from training.tracking.store import open_tracking

    tracking = open_tracking(settings.tracking, settings.home)
    mark_figures(corpus, tracking)
    mirror_versions(corpus, tracking)
    return report


def _reach_packs(corpus: Corpus, actor: str, report: FinishReport) -> FinishReport:
    """Write packs anew; one that is damaged stays, is counted, and is tried again the next time."""
    report = replace(report, packs=orphans.erase_bytes(corpus, actor)["packs"])
    with corpus.read() as conn:
        left = len(erased.packs_with_gaps(conn))
    if not left:
        return report
    packs = "1 pack is" if left == 1 else f"{left} packs are"
    why = f"{packs} missing or too short, and can't be written anew without erased clips; restore from a backup"
    return _with_left(replace(report, packs_left=left), "packs", why)


def _reach_tasks(corpus: Corpus, folder: Path, answers: Path, due_days: int, report: FinishReport) -> FinishReport:
    """Erase in the files of answers and the task folder; a file that can't be read or changed stops no other."""
    dropped = erased_answers.drop_erased(corpus, answers)
    report = replace(report, answer_lines=dropped.lines, nameless=dropped.nameless)
    left = dict(dropped.not_done)
    try:
        swept = task_status.sweep(corpus, folder, answers, due_days)
        report = replace(
            report,
            tasks=swept.closed,
            task_files=swept.files,
            answer_lines=report.answer_lines + (swept.lines or 0),
            withdrawn=swept.withdrawn or (),
        )
        left |= swept.unreached or {}
    except (EarmarkError, OSError) as error:
        left[""] = _why(error)
    return _with_left(report, "tasks", ", ".join(left.values())) if left else report

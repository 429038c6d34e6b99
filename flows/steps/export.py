"""Export: write chosen utterances as tasks with their clips, and lease each until it is answered or overdue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from annotation.files import write_tasks
from annotation.tasks import ALWAYS_BLIND, TaskSettings, is_blind, keep_rows, make_tasks
from corpus import door
from corpus.audio.wav import WAV_HEADER, wav_bytes
from corpus.errors import Refused
from corpus.handle import Corpus
from corpus.records.annotations import AnnotationTask, Selection
from corpus.records.arrivals import Hypothesis
from corpus.records.base import digest
from corpus.records.inventory import Inventory
from corpus.storage import operation_ids
from corpus.storage.own_folder import OwnFolder, own_folder
from corpus.tables import rounds, utterances
from corpus.tables.leases import grant_lease, leased
from flows.models.inventory import inventory_of
from flows.nights.night_list import named_nights
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings import ExportSettings
from flows.runtime.settings_parts import (
    HasExport,
    HasHome,
    HasInventory,
    HasNight,
    HasPeople,
    HasSampling,
    HasTaskFolder,
    HasTasks,
)
from flows.tasks import assignment
from flows.tasks.task_status import OPEN, task_status


class SettingsOfExport(
    HasHome, HasInventory, HasTaskFolder, HasExport, HasTasks, HasPeople, HasSampling, HasNight, Protocol
):
    """The settings that an export reads; of `sampling` only the seed, of `night` only the time zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport(Result):
    """What was exported of a round.

    Attributes:
        skipped: why nothing was exported.
        tasks, blind: how many tasks were exported, and how many of them show no draft.
        blind_why: how many tasks show no draft, by reason; None where all do.
        given: newly assigned tasks by kind, see `assign_tasks`; None where the settings list no people.
        people: how many tasks each person has now; None where the settings list no people.
        elsewhere: how many of these are in the folders of other rounds, such as `2026-11-22/bob`: tasks that were given
            again, or are still open; None where there are none, and for annotation backends.
        folder: where the tasks and clips are, of listed people in a folder of each; None for annotation backends.
        sent, removed, open_there: what was pushed to the annotation backend; see `PushReport`.
        not_done: why nothing was pushed; None where it was, and for the task folder.
    """

    skipped: str | None = None
    tasks: int = 0
    blind: int | None = None
    blind_why: Mapping[str, int] | None = None
    given: Mapping[str, int] | None = None
    people: Mapping[str, int] | None = None
    elsewhere: Mapping[str, int] | None = None
    folder: str | None = None
    sent: int | None = None
    removed: int | None = None
    open_there: int | None = None
    not_done: str | None = None


def export_round(corpus: Corpus, settings: SettingsOfExport, round_: str, *, again: bool = False) -> ExportReport:
    """Export the round's open tasks with their clips, and lease them.

    The task folder gets `<round>/tasks.jsonl` and a WAV file for each task; where the settings list people, each
    person's tasks go to `<round>/<person>/`. A repeat writes the missing files of open tasks, byte for byte the same,
    and leaves current leases as they are. Rows and leases are committed before any clip is written: whenever a run is
    killed, the folder has no decrypted clip that nobody may open.

    Args:
        corpus: the handle.
        settings: what is exported to whom.
        round_: name of the round.
        again: whether to export closed tasks, such as overdue ones, once more.
    """
    with corpus.read() as conn:
        if round_ not in rounds.names(conn):
            return ExportReport(skipped=f"round {round_} chose nothing")
        selection = rounds.selection(conn, round_)
        asked = {row.utterance_id: row for row in rounds.tasks(conn, round_, None)}
        leased_ids = leased(conn, corpus.clock(), list(asked))
    states = (*OPEN, "closed") if again else OPEN
    ids = [str(i) for i in selection.utterance_ids if i not in asked or asked[i].state in states]
    if not ids:
        return ExportReport(skipped="every task of the round is answered or closed")
    inventory = inventory_of(corpus, settings.home, settings.inventory)
    tasks = _tasks(corpus, inventory, settings.tasks, settings.sampling.seed, selection, ids)
    if not tasks:
        return ExportReport(skipped="no utterance of the round may be opened for annotation any more")
    why = _why_blind(tasks, selection, settings.tasks, settings.sampling.seed)
    blind = sum(why.values())
    if settings.people.people:
        _put_open_tasks(corpus, round_, [task for task in tasks if task.utterance_id not in leased_ids])
        due_days, seed = settings.export.due_days, settings.sampling.seed
        zone = settings.night.time_zone
        given = assignment.assign_tasks(corpus, settings.people, zone, due_days, seed, gold_for=round_)
        by_person, by_folder = distribute(corpus, settings)
        elsewhere = {f"{name}/{who}": count for (name, who), count in by_folder.items() if name != round_}
        return ExportReport(
            tasks=len(tasks), blind=blind, blind_why=why or None, given=given,
            people=by_person, elsewhere=elsewhere or None,
            folder=str(settings.task_folder / round_) if settings.export.backend == "files" else None,
        )  # fmt: skip
    exported = {i for i in leased_ids if asked[i].state == "exported"}
    _lease_tasks(corpus, settings.export, round_, [task for task in tasks if task.utterance_id not in exported])
    if settings.export.backend != "files":
        return ExportReport(tasks=len(tasks), blind=blind, blind_why=why or None)
    folder = settings.task_folder / round_
    _write_folder(corpus, settings.task_folder, folder, tasks)
    return ExportReport(tasks=len(tasks), blind=blind, blind_why=why or None, folder=str(folder))


def _why_blind(tasks: Sequence[AnnotationTask], selection: Selection, how: TaskSettings, seed: int) -> dict[str, int]:
    """Return how many of the tasks show no draft, by reason."""
    reasons = dict(zip(selection.utterance_ids.tolist(), selection.reasons.tolist(), strict=True))
    why: Counter[str] = Counter()
    for task in tasks:
        if task.draft is None:
            drawn = "drawn by tasks.blind_share" if is_blind(task.task_id, how.blind_share, seed) else "no transcript"
            why[ALWAYS_BLIND.get(reasons[task.utterance_id], drawn)] += 1
    return dict(why)


def require_round(corpus: Corpus, night: str) -> None:
    """Check that a round was sampled for the night.

    Raises:
        Refused: there is none; the message names the nights that have one.
    """
    with corpus.read() as conn:
        names = [row.round for row in rounds.rounds(conn)]
    if night not in names:
        known = f"nights with a round are {named_nights(names)}" if names else "no night has one yet"
        raise Refused(f"night {night} has no round to export; {known}; earmark sample --night {night} chooses one")


def require_round_again(corpus: Corpus, name: str) -> None:
    """Check that there is a round of this name that asks about labelled utterances again.

    Raises:
        Refused: there is none; the message names those that there are.
    """
    with corpus.read() as conn:
        names = [row.round for row in rounds.rounds_again(conn)]
    if name not in names:
        known = f"there are {', '.join(names)}" if names else "there is none yet"
        raise Refused(
            f"round {name} asks nothing again; {known}; earmark suspects --ask makes one, and --night exports a night"
        )


def distribute(corpus: Corpus, settings: SettingsOfExport) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Assign open tasks to the people of the settings, and write each person's tasks into that person's folder.

    A task that a merge left undecided goes to one more person; a task whose annotator asked for help goes to a second
    person together with the question. Where the settings list nobody, nothing changes: all share the round's folder.

    Returns:
        How many tasks each person has, and how many there are in the folder of each round and person; no folders for
        annotation backends.
    """
    if not settings.people.people:
        return {}, {}
    due_days, seed = settings.export.due_days, settings.sampling.seed
    assignment.assign_tasks(corpus, settings.people, settings.night.time_zone, due_days, seed)
    now = task_status(corpus)
    counts = {person: len(task_ids) for person, task_ids in sorted(now.wanted.items())}
    if settings.export.backend != "files":
        return counts, {}
    folders: Counter[tuple[str, str]] = Counter()
    inventory = inventory_of(corpus, settings.home, settings.inventory)
    tasks = build_tasks(corpus, inventory, settings.tasks, settings.sampling.seed, now.all_wanted)
    for person, task_ids in sorted(now.wanted.items()):
        of_person = [task for task_id, task in tasks.items() if task_id in task_ids]
        folders.update((task.round, person) for task in of_person)
        for name in sorted({task.round for task in of_person}):
            folder = settings.task_folder / name / person
            of_round = [task for task in of_person if task.round == name]
            _write_folder(corpus, settings.task_folder, folder, of_round)
    return counts, dict(sorted(folders.items()))


def build_tasks(
    corpus: Corpus, inventory: Inventory, how: TaskSettings, seed: int, task_ids: Sequence[str]
) -> dict[str, AnnotationTask]:
    """Return the tasks by id, without those whose clip may not be opened.

    The oldest round comes first; within a round, the most valuable task comes first.

    Args:
        corpus: the handle.
        inventory: intents and slots that a task may have.
        how: what annotators see of a task.
        seed: by which tasks without a draft are drawn.
        task_ids: of tasks of any round.
    """
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn) if row.task_id in set(task_ids)}
        selections = {name: rounds.selection(conn, name) for name in dict.fromkeys(row.round for row in rows.values())}
    built: dict[str, AnnotationTask] = {}
    for name, selection in selections.items():
        ids = [row.utterance_id for row in rows.values() if row.round == name]
        tasks = _tasks(corpus, inventory, how, seed, selection, ids)
        built |= {task.task_id: task for task in tasks if task.task_id in rows}
    return built


def _tasks(
    corpus: Corpus, inventory: Inventory, how: TaskSettings, seed: int, selection: Selection, ids: Sequence[str]
) -> list[AnnotationTask]:
    """Return tasks, with drafts and questions, for those of a selection's utterances that may be opened."""
    drafts, durations, questions = _drafts(corpus, sorted(set(ids)))
    tasks = make_tasks(
        keep_rows(selection, durations),
        durations,
        drafts,
        inventory,
        how,
        seed,
    )
    return [replace(task, question=questions.get(task.task_id)) for task in tasks]


def _write_folder(corpus: Corpus, task_folder: Path, folder: Path, tasks: Sequence[AnnotationTask]) -> None:
    """Write the tasks' lines and clips into the folder, which others may reach; see `corpus.storage.own_folder`."""
    with own_folder(folder, below=task_folder) as opened:
        _write_clips(corpus, opened, {task.utterance_id: task.audio for task in tasks})
        write_tasks(opened, tasks)


def _put_open_tasks(corpus: Corpus, round_: str, tasks: Sequence[AnnotationTask]) -> None:
    """Store the tasks as open, for `assign_tasks` to assign."""
    ids = sorted(task.task_id for task in tasks)
    if ids:
        with corpus.operation(operation_ids.export(round_), "export") as op:
            rounds.put_tasks(op.conn, tasks)
            rounds.set_task_state(op.conn, ids, "open")
            op.result = {"tasks": len(ids), "blind": sum(task.draft is None for task in tasks)}


def _lease_tasks(corpus: Corpus, settings: ExportSettings, round_: str, tasks: Sequence[AnnotationTask]) -> None:
    """Store the tasks as exported, with a lease for anybody that begins now."""
    if not tasks:
        return
    until = corpus.clock() + timedelta(days=settings.due_days)
    ids = [task.task_id for task in tasks]
    with corpus.operation(operation_ids.export(round_, digest([until.isoformat(), sorted(ids)])), "export") as op:
        if not op.done:
            rounds.put_tasks(op.conn, tasks)
            rounds.set_task_state(op.conn, ids, "exported")
            grant_lease(op.conn, [task.utterance_id for task in tasks], until)
            op.result = {"tasks": len(tasks), "blind": sum(task.draft is None for task in tasks)}


def _drafts(corpus: Corpus, ids: Sequence[str]) -> tuple[dict[str, Hypothesis], dict[str, float], dict[str, str]]:
    """Return drafts and durations [s] by utterance, and by task the last question of an annotator, if any."""
    drafts: dict[str, Hypothesis] = {}
    durations: dict[str, float] = {}
    questions: dict[str, str] = {}
    opened = door.open(corpus, ids, "annotate", parts=("hypotheses", "annotations"), strict=False)
    for content in progress.over(opened, "reading drafts of tasks", len(ids), "tasks"):
        utterance = content.utterance
        durations[utterance.utterance_id] = utterance.duration
        if content.hypotheses:
            drafts[utterance.utterance_id] = content.hypotheses[0]
        ordered = sorted(content.annotations, key=lambda a: (a.revision, a.annotator_id))
        questions |= {a.task_id: a.question for a in ordered if a.question}
    return drafts, durations, questions


def _write_clips(corpus: Corpus, folder: OwnFolder, names: dict[str, str]) -> None:
    """Write clips into the folder by utterance id and file name, unless they are there; only their owner reads them."""
    with corpus.read() as conn:
        stored = utterances.get(conn, sorted(names))
    missing = [
        each.utterance_id
        for each in stored
        if not folder.holds(names[each.utterance_id], b"RIFF", WAV_HEADER + 2 * each.num_samples)
    ]
    opened = door.open(corpus, missing, "annotate", strict=False)
    for content in progress.over(opened, "writing clips of tasks", len(missing), "clips"):
        name = names[content.utterance.utterance_id]
        folder.write(name, [wav_bytes(content.audio, content.sample_rate)])

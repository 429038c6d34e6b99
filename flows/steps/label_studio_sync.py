"""Label Studio sync: push open tasks to the server, and pull raw annotations from it.

Each call compares the tasks on the server with the tasks that should be there; earmark stores no state of the server.
So after a killed run, or when the server was down, the next call does what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from annotation.assignment import PeopleSettings
from annotation.files import Parsed
from annotation.label_studio import (
    MODEL_VERSION,
    StudioAnnotation,
    StudioTask,
    label_config,
    studio_task,
)
from annotation.label_studio_answers import (
    FIRST_REVISION,
    can_be_sent,
    read_studio,
    revision_of,
)
from annotation.row_parsing import RowError
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation
from corpus.records.base import Ask, digest
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import rounds
from flows.models.inventory import NamesInUse, inventory_of
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings import LabelStudioSettings
from flows.runtime.settings_parts import HasHome, HasInventory, HasLabelStudio, HasPeople, HasSampling, HasTasks
from flows.steps.export import build_tasks
from flows.steps.merge import asked_tasks, merge_rows
from flows.steps.merge_report import MergeReport
from flows.tasks.clip_address import clip_url, require_clips
from flows.tasks.label_studio_client import StudioClient
from flows.tasks.label_studio_faults import FaultyAnswer, note_reported, refused_row, reported, send_back
from flows.tasks.label_studio_tasks import (
    Authors,
    ServerTask,
    author_of,
    authors_there,
    project_titles,
    session,
    tasks_on_server,
)
from flows.tasks.task_status import TaskStatus, task_status

# --- pull -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PullReport(Result):
    """What became of the answers on the server.

    Attributes:
        merged: report of the merge.
        skipped_there: how many answers only skip their task.
        asked_again: how many tasks were sent back to their annotator because the answer has a fault.
    """

    merged: MergeReport
    skipped_there: int
    asked_again: int


def pull(corpus: Corpus, names: NamesInUse, studio: LabelStudioSettings, people: PeopleSettings) -> PullReport:
    """Merge the answers on the server.

    The revision of an answer is the time of its last change: the same annotation twice changes nothing, and an edit is
    a new revision. An annotation that was merged and then deleted on the server is retracted. A skipped task has no
    answer, and stays for others. An answer that can't be read is refused alone, and its task is asked again. One whose
    task can't be, such as a faulty edit of a merged answer, is refused once, and again when it has changed.
    """
    titles = project_titles(studio.title, people)
    with session(studio) as client:
        rows = tasks_on_server(client, titles)
        authors = authors_there(corpus, client, people)
    tasks = asked_tasks(corpus, names, people)
    annotations: list[Annotation] = []
    faulty: list[FaultyAnswer] = []
    for row in rows:
        for answer in row.live:
            try:
                annotations.append(read_studio(answer, row.data, author_of(row, answer, authors), tasks))
            except RowError as error:
                faulty.append(FaultyAnswer(row, answer, refused_row(row, answer, authors, error)))
    annotations += _retractions(corpus, rows, annotations)
    accepted_keys = sorted([a.task_id, a.annotator_id, str(a.revision)] for a in annotations)
    known = reported(corpus, faulty)
    refused = [each.refused for each in faulty if each.state not in known]
    refused_keys = sorted([str(each.line), each.reason, each.detail, each.annotator_id] for each in refused)
    operation_id = operation_ids.merge_label_studio(digest([accepted_keys, refused_keys]))
    report = merge_rows(corpus, tasks, Parsed(annotations, refused), operation_id, names, people)
    again = _to_ask_again(corpus, faulty, annotations)
    with session(studio) as client:
        projects = client.projects()
        asked = [each for each in again if send_back(client, projects[titles[each.row.holder]], each)]
    note_reported(corpus, {each.state for each in faulty if each not in asked} - known)
    return PullReport(report, sum(len(row.annotations) - len(row.live) for row in rows), len(asked))


def _to_ask_again(
    corpus: Corpus, faulty: Sequence[FaultyAnswer], annotations: Sequence[Annotation]
) -> list[FaultyAnswer]:
    """Return the last faulty answer to each task on the server that has to be asked again.

    A task whose clip may not be opened any more is not, and neither is one whose holder has another answer that counts,
    of this pull or stored: the new task, without it, would retract it. An answer of nobody may be the stored one.
    """
    if not faulty:
        return []
    closed = _closed_tasks(corpus, [each.row for each in faulty])
    with corpus.read() as conn:
        counts = [row for row in annotations_table.latest_answers(conn) if row.verdict != "help"]
    answered = {(a.task_id, a.annotator_id) for a in annotations} | {(row.task_id, row.annotator_id) for row in counts}
    stored = {row.task_id for row in counts}
    last = {each.row.number: each for each in faulty}
    return [
        each
        for each in last.values()
        if each.refused.reason != "closed_task" and each.row.task_id not in closed
        if (each.row.task_id, each.row.holder) not in answered and can_be_sent(each.row.data)
        if each.refused.annotator_id or each.row.task_id not in stored
    ]


def _retractions(corpus: Corpus, rows: list[ServerTask], annotations: list[Annotation]) -> list[Annotation]:
    """Return annotations that retract merged answers which their annotators have deleted on the server since.

    An answer was deleted where the annotator's task is on the server without it. In a shared project nothing is
    retracted: a task without an answer may be a new one for the next annotator.
    """
    answered = {(a.task_id, a.annotator_id) for a in annotations}
    missing = {(row.task_id, row.holder) for row in rows if not row.annotations} - answered
    with corpus.read() as conn:
        stored = [row for row in annotations_table.latest_answers(conn) if (row.task_id, row.annotator_id) in missing]
    return [
        Annotation(row.task_id, row.annotator_id, cast(Ask, row.ask), "help", revision=row.revision + 1)
        for row in stored
        if row.revision >= FIRST_REVISION and row.verdict != "help"
    ]


# --- settle -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettleReport(Result):
    """How many tasks were removed from the server."""

    removed: int


def settle(corpus: Corpus, studio: LabelStudioSettings, people: PeopleSettings) -> SettleReport:
    """Remove from the server the tasks that nobody may open any more, and those whose answers are merged.

    A task with an answer that was not pulled yet stays, unless nobody may open its clip any more.
    """
    now = task_status(corpus)
    with session(studio) as client:
        rows = tasks_on_server(client, project_titles(studio.title, people))
        names = authors_there(corpus, client, people)
        merged, closed = _merged_answers(corpus), _closed_tasks(corpus, rows)
        finished = [row for row in rows if row.task_id in closed or _is_finished(row, now, merged, names)]
        for row in finished:
            client.delete_task(row.number)
    return SettleReport(len(finished))


def remove_closed(corpus: Corpus, studio: LabelStudioSettings, people: PeopleSettings) -> int:
    """Remove from the server the tasks whose clips nobody may open any more, answered or not; return how many.

    Raises:
        Unreachable: the server does not answer.
    """
    with session(studio) as client:
        rows = tasks_on_server(client, project_titles(studio.title, people))
        closed = _closed_tasks(corpus, rows)
        there = [row for row in rows if row.task_id in closed]
        for row in there:
            client.delete_task(row.number)
    return len(there)


def _merged_answers(corpus: Corpus) -> set[tuple[str, str, int]]:
    """Return task, annotator and revision of every answer that is merged."""
    with corpus.read() as conn:
        return {(row.task_id, row.annotator_id, row.revision) for row in annotations_table.latest_answers(conn)}


def _closed_tasks(corpus: Corpus, rows: Sequence[ServerTask]) -> set[str]:
    """Return the tasks whose clips nobody may open any more, answered or not, and those that earmark never made."""
    with corpus.read() as conn:
        utterance_of = {row.task_id: rounds.utterance_of(conn, row.task_id) for row in rows}
        stored = sorted({utterance_id for utterance_id in utterance_of.values() if utterance_id is not None})
        closed = door.closures(corpus, conn, stored, "annotate")
    return {task for task, utterance_id in utterance_of.items() if utterance_id is None or utterance_id in closed}


def _is_finished(row: ServerTask, now: TaskStatus, merged: set[tuple[str, str, int]], names: Authors) -> bool:
    """Return whether all answers to a task are merged or, without an answer, whether its holder may not do it now."""
    answers = row.live
    if not answers:
        return row.task_id not in now.wanted.get(row.holder, ())
    return all(_key(row, answer, names) in merged for answer in answers)


def _key(row: ServerTask, answer: StudioAnnotation, names: Authors) -> tuple[str, str, int] | None:
    """Return task, annotator and revision of an answer; None where it has none of these, so that it is not merged."""
    try:
        return row.task_id, author_of(row, answer, names), revision_of(answer.get("updated_at"))
    except RowError:
        return None


# --- push -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PushReport(Result):
    """What a push changed on the server.

    Attributes:
        sent: how many tasks were sent.
        removed: how many tasks were removed.
        open_there: how many open tasks are on the server now.
    """

    sent: int
    removed: int
    open_there: int


class SettingsOfPush(HasHome, HasInventory, HasLabelStudio, HasPeople, HasTasks, HasSampling, Protocol):
    """The settings that a push reads; of `sampling` only the seed."""


def push(corpus: Corpus, settings: SettingsOfPush) -> PushReport:
    """Send each annotator's open tasks to the server and remove all others; a repeat sends only missing tasks.

    Answers that were not pulled yet are never deleted: their tasks stay until `pull` has merged them.

    Raises:
        Refused: the clip server does not answer, so that no annotator could play a clip.
        Unreachable: the server does not answer.
    """
    require_clips(settings.label_studio.clips_url)
    now = task_status(corpus)
    inventory = inventory_of(corpus, settings.home, settings.inventory)
    built = build_tasks(corpus, inventory, settings.tasks, settings.sampling.seed, now.all_wanted)
    fields: dict[str, str | bool | int] = {
        "label_config": label_config(inventory),
        "show_collab_predictions": True,
        "model_version": MODEL_VERSION,
        "sampling": "Sequential sampling",
        "maximum_annotations": 1,
        "show_skip_button": True,
        "enable_empty_annotation": False,
    }
    sent = open_tasks = 0
    titles = project_titles(settings.label_studio.title, settings.people)
    with session(settings.label_studio) as client:
        existing = client.projects()
        projects = {holder: client.ensure_project(title, fields, existing) for holder, title in titles.items()}
        on_server, removed = _remove_finished(
            corpus,
            client,
            tasks_on_server(client, titles),
            now,
            authors_there(corpus, client, settings.people),
        )
        for holder, project in projects.items():
            of_holder = [task for task_id, task in built.items() if task_id in now.wanted.get(holder, ())]
            missing = [task for task in of_holder if task.task_id not in on_server.get(holder, ())]
            base = settings.label_studio.clips_url
            tasks = [
                studio_task(task, clip_url(corpus, base, task.task_id, holder, now.until[task.utterance_id, holder]))
                for task in missing
            ]
            open_tasks += len(of_holder)
            sent += _send(client, settings.label_studio, project, tasks)
    return PushReport(sent, removed, open_tasks)


def _remove_finished(
    corpus: Corpus, client: StudioClient, rows: Sequence[ServerTask], now: TaskStatus, names: Authors
) -> tuple[dict[str, set[str]], int]:
    """Remove finished and duplicate tasks; return the tasks that stay, by holder, and how many were removed."""
    merged, closed = _merged_answers(corpus), _closed_tasks(corpus, rows)
    kept: dict[str, set[str]] = {}
    removed = 0
    for row in progress.over(rows, "comparing the tasks on Label Studio", len(rows), "tasks"):
        of_holder = kept.setdefault(row.holder, set())
        duplicate = row.task_id in of_holder and not row.annotations
        if row.task_id in closed or _is_finished(row, now, merged, names) or duplicate:
            client.delete_task(row.number)
            removed += 1
        else:
            of_holder.add(row.task_id)
    return kept, removed


def _send(client: StudioClient, settings: LabelStudioSettings, project: int, tasks: Sequence[StudioTask]) -> int:
    """Send the tasks to the project, in batches with the pauses that Label Studio's documentation recommends."""
    size = settings.batch
    sent = 0
    with progress.track("sending tasks to Label Studio", len(tasks), "tasks") as advance:
        for start in range(0, len(tasks), size):
            if start:
                time.sleep(settings.pause)
            sent += client.send_tasks(project, tasks[start : start + size])
            advance(sent)
    return sent

"""Label Studio as the place of annotation: open tasks are pushed there, raw annotations are pulled back.

The server holds nothing that earmark needs to remember: what it has is compared with what it should have, each time.
So a killed run, a server that was down or a hint that never came cost nothing but time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

from annotation.assignment import PeopleSettings
from annotation.files import Parsed, RefusedRow
from annotation.label_studio import (
    MODEL_VERSION,
    StudioAnnotation,
    StudioData,
    StudioPrediction,
    StudioTask,
    label_config,
    read_studio,
    revision_of,
    studio_task,
)
from annotation.row_parsing import RowError
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation
from corpus.records.base import Ask, digest
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import rounds
from flows.models import registry
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings import LabelStudioSettings, Settings
from flows.steps.export import made_tasks
from flows.steps.merge import MergeReport, asked_tasks, merge_rows
from flows.tasks.clip_address import clip_url, require_clips
from flows.tasks.label_studio_client import StudioClient
from flows.tasks.task_status import ANYBODY, task_status
from flows.tasks.task_status import TaskStatus as Waiting

FROM_HERE: Final = 10**15
"""Revisions of answers from Label Studio are times in microseconds; those of files are far below."""

AGAIN: Final = {
    "lost_slot": "The words changed: mark the slots again",
    "missing_field": "Something is missing: a transcript needs an intent",
    "bad_span": "A slot does not fit the words: mark it again",
    "unknown_slot": "A typed slot has a name that does not exist",
}
"""What stands above a task that comes back to its person, by the reason for which its answer was set aside."""


@dataclass(frozen=True, slots=True)
class ServerTask:
    """A task as it stands on the server: its id there and here, whose project it is in, and what was answered."""

    number: int
    task_id: str
    holder: str
    data: StudioData
    annotations: list[StudioAnnotation]


@contextmanager
def session(settings: LabelStudioSettings) -> Iterator[StudioClient]:
    """Give a session with the server."""
    client = StudioClient(settings)
    try:
        yield client
    finally:
        client.close()


def holders(title: str, people: PeopleSettings) -> dict[str, str]:
    """Return the titles of earmark's projects, by whose they are.

    Args:
        title: of the settings.
        people: who is listed; each has a project of their own.
    """
    listed = [person.annotator_id for person in people.people]
    return {who: f"{title}: {who}"[:50] for who in listed} if listed else {ANYBODY: title}


def tasks_on_server(client: StudioClient, titles: Mapping[str, str]) -> list[ServerTask]:
    """Return every task of earmark's projects on the server.

    Args:
        client: of the server.
        titles: see `holders`.
    """
    known = client.projects()
    found = []
    for who, title in titles.items():
        for row in client.tasks(known[title]) if title in known else ():
            data = row.get("data") or {}
            said = [each for each in row.get("annotations") or () if isinstance(each, dict)]
            found.append(ServerTask(int(row["id"]), str(data.get("task_id", "")), who, data, said))
    return found


# --- pull -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PullReport(Result):
    """What became of the answers on the server.

    Attributes:
        merged: of the answers.
        skipped_there: answers that only skip their task.
        asked_again: tasks that went back to their person, since something is wrong with the answer.
    """

    merged: MergeReport
    skipped_there: int
    asked_again: int


def pull(corpus: Corpus, settings: Settings) -> PullReport:
    """Merge what people answered on the server.

    The revision of an answer is the time of its last change, so the same annotation twice changes nothing and an edit
    is a new revision. An annotation that was merged and then deleted there is taken back. A skipped task is no answer:
    it stays for others.
    """
    titles = holders(settings.label_studio.title, settings.people)
    with session(settings.label_studio) as client:
        rows = tasks_on_server(client, titles)
        names = _annotators(client, settings.people)
    tasks = asked_tasks(corpus, settings)
    annotations: list[Annotation] = []
    refused: list[RefusedRow] = []
    again: list[tuple[ServerTask, str]] = []
    skipped = 0
    for row in rows:
        for said in row.annotations:
            if said.get("was_cancelled"):
                skipped += 1
                continue
            try:
                annotations.append(read_studio(said, row.data, _author(said, names), tasks))
            except RowError as error:
                refused.append(RefusedRow(row.number, error.reason, error.field))
                again += [(row, error.reason)] if error.reason in AGAIN and len(row.annotations) == 1 else []
    annotations += _taken_back(corpus, rows, annotations)
    basis = sorted([a.task_id, a.annotator_id, str(a.revision)] for a in annotations)
    trouble = sorted([str(row.line), row.reason] for row in refused)
    operation_id = operation_ids.merge_label_studio(digest([basis, trouble]))
    report = merge_rows(corpus, tasks, Parsed(annotations, refused), operation_id, settings.people.most_answers)
    with session(settings.label_studio) as client:
        known = client.projects()
        for row, reason in again:
            _ask_again(client, known[titles[row.holder]], row, reason)
    return PullReport(report, skipped, len(again))


def _annotators(client: StudioClient, people: PeopleSettings) -> dict[int, str]:
    """Return the annotator id of each user of the server, by user id."""
    logins = {(p.login or p.annotator_id).lower(): p.annotator_id for p in people.people}
    return {number: logins.get(login.lower(), f"ls-{number}") for number, login in client.users().items()}


def _author(annotation: StudioAnnotation, names: dict[int, str]) -> str:
    who = annotation.get("completed_by")
    number = int(who.get("id", 0)) if isinstance(who, dict) else int(who or 0)
    return names.get(number, f"ls-{number}")


def _taken_back(corpus: Corpus, rows: list[ServerTask], annotations: list[Annotation]) -> list[Annotation]:
    """Return what takes back answers that were merged from a person's own task, which still stands, but without them.

    Where nobody is listed, a task that stands may be another one for the next person, which tells nothing.
    """
    given = {(a.task_id, a.annotator_id) for a in annotations}
    missing = {(row.task_id, row.holder) for row in rows if not row.annotations} - given
    with corpus.read() as conn:
        stored = [row for row in annotations_table.latest_answers(conn) if (row.task_id, row.annotator_id) in missing]
    return [
        Annotation(row.task_id, row.annotator_id, cast(Ask, row.ask), "help", revision=row.revision + 1)
        for row in stored
        if row.revision >= FROM_HERE and row.verdict != "help"
    ]


def _ask_again(client: StudioClient, project: int, row: ServerTask, reason: str) -> None:
    """Put the task there anew with what its person answered, and the line that says what is wrong with it."""
    (said,) = row.annotations
    results = [each for each in said.get("result") or () if isinstance(each, dict)]
    data: StudioData = {**row.data, "heading": AGAIN[reason]}
    if reason == "lost_slot":  # marked again on the words as they are now
        typed = [each["value"]["text"] for each in results if each.get("from_name") == "transcript"]
        data["asr_text"] = " ".join(" ".join(text) if isinstance(text, list) else str(text) for text in typed)
        results = [each for each in results if each.get("from_name") != "slots"]
    predictions: list[StudioPrediction] = [{"model_version": MODEL_VERSION, "result": results}]
    client.send_tasks(project, [{"data": data, "predictions": predictions}])
    client.delete_task(row.number)


# --- push -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettleReport(Result):
    """How many tasks were removed from the server."""

    removed: int


def settle(corpus: Corpus, studio: LabelStudioSettings, people: PeopleSettings) -> SettleReport:
    """Remove from the server the tasks that nobody may open any more, and those whose answers are merged.

    A task whose answer was not pulled yet stays, unless nobody may open its clip any more.
    """
    now = task_status(corpus)
    with session(studio) as client:
        rows, names = tasks_on_server(client, holders(studio.title, people)), _annotators(client, people)
        merged, silent = _merged(corpus), _silent(corpus, rows)
        gone = [row for row in rows if row.task_id in silent or _is_over(row, now, merged, names)]
        for row in gone:
            client.delete_task(row.number)
    return SettleReport(len(gone))


def _merged(corpus: Corpus) -> set[tuple[str, str, int]]:
    with corpus.read() as conn:
        return {(row.task_id, row.annotator_id, row.revision) for row in annotations_table.latest_answers(conn)}


def _silent(corpus: Corpus, rows: Sequence[ServerTask]) -> set[str]:
    """Return the tasks whose clips nobody may open any more, answered or not, and those that earmark never made."""
    with corpus.read() as conn:
        asked = {row.task_id: rounds.utterance_of(conn, row.task_id) for row in rows}
        known = sorted({i for i in asked.values() if i is not None})
        shut = door.closures(corpus, conn, known, "annotate")
    return {task for task, i in asked.items() if i is None or i in shut}


def _is_over(row: ServerTask, now: Waiting, merged: set[tuple[str, str, int]], names: dict[int, str]) -> bool:
    """Return whether nobody needs a task on the server any more."""
    answered = [said for said in row.annotations if not said.get("was_cancelled")]
    if not answered:
        return row.task_id not in now.wanted.get(row.holder, ())
    return all((row.task_id, _author(said, names), _changed(said)) in merged for said in answered)


def _changed(said: StudioAnnotation) -> int:
    try:
        return revision_of(str(said.get("updated_at", "")))
    except RowError:
        return 0


@dataclass(frozen=True, slots=True)
class PushReport(Result):
    """How many tasks were sent to the server, how many were removed there, and how many are there for people now."""

    sent: int
    removed: int
    standing: int


def push(corpus: Corpus, settings: Settings) -> PushReport:
    """Bring each person's project to the tasks that they may open, and no others; a repeat sends what is missing.

    Answers that were not pulled yet are never deleted: their tasks stay until `pull` has merged them.

    Raises:
        Refused: the clip server does not answer, so that nobody could hear anything.
        Unreachable: the server does not answer.
    """
    require_clips(settings.label_studio.clips_url)
    now = task_status(corpus)
    made = made_tasks(corpus, settings, now.all_wanted)
    inventory = registry.inventory(settings.home, registry.champion(corpus, "intent"))
    fields: dict[str, str | bool | int] = {
        "label_config": label_config(inventory.intents, inventory.slot_names),
        "show_collab_predictions": True,
        "model_version": MODEL_VERSION,
        "sampling": "Sequential sampling",
        "maximum_annotations": 1,
        "show_skip_button": True,
        "enable_empty_annotation": False,
    }
    sent = wanted_in_all = 0
    titles = holders(settings.label_studio.title, settings.people)
    with session(settings.label_studio) as client:
        known = client.projects()
        projects = {who: client.ensure_project(title, fields, known) for who, title in titles.items()}
        stands, removed = _clear(
            corpus, client, tasks_on_server(client, titles), now, _annotators(client, settings.people)
        )
        for who, project in projects.items():
            wanted = [task for id_, task in made.items() if id_ in now.wanted.get(who, ())]
            missing = [task for task in wanted if task.task_id not in stands.get(who, ())]
            base = settings.label_studio.clips_url
            tasks = [
                studio_task(task, clip_url(corpus, base, task.task_id, who, now.until[task.utterance_id, who]))
                for task in missing
            ]
            wanted_in_all += len(wanted)
            sent += _send(client, settings.label_studio, project, tasks)
    return PushReport(sent, removed, wanted_in_all)


def _clear(
    corpus: Corpus, client: StudioClient, rows: Sequence[ServerTask], now: Waiting, names: dict[int, str]
) -> tuple[dict[str, set[str]], int]:
    """Remove the tasks that are over and those that are there twice; return who has which now, and how many went."""
    merged, silent = _merged(corpus), _silent(corpus, rows)
    stands: dict[str, set[str]] = {}
    removed = 0
    for row in rows:
        held = stands.setdefault(row.holder, set())
        twice = row.task_id in held and not row.annotations
        if row.task_id in silent or _is_over(row, now, merged, names) or twice:
            client.delete_task(row.number)
            removed += 1
        else:
            held.add(row.task_id)
    return stands, removed


def _send(client: StudioClient, settings: LabelStudioSettings, project: int, tasks: Sequence[StudioTask]) -> int:
    """Send the tasks to the project, in batches with the pauses that the server's makers advise."""
    size = settings.batch
    sent = 0
    with progress.track("send tasks", len(tasks)) as advance:
        for start in range(0, len(tasks), size):
            if start:
                time.sleep(settings.pause)
            sent += client.send_tasks(project, tasks[start : start + size])
            advance(sent)
    return sent

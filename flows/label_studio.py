"""Label Studio as the place of annotation: open tasks stand there before people, raw annotations come back.

The server holds nothing that earmark needs to remember: what stands there is compared with what should, each time. So a
killed run, a server that was down or a hint that never came cost nothing but time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from annotation.files import Parsed, RefusedRow
from annotation.label_studio import MODEL_VERSION, label_config, read_studio, revision_of, studio_task
from annotation.rows import RowError
from corpus import door
from corpus.handle import Corpus
from corpus.records import Annotation, Ask, digest
from corpus.store import labels, rounds
from flows import models, progress
from flows.ask import ANYBODY, made_tasks, standing
from flows.ask import Standing as Waiting
from flows.clip_address import clip_url, require_clips
from flows.hear import asked_tasks, merge_rows
from flows.settings import Settings
from flows.studio_client import StudioClient

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
class Standing:
    """A task as it stands on the server: its id there and here, whose project it is in, and what was answered."""

    number: int
    task_id: str
    holder: str
    data: dict[str, Any]
    annotations: list[dict[str, Any]]


@contextmanager
def session(settings: Settings) -> Iterator[StudioClient]:
    """Gives a session with the server."""
    client = StudioClient(settings.label_studio)
    try:
        yield client
    finally:
        client.close()


def holders(settings: Settings) -> dict[str, str]:
    """Returns the titles of earmark's projects, by whose they are."""
    title = settings.label_studio.title
    listed = [person.annotator_id for person in settings.people.people]
    return {who: f"{title}: {who}"[:50] for who in listed} if listed else {ANYBODY: title}


def there(client: StudioClient, settings: Settings) -> list[Standing]:
    """Returns every task of earmark's projects on the server."""
    known = client.projects()
    found = []
    for who, title in holders(settings).items():
        for row in client.tasks(known[title]) if title in known else ():
            data = row.get("data") or {}
            said = [each for each in row.get("annotations") or () if isinstance(each, dict)]
            found.append(Standing(int(row["id"]), str(data.get("task_id", "")), who, data, said))
    return found


# --- pull -------------------------------------------------------------------------------------------------------------


def pull(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """What people answered on the server is annotations and labels; what is settled is gone from there.

    The revision of an answer is the time of its last change, so the same annotation twice changes nothing and an edit
    is a new revision. An annotation that was merged and then deleted there is taken back. A skipped task is no answer:
    it stays for others.
    """
    with session(settings) as client:
        rows = there(client, settings)
        names = _annotators(client, settings)
    tasks = asked_tasks(corpus, settings)
    annotations: list[Annotation] = []
    refused: list[RefusedRow] = []
    again: list[tuple[Standing, str]] = []
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
    operation_id = f"merge/label-studio/{digest([basis, trouble])}"
    report = merge_rows(corpus, tasks, Parsed(annotations, refused), operation_id, settings.people.most_answers)
    with session(settings) as client:
        known = client.projects()
        for row, reason in again:
            _ask_again(client, known, holders(settings)[row.holder], row, reason)
    return {**report, "skipped_there": skipped, "asked_again": len(again), "file": "label-studio"}


def _annotators(client: StudioClient, settings: Settings) -> dict[int, str]:
    """Returns the annotator id of each user of the server, by user id."""
    logins = {(p.login or p.annotator_id).lower(): p.annotator_id for p in settings.people.people}
    return {number: logins.get(login.lower(), f"ls-{number}") for number, login in client.users().items()}


def _author(annotation: dict[str, Any], names: dict[int, str]) -> str:
    who = annotation.get("completed_by")
    number = int(who.get("id", 0)) if isinstance(who, dict) else int(who or 0)
    return names.get(number, f"ls-{number}")


def _taken_back(corpus: Corpus, rows: list[Standing], annotations: list[Annotation]) -> list[Annotation]:
    """Returns what takes back answers that were merged from a person's own task, which still stands, but without them.

    Where nobody is listed, a task that stands may be another one for the next person, which tells nothing.
    """
    given = {(a.task_id, a.annotator_id) for a in annotations}
    missing = {(row.task_id, row.holder) for row in rows if not row.annotations} - given
    with corpus.read() as conn:
        stored = [row for row in labels.latest_answers(conn) if (row.task_id, row.annotator_id) in missing]
    return [
        Annotation(row.task_id, row.annotator_id, cast(Ask, row.ask), "help", revision=row.revision + 1)
        for row in stored
        if row.revision >= FROM_HERE and row.verdict != "help"
    ]


def _ask_again(client: StudioClient, known: dict[str, int], title: str, row: Standing, reason: str) -> None:
    """The task stands there anew with what its person answered, and the line that says what is wrong with it."""
    (said,) = row.annotations
    results = [each for each in said.get("result") or () if isinstance(each, dict)]
    data = {**row.data, "heading": AGAIN[reason]}
    if reason == "lost_slot":  # marked again on the words as they are now
        typed = [each["value"]["text"] for each in results if each.get("from_name") == "transcript"]
        data["asr_text"] = " ".join(" ".join(text) if isinstance(text, list) else str(text) for text in typed)
        results = [each for each in results if each.get("from_name") != "slots"]
    prediction = {"model_version": MODEL_VERSION, "result": results}
    client.send_tasks(known[title], [{"data": data, "predictions": [prediction]}])
    client.delete_task(row.number)


# --- push -------------------------------------------------------------------------------------------------------------


def settle(corpus: Corpus, settings: Settings) -> dict[str, int]:
    """No task stands on the server that nobody may hear any more, and none whose answer is merged.

    An answer that was not pulled yet keeps its task, unless nobody may hear the clip any more.
    """
    now = standing(corpus)
    with session(settings) as client:
        rows, names = there(client, settings), _annotators(client, settings)
        merged, silent = _merged(corpus), _silent(corpus, rows)
        gone = [row for row in rows if row.task_id in silent or _is_over(row, now, merged, names)]
        for row in gone:
            client.delete_task(row.number)
    return {"removed": len(gone)}


def _merged(corpus: Corpus) -> set[tuple[str, str, int]]:
    with corpus.read() as conn:
        return {(row.task_id, row.annotator_id, row.revision) for row in labels.latest_answers(conn)}


def _silent(corpus: Corpus, rows: list[Standing]) -> set[str]:
    """Returns the tasks whose clips nobody may hear any more, answered or not, and those that earmark never made."""
    with corpus.read() as conn:
        asked = {row.task_id: rounds.utterance_of(conn, row.task_id) for row in rows}
        known = sorted({i for i in asked.values() if i is not None})
        shut = door.closures(corpus, conn, known, "annotate")
    return {task for task, i in asked.items() if i is None or i in shut}


def _is_over(row: Standing, now: Waiting, merged: set[tuple[str, str, int]], names: dict[int, str]) -> bool:
    """Returns whether nobody needs a task on the server any more."""
    answered = [said for said in row.annotations if not said.get("was_cancelled")]
    if not answered:
        return row.task_id not in now.wanted.get(row.holder, ())
    return all((row.task_id, _author(said, names), _changed(said)) in merged for said in answered)


def _changed(said: dict[str, Any]) -> int:
    try:
        return revision_of(str(said.get("updated_at", "")))
    except RowError:
        return 0


def push(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """Each person's project holds the tasks that they may hear, and no others; a repeat sends what is missing.

    Answers that were not pulled yet are never deleted: their tasks stay until `pull` has merged them.

    Raises:
        Refused: the clip server does not answer, so that nobody could hear anything.
        Unreachable: the server does not answer.
    """
    require_clips(settings.label_studio.clips_url)
    now = standing(corpus)
    made = made_tasks(corpus, settings, now.all_wanted)
    model = models.load_intent(settings, models.champion(corpus, "intent"))
    fields = {
        "label_config": label_config(model.intents, model.slot_names),
        "show_collab_predictions": True,
        "model_version": MODEL_VERSION,
        "sampling": "Sequential sampling",
        "maximum_annotations": 1,
        "show_skip_button": True,
        "enable_empty_annotation": False,
    }
    counts: Counter[str] = Counter({"sent": 0, "removed": 0, "standing": 0})
    with session(settings) as client:
        known = client.projects()
        projects = {who: client.ensure_project(title, fields, known) for who, title in holders(settings).items()}
        merged, names = _merged(corpus), _annotators(client, settings)
        stands: dict[str, set[str]] = {}
        rows = there(client, settings)
        silent = _silent(corpus, rows)
        for row in rows:
            held = stands.setdefault(row.holder, set())
            if (
                row.task_id in silent
                or _is_over(row, now, merged, names)
                or (row.task_id in held and not row.annotations)
            ):
                client.delete_task(row.number)
                counts["removed"] += 1
            else:
                held.add(row.task_id)
        for who, project in projects.items():
            wanted = [task for id_, task in made.items() if id_ in now.wanted.get(who, ())]
            missing = [task for task in wanted if task.task_id not in stands.get(who, ())]
            base = settings.label_studio.clips_url
            tasks = [
                studio_task(task, clip_url(corpus, base, task.task_id, who, now.until[task.utterance_id, who]))
                for task in missing
            ]
            counts["standing"] += len(wanted)
            counts["sent"] += _send(client, settings, project, tasks)
    return dict(counts)


def _send(client: StudioClient, settings: Settings, project: int, tasks: list[dict[str, Any]]) -> int:
    """The tasks stand in the project, in batches with the pauses that the server's makers advise."""
    size = settings.label_studio.batch
    sent = 0
    with progress.track("send tasks", len(tasks)) as advance:
        for start in range(0, len(tasks), size):
            if start:
                time.sleep(settings.label_studio.pause)
            sent += client.send_tasks(project, tasks[start : start + size])
            advance(sent)
    return sent

"""Faulty answers in Label Studio: each is reported once, and its task is sent back to its annotator with the fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from annotation.files import RefusedRow
from annotation.label_studio import MODEL_VERSION, StudioAnnotation, StudioData, StudioPrediction, StudioTask
from annotation.label_studio_answers import can_be_sent, marks_of, results_of, text_of
from annotation.row_parsing import RowError
from corpus.errors import Refused
from corpus.handle import Corpus
from corpus.records.base import digest
from corpus.storage import operation_ids
from corpus.storage.operations import committed
from flows.tasks.label_studio_client import StudioClient
from flows.tasks.label_studio_tasks import Authors, ServerTask, author_of

HEADINGS: Final = {
    "lost_slot": "The words changed: mark the slots again",
    "missing_field": "Something is missing: a transcript needs an intent",
    "bad_span": "A slot does not fit the words: mark it again",
}
OTHER_HEADING: Final = "The answer could not be read: check it and submit it again"
"""Headings of a task that is sent back to its annotator, by the reason for which the answer was refused."""


@dataclass(frozen=True, slots=True)
class FaultyAnswer:
    """An answer that can't be read, with its task on the server and why it was refused."""

    row: ServerTask
    answer: StudioAnnotation
    refused: RefusedRow

    @property
    def state(self) -> str:
        """Return a digest of which answer it is, when it was changed and why it was refused; nothing of its content."""
        fault = [self.refused.reason, self.refused.field, self.refused.detail]
        return digest([self.row.number, *(repr(self.answer.get(name)) for name in ("id", "updated_at")), fault])


def reported(corpus: Corpus, faulty: Sequence[FaultyAnswer]) -> set[str]:
    """Return the states of answers that an earlier pull has reported, and that stay on the server."""
    with corpus.read() as conn:
        return {state for state in {f.state for f in faulty} if committed(conn, operation_ids.report_fault(state))}


def note_reported(corpus: Corpus, states: Collection[str]) -> None:
    """Store that the answers of these states were reported and stay on the server."""
    for state in sorted(states):
        with corpus.operation(operation_ids.report_fault(state), "merge") as op:
            op.result = op.result or {"reported": 1}


def refused_row(row: ServerTask, answer: StudioAnnotation, authors: Authors, error: RowError) -> RefusedRow:
    """Return the refusal of an answer by its task and its author; nobody where the author is not known."""
    try:
        author = author_of(row, answer, authors)
    except RowError:
        author = ""
    return RefusedRow(row.number, error.reason, error.field, error.detail, row.task_id, author)


def send_back(client: StudioClient, project: int, faulty: FaultyAnswer) -> bool:
    """Replace the task on the server by a new one with the refused answer as draft and the fault as heading.

    Returns:
        Whether it was; a task that the server refuses, such as one whose clip a person removed there, stays as it is.
    """
    reason, row = faulty.refused.reason, faulty.row
    results = [dict(each) for each in results_of(faulty.answer)]
    data: StudioData = {**row.data, "heading": HEADINGS.get(reason, OTHER_HEADING)}
    data["asr_text"] = text if isinstance(text := data.get("asr_text"), str) else ""  # the server wants a text
    if reason == "lost_slot":  # the annotator marks the slots again, on the corrected transcript
        data["asr_text"] = " ".join(text_of(each, "text") for each in results if each.get("from_name") == "transcript")
        results = [each for each in results if each.get("from_name") != "slots"]
    words = data["asr_text"]
    shown = [each for each in results if _can_be_shown(each, words)]
    predictions: list[StudioPrediction] = [{"model_version": MODEL_VERSION, "result": shown}]
    forms: tuple[StudioTask, ...] = ({"data": data, "predictions": predictions}, {"data": data})
    for task in forms:  # the server reads drafts, too: without one the task can be asked again
        with suppress(Refused):
            client.send_tasks(project, [task])
            break
    else:
        return False
    client.delete_task(row.number)
    return True


def _can_be_shown(row: Mapping[str, Any], asr_text: str) -> bool:
    """Return whether the page can show a part of an answer again."""
    if row.get("type") != "labels":
        return can_be_sent(row) and row.get("type") in ("textarea", "choices") and isinstance(row.get("value"), dict)
    try:
        return can_be_sent(row) and bool(marks_of(row, asr_text))
    except RowError:
        return False

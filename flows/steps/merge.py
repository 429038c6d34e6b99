"""Hear and merge: annotation files become annotations, annotations become labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from annotation.consensus import SAFETY, Merged, merge_annotations
from annotation.csv_tables import SUFFIXES
from annotation.files import Parsed, parse_annotations
from annotation.row_parsing import Asked
from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.base import Ask
from corpus.storage import operation_ids
from corpus.storage.content_codec import Part
from corpus.storage.operations import Operation, result_of
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people, rounds, utterances
from corpus.tables.leases import ANYONE, holders
from flows.models import registry
from flows.models.label_reliability import stored_crowd
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from flows.steps.export import distribute
from flows.tasks import answer_inbox
from flows.tasks.task_status import sweep


@dataclass(frozen=True, slots=True)
class RefusedLine(Result):
    """A line that was refused.

    Attributes:
        line: its number in the file; of Label Studio, the number of the task there.
        reason, field: what is wrong, and with which field; "" stands for the whole line.
        file: the file's name; None where the report is of one file.
    """

    line: int
    reason: str
    field: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class MergeReport(Result):
    """What became of the rows of one file.

    Attributes:
        rows: of the file.
        annotations: rows that are annotations now, or were already.
        repeated: of these, those that were stored before.
        conflicting: of these, those that say something else than a stored one of the same revision.
        labels: that are new.
        outcomes: utterances by what is known of them now.
        refused: rows by the reason for which they were refused.
        refused_lines: each of these.
        already: whether the file was merged before; the figures are those of then.
    """

    rows: int
    annotations: int
    repeated: int
    conflicting: int
    labels: int
    outcomes: Mapping[str, int]
    refused: Mapping[str, int]
    refused_lines: tuple[RefusedLine, ...]
    already: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document; a refused line is a list of its number, reason and field."""
        lines = [[row.line, row.reason, row.field] for row in self.refused_lines]
        return {**Result.to_json(self), "refused_lines": lines}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> MergeReport:
        """Return the report that was stored."""
        numbers = {name: stored[name] for name in ("rows", "annotations", "repeated", "conflicting", "labels")}
        lines = (RefusedLine(line, reason, field) for line, reason, field in stored["refused_lines"])
        return cls(**numbers, outcomes=stored["outcomes"], refused=stored["refused"], refused_lines=tuple(lines))


def merge_file(corpus: Corpus, settings: Settings, file: Path, *, ours: bool) -> MergeReport:
    """Make the file's good rows annotations and labels, in one transaction; name its bad rows by line and reason.

    Args:
        corpus: the handle.
        settings: all.
        file: JSON Lines, or a table of the ending `.csv` or `.tsv`.
        ours: it lies in the answers folder. Then it goes once it is merged, since its texts stand encrypted in the
            corpus from there on; its refused lines stay beside it as `NAME.refused.jsonl`, to be fixed.

    Raises:
        UsageError: the file can't be read.
    """
    place, data = answer_inbox.take(file) if ours else (file, answer_inbox.read(file))
    suffix = Path(answer_inbox.name_of(file)).suffix.lower()
    operation_id = operation_ids.merge_file(hashlib.sha256(data).hexdigest(), suffix if suffix in SUFFIXES else "")
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
    try:
        if stored is not None:
            report = replace(MergeReport.from_json(stored), already=True)
        else:
            report = replace(_merge(corpus, settings, data, operation_id, suffix), already=False)
    except UsageError:
        if ours:
            answer_inbox.give_back(place)
        raise
    sweep(corpus, settings)
    distribute(corpus, settings)
    if ours:  # last, so that a run that is killed before is taken up by its file
        answer_inbox.put_away(place, data, {row.line for row in report.refused_lines})
    return report


def _merge(corpus: Corpus, settings: Settings, data: bytes, operation_id: str, suffix: str) -> MergeReport:
    tasks = asked_tasks(corpus, settings)
    parsed = parse_annotations(data, tasks, suffix=suffix)
    return merge_rows(corpus, tasks, parsed, operation_id, settings.people.most_answers)


def merge_rows(
    corpus: Corpus, tasks: Mapping[str, Asked], parsed: Parsed, operation_id: str, most_answers: int = 3
) -> MergeReport:
    """Make the good rows annotations and labels, in one transaction; count all by outcome and reason.

    What holds afterwards depends on the set of rows that ever came, not on their order nor on how they were cut into
    files: each utterance is weighed anew from everything that was said of it. Several may merge at once: who was
    overtaken between weighing and writing weighs again.
    """
    while True:
        try:
            return _merge_rows(corpus, tasks, parsed, operation_id, most_answers)
        except _Overtaken:
            continue


class _Overtaken(Exception):
    """Somebody else's answers to the same utterances were stored meanwhile."""


def _merge_rows(
    corpus: Corpus, tasks: Mapping[str, Asked], parsed: Parsed, operation_id: str, most_answers: int
) -> MergeReport:
    weighed = _weigh(corpus, tasks, parsed.annotations)
    merged = weighed.merged
    fresh = [a for a in parsed.annotations if tasks[a.task_id].utterance_id in weighed.open_ids]
    with corpus.operation(operation_id, "merge") as op:
        if op.done:
            return MergeReport.from_json(op.result)
        if weighed.basis != _basis(corpus, op.conn, weighed.touched):
            raise _Overtaken
        counts = annotations_table.put_annotations(corpus, op, fresh)
        new = [row.label for row in merged if row.is_new and row.label is not None]
        labels.put_labels(corpus, op, new)
        labels.withdraw(op.conn, [row.utterance_id for row in merged if row.withdraws])
        for verdict in SAFETY:  # one voice is enough: nobody else listens, nothing learns from it
            utterances.set_aside(op.conn, [row.utterance_id for row in merged if row.flags[:1] == (verdict,)], verdict)
        by_id = {row.utterance_id: row for row in merged}
        asking = {a.task_id: tasks[a.task_id] for a in fresh}
        ask_on(
            corpus,
            op,
            {t: a.utterance_id for t, a in asking.items() if wants_more(by_id[a.utterance_id], a.people, most_answers)},
        )
        report = MergeReport(
            rows=len(parsed.annotations) + len(parsed.refused),
            annotations=len(fresh),
            repeated=counts["repeated"],
            conflicting=counts["conflicting"],
            labels=len(new),
            outcomes=dict(sorted(Counter(row.outcome for row in merged).items())),
            refused=_refused(parsed, closed=len(parsed.annotations) - len(fresh)),
            refused_lines=tuple(RefusedLine(row.line, row.reason, row.field) for row in parsed.refused),
        )
        op.result = report.to_json()
    return report


def _refused(parsed: Parsed, *, closed: int) -> dict[str, int]:
    """Return how many rows were refused by reason; `closed` are those of utterances that may not be opened any more."""
    refused: Counter[str] = Counter(row.reason for row in parsed.refused)
    if closed:
        refused["closed_utterance"] += closed
    return dict(sorted(refused.items()))


def wants_more(row: Merged, people: int, most_answers: int) -> bool:
    """Say whether one more person has to listen: they disagree or ask for help, or too few were asked so far."""
    if row.flags or row.people >= most_answers:
        return False
    return row.outcome in ("conflict", "help") or row.annotators < people


def ask_on(corpus: Corpus, op: Operation, unsettled: Mapping[str, str]) -> None:
    """Tasks that still want another person's answer are open: handed out where somebody holds them, else to be."""
    now = corpus.clock()
    anybody = {i for i, who in holders(op.conn, now) if who == ANYONE}
    waiting = {each.task_id for each in people.assigned(op.conn, now, sorted(unsettled)) if each.waits}
    held = [task for task, i in sorted(unsettled.items()) if task in waiting or i in anybody]
    rounds.set_task_state(op.conn, held, "exported")
    rounds.set_task_state(op.conn, sorted(set(unsettled) - set(held)), "open")


@dataclass(frozen=True, slots=True)
class _Weighed:
    """What holds of the utterances that some rows touch.

    Attributes:
        touched: their ids.
        open_ids: those that may be opened.
        merged: what holds of each of these.
        basis: what it rests on, to be found unchanged when it is written.
    """

    touched: list[str]
    open_ids: set[str]
    merged: list[Merged]
    basis: object


def _basis(corpus: Corpus, conn: sa.Connection, ids: Sequence[str]) -> object:
    crowd = people.crowd(conn)
    closed = door.closures(corpus, conn, ids, "annotate")
    return (
        annotations_table.answer_counts(conn, ids),
        labels.other_revisions(conn, ids),
        crowd and crowd[0],
        sorted(closed),
    )


def _weigh(corpus: Corpus, tasks: Mapping[str, Asked], annotations: Sequence[Annotation]) -> _Weighed:
    touched = sorted({tasks[a.task_id].utterance_id for a in annotations})
    with corpus.read() as conn:
        basis = _basis(corpus, conn, touched)
        withdrawn, others = labels.withdrawn(conn, touched), labels.other_revisions(conn, touched)
        crowd = stored_crowd(conn)
    parts: tuple[Part, ...] = ("annotations", "label")
    opened = {
        content.utterance.utterance_id: content
        for content in door.open(corpus, touched, "annotate", parts=parts, strict=False, label_revisions=withdrawn)
    }
    given: dict[str, list[Annotation]] = {i: list(content.annotations) for i, content in opened.items()}
    for annotation in annotations:
        if tasks[annotation.task_id].utterance_id in given:
            given[tasks[annotation.task_id].utterance_id].append(annotation)
    current: dict[str, Label] = {i: content.label for i, content in opened.items() if content.label is not None}
    merged = merge_annotations(given, current, withdrawn=withdrawn, crowd=crowd, others=others)
    return _Weighed(touched, set(opened), merged, basis)


def asked_tasks(corpus: Corpus, settings: Settings) -> dict[str, Asked]:
    """Return all tasks that were ever asked, as their answers are read."""
    known = registry.inventory(settings.home, registry.champion(corpus, "intent"))
    with corpus.read() as conn:
        rows = rounds.tasks(conn, None, None)
    return {
        row.task_id: Asked(
            row.utterance_id,
            cast(Ask, row.ask),
            known.intents,
            known.slot_names,
            closed=row.state == "closed",
            people=settings.people.answers_for(row.reason),
        )
        for row in rows
    }

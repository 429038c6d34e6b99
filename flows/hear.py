"""Hear and merge: annotation files become annotations, annotations become labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from annotation.consensus import SAFETY, Merged, merge_annotations
from annotation.files import Parsed, parse_annotations
from annotation.rows import Asked
from annotation.tables import SUFFIXES
from corpus import door
from corpus.content import Part
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.operations import Operation, result_of
from corpus.records import Annotation, Ask, Label
from corpus.store import labels, people, rounds, utterances
from corpus.store.leases import ANYONE, holders
from flows import answers, models
from flows.ask import distribute, sweep
from flows.review import known_crowd
from flows.settings import Settings


def merge_file(corpus: Corpus, settings: Settings, file: Path, *, ours: bool) -> dict[str, Any]:
    """The file's good rows are annotations and labels, in one transaction; its bad rows are named by line and reason.

    Args:
        corpus: the handle.
        settings: all.
        file: JSON Lines, or a table of the ending `.csv` or `.tsv`.
        ours: it lies in the answers folder. Then it goes once it is merged, since its texts stand encrypted in the
            corpus from there on; its refused lines stay beside it as `NAME.refused.jsonl`, to be mended.

    Raises:
        UsageError: the file can't be read.
    """
    place, data = answers.take(file) if ours else (file, answers.read(file))
    suffix = Path(answers.name_of(file)).suffix.lower()
    # The same bytes read as another format are another merge.
    operation_id = f"merge/{suffix[1:] + '/' if suffix in SUFFIXES else ''}{hashlib.sha256(data).hexdigest()}"
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
    try:
        merged = stored if stored is not None else _merge(corpus, settings, data, operation_id, suffix)
        report = {**merged, "already": stored is not None}
    except UsageError:
        if ours:
            answers.give_back(place)
        raise
    sweep(corpus, settings)
    distribute(corpus, settings)
    if ours:  # last, so that a run that is killed before is taken up by its file
        answers.put_away(place, data, {line for line, *_ in report["refused_lines"]})
    return report


def _merge(corpus: Corpus, settings: Settings, data: bytes, operation_id: str, suffix: str) -> dict[str, Any]:
    tasks = asked_tasks(corpus, settings)
    parsed = parse_annotations(data, tasks, suffix=suffix)
    return merge_rows(corpus, tasks, parsed, operation_id, settings.people.most_answers)


def merge_rows(
    corpus: Corpus, tasks: Mapping[str, Asked], parsed: Parsed, operation_id: str, most_answers: int = 3
) -> dict[str, Any]:
    """The good rows are annotations and labels, in one transaction; returns what became of all, by outcome and reason.

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
) -> dict[str, Any]:
    weighed = _weigh(corpus, tasks, parsed.annotations)
    merged = weighed.merged
    fresh = [a for a in parsed.annotations if tasks[a.task_id].utterance_id in weighed.open_ids]
    refused: Counter[str] = Counter(row.reason for row in parsed.refused)
    if len(fresh) < len(parsed.annotations):
        refused["closed_utterance"] += len(parsed.annotations) - len(fresh)
    with corpus.operation(operation_id, "merge") as op:
        if op.done:
            return dict(op.result)
        if weighed.basis != _basis(corpus, op.conn, weighed.touched):
            raise _Overtaken
        counts = labels.put_annotations(corpus, op, fresh)
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
        op.result = {
            "rows": len(parsed.annotations) + len(parsed.refused),
            "annotations": len(fresh),
            "repeated": counts["repeated"],
            "conflicting": counts["conflicting"],
            "labels": len(new),
            "outcomes": dict(sorted(Counter(row.outcome for row in merged).items())),
            "refused": dict(sorted(refused.items())),
            "refused_lines": [[row.line, row.reason, row.field] for row in parsed.refused],
        }
        return dict(op.result)


def wants_more(row: Merged, people: int, most_answers: int) -> bool:
    """Says whether one more person has to listen: they disagree or ask for help, or too few were asked so far."""
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
    return labels.answer_counts(conn, ids), labels.other_revisions(conn, ids), crowd and crowd[0], sorted(closed)


def _weigh(corpus: Corpus, tasks: Mapping[str, Asked], annotations: Sequence[Annotation]) -> _Weighed:
    touched = sorted({tasks[a.task_id].utterance_id for a in annotations})
    with corpus.read() as conn:
        basis = _basis(corpus, conn, touched)
        withdrawn, others = labels.withdrawn(conn, touched), labels.other_revisions(conn, touched)
        crowd = known_crowd(conn)
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
    """Returns all tasks that were ever asked, as their answers are read."""
    known = models.inventory(settings, models.champion(corpus, "intent"))
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


def total(reports: Sequence[dict[str, Any]], failed: Mapping[str, str]) -> dict[str, Any]:
    """Returns the files' reports as one; `failed`: why, by name, of files that could not be read.

    `already` counts the files that were merged before; their figures are those of then, and nothing changed now.
    """
    outcomes: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
        refused.update(report["refused"])
    return {
        "files": len(reports),
        "already": sum(bool(report.get("already")) for report in reports),
        **{
            name: sum(report[name] for report in reports)
            for name in ("rows", "annotations", "repeated", "conflicting", "labels")
        },
        "outcomes": dict(sorted(outcomes.items())),
        "refused": dict(sorted(refused.items())),
        "refused_lines": [
            {"file": report["file"], "line": line, "reason": reason, "field": field}
            for report in reports
            for line, reason, field in report["refused_lines"]
        ],
        **({"failed": dict(failed)} if failed else {}),
    }

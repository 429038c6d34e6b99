"""Hear and merge: annotation files become annotations, annotations become labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from annotation.consensus import SAFETY, Merged, merge_annotations
from annotation.files import Parsed, parse_annotations
from annotation.rows import Asked
from corpus.content import Part
from corpus.handle import Corpus
from corpus.operations import Operation, result_of
from corpus.records import Annotation, Ask, Label
from corpus.store import labels, rounds, utterances
from corpus.store.leases import leased
from flows import answers, models
from flows.ask import sweep
from flows.settings import Settings


def merge_file(corpus: Corpus, settings: Settings, file: Path, *, ours: bool) -> dict[str, Any]:
    """The file's good rows are annotations and labels, in one transaction; its bad rows are named by line and reason.

    Args:
        corpus: the handle.
        settings: all.
        file: JSON Lines.
        ours: it lies in the answers folder. Then it goes once it is merged, since its texts stand encrypted in the
            corpus from there on; its refused lines stay beside it as `NAME.refused.jsonl`, to be mended.

    Raises:
        UsageError: the file can't be read.
    """
    place, data = answers.take(file) if ours else (file, answers.read(file))
    operation_id = f"merge/{hashlib.sha256(data).hexdigest()}"
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
    report = stored if stored is not None else _merge(corpus, settings, data, operation_id)
    if ours:
        answers.put_away(place, data, {line for line, *_ in report["refused_lines"]})
    sweep(corpus, settings)
    return report


def _merge(corpus: Corpus, settings: Settings, data: bytes, operation_id: str) -> dict[str, Any]:
    tasks, parsed = _parse(corpus, settings, data)
    return merge_rows(corpus, tasks, parsed, operation_id)


def merge_rows(corpus: Corpus, tasks: Mapping[str, Asked], parsed: Parsed, operation_id: str) -> dict[str, Any]:
    """The good rows are annotations and labels, in one transaction; returns what became of all, by outcome and reason.

    What holds afterwards depends on the set of rows that ever came, not on their order nor on how they were cut into
    files: each utterance is weighed anew from everything that was said of it.
    """
    open_ids, merged = _weigh(corpus, tasks, parsed.annotations)
    fresh = [a for a in parsed.annotations if tasks[a.task_id].utterance_id in open_ids]
    refused: Counter[str] = Counter(row.reason for row in parsed.refused)
    if len(fresh) < len(parsed.annotations):
        refused["closed_utterance"] += len(parsed.annotations) - len(fresh)
    with corpus.operation(operation_id, "merge") as op:
        if op.done:
            return dict(op.result)
        counts = labels.put_annotations(corpus, op, fresh)
        new = [row.label for row in merged if row.is_new and row.label is not None]
        labels.put_labels(corpus, op, new)
        labels.withdraw(op.conn, [row.utterance_id for row in merged if row.withdraws])
        for verdict in SAFETY:  # one voice is enough: nobody else listens, nothing learns from it
            utterances.set_aside(op.conn, [row.utterance_id for row in merged if row.flags[:1] == (verdict,)], verdict)
        settled = {row.utterance_id for row in merged if row.outcome not in ("conflict", "help")}
        _ask_on(corpus, op, {a.task_id: i for a in fresh if (i := tasks[a.task_id].utterance_id) not in settled})
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


def _ask_on(corpus: Corpus, op: Operation, unsettled: Mapping[str, str]) -> None:
    """Tasks that still want a third person's answer are open: handed out where the lease runs, else to be."""
    held = leased(op.conn, corpus.clock(), sorted(set(unsettled.values())))
    for state, leases in (("exported", True), ("open", False)):
        ids = [task for task, utterance in sorted(unsettled.items()) if (utterance in held) == leases]
        rounds.set_task_state(op.conn, ids, cast(rounds.TaskState, state))


def _weigh(
    corpus: Corpus, tasks: Mapping[str, Asked], annotations: Sequence[Annotation]
) -> tuple[set[str], list[Merged]]:
    """Returns the utterances that may be opened of those that the rows touch, and what holds of each of them."""
    touched = sorted({tasks[a.task_id].utterance_id for a in annotations})
    with corpus.read() as conn:
        withdrawn = labels.withdrawn(conn, touched)
    parts: tuple[Part, ...] = ("annotations", "label")
    opened = {
        content.utterance.utterance_id: content
        for content in corpus.open(touched, "annotate", parts=parts, strict=False, label_revisions=withdrawn)
    }
    given: dict[str, list[Annotation]] = {i: list(content.annotations) for i, content in opened.items()}
    for annotation in annotations:
        if tasks[annotation.task_id].utterance_id in given:
            given[tasks[annotation.task_id].utterance_id].append(annotation)
    current: dict[str, Label] = {i: content.label for i, content in opened.items() if content.label is not None}
    return set(opened), merge_annotations(given, current, withdrawn=withdrawn)


def _parse(corpus: Corpus, settings: Settings, data: bytes) -> tuple[dict[str, Asked], Parsed]:
    model = models.load_intent(settings, models.champion(corpus, "intent"))
    with corpus.read() as conn:
        rows = rounds.tasks(conn, None, None)
    tasks = {
        row.task_id: Asked(
            row.utterance_id,
            cast(Ask, row.ask),
            tuple(model.intents),
            tuple(model.slot_names),
            closed=row.state == "closed",
        )
        for row in rows
    }
    return tasks, parse_annotations(data, tasks)


def total(reports: Sequence[dict[str, Any]], failed: Mapping[str, str]) -> dict[str, Any]:
    """Returns the files' reports as one; `failed`: why, by name, of files that could not be read."""
    outcomes: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
        refused.update(report["refused"])
    return {
        "files": len(reports),
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

"""Merge: read annotators' answers as annotations, and merge the annotations of each utterance into a label."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from annotation.consensus import SAFETY, Merged
from annotation.csv_tables import SUFFIXES, as_utf8
from annotation.files import Parsed, parse_annotations
from annotation.proposals import resolved
from annotation.row_parsing import Asked
from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.annotations import Annotation
from corpus.records.base import Ask, digest
from corpus.records.inventory import NAME_KINDS, Inventory, names_outside
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people, rounds, utterances
from flows.models.inventory import NamesInUse, names_in_use
from flows.models.label_reliability import stored_crowd
from flows.models.stored_answers import stored_answers
from flows.runtime import progress
from flows.runtime.settings_parts import HasAnswers
from flows.steps.export import SettingsOfExport, distribute
from flows.steps.merge_report import MergeReport, RefusedAnswerLine
from flows.tasks import answer_inbox, answer_records, refused_lines
from flows.tasks.task_needs import needs_more_answers, reopen_tasks
from flows.tasks.task_status import sweep_after


class SettingsOfMerge(SettingsOfExport, HasAnswers, Protocol):
    """The settings that a merge reads: those of an export, which follows it, and the folder of answers."""


def merge_file(corpus: Corpus, settings: SettingsOfMerge, file: Path, *, from_inbox: bool) -> MergeReport:
    """Merge the file's valid rows into annotations and labels, in one transaction; report each invalid row.

    Args:
        corpus: the handle.
        settings: how many answers a task takes, and how tasks are exported that need one more.
        file: JSON Lines, or a table whose name ends in `.csv` or `.tsv`.
        from_inbox: whether the file is in the answers folder. Then it is deleted once it is merged, as the corpus has
            its texts encrypted; its refused lines are kept beside it as `NAME.refused.jsonl`, to be fixed.

    Raises:
        UsageError: the file can't be read.
    """
    with sweep_after(corpus, settings.task_folder, settings.answers, settings.export.due_days):
        place, data = answer_inbox.take(file) if from_inbox else (file, answer_inbox.read(file))
        suffix = Path(answer_inbox.original_name(file)).suffix.lower()
        try:
            names = names_in_use(corpus, settings.home, settings.inventory)
            report = _merge_data(corpus, names, settings.people, data, suffix)
        except UsageError:
            if from_inbox:
                answer_inbox.give_back(place)
            raise
    distribute(corpus, settings)
    if from_inbox:  # last: while the file is there, the next run repeats what a killed run did not finish
        refused = {row.line for row in report.refused_lines} - _closed_lines(corpus, data, suffix)
        answer_inbox.put_away(place, data, refused)
        refused_lines.drop_closed(corpus, settings.answers)
    return report


def _closed_lines(corpus: Corpus, data: bytes, suffix: str) -> set[int]:
    """Return the numbers of the lines that name a task whose clip nobody may open any more, from 1.

    Nothing of such a line is kept to be fixed: what was erased, withdrawn or set aside is in no file again.
    """
    named = answer_records.tasks_by_line(data, is_table=suffix in SUFFIXES)
    tasks = refused_lines.closed_tasks(corpus, set().union(*named.values()))
    return {number for number, ids in named.items() if ids & tasks}


def _merge_data(
    corpus: Corpus, names: NamesInUse, people_settings: PeopleSettings, data: bytes, suffix: str
) -> MergeReport:
    """Merge the bytes of a file, a table where the suffix is one of `SUFFIXES`.

    A file that was merged before is read again where it had refused rows: a row that was refused then may be valid now.
    """
    sha256, table = hashlib.sha256(data).hexdigest(), suffix if suffix in SUFFIXES else ""
    with corpus.read() as conn:
        stored = result_of(conn, operation_ids.merge_file(sha256, table))
    if stored is not None and not stored["refused"]:
        return replace(MergeReport.from_json(stored), already=True)
    tasks, parsed = _parsed(corpus, names, people_settings, data, suffix)
    again = ""
    if stored is not None:
        refused, lines = _refused_now(corpus, tasks, parsed)
        if (stored["refused"], [row[:3] for row in stored["refused_lines"]]) == (refused, lines):
            return replace(MergeReport.from_json(stored), already=True)
        again = digest([[refused, lines]])
    operation_id = operation_ids.merge_file(sha256, table, again)
    with corpus.read() as conn:
        repeated = result_of(conn, operation_id)
    report = merge_rows(corpus, tasks, parsed, operation_id, names, people_settings)
    return replace(report, already=repeated is not None)


def _parsed(
    corpus: Corpus, names: NamesInUse, people_settings: PeopleSettings, data: bytes, suffix: str
) -> tuple[dict[str, Asked], Parsed]:
    """Return the tasks that the bytes of a file name, and its rows.

    All tasks are read only where a row names one that can't be seen in the bytes: a wrong id, or one that is escaped.
    """
    data = as_utf8(data) if suffix in SUFFIXES else data
    named = sorted({found.decode() for found in answer_records.TASK_ID.findall(data)})
    for among in (named, None):
        tasks = asked_tasks(corpus, names, people_settings, among)
        with progress.track("reading lines of answers", data.count(b"\n"), "lines") as advance:
            parsed = parse_annotations(data, tasks, suffix=suffix, on_progress=advance)
        if not any(row.reason == "unknown_task" for row in parsed.refused):
            break
    return tasks, parsed


def merge_rows(
    corpus: Corpus,
    tasks: Mapping[str, Asked],
    parsed: Parsed,
    operation_id: str,
    names: NamesInUse,
    people_settings: PeopleSettings,
) -> MergeReport:
    """Merge valid rows into annotations and labels, in one transaction; count utterances by outcome, rows by reason.

    The result depends only on the set of all rows that were ever merged, not on their order or their files: the label
    of each utterance is computed anew from all of its annotations. Several processes may merge at once: where another
    one stores answers to the same utterances between computing and writing, the merge is computed again.
    """
    while True:
        try:
            return _merge_rows(corpus, tasks, parsed, operation_id, names, people_settings)
        except _Overtaken:
            continue


class _Overtaken(Exception):
    """Another process stored answers to the same utterances before this merge was written."""


def _merge_rows(
    corpus: Corpus,
    tasks: Mapping[str, Asked],
    parsed: Parsed,
    operation_id: str,
    names: NamesInUse,
    people_settings: PeopleSettings,
) -> MergeReport:
    with corpus.read() as conn:
        parsed = replace(parsed, annotations=annotations_table.by_stored_names(conn, parsed.annotations))
    plan = _plan_merge(corpus, tasks, parsed.annotations, names)
    merged = plan.merged
    accepted = [a for a in parsed.annotations if tasks[a.task_id].utterance_id in plan.open_ids]
    with corpus.operation(operation_id, "merge") as op:
        if op.done:
            return MergeReport.from_json(op.result)
        inventory = names.at(op.conn)
        if (plan.basis, plan.inventory) != (merge_basis(corpus, op.conn, plan.utterance_ids), inventory.digest()):
            raise _Overtaken
        fresh = [annotation for annotation in accepted if annotation not in plan.respelled]
        counts = annotations_table.put_annotations(corpus, op, fresh, inventory)
        new = [row.label for row in merged if row.is_new and row.label is not None]
        labels.put_labels(corpus, op, new)
        labels.withdraw(op.conn, [row.utterance_id for row in merged if row.withdraws])
        _set_aside(op.conn, tasks, plan, parsed.annotations)
        op.state |= utterances.set_aside_digest(op.conn)
        contradicted = annotations_table.contradicted_tasks(op.conn, [a.task_id for a in accepted])
        by_id = {row.utterance_id: row for row in merged}
        answered = {a.task_id: tasks[a.task_id] for a in accepted}
        unsettled = {
            task_id: asked.utterance_id
            for task_id, asked in answered.items()
            if needs_more_answers(by_id[asked.utterance_id], asked.people, people_settings.most_answers)
        }
        reopen_tasks(corpus, op, unsettled)
        report = MergeReport(
            rows=len(parsed.annotations) + len(parsed.refused),
            annotations=len(accepted),
            repeated=counts["repeated"] + len(accepted) - len(fresh),
            conflicting=counts["conflicting"],
            labels=len(new),
            outcomes=dict(sorted(Counter(row.outcome for row in merged).items())),
            proposing=_proposing(accepted, inventory),
            refused=_refused(parsed, closed=len(parsed.annotations) - len(accepted)),
            refused_lines=_refused_lines(parsed),
            conflicting_tasks=tuple(contradicted) if counts["conflicting"] and contradicted else None,
            withdrawn=sum(row.withdraws for row in merged) or None,
            unlisted=people_settings.unlisted(answer.annotator_id for answer in accepted) or None,
        )
        op.result = report.to_json()
    return report


def _set_aside(conn: sa.Connection, tasks: Mapping[str, Asked], plan: _MergePlan, given: Sequence[Annotation]) -> None:
    """Set aside what has a safety verdict: one is enough, nobody else listens to it, and no model learns from it.

    Of several the gravest is the reason, also where another file set the utterance aside before.
    """
    for rank, verdict in enumerate(SAFETY):
        ids = [row.utterance_id for row in plan.merged if row.flags[:1] == (verdict,)]
        utterances.set_aside(conn, ids, verdict)
        late = {tasks[answer.task_id].utterance_id for answer in given if answer.verdict == verdict} - plan.open_ids
        utterances.state_graver(conn, sorted(late), verdict, SAFETY[rank + 1 :])


def _proposing(annotations: Sequence[Annotation], inventory: Inventory) -> dict[str, int]:
    """Return how many answers name something outside the inventory, by kind."""
    kinds = [{kind for kind, _ in names_outside(answer, inventory)} for answer in annotations]
    return {kind: count for kind in NAME_KINDS if (count := sum(kind in found for found in kinds))}


def _refused_now(
    corpus: Corpus, tasks: Mapping[str, Asked], parsed: Parsed
) -> tuple[dict[str, int], list[list[int | str]]]:
    """Return counts of refused rows by reason, and number, reason and field of each, as a stored report has them."""
    ids = sorted({tasks[answer.task_id].utterance_id for answer in parsed.annotations})
    with corpus.read() as conn:
        closed = door.closures(corpus, conn, ids, "annotate")
    rows = sum(tasks[answer.task_id].utterance_id in closed for answer in parsed.annotations)
    return _refused(parsed, closed=rows), [[row.line, row.reason, row.field] for row in parsed.refused]


def _refused_lines(parsed: Parsed) -> tuple[RefusedAnswerLine, ...]:
    return tuple(
        RefusedAnswerLine(
            row.line,
            row.reason,
            row.field,
            detail=row.detail or None,
            task_id=row.task_id or None,
            annotator_id=row.annotator_id or None,
        )
        for row in parsed.refused
    )


def _refused(parsed: Parsed, *, closed: int) -> dict[str, int]:
    """Return counts of refused rows by reason; `closed` counts rows of utterances that may not be opened any more."""
    refused: Counter[str] = Counter(row.reason for row in parsed.refused)
    if closed:
        refused["closed_utterance"] += closed
    return dict(sorted(refused.items()))


@dataclass(frozen=True, slots=True)
class _MergePlan:
    """The merged answers to some utterances, before they are written.

    Attributes:
        utterance_ids: the utterances that new annotations answer, sorted.
        open_ids: the utterances among them that may be opened.
        merged: result of the merge for each of `open_ids`.
        respelled: new annotations that are stored already, with another name for the same thing.
        basis, inventory: what the result was computed from; they have to be the same still when it is written.
    """

    utterance_ids: list[str]
    open_ids: set[str]
    merged: list[Merged]
    respelled: frozenset[Annotation]
    basis: MergeBasis
    inventory: str


@dataclass(frozen=True, slots=True)
class MergeBasis:
    """What changes when answers, labels, reliabilities or permissions of some utterances change.

    Attributes:
        answers: number of different stored answers, by utterance id.
        others: number of the labels' revisions that do not come from answers, by utterance id.
        review: number of the last review of the annotators, None before the first.
        closed: ids of the utterances that may not be opened, sorted.
    """

    answers: Mapping[str, int]
    others: Mapping[str, int]
    review: int | None
    closed: tuple[str, ...]


def merge_basis(corpus: Corpus, conn: sa.Connection, ids: Sequence[str]) -> MergeBasis:
    """Return what a merge of the utterances is computed from, to be compared when its result is written."""
    reviewed = people.crowd(conn)
    return MergeBasis(
        answers=annotations_table.answer_counts(conn, ids),
        others=labels.other_revisions(conn, ids),
        review=None if reviewed is None else reviewed.seq,
        closed=tuple(sorted(door.closures(corpus, conn, ids, "annotate"))),
    )


def _plan_merge(
    corpus: Corpus, tasks: Mapping[str, Asked], annotations: Sequence[Annotation], names: NamesInUse
) -> _MergePlan:
    """Merge the stored and new annotations of each utterance that the new ones answer; write nothing."""
    ids = sorted({tasks[a.task_id].utterance_id for a in annotations})
    with corpus.read() as conn:
        inventory = names.at(conn)
        basis = merge_basis(corpus, conn, ids)
        crowd = stored_crowd(conn, inventory)
    # after the basis: what changes in between makes it another one when the result is written
    stored = stored_answers(corpus, ids, "reading earlier answers")
    given = {i: list(rows) for i, rows in stored.annotations.items()}
    for annotation in annotations:
        if tasks[annotation.task_id].utterance_id in given:
            given[tasks[annotation.task_id].utterance_id].append(annotation)
    with progress.track("merging answers into labels", len(given), "utterances") as advance:
        merged = stored.merged(given, crowd, inventory, advance)
    earlier = [row for rows in stored.annotations.values() for row in rows]
    return _MergePlan(ids, set(given), merged, _respelled(earlier, annotations, inventory), basis, inventory.digest())


def _respelled(stored: Sequence[Annotation], new: Sequence[Annotation], inventory: Inventory) -> frozenset[Annotation]:
    """Return the new annotations that are stored with other names of the same meaning.

    An answer that was read before its proposal was adopted is the same answer afterwards.
    """
    exact = {replace(row, lead_time=0.0) for row in stored}
    meant = {replace(resolved(row, inventory), lead_time=0.0) for row in stored}
    return frozenset(
        row
        for row in new
        if replace(row, lead_time=0.0) not in exact and replace(resolved(row, inventory), lead_time=0.0) in meant
    )


def asked_tasks(
    corpus: Corpus, names: NamesInUse, people_settings: PeopleSettings, among: Sequence[str] | None = None
) -> dict[str, Asked]:
    """Return, by task id, what is needed to read the answers to the tasks; to all ever exported where None."""
    with corpus.read() as conn:
        inventory = names.at(conn)
        rows = rounds.tasks(conn) if among is None else rounds.tasks_among(conn, among)
    return {
        row.task_id: Asked(
            row.utterance_id,
            cast(Ask, row.ask),
            inventory,
            closed=row.state == "closed",
            people=people_settings.answers_for(row.reason),
        )
        for row in rows
    }

"""Export: chosen utterances are exported as tasks with their clips, until they are answered or overdue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from annotation.files import write_tasks
from annotation.tasks import keep_rows, make_tasks
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import AnnotationTask, Selection
from corpus.records.arrivals import Hypothesis
from corpus.records.base import digest
from corpus.storage import operation_ids
from corpus.tables import rounds
from corpus.tables.leases import grant_lease, leased
from flows.models import registry
from flows.runtime.results import Result
from flows.runtime.settings import ExportSettings, Settings
from flows.tasks import assignment
from flows.tasks.task_status import OPEN, task_status


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport(Result):
    """What was exported of a round.

    Attributes:
        skipped: why nothing was.
        tasks, blind: exported tasks, and those of them that show no draft; None where nothing was.
        given: where people are listed, tasks that were assigned by kind; see `assign_tasks`.
        people: where people are listed, how many tasks each holds.
        folder: of the tasks and clips, where it is everybody's.
        sent, removed, standing: what was pushed to Label Studio; see `PushReport`.
        not_done: why nothing was pushed to Label Studio; None where it was, and for other backends.
    """

    skipped: str | None = None
    tasks: int = 0
    blind: int | None = None
    given: Mapping[str, int] | None = None
    people: Mapping[str, int] | None = None
    folder: str | None = None
    sent: int | None = None
    removed: int | None = None
    standing: int | None = None
    not_done: str | None = None


def export_round(corpus: Corpus, settings: Settings, round_: str, *, again: bool = False) -> ExportReport:
    """Export the round's open tasks with their clips, and lease them.

    In the task folder they lie as `<round>/tasks.jsonl` and a WAV file each; where the settings list people, in
    `<round>/<person>/`, those that this person holds. A repeat writes what is missing of the still open tasks, in the
    same bytes, and leaves running leases as they are. Rows and leases are committed first: no clip lies in clear that
    nobody may open, whenever the run is killed.

    Args:
        corpus: the handle.
        settings: all.
        round_: its name.
        again: tasks that were closed, such as overdue ones, are asked once more.
    """
    with corpus.read() as conn:
        if round_ not in {row.round for row in rounds.rounds(conn)}:
            return ExportReport(skipped=f"round {round_} chose nothing")
        selection = rounds.selection(conn, round_)
        asked = {row.utterance_id: row for row in rounds.tasks(conn, round_, None)}
        held = leased(conn, corpus.clock(), list(asked))
    states = (*OPEN, "closed") if again else OPEN
    ids = [str(i) for i in selection.utterance_ids if i not in asked or asked[i].state in states]
    if not ids:
        return ExportReport(skipped="every task of the round is answered or closed")
    tasks = _tasks(corpus, settings, selection, ids)
    if not tasks:
        return ExportReport(skipped="no utterance of the round may be heard any more")
    blind = sum(task.draft is None for task in tasks)
    if settings.people.people:
        _open(corpus, round_, [task for task in tasks if task.utterance_id not in held])
        due_days, seed = settings.export.due_days, settings.sampling.seed
        given = assignment.assign_tasks(corpus, settings.people, due_days, seed, gold_for=round_)
        held_by = distribute(corpus, settings)
        return ExportReport(tasks=len(tasks), blind=blind, given=given, people=held_by)
    out = {i for i in held if asked[i].state == "exported"}
    _hand_out(corpus, settings.export, round_, [task for task in tasks if task.utterance_id not in out])
    if settings.export.backend != "files":
        return ExportReport(tasks=len(tasks), blind=blind)
    folder = settings.task_folder / round_
    _lay_out(corpus, folder, tasks)
    return ExportReport(tasks=len(tasks), blind=blind, folder=str(folder))


def distribute(corpus: Corpus, settings: Settings) -> dict[str, int]:
    """Assign open tasks to the listed people, and write the tasks that each holds into their folders.

    A task that a merge left undecided goes to one more person, and one whose annotator asked for help goes to a second
    with the question. Without listed people nothing happens: the task folder is everybody's.

    Returns:
        How many tasks each person holds.
    """
    if not settings.people.people:
        return {}
    assignment.assign_tasks(corpus, settings.people, settings.export.due_days, settings.sampling.seed)
    now = task_status(corpus)
    counts = {who: len(wanted) for who, wanted in sorted(now.wanted.items())}
    if settings.export.backend != "files":
        return counts
    made = made_tasks(corpus, settings, now.all_wanted)
    for who, wanted in sorted(now.wanted.items()):
        mine = [task for id_, task in made.items() if id_ in wanted]
        for name in sorted({task.round for task in mine}):
            _lay_out(corpus, settings.task_folder / name / who, [task for task in mine if task.round == name])
    return counts


def made_tasks(corpus: Corpus, settings: Settings, task_ids: Sequence[str]) -> dict[str, AnnotationTask]:
    """Return those of the tasks that may be opened, by id: oldest round first, most valuable first within it."""
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn) if row.task_id in set(task_ids)}
        chosen = {name: rounds.selection(conn, name) for name in dict.fromkeys(row.round for row in rows.values())}
    made: dict[str, AnnotationTask] = {}
    for name, selection in chosen.items():
        ids = [row.utterance_id for row in rows.values() if row.round == name]
        made |= {task.task_id: task for task in _tasks(corpus, settings, selection, ids) if task.task_id in rows}
    return made


def _tasks(corpus: Corpus, settings: Settings, selection: Selection, ids: Sequence[str]) -> list[AnnotationTask]:
    """Return the tasks of those utterances of a selection that may be opened, with drafts and questions."""
    drafts, durations, questions = _drafts(corpus, sorted(set(ids)))
    names = registry.inventory(settings.home, registry.champion(corpus, "intent"))
    tasks = make_tasks(
        keep_rows(selection, durations),
        durations,
        drafts,
        names.intents,
        names.slot_names,
        settings.tasks,
        settings.sampling.seed,
    )
    return [replace(task, question=questions.get(task.task_id)) for task in tasks]


def _lay_out(corpus: Corpus, folder: Path, tasks: Sequence[AnnotationTask]) -> None:
    """Write the tasks' lines and clips into the folder."""
    _write_clips(corpus, folder, {task.utterance_id: task.audio for task in tasks})
    write_tasks(folder, tasks)


def _open(corpus: Corpus, round_: str, tasks: Sequence[AnnotationTask]) -> None:
    """Store the tasks as open, to be assigned."""
    ids = sorted(task.task_id for task in tasks)
    if ids:
        with corpus.operation(operation_ids.export(round_), "export") as op:
            rounds.put_tasks(op.conn, tasks)
            rounds.set_task_state(op.conn, ids, "open")
            op.result = {"tasks": len(ids), "blind": sum(task.draft is None for task in tasks)}


def _hand_out(corpus: Corpus, settings: ExportSettings, round_: str, tasks: Sequence[AnnotationTask]) -> None:
    """Store the tasks as exported, with a lease that begins now."""
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
    """Return drafts and durations by utterance, and the last question of those who asked for help, by task."""
    drafts: dict[str, Hypothesis] = {}
    durations: dict[str, float] = {}
    questions: dict[str, str] = {}
    for content in door.open(corpus, ids, "annotate", parts=("hypotheses", "annotations"), strict=False):
        utterance = content.utterance
        durations[utterance.utterance_id] = utterance.duration
        if content.hypotheses:
            drafts[utterance.utterance_id] = content.hypotheses[0]
        asked = sorted(content.annotations, key=lambda a: (a.revision, a.annotator_id))
        questions |= {a.task_id: a.question for a in asked if a.question}
    return drafts, durations, questions


def _write_clips(corpus: Corpus, folder: Path, names: dict[str, str]) -> None:
    """Write the clips of the tasks into the folder, readable by its owner alone."""
    import soundfile

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = [i for i, name in names.items() if not (folder / name).exists()]
    for content in door.open(corpus, missing, "annotate", strict=False):
        target = folder / names[content.utterance.utterance_id]
        temporary = target.with_name(f".{target.name}.tmp")
        soundfile.write(temporary, content.audio, content.sample_rate, subtype="PCM_16", format="WAV")
        temporary.replace(target)

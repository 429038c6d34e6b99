"""Ask: the chosen stand as tasks before people, with their clips beside them, until they are answered or overdue."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from annotation.files import write_tasks
from annotation.tasks import make_tasks
from corpus import door
from corpus.handle import Corpus
from corpus.records import AnnotationTask, Hypothesis, Selection, digest
from corpus.store import people, rounds
from corpus.store.leases import ANYONE, grant_lease, holders, leased, release_lease
from flows import assign, models, task_folder
from flows.settings import Settings

OPEN = assign.OPEN
ANYBODY = ""
"""Stands for the people among the holders of tasks where the settings list nobody."""


def export_round(corpus: Corpus, settings: Settings, round_: str, *, again: bool = False) -> dict[str, Any]:
    """The round's open tasks stand before people, with their clips, and are leased.

    In the task folder they lie as `<round>/tasks.jsonl` and a WAV file each; where the settings list people, in
    `<round>/<person>/`, those that this person holds. A repeat writes what is missing of the still open tasks, in the
    same bytes, and leaves running leases as they are. Rows and leases are committed first: no clip lies in clear that
    nobody may hear, whenever the run is killed.

    Args:
        corpus: the handle.
        settings: all.
        round_: its name.
        again: tasks that were closed, such as overdue ones, are asked once more.
    """
    with corpus.read() as conn:
        if round_ not in {row.round for row in rounds.rounds(conn)}:
            return {"skipped": f"round {round_} chose nothing", "tasks": 0}
        selection = rounds.selection(conn, round_)
        asked = {row.utterance_id: row for row in rounds.tasks(conn, round_, None)}
        held = leased(conn, corpus.clock(), list(asked))
    states = (*OPEN, "closed") if again else OPEN
    ids = [str(i) for i in selection.utterance_ids if i not in asked or asked[i].state in states]
    if not ids:
        return {"skipped": "every task of the round is answered or closed", "tasks": 0}
    tasks = _tasks(corpus, settings, selection, ids)
    if not tasks:
        return {"skipped": "no utterance of the round may be heard any more", "tasks": 0}
    blind = sum(task.draft is None for task in tasks)
    if settings.people.people:
        _open(corpus, round_, [task for task in tasks if task.utterance_id not in held])
        given = assign.assign_tasks(corpus, settings, gold_for=round_)
        people_have = distribute(corpus, settings)
        return {"tasks": len(tasks), "blind": blind, "given": given, **people_have}
    out = {i for i in held if asked[i].state == "exported"}
    _hand_out(corpus, settings, round_, [task for task in tasks if task.utterance_id not in out])
    if settings.export.backend != "files":
        return {"tasks": len(tasks), "blind": blind}
    folder = settings.task_folder / round_
    _lay_out(corpus, folder, tasks)
    return {"tasks": len(tasks), "blind": blind, "folder": str(folder)}


def distribute(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """Where the settings list people, each finds in their folders the tasks that they hold, and those alone.

    What a merge left undecided is before one more person, and a question of somebody who asked for help before a
    second, with the question. Without listed people nothing happens: the task folder is everybody's.
    """
    if not settings.people.people:
        return {}
    assign.assign_tasks(corpus, settings)
    now = standing(corpus)
    counts = {who: len(wanted) for who, wanted in sorted(now.wanted.items())}
    if settings.export.backend != "files":
        return {"people": counts}
    made = made_tasks(corpus, settings, now.all_wanted)
    for who, wanted in sorted(now.wanted.items()):
        mine = [task for id_, task in made.items() if id_ in wanted]
        for name in sorted({task.round for task in mine}):
            _lay_out(corpus, settings.task_folder / name / who, [task for task in mine if task.round == name])
    return {"people": counts}


def made_tasks(corpus: Corpus, settings: Settings, task_ids: Sequence[str]) -> dict[str, AnnotationTask]:
    """Returns those of the tasks that may be opened, by id: oldest round first, most valuable first within it."""
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn) if row.task_id in set(task_ids)}
        chosen = {name: rounds.selection(conn, name) for name in dict.fromkeys(row.round for row in rows.values())}
    made: dict[str, AnnotationTask] = {}
    for name, selection in chosen.items():
        ids = [row.utterance_id for row in rows.values() if row.round == name]
        made |= {task.task_id: task for task in _tasks(corpus, settings, selection, ids) if task.task_id in rows}
    return made


def _tasks(corpus: Corpus, settings: Settings, selection: Selection, ids: Sequence[str]) -> list[AnnotationTask]:
    """Returns the tasks of those utterances of a selection that may be opened, with drafts and questions."""
    drafts, durations, questions = _drafts(corpus, sorted(set(ids)))
    names = models.inventory(settings, models.champion(corpus, "intent"))
    tasks = make_tasks(
        _only(selection, durations),
        durations,
        drafts,
        names.intents,
        names.slot_names,
        settings.tasks,
        settings.sampling.seed,
    )
    return [replace(task, question=questions.get(task.task_id)) for task in tasks]


def _lay_out(corpus: Corpus, folder: Path, tasks: Sequence[AnnotationTask]) -> None:
    """The folder holds the tasks' lines and clips."""
    _write_clips(corpus, folder, {task.utterance_id: task.audio for task in tasks})
    write_tasks(folder, tasks)


def _open(corpus: Corpus, round_: str, tasks: Sequence[AnnotationTask]) -> None:
    """The tasks stand as open, to be assigned."""
    ids = sorted(task.task_id for task in tasks)
    if ids:
        with corpus.operation(f"export/{round_}/{uuid.uuid4().hex}", "export") as op:
            rounds.put_tasks(op.conn, tasks)
            rounds.set_task_state(op.conn, ids, "open")
            op.result = {"tasks": len(ids), "blind": sum(task.draft is None for task in tasks)}


def _hand_out(corpus: Corpus, settings: Settings, round_: str, tasks: Sequence[AnnotationTask]) -> None:
    """The tasks stand as exported, with a lease that begins now."""
    if not tasks:
        return
    until = corpus.clock() + timedelta(days=settings.export.due_days)
    ids = [task.task_id for task in tasks]
    with corpus.operation(f"export/{round_}/{digest([until.isoformat(), sorted(ids)])}", "export") as op:
        if not op.done:
            rounds.put_tasks(op.conn, tasks)
            rounds.set_task_state(op.conn, ids, "exported")
            grant_lease(op.conn, [task.utterance_id for task in tasks], until)
            op.result = {"tasks": len(tasks), "blind": sum(task.draft is None for task in tasks)}


def _only(selection: Selection, keep: Mapping[str, float]) -> Selection:
    """Returns the selection without rows that may no longer be opened."""
    rows = np.array([i in keep for i in selection.utterance_ids.tolist()], dtype=bool)
    return Selection(
        round=selection.round,
        utterance_ids=selection.utterance_ids[rows],
        reasons=selection.reasons[rows],
        asks=selection.asks[rows],
        scores=selection.scores[rows],
        inclusion_probs=selection.inclusion_probs[rows],
        costs=selection.costs[rows],
    )


def _drafts(corpus: Corpus, ids: Sequence[str]) -> tuple[dict[str, Hypothesis], dict[str, float], dict[str, str]]:
    """Returns drafts and durations by utterance, and the last question of those who asked for help, by task."""
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
    """The clips of the tasks lie in the folder, readable by its owner alone."""
    import soundfile

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = [i for i, name in names.items() if not (folder / name).exists()]
    for content in door.open(corpus, missing, "annotate", strict=False):
        target = folder / names[content.utterance.utterance_id]
        temporary = target.with_name(f".{target.name}.tmp")
        soundfile.write(temporary, content.audio, content.sample_rate, subtype="PCM_16", format="WAV")
        temporary.replace(target)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the tasks stand that people may hear.

    Attributes:
        rounds: names of all rounds.
        wanted: holder -> ids of the tasks that they may hear, `ANYBODY` where no people are listed: not answered by
            them, leased, and open to annotate at the door.
        over: ids of exported tasks that nobody may hear: overdue, or the consent was withdrawn, or set aside.
        free: holder of a lease and utterance, for leases that serve no task any more.
        until: when the lease of an utterance's holder ends.
    """

    rounds: set[str]
    wanted: dict[str, set[str]]
    over: list[str]
    free: list[tuple[str, str]]
    until: dict[tuple[str, str], datetime]

    @property
    def all_wanted(self) -> list[str]:
        """Returns the ids of all tasks that anybody may hear, sorted."""
        return sorted(set().union(*self.wanted.values()))


def standing(corpus: Corpus) -> Standing:
    """Returns where the tasks stand now."""
    now = corpus.clock()
    with corpus.read() as conn:
        names = {row.round for row in rounds.rounds(conn)}
        tasks = {row.task_id: row for row in rounds.tasks(conn)}
        held = holders(conn, now)
        given = people.assigned(conn, now)
        asked = {row.utterance_id for row in tasks.values() if row.state in OPEN}
        asked |= {each.utterance_id for each in given if each.until}
        shut = door.closures(corpus, conn, sorted(asked), "annotate")
    open_to_all = {i for i, who in held if who == ANYONE}
    wanted: dict[str, set[str]] = {}
    for row in tasks.values():
        if row.state in OPEN and row.utterance_id in open_to_all and row.utterance_id not in shut:
            wanted.setdefault(ANYBODY, set()).add(row.task_id)
    for each in given:
        heard = each.kind == "gold" or tasks[each.task_id].state in OPEN
        if each.waits and heard and each.utterance_id not in shut:
            wanted.setdefault(each.annotator_id, set()).add(each.task_id)
    heard_by_any = set().union(*wanted.values())
    over = [row.task_id for row in tasks.values() if row.state == "exported" and row.task_id not in heard_by_any]
    serving = {(tasks[t].utterance_id, ANYONE) for t in wanted.get(ANYBODY, ())}
    serving |= {(tasks[t].utterance_id, people.holder(w)) for w, own in wanted.items() if w != ANYBODY for t in own}
    ours = {row.utterance_id for row in tasks.values()}
    free = sorted((who, i) for i, who in held if i in ours and (i, who) not in serving)
    until = {(i, who.removeprefix(ANYONE).removeprefix(door.PERSON)): end for (i, who), end in held.items()}
    return Standing(names, wanted, over, free, until)


def sweep(corpus: Corpus, settings: Settings) -> dict[str, int]:
    """No task is open that nobody may hear any more, and the task folder holds nothing of one that is not open.

    Returns:
        closed: how many tasks were; files: how many went.
    """
    now = standing(corpus)
    if now.over or now.free:
        with corpus.operation(f"sweep/{uuid.uuid4().hex}", "sweep") as op:
            rounds.set_task_state(op.conn, now.over, "closed")
            for who in sorted({who for who, _ in now.free}):
                release_lease(op.conn, [i for name, i in now.free if name == who], holder=who)
            op.result = {"closed": len(now.over), "released": len(now.free)}
    gone = task_folder.clear(settings, now.rounds, now.wanted, corpus.clock())
    return {"closed": len(now.over), "files": gone}


def count_waiting(corpus: Corpus) -> dict[str, int]:
    """Returns how many tasks are in each state."""
    with corpus.read() as conn:
        counts: dict[str, int] = {}
        for row in rounds.tasks(conn, None, None):
            counts[row.state] = counts.get(row.state, 0) + 1
    return counts

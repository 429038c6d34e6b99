"""Ask: the chosen stand as tasks before people, with their clips beside them, until they are answered or overdue."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from annotation.files import write_tasks
from annotation.tasks import make_tasks
from corpus import door
from corpus.handle import Corpus
from corpus.records import AnnotationTask, Hypothesis, Selection, digest
from corpus.store import rounds
from corpus.store.leases import grant_lease, leased, release_lease
from flows import models, task_folder
from flows.settings import Settings

OPEN = ("open", "exported")


def export_round(corpus: Corpus, settings: Settings, round_: str, *, again: bool = False) -> dict[str, Any]:
    """The round's open tasks lie in the task folder, `<round>/tasks.jsonl` and a WAV file each, and are leased.

    A repeat writes what is missing of the still open tasks, in the same bytes, and leaves running leases as they are.
    Rows and leases are committed first: no clip lies in clear that nobody may hear, whenever the run is killed.

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
    drafts, durations = _drafts(corpus, ids)
    intent_model = models.load_intent(settings, models.champion(corpus, "intent"))
    tasks = make_tasks(
        _only(selection, durations),
        durations,
        drafts,
        intent_model.intents,
        intent_model.slot_names,
        settings.tasks,
        settings.sampling.seed,
    )
    if not tasks:
        return {"skipped": "no utterance of the round may be heard any more", "tasks": 0}
    out = {i for i in held if asked[i].state == "exported"}
    _hand_out(corpus, settings, round_, [task for task in tasks if task.utterance_id not in out])
    folder = settings.task_folder / round_
    _write_clips(corpus, folder, {task.utterance_id: task.audio for task in tasks})
    write_tasks(folder, tasks)
    return {"tasks": len(tasks), "blind": sum(task.draft is None for task in tasks), "folder": str(folder)}


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


def _drafts(corpus: Corpus, ids: list[str]) -> tuple[dict[str, Hypothesis], dict[str, float]]:
    drafts: dict[str, Hypothesis] = {}
    durations: dict[str, float] = {}
    for content in corpus.open(ids, "annotate", parts=("hypotheses",), strict=False):
        utterance = content.utterance
        durations[utterance.utterance_id] = utterance.duration
        if content.hypotheses:
            drafts[utterance.utterance_id] = content.hypotheses[0]
    return drafts, durations


def _write_clips(corpus: Corpus, folder: Path, names: dict[str, str]) -> None:
    """The clips of the tasks lie in the folder, readable by its owner alone."""
    import soundfile

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = [i for i, name in names.items() if not (folder / name).exists()]
    for content in corpus.open(missing, "annotate", strict=False):
        target = folder / names[content.utterance.utterance_id]
        temporary = target.with_name(f".{target.name}.tmp")
        soundfile.write(temporary, content.audio, content.sample_rate, subtype="PCM_16", format="WAV")
        temporary.replace(target)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the open tasks stand.

    Attributes:
        rounds: names of all rounds.
        wanted: ids of tasks that people may hear: open, leased, and open to annotate at the door.
        over: ids of exported tasks that are not: overdue, or the consent was withdrawn, or the utterance set aside.
        free: utterances whose leases serve no open task any more.
    """

    rounds: set[str]
    wanted: set[str]
    over: list[str]
    free: list[str]


def standing(corpus: Corpus) -> Standing:
    """Returns where the open tasks stand now."""
    with corpus.read() as conn:
        names = {row.round for row in rounds.rounds(conn)}
        tasks = rounds.tasks(conn)
        asked = [row for row in tasks if row.state in OPEN]
        held = leased(conn, corpus.clock())
        shut = door.closures(corpus, conn, sorted({row.utterance_id for row in asked}), "annotate")
    wanted = [row for row in asked if row.utterance_id in held and row.utterance_id not in shut]
    wanted_ids = {row.task_id for row in wanted}
    over = [row for row in asked if row.state == "exported" and row.task_id not in wanted_ids]
    leases = (held & {row.utterance_id for row in tasks}) | {row.utterance_id for row in over}
    return Standing(
        rounds=names,
        wanted=wanted_ids,
        over=[row.task_id for row in over],
        free=sorted(leases - {row.utterance_id for row in wanted}),
    )


def sweep(corpus: Corpus, settings: Settings) -> dict[str, int]:
    """No task is open that nobody may hear any more, and the task folder holds nothing of one that is not open.

    Returns:
        closed: how many tasks were; files: how many went.
    """
    now = standing(corpus)
    if now.over or now.free:
        with corpus.operation(f"sweep/{uuid.uuid4().hex}", "sweep") as op:
            rounds.set_task_state(op.conn, now.over, "closed")
            release_lease(op.conn, now.free)
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

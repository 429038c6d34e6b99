"""Ask: the chosen stand as tasks before people, with their clips beside them, until they are answered or overdue."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from annotation.files import TASK_FILE, write_tasks
from annotation.tasks import make_tasks
from corpus.handle import Corpus
from corpus.records import Hypothesis, Selection
from corpus.store import rounds
from corpus.store.leases import grant_lease, leased, release_lease
from flows import models
from flows.settings import Settings


def export_round(corpus: Corpus, settings: Settings, round_: str) -> dict[str, Any]:
    """The round's open tasks lie in the task folder: `<round>/tasks.jsonl` and a WAV file each.

    A repeat writes what is missing of the still open tasks, in the same bytes.
    """
    with corpus.read() as conn:
        if round_ not in {row.round for row in rounds.rounds(conn)}:
            return {"skipped": f"round {round_} chose nothing", "tasks": 0}
        selection = rounds.selection(conn, round_)
        asked = {row.utterance_id: row for row in rounds.tasks(conn, round_, None)}
    ids = [str(i) for i in selection.utterance_ids if i not in asked or asked[i].state in ("open", "exported")]
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
    folder = settings.task_folder / round_
    _write_clips(corpus, folder, {task.utterance_id: task.audio for task in tasks})
    write_tasks(folder, tasks)
    until = corpus.clock() + timedelta(days=settings.export.due_days)
    with corpus.operation(f"export/{round_}", "export") as op:
        if not op.done:
            rounds.put_tasks(op.conn, tasks)
            rounds.set_task_state(op.conn, [task.task_id for task in tasks], "exported")
            grant_lease(op.conn, [task.utterance_id for task in tasks], until)
            op.result = {"tasks": len(tasks), "blind": sum(task.draft is None for task in tasks)}
        return {**op.result, "folder": str(folder)}


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


def sweep(corpus: Corpus, settings: Settings) -> int:
    """Returns how many clips went: those of tasks that are answered, closed or overdue. Empty rounds go whole."""
    with corpus.read() as conn:
        tasks = {row.task_id: row for row in rounds.tasks(conn)}
        held = leased(conn, corpus.clock())
    open_ids = {row.utterance_id for row in tasks.values() if row.state in ("open", "exported")}
    finished = sorted(held & {row.utterance_id for row in tasks.values()} - open_ids)
    if finished:
        with corpus.operation(f"release/{uuid.uuid4().hex}", "release") as op:
            release_lease(op.conn, finished)
            op.result = {"utterances": len(finished)}
    wanted = open_ids & held
    gone = 0
    folders = sorted(settings.task_folder.iterdir()) if settings.task_folder.is_dir() else []
    for folder in (path for path in folders if (path / TASK_FILE).exists()):
        for clip in sorted(folder.glob("*.wav")):
            if clip.stem not in tasks or tasks[clip.stem].utterance_id not in wanted:
                clip.unlink()
                gone += 1
        if not any(folder.glob("*.wav")):
            shutil.rmtree(folder)
    return gone


def count_waiting(corpus: Corpus) -> dict[str, int]:
    """Returns how many tasks are in each state."""
    with corpus.read() as conn:
        counts: dict[str, int] = {}
        for row in rounds.tasks(conn, None, None):
            counts[row.state] = counts.get(row.state, 0) + 1
    return counts

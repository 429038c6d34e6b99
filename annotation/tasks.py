"""Tasks from a selection: the questions to annotators, in order of value, with or without the models' draft."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from math import inf
from typing import Final, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError, UsageError
from corpus.records.annotations import AnnotationTask, Selection, task_id
from corpus.records.arrivals import Hypothesis, check_spans
from corpus.records.base import Ask, digest
from corpus.records.inventory import Inventory

CLIP_SUFFIX: Final = ".wav"
"""Suffix of the clips' file names. No setting: clips are WAV files, and are deleted by this suffix."""


ALWAYS_BLIND: Final[Mapping[str, str]] = {"audit": "audit rows", "again": "questions asked again"}
"""Reasons of rows whose tasks never show a draft."""


class TaskSettings(BaseModel):
    """What annotators see of a task.

    Attributes:
        blind_share: Share of the tasks whose draft is withheld, drawn at random, so that their answers are not
            influenced by the draft. Audit rows, and questions that are asked again, are always blind, in addition to
            this share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    blind_share: float = Field(default=0.2, ge=0.0, le=1.0)


def keep_rows(selection: Selection, ids: Container[str]) -> Selection:
    """Return the selection with only the rows of these utterances."""
    rows = np.array([utterance_id in ids for utterance_id in selection.utterance_ids.tolist()], dtype=bool)
    return Selection(
        round=selection.round,
        utterance_ids=selection.utterance_ids[rows],
        reasons=selection.reasons[rows],
        asks=selection.asks[rows],
        scores=selection.scores[rows],
        inclusion_probs=selection.inclusion_probs[rows],
        costs=selection.costs[rows],
    )


def make_tasks(
    selection: Selection,
    durations: Mapping[str, float],
    drafts: Mapping[str, Hypothesis],
    inventory: Inventory,
    settings: TaskSettings,
    seed: int,
) -> list[AnnotationTask]:
    """Return one task for each row of the selection, in the selection's order: most valuable first.

    Audit rows are always blind: they are for judging models, and a person who corrects a draft overlooks some of its
    errors, which would favour the model that wrote the draft. So are questions that are asked again, since a model
    doubted their labels. Of the other rows a random `blind_share` is blind too.

    Args:
        selection: M rows.
        durations: utterance id -> length of the clip [s].
        drafts: utterance id -> best hypothesis; a task without one is blind.
        inventory: intents and slots to choose from.
        settings: see `TaskSettings`.
        seed: of the draw of blind tasks.

    Raises:
        UsageError: a duration is missing, or a draft's slots don't match its text; the message names the utterance.
    """
    tasks = []
    rows = zip(selection.utterance_ids.tolist(), selection.reasons.tolist(), selection.asks.tolist(), strict=True)
    for utterance_id, reason, ask in rows:
        duration = float(durations.get(utterance_id, 0.0))
        if not 0.0 < duration < inf:
            raise UsageError(f"utterance {utterance_id} has no duration; select from utterances that were ingested")
        id_ = task_id(selection.round, utterance_id, ask)
        blind = reason in ALWAYS_BLIND or is_blind(id_, settings.blind_share, seed)
        draft = None if blind else _as_shown(drafts.get(utterance_id), utterance_id, inventory)
        tasks.append(
            AnnotationTask(
                task_id=id_,
                round=selection.round,
                utterance_id=utterance_id,
                ask=cast(Ask, ask),
                audio=id_ + CLIP_SUFFIX,
                duration=duration,
                intents=inventory.intents.names,
                slot_names=inventory.slots.names,
                draft=draft,
                intent_notes=inventory.intents.notes,
                slot_notes=inventory.slots.notes,
            )
        )
    return tasks


def is_blind(task_id: str, share: float, seed: int) -> bool:
    """Return whether the draft of a task is withheld: true for `share` of all ids, by a hash of seed and id.

    So neither the order of the tasks nor other tasks change it, and a larger share only adds blind tasks.
    """
    uniform = int(digest([seed, "blind", task_id])[:13], 16) / 16**13
    return uniform < share


def _as_shown(draft: Hypothesis | None, utterance_id: str, inventory: Inventory) -> Hypothesis | None:
    """Return the draft with the names in use; an intent or a slot outside the inventory is not shown."""
    if draft is None:
        return None
    try:
        check_spans(draft.text, draft.slots, f"draft of utterance {utterance_id}")
    except RecordError as error:
        raise UsageError(f"{error}; score the utterance again") from None
    # Without the weight: a confidence would influence people even more than the draft does.
    named = [(slot, inventory.slots.resolve(slot.name)) for slot in draft.slots]
    slots = tuple(replace(slot, name=name) for slot, name in named if name is not None)
    return replace(draft, weight=1.0, intent=inventory.intents.resolve(draft.intent) or "", slots=slots)

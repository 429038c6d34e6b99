"""A selection becomes questions to people: what is asked, in which order, and who sees the models' draft."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError, UsageError
from corpus.records.annotations import AnnotationTask, Selection, task_id
from corpus.records.arrivals import Hypothesis, check_spans
from corpus.records.base import Ask, digest

CLIP_SUFFIX: Final = ".wav"
"""Ending of the clips' file names. No setting: clips are written as WAV, and swept by this name."""


class TaskSettings(BaseModel):
    """What annotators see of a task.

    Attributes:
        blind_share: Share of the tasks whose draft is withheld, drawn at random, so that their answers are not
            influenced by the draft. Audit rows are always blind, on top of this share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    blind_share: float = Field(default=0.2, ge=0.0, le=1.0)


def keep_rows(selection: Selection, ids: Container[str]) -> Selection:
    """Return the selection with the rows of these utterances alone."""
    rows = np.array([i in ids for i in selection.utterance_ids.tolist()], dtype=bool)
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
    intents: Sequence[str],
    slot_names: Sequence[str],
    settings: TaskSettings,
    seed: int,
) -> list[AnnotationTask]:
    """Return one task for each row of the selection, in the selection's order: most valuable first.

    Audit rows are always blind: they judge the models, and a person who corrects a model's draft leaves some of its
    errors standing, which would flatter the model that wrote it. Of the others, a random `blind_share` is blind too.

    Args:
        selection: M rows.
        durations: utterance id -> length of the clip [s].
        drafts: utterance id -> best hypothesis. An utterance without one is asked about blind.
        intents: the inventory.
        slot_names: the slots that may be marked.
        settings: see `TaskSettings`.
        seed: of the draw of blind tasks.

    Raises:
        UsageError: a duration is missing, or a draft's slots don't match its text; names the utterance.
    """
    inventory, slots = tuple(intents), tuple(slot_names)
    tasks = []
    rows = zip(selection.utterance_ids.tolist(), selection.reasons.tolist(), selection.asks.tolist(), strict=True)
    for utterance_id, reason, ask in rows:
        duration = float(durations.get(utterance_id, 0.0))
        if not 0.0 < duration < inf:
            raise UsageError(f"utterance {utterance_id} has no duration; select from utterances that were ingested")
        id_ = task_id(selection.round, utterance_id, ask)
        blind = reason == "audit" or is_blind(id_, settings.blind_share, seed)
        draft = None if blind else _as_shown(drafts.get(utterance_id), utterance_id)
        tasks.append(
            AnnotationTask(
                task_id=id_,
                round=selection.round,
                utterance_id=utterance_id,
                ask=cast(Ask, ask),
                audio=id_ + CLIP_SUFFIX,
                duration=duration,
                intents=inventory,
                slot_names=slots,
                draft=draft,
            )
        )
    return tasks


def is_blind(task_id: str, share: float, seed: int) -> bool:
    """Say whether the draw hides the draft of a task: true for `share` of all ids, by a hash of seed and id.

    So neither the order nor the company of the tasks changes it, and a larger share only adds tasks.
    """
    uniform = int(digest([seed, "blind", task_id])[:13], 16) / 16**13
    return uniform < share


def _as_shown(draft: Hypothesis | None, utterance_id: str) -> Hypothesis | None:
    if draft is None:
        return None
    try:
        check_spans(draft.text, draft.slots, f"draft of utterance {utterance_id}")
    except RecordError as error:
        raise UsageError(f"{error}; score the utterance again") from None
    # The weight stays behind: a confidence beside the draft would anchor people more than the draft itself.
    return replace(draft, weight=1.0)

"""Score the clips of a damaged part again, by the versions that scored it, and put the result in its place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import Damaged, Refused, UsageError
from corpus.handle import Corpus
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids, prediction_parts
from corpus.storage.operations import Overtaken
from corpus.tables import erasure, scores
from corpus.tables import models as store
from flows.steps.score import ScoreReport, score_clips

if TYPE_CHECKING:
    from training.score import ScoreSettings


@dataclass(frozen=True, slots=True)
class PartPlan:
    """What is scored again.

    Attributes:
        part: path of the damaged part below the content root.
        ids: of its utterances.
        asr, intent: the versions that scored it.
    """

    part: str
    ids: tuple[str, ...]
    asr: ModelVersion
    intent: ModelVersion


def plan_part(corpus: Corpus, part: str) -> PartPlan | None:
    """Return what is to be scored again; None where the part is what was written.

    Raises:
        UsageError: the records name no such part.
    """
    with corpus.read() as conn:
        found = scores.scored_in(conn, part)
        if found is None:
            raise UsageError(
                f"--part {part}: there is no such part; earmark doctor --deep names those that are damaged"
            )
        (asr, intent), ids = found
        plan = PartPlan(part, tuple(ids), store.version(conn, "asr", asr), store.version(conn, "intent", intent))
    try:
        prediction_parts.verified(corpus.fs, corpus.root, part)
    except Damaged:
        return plan
    return None


def sound_part(corpus: Corpus, part: str) -> ScoreReport:
    """Return the report on a part that needs no work."""
    with corpus.read() as conn:
        found = scores.scored_in(conn, part)
    assert found is not None  # `plan_part` refuses all others
    (asr, intent), ids = found
    why = f"{part} is what was written"
    return ScoreReport(skipped=why, scored=0, already=len(ids), set_aside={}, not_opened=0, asr=asr, intent=intent)


def score_part(corpus: Corpus, settings: ScoreSettings, home: Path, plan: PartPlan) -> ScoreReport:
    """Score the clips of a damaged part again and replace it; its transcripts stay.

    Args:
        corpus: the handle.
        settings: how to score.
        home: the folder with the models.
        plan: the part.

    Raises:
        Refused: an utterance of the part was erased meanwhile.
    """
    scored, damaged = score_clips(corpus, settings, home, plan.asr, plan.intent, plan.ids)
    predictions = scored.predictions if len(scored.predictions) else None
    nothing = scores.WrittenScores(None, None)
    written = nothing if predictions is None else scores.write_again(corpus, plan.part, predictions)
    try:
        with corpus.operation(operation_ids.score_part(), "score") as op:
            count = scores.replace_part(op, plan.part, written)
            op.result = {"part": plan.part, "scored": count, "of": len(plan.ids)}
    except Overtaken:
        raise Refused(f"--part {plan.part}: an erasure changed it meanwhile; run earmark doctor --deep again") from None
    erasure.purge(corpus)
    return ScoreReport(
        scored=count,
        already=0,
        set_aside=dict(sorted(Counter(scored.set_aside.values()).items())),
        not_opened=len(plan.ids) - count - len(scored.set_aside) - damaged,
        damaged=damaged,
        asr=plan.asr.version,
        intent=plan.intent.version,
    )

"""Score: what the champions hear in an utterance, and how sure they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from corpus import door, memory
from corpus.handle import Corpus
from corpus.records import Floats, ModelVersion, digest
from corpus.store import scores, utterances
from flows import models
from flows.console import counting, progress
from flows.settings import Settings


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """What one run scores.

    Attributes:
        asr, intent: the versions that score.
        shards: ids by shard. A shard is cut from all ids that were given, scored or not, so that a run that was killed
            and one that was not batch alike.
        already: how many were scored before.
        numbers_only: utterances that a model at work has learned from. Their new transcripts are kept nowhere: a model
            knows by heart what it learned, and the intent model is to learn from drafts with everyday errors.
    """

    asr: ModelVersion
    intent: ModelVersion
    shards: tuple[tuple[str, ...], ...]
    already: int
    numbers_only: frozenset[str] = frozenset()


def plan(
    corpus: Corpus, settings: Settings, ids: Sequence[str], numbers_only: frozenset[str] = frozenset()
) -> ScorePlan:
    """Returns the shards of the utterances that the champions have not scored."""
    asr, intent = models.champion(corpus, "asr"), models.champion(corpus, "intent")
    with corpus.read() as conn:
        unscored = set(scores.unscored(conn, ids, asr.version, intent.version))
    size = settings.score.shard_size
    ids = sorted(ids)
    shards = [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]
    due = tuple(todo for shard in shards if (todo := tuple(i for i in shard if i in unscored)))
    return ScorePlan(asr, intent, due, len(ids) - len(unscored), numbers_only)


def score_shard(corpus: Corpus, settings: Settings, plan: ScorePlan, ids: Sequence[str]) -> dict[str, Any]:
    """The shard's predictions and hypotheses are stored; a row that is not finite is set aside with its reason."""
    from training.predict import predict

    opened = list(utterance_order(corpus, ids))
    with progress("score", len(opened)) as advance:
        scored = predict(
            _clips(corpus, opened),
            models.load_asr(settings, plan.asr),
            models.load_intent(settings, plan.intent),
            settings.score,
            on_progress=counting(advance),
            asr_version=plan.asr.version,
            intent_version=plan.intent.version,
        )
    memory.give_back()
    heard = sorted([*scored.predictions.utterance_ids.tolist(), *scored.set_aside])
    if not heard:  # all closed by now: nothing was done that a repeat could leave out
        return {"scored": 0, "set_aside": {}, "not_opened": len(ids)}
    key = digest([plan.asr.version, plan.intent.version, heard])
    with corpus.operation(f"score/{key}", "score") as op:
        if not op.done:
            drafts = {i: found for i, found in scored.hypotheses.items() if i not in plan.numbers_only}
            scores.put(corpus, op, scored.predictions, drafts)
            for reason in sorted(set(scored.set_aside.values())):
                aside = sorted(i for i, why in scored.set_aside.items() if why == reason)
                utterances.set_aside(op.conn, aside, reason)
            op.result = {
                "scored": len(scored.predictions),
                "set_aside": dict(sorted(Counter(scored.set_aside.values()).items())),
                "not_opened": len(ids) - len(scored.predictions) - len(scored.set_aside),
            }
        return dict(op.result)


def utterance_order(corpus: Corpus, ids: Sequence[str]) -> list[str]:
    """Returns the ids as their audio lies in the packs."""
    with corpus.read() as conn:
        return utterances.reading_order(conn, ids)


def _clips(corpus: Corpus, ids: Sequence[str]) -> Iterator[tuple[str, Floats]]:
    for content in door.open(corpus, ids, "score", strict=False):
        if content.audio is not None:
            yield content.utterance.utterance_id, content.audio


def total(plan: ScorePlan, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the shards' reports as one."""
    aside: Counter[str] = Counter()
    for report in reports:
        aside.update(report["set_aside"])
    return {
        "scored": sum(report["scored"] for report in reports),
        "already": plan.already,
        "set_aside": dict(sorted(aside.items())),
        "not_opened": sum(report["not_opened"] for report in reports),
        "asr": plan.asr.version,
        "intent": plan.intent.version,
    }

"""Score: transcribe utterances with the champions, predict intents, and store how certain both are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import door
from corpus.errors import Damaged
from corpus.handle import Corpus
from corpus.ingest import malloc_trim
from corpus.records.base import Floats, Kind, digest
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.storage.operations import Overtaken
from corpus.tables import scores, utterances
from flows.models import registry
from flows.models.known_texts import ChampionOnLabels
from flows.runtime import progress
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.score import ScoreResult, ScoreSettings


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """What one run scores.

    Attributes:
        asr, intent: the champions that score.
        shards: ids of unscored utterances by shard. Shards are cut from all given ids, scored or not, so that the rest
            of a killed run has the same batches.
        already: how many utterances were scored before.
        numbers_only: utterances from which a champion has learned. Their scores are stored without transcripts: a model
            reproduces what it learned, and the intent model has to learn from drafts with everyday errors.
        is_empty: whether the home has no utterance at all.
    """

    asr: ModelVersion
    intent: ModelVersion
    shards: tuple[tuple[str, ...], ...]
    already: int
    numbers_only: frozenset[str] = frozenset()
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class ShardReport(Result):
    """What became of a shard's utterances.

    Attributes:
        scored: how many were scored.
        set_aside: how many had scores that are not finite, by reason.
        not_opened: how many may not be opened any more.
        damaged: how many have a clip or a key that is not what was written.
    """

    scored: int
    set_aside: Mapping[str, int]
    not_opened: int
    damaged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport(Result):
    """What became of a run's utterances.

    Attributes:
        skipped: why there was nothing to do.
        already: how many utterances the same versions scored before.
        scored, set_aside, not_opened, damaged: see `ShardReport`.
        asr, intent: the versions that scored.
        rescored: how many labelled utterances today's champions scored again.
        champions: how the champions do on labelled clips, by kind; None in the report of a part of the work.
    """

    skipped: str | None = None
    scored: int
    already: int
    set_aside: Mapping[str, int]
    not_opened: int
    damaged: int = 0
    asr: str
    intent: str
    rescored: int | None = None
    champions: Mapping[Kind, ChampionOnLabels] | None = None


def plan(
    corpus: Corpus, settings: ScoreSettings, ids: Sequence[str], numbers_only: frozenset[str] = frozenset()
) -> ScorePlan:
    """Return the utterances that the champions have not scored, cut into shards."""
    asr, intent = registry.champion(corpus, "asr"), registry.champion(corpus, "intent")
    with corpus.read() as conn:
        unscored = set(scores.unscored(conn, ids, asr.version, intent.version))
        is_empty = not ids and not utterances.counts(conn)["accepted"]
    size = settings.shard_size
    ids = sorted(ids)
    shards = [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]
    due = tuple(todo for shard in shards if (todo := tuple(i for i in shard if i in unscored)))
    return ScorePlan(asr, intent, due, len(ids) - len(unscored), numbers_only, is_empty)


def score_shard(
    corpus: Corpus, settings: ScoreSettings, home: Path, plan: ScorePlan, ids: Sequence[str]
) -> ShardReport:
    """Score a shard and store its predictions and hypotheses; utterances with scores that are not finite are set aside.

    Args:
        corpus: the handle.
        settings: how to score.
        home: the folder with the models.
        plan: the plan of the run.
        ids: the shard's utterances.
    """
    started = time.perf_counter()
    scored, damaged = score_clips(corpus, settings, home, plan.asr, plan.intent, ids)
    took = time.perf_counter() - started
    done = sorted([*scored.predictions.utterance_ids.tolist(), *scored.set_aside])
    if not done:  # none may be opened any more, so there is nothing to store
        return ShardReport(0, {}, len(ids) - damaged, damaged)
    seconds = took * len(scored.predictions) / len(done)
    operation_id = operation_ids.score(digest([plan.asr.version, plan.intent.version, done]))
    report = ShardReport(
        len(scored.predictions),
        dict(sorted(Counter(scored.set_aside.values()).items())),
        len(ids) - len(done) - damaged,
        damaged,
    )
    drafts = {i: found for i, found in scored.hypotheses.items() if i not in plan.numbers_only}
    while True:
        written = scores.write(corpus, scored.predictions)
        try:
            with corpus.operation(operation_id, "score") as op:
                if not op.done:
                    scores.put(corpus, op, scored.predictions, drafts, seconds, written)
                    for reason in report.set_aside:
                        aside = sorted(i for i, why in scored.set_aside.items() if why == reason)
                        utterances.set_aside(op.conn, aside, reason)
                    if report.set_aside:
                        op.state |= utterances.set_aside_digest(op.conn)
                    op.result = report.to_json()
                return ShardReport(**op.result)
        except Overtaken:
            continue


def score_clips(
    corpus: Corpus,
    settings: ScoreSettings,
    home: Path,
    by_asr: ModelVersion,
    by_intent: ModelVersion,
    ids: Sequence[str],
) -> tuple[ScoreResult, int]:
    """Score the clips that may be opened; return the result, and how many are damaged and left out.

    Args:
        corpus: the handle.
        settings: how to score.
        home: the folder with the models.
        by_asr: version of the speech model.
        by_intent: version of the intent model.
        ids: of the clips.
    """
    from training.score import score_utterances

    asr, intent = registry.load_asr(home, by_asr), registry.load_intent(home, by_intent)
    corpus, damaged = _counting_damage(corpus)
    opened = list(utterance_order(corpus, ids))
    with corpus.read() as conn:
        locales = utterances.locales(conn, opened)
    by = f"asr/{by_asr.version} and intent/{by_intent.version}"
    with progress.track(f"scoring {len(opened)} clips with {by}", len(opened), "clips") as advance:
        scored = score_utterances(
            _clips(corpus, opened),
            asr,
            intent,
            settings,
            on_progress=progress.counting(advance),
            asr_version=by_asr.version,
            intent_version=by_intent.version,
            locales=locales,
        )
    malloc_trim.trim_malloc()
    return scored, len(damaged)


def _counting_damage(corpus: Corpus) -> tuple[Corpus, list[Damaged]]:
    """Return the handle, and a list that takes the damaged clips that are left out when it is used."""
    if corpus.on_damaged is None:
        return corpus, []
    found: list[Damaged] = []
    tell = corpus.on_damaged

    def on_damaged(error: Damaged) -> None:
        found.append(error)
        tell(error)

    return replace(corpus, on_damaged=on_damaged), found


def utterance_order(corpus: Corpus, ids: Sequence[str]) -> list[str]:
    """Return the ids in the order of their audio in the packs."""
    with corpus.read() as conn:
        return utterances.reading_order(conn, ids)


def _clips(corpus: Corpus, ids: Sequence[str]) -> Iterator[tuple[str, Floats]]:
    """Yield id and samples of every utterance that may be opened."""
    for content in door.open(corpus, ids, "score", strict=False):
        if content.audio is not None:
            yield content.utterance.utterance_id, content.audio


def _why_nothing(plan: ScorePlan) -> str:
    """Return why there was nothing to score."""
    if plan.already:
        return f"all {plan.already} utterances are scored by the champions"
    if plan.is_empty:
        return "nothing is ingested yet; earmark ingest MANIFEST brings the first utterances"
    return "no utterance arrived in the time that was asked for; earmark nights lists the nights that have some"


def total(plan: ScorePlan, reports: Sequence[ShardReport]) -> ScoreReport:
    """Return the reports of all shards as one."""
    aside: Counter[str] = Counter()
    for report in reports:
        aside.update(report.set_aside)
    return ScoreReport(
        skipped=None if plan.shards else _why_nothing(plan),
        scored=sum(report.scored for report in reports),
        already=plan.already,
        set_aside=dict(sorted(aside.items())),
        not_opened=sum(report.not_opened for report in reports),
        damaged=sum(report.damaged for report in reports),
        asr=plan.asr.version,
        intent=plan.intent.version,
    )

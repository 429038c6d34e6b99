"""What earlier answers teach the next choice: curves to real errors, costs, what is covered, and hidden cohorts.

Nothing of it is stored: it is computed anew from the labels that stand, so what was erased or withdrawn has no part in
it. Scores are compared with answers only where the models at work gave them and learned from neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from corpus import door
from corpus.handle import Corpus
from corpus.records import Ask, Floats, Predictions
from corpus.store import labels, rounds, scores
from corpus.store import models as store
from corpus.store.labels import LabelRow
from flows import models
from flows.settings import Settings
from sampling.cost import MIN_ROWS, CostModel, fit_costs

if TYPE_CHECKING:
    from sampling.calibration import Calibrator
    from sampling.cohorts import Cohort
    from sampling.pool import Pool
    from sampling.reliability import Evidence, Reliability

MEASURED = {"words": "expected_errors", "intent": "margin"}
"""The measure that speaks of each kind of error."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a round takes from the answers to earlier ones.

    Attributes:
        costs: expected annotator seconds, learned where answers suffice.
        answers: how many timed answers stand behind them, by question.
        calibrators: by measure.
        reliability: how far each curve can be believed, by kind of error (`words`, `intent`).
        embeddings: (M, D) of what is learned from, as the models at work see it; None: nothing is.
        cohorts: hidden groups that err more.
        labelled, scored, unseen: labelled rows that could teach; of them scored by the models at work; of them chosen
            by a round and not learned from by these models, which curves rest on.
    """

    costs: CostModel
    answers: Mapping[str, int]
    calibrators: Mapping[str, Calibrator] = field(default_factory=dict)
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    embeddings: Floats | None = None
    cohorts: Sequence[Cohort] = ()
    labelled: int = 0
    scored: int = 0
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled rows that may teach a choice: all but held-out ones, audit rows first, then by id.

    Attributes:
        rows: at most `learned.rows` of them; ids are as good as random, so a part of them is a fair part.
        learned_from: ids that a champion learned from or was watched by.
        asr, intent: versions of the champions.
    """

    rows: tuple[LabelRow, ...]
    learned_from: frozenset[str]
    asr: str
    intent: str


def labelled(corpus: Corpus, settings: Settings) -> Labelled:
    """Returns the labelled rows that may teach a choice, and what the champions know of them."""
    asr, intent = models.champion(corpus, "asr"), models.champion(corpus, "intent")
    with corpus.read() as conn:
        rows = [row for row in labels.current(conn) if row.reason != "held_out"]
        taught = {
            row.utterance_id
            for version in (asr, intent)
            if version.snapshot_id
            for row in store.snapshot(conn, version.snapshot_id).rows
            if row.role != "audit"
        }
    rows.sort(key=lambda row: (row.reason != "audit", row.utterance_id))
    return Labelled(tuple(rows[: settings.learned.rows]), frozenset(taught), asr.version, intent.version)


def know(corpus: Corpus, settings: Settings, round_: str) -> Known:
    """Returns what the answers so far teach a round."""
    from sampling.reliability import fit_all

    costs, answers = learned_costs(corpus, settings)
    held = labelled(corpus, settings)
    with corpus.read() as conn:
        ids = [row.utterance_id for row in held.rows]
        missing = set(scores.unscored(conn, ids, held.asr, held.intent))
    rows = [row for row in held.rows if row.utterance_id not in missing]
    known = Known(costs, answers, labelled=len(ids), scored=len(rows))
    if not rows:
        return known
    predictions = scores.predictions(corpus, [row.utterance_id for row in rows], held.asr, held.intent)
    covered = np.array([not row.judges for row in rows])
    found = _found(corpus, held, rows, predictions)
    evidence = {kind: _evidence(found, kind) for kind in MEASURED}
    curves, reliability = fit_all(evidence, settings.sampling.seed)
    return replace(
        known,
        calibrators={MEASURED[kind]: curve for kind, curve in curves.items()},
        reliability=reliability,
        embeddings=predictions.embeddings[covered] if covered.any() else None,
        cohorts=_cohorts(settings, found, round_),
        unseen=len(found.rows),
    )


def informed(pool: Pool, known: Known) -> Pool:
    """Returns the pool with what is known: embeddings that are covered, and the cohort of every row."""
    from sampling.cohorts import SLICE, members

    slices = dict(pool.slices)
    if known.cohorts:
        slices[SLICE] = members(list(known.cohorts), pool.embeddings)
    return replace(pool, known_embeddings=known.embeddings, slices=slices)


# --- costs ------------------------------------------------------------------------------------------------------------


def learned_costs(corpus: Corpus, settings: Settings) -> tuple[CostModel, dict[str, int]]:
    """Returns the costs that fit the lead times of the newest answers, and how many timed ones there are by question.

    A question that few have answered keeps the costs of the settings.
    """
    with corpus.read() as conn:
        order = {row.round: k for k, row in enumerate(rounds.rounds(conn))}
        answers = [row for row in labels.latest_answers(conn) if row.lead_time > 0]
    answers.sort(key=lambda row: (-order.get(row.round, -1), row.task_id, row.annotator_id))
    answers = answers[: settings.learned.answers]
    tokens = scores.column(corpus, sorted({row.utterance_id for row in answers}), "num_tokens")
    answers = [row for row in answers if row.utterance_id in tokens]
    asks = np.array([row.ask for row in answers], dtype=np.str_)
    fitted = fit_costs(
        asks,
        np.array([row.duration for row in answers]),
        np.array([tokens[row.utterance_id] for row in answers]),
        np.array([row.lead_time for row in answers]),
        prior=settings.cost,
    )
    return fitted, dict(sorted(Counter(asks.tolist()).items()))


def told_costs(costs: CostModel, answers: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Returns the costs by question, with how many timed answers there are and whether they suffice to learn from."""
    return {
        ask: {**costs.of(ask).model_dump(), "answers": answers.get(ask, 0), "learned": answers.get(ask, 0) >= MIN_ROWS}
        for ask in get_args(Ask)
    }


# --- evidence ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """What people found on rows that the models at work scored and did not learn from.

    Attributes:
        rows: R labels.
        predictions: R rows.
        errors, words: (R,) word errors of the best transcript, and words that were said; NaN where nobody wrote it.
        wrong: (R,) 1 where the top intent is not the label's; NaN where nobody said it.
    """

    rows: Sequence[LabelRow]
    predictions: Predictions
    errors: npt.NDArray[np.float64]
    words: npt.NDArray[np.float64]
    wrong: npt.NDArray[np.float64]


def _found(corpus: Corpus, held: Labelled, rows: Sequence[LabelRow], predictions: Predictions) -> _Found:
    """Labels and transcripts are read through the door, for judging: the models are compared with what people heard."""
    from corpus.text import words
    from training.evaluate import word_edits

    at = {row.utterance_id: k for k, row in enumerate(rows) if row.reason and row.utterance_id not in held.learned_from}
    opened = door.open(
        corpus, sorted(at), "judge", parts=("hypotheses", "label"), strict=False, versions=(held.asr, held.intent)
    )
    spoken: dict[str, str] = {}
    heard: dict[str, str] = {}
    intents: dict[str, str] = {}
    for content in opened:
        i, label = content.utterance.utterance_id, content.label
        if label is None:
            continue
        if label.intent is not None:
            intents[i] = label.intent
        if label.transcript is not None and content.hypotheses:
            spoken[i], heard[i] = label.transcript, content.hypotheses[0].text
    edits = dict(zip(sorted(spoken), word_edits(spoken, heard).sum(axis=1).tolist(), strict=True))
    ids = sorted(spoken.keys() | intents.keys())
    kept = np.array([at[i] for i in ids], dtype=np.intp)
    mine = predictions.take(kept)
    top = [mine.intents[k] for k in mine.intent_probs.argmax(axis=1)] if ids else []
    return _Found(
        rows=[rows[k] for k in kept],
        predictions=mine,
        errors=np.array([edits.get(i, np.nan) for i in ids], dtype=np.float64),
        words=np.array([len(words(spoken[i])) if i in spoken else np.nan for i in ids], dtype=np.float64),
        wrong=np.array([float(t != intents[i]) if i in intents else np.nan for i, t in zip(ids, top, strict=True)]),
    )


def _columns(found: _Found) -> tuple[Any, Any, Any]:
    weights = np.array([1.0 / row.inclusion_prob for row in found.rows])
    speakers = np.array([row.speaker_id for row in found.rows], dtype=np.str_)
    return weights, speakers, np.array([row.reason == "audit" for row in found.rows], dtype=np.bool_)


def _evidence(found: _Found, kind: str) -> Evidence:
    from sampling.measures import measure
    from sampling.reliability import Evidence

    outcomes = found.errors if kind == "words" else found.wrong
    told = np.isfinite(outcomes)
    weights, speakers, audit = _columns(found)
    measured = measure(MEASURED[kind], found.predictions)
    return Evidence(measured[told], outcomes[told], weights[told], speakers[told], audit[told])


def _cohorts(settings: Settings, found: _Found, round_: str) -> list[Cohort]:
    """Only audit rows say where errors lie in the traffic: rows chosen for their doubt err more wherever they are."""
    from sampling.cohorts import find_cohorts
    from sampling.seeds import generator

    if settings.sampling.cohorts.share == 0:
        return []
    weights, speakers, audit = _columns(found)
    share = np.minimum(1.0, found.errors / np.maximum(1.0, found.words))
    errors = {"words": share[audit], "intent": found.wrong[audit]}
    rng = generator(settings.sampling.seed, round_, "cohorts")
    vectors = found.predictions.embeddings[audit]
    return find_cohorts(vectors, errors, weights[audit], speakers[audit], rng, settings.sampling.cohorts)

"""Evidence from earlier labels for the next round: calibration of measures, costs, covered embeddings, hidden cohorts.

It is not stored but computed anew from the current labels, so that erased or withdrawn labels have no influence. Scores
are compared with labels only if they are from the champions and the champions did not learn from these utterances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from corpus import door
from corpus.handle import Corpus
from corpus.records.base import Floats
from corpus.records.predictions import Predictions
from corpus.tables import labels, scores, snapshots
from corpus.tables.inventory import names_now
from corpus.tables.labels import LabelRow
from flows.models import registry
from flows.rounds.annotation_costs import fitted_costs
from flows.runtime import progress
from flows.runtime.settings import LearnedSettings
from sampling.budget import SamplingSettings
from sampling.cost import CostModel

if TYPE_CHECKING:
    from sampling.calibration import Calibrator
    from sampling.cohorts import Cohort
    from sampling.findings import Findings
    from sampling.pool import Pool
    from sampling.reliability import Reliability


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """The evidence from earlier rounds that a new round uses.

    Attributes:
        costs: expected annotator seconds, learned where there are enough answers.
        answers: number of timed answers by question.
        calibrators: calibration curve from score to real error, by measure.
        reliability: reliability of each calibration curve, by kind of error (`words`, `intent`).
        embeddings: (M, D) float32 embeddings by the champions of labelled utterances that train; None where
            there are none.
        cohorts: hidden groups of utterances with a higher error rate.
        labelled: number of labelled rows that may be used.
        scored: number of those that the champions scored.
        unseen: number of those that a round chose and the champions did not learn from; curves are fitted to them.
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
class LabelledRows:
    """The labelled rows that may be used for the next round: all but held-out ones, audit rows first, then by id.

    Attributes:
        rows: at most `learned.rows` of them; ids are random, so that the first of them are a fair sample.
        learned_from: ids that a champion was trained on, or that were used for its early stopping.
        asr, intent: versions of the champions.
    """

    rows: tuple[LabelRow, ...]
    learned_from: frozenset[str]
    asr: str
    intent: str


def labelled_rows(corpus: Corpus, settings: LearnedSettings) -> LabelledRows:
    """Return the labelled rows that may be used for the next round, and which of them the champions learned from."""
    asr, intent = registry.champion(corpus, "asr"), registry.champion(corpus, "intent")
    with corpus.read() as conn:
        rows = [row for row in labels.current(conn) if row.reason != "held_out"]
        learned_from = {
            row.utterance_id
            for version in (asr, intent)
            if version.snapshot_id
            for row in snapshots.snapshot(conn, version.snapshot_id).rows
            if row.role != "audit"
        }
    rows.sort(key=lambda row: (row.reason != "audit", row.utterance_id))
    return LabelledRows(tuple(rows[: settings.rows]), frozenset(learned_from), asr.version, intent.version)


def gather_evidence(
    corpus: Corpus, learned: LearnedSettings, cost: CostModel, sampling: SamplingSettings, round_: str
) -> LabelEvidence:
    """Return the evidence that the labels so far give for a round."""
    from sampling.findings import MEASURED, cohorts_of, evidence_of
    from sampling.reliability import fit_all

    costs, answers = fitted_costs(corpus, learned, cost)
    labelled = labelled_rows(corpus, learned)
    with corpus.read() as conn:
        ids = [row.utterance_id for row in labelled.rows]
        missing = set(scores.unscored(conn, ids, labelled.asr, labelled.intent))
    by_id = {row.utterance_id: row for row in labelled.rows if row.utterance_id not in missing}
    with progress.track(f"learning from the labels of {len(by_id)} clips what to choose", None, "clips"):
        predictions = scores.sound_predictions(corpus, list(by_id), labelled.asr, labelled.intent) if by_id else None
        if predictions is None:
            return LabelEvidence(costs, answers, labelled=len(ids), scored=0)
        rows = [by_id[i] for i in predictions.utterance_ids.tolist()]
        found = _findings(corpus, labelled, rows, predictions)
        curves, reliability = fit_all({kind: evidence_of(found, kind) for kind in MEASURED}, sampling.seed)
    covered = np.array([not row.judges for row in rows])
    return LabelEvidence(
        costs,
        answers,
        labelled=len(ids),
        scored=len(rows),
        calibrators={MEASURED[kind]: curves[kind] for kind in MEASURED},
        reliability=reliability,
        embeddings=predictions.embeddings[covered] if covered.any() else None,
        cohorts=cohorts_of(found, sampling.cohorts, sampling.seed, round_),
        unseen=len(found),
    )


def with_evidence(pool: Pool, evidence: LabelEvidence) -> Pool:
    """Return the pool with the evidence: embeddings of labelled utterances, and the cohort of every row as a slice."""
    from sampling.cohorts import SLICE, members

    slices = dict(pool.slices)
    if evidence.cohorts:
        slices[SLICE] = members(list(evidence.cohorts), pool.embeddings)
    return replace(pool, known_embeddings=evidence.embeddings, slices=slices)


def _findings(corpus: Corpus, labelled: LabelledRows, rows: Sequence[LabelRow], predictions: Predictions) -> Findings:
    """Return predictions compared with labels, on rows that a round chose and the champions did not learn from.

    Labels and transcripts are read through the door for the purpose `judge`.
    """
    from corpus.text import words
    from sampling.findings import compare_with_labels
    from training.evaluation.report import word_edits

    row_numbers = {
        row.utterance_id: k
        for k, row in enumerate(rows)
        if row.reason and row.utterance_id not in labelled.learned_from
    }
    opened = door.open(
        corpus,
        sorted(row_numbers),
        "judge",
        parts=("hypotheses", "label"),
        strict=False,
        versions=(labelled.asr, labelled.intent),
    )
    spoken: dict[str, str] = {}
    transcribed: dict[str, str] = {}
    intents: dict[str, str] = {}
    for content in opened:
        i, label = content.utterance.utterance_id, content.label
        if label is None:
            continue
        if label.intent is not None:
            intents[i] = label.intent
        if label.transcript is not None and content.hypotheses:
            spoken[i], transcribed[i] = label.transcript, content.hypotheses[0].text
    edits = word_edits(spoken, transcribed).sum(axis=1).tolist()
    kept = [row_numbers[i] for i in sorted(spoken.keys() | intents.keys())]
    compared = [rows[k] for k in kept]
    with corpus.read() as conn:
        names = names_now(conn).intents  # the labels have the names in use, and the predictions may have former ones
    return compare_with_labels(
        replace(
            predictions.take(np.array(kept, dtype=np.intp)),
            intents=tuple(names.current(name) for name in predictions.intents),
        ),
        errors=dict(zip(sorted(spoken), edits, strict=True)),
        words={i: len(words(text)) for i, text in spoken.items()},
        intents=intents,
        inclusion_probs=np.array([row.inclusion_prob for row in compared], dtype=np.float64),
        speaker_ids=np.array([row.speaker_id for row in compared], dtype=np.str_),
        audit=np.array([row.reason == "audit" for row in compared], dtype=np.bool_),
    )

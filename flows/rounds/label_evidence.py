"""What earlier labels teach the next choice: curves to real errors, costs, what is covered, and hidden cohorts.

Nothing of it is stored: it is computed anew from the current labels, so that what was erased or withdrawn has no part
in it. Scores are compared with labels only where the models at work gave them and learned from neither.
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
from corpus.tables.labels import LabelRow
from flows.models import registry
from flows.rounds.annotation_costs import fitted_costs
from flows.runtime.settings import LearnedSettings, Settings
from sampling.cost import CostModel

if TYPE_CHECKING:
    from sampling.calibration import Calibrator
    from sampling.cohorts import Cohort
    from sampling.findings import Findings
    from sampling.pool import Pool
    from sampling.reliability import Reliability


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """What a round takes from the answers to earlier ones.

    Attributes:
        costs: expected annotator seconds, learned where answers suffice.
        answers: how many timed answers they were learned from, by question.
        calibrators: by measure.
        reliability: how far each curve can be believed, by kind of error (`words`, `intent`).
        embeddings: (M, D) of what is learned from, as the models at work see it; None: nothing is.
        cohorts: hidden groups that err more.
        labelled, scored, unseen: labelled rows that could teach; of them scored by the models at work; of them chosen
            by a round and not learned from by these models, which curves are fitted to.
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


def labelled_rows(corpus: Corpus, settings: LearnedSettings) -> LabelledRows:
    """Return the labelled rows that may teach a choice, and what the champions know of them."""
    asr, intent = registry.champion(corpus, "asr"), registry.champion(corpus, "intent")
    with corpus.read() as conn:
        rows = [row for row in labels.current(conn) if row.reason != "held_out"]
        taught = {
            row.utterance_id
            for version in (asr, intent)
            if version.snapshot_id
            for row in snapshots.snapshot(conn, version.snapshot_id).rows
            if row.role != "audit"
        }
    rows.sort(key=lambda row: (row.reason != "audit", row.utterance_id))
    return LabelledRows(tuple(rows[: settings.rows]), frozenset(taught), asr.version, intent.version)


def gather_evidence(corpus: Corpus, settings: Settings, round_: str) -> LabelEvidence:
    """Return what the labels so far teach a round."""
    from sampling.findings import MEASURED, cohorts_of, evidence_of
    from sampling.reliability import fit_all

    costs, answers = fitted_costs(corpus, settings.learned, settings.cost)
    held = labelled_rows(corpus, settings.learned)
    with corpus.read() as conn:
        ids = [row.utterance_id for row in held.rows]
        missing = set(scores.unscored(conn, ids, held.asr, held.intent))
    rows = [row for row in held.rows if row.utterance_id not in missing]
    known = LabelEvidence(costs, answers, labelled=len(ids), scored=len(rows))
    if not rows:
        return known
    predictions = scores.predictions(corpus, [row.utterance_id for row in rows], held.asr, held.intent)
    covered = np.array([not row.judges for row in rows])
    found = _findings(corpus, held, rows, predictions)
    curves, reliability = fit_all({kind: evidence_of(found, kind) for kind in MEASURED}, settings.sampling.seed)
    return replace(
        known,
        calibrators={MEASURED[kind]: curves[kind] for kind in MEASURED},
        reliability=reliability,
        embeddings=predictions.embeddings[covered] if covered.any() else None,
        cohorts=cohorts_of(found, settings.sampling.cohorts, settings.sampling.seed, round_),
        unseen=len(found),
    )


def with_evidence(pool: Pool, known: LabelEvidence) -> Pool:
    """Return the pool with what is known: embeddings that are covered, and the cohort of every row."""
    from sampling.cohorts import SLICE, members

    slices = dict(pool.slices)
    if known.cohorts:
        slices[SLICE] = members(list(known.cohorts), pool.embeddings)
    return replace(pool, known_embeddings=known.embeddings, slices=slices)


def _findings(corpus: Corpus, held: LabelledRows, rows: Sequence[LabelRow], predictions: Predictions) -> Findings:
    """Compare predictions with labels, on rows that a round chose and the models at work did not learn from.

    Labels and transcripts are read through the door, for judging.
    """
    from corpus.text import words
    from sampling.findings import compare_with_labels
    from training.evaluation.report import word_edits

    at = {row.utterance_id: k for k, row in enumerate(rows) if row.reason and row.utterance_id not in held.learned_from}
    opened = door.open(
        corpus, sorted(at), "judge", parts=("hypotheses", "label"), strict=False, versions=(held.asr, held.intent)
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
    kept = [at[i] for i in sorted(spoken.keys() | intents.keys())]
    mine = [rows[k] for k in kept]
    return compare_with_labels(
        predictions.take(np.array(kept, dtype=np.intp)),
        errors=dict(zip(sorted(spoken), edits, strict=True)),
        words={i: len(words(text)) for i, text in spoken.items()},
        intents=intents,
        inclusion_probs=np.array([row.inclusion_prob for row in mine], dtype=np.float64),
        speaker_ids=np.array([row.speaker_id for row in mine], dtype=np.str_),
        audit=np.array([row.reason == "audit" for row in mine], dtype=np.bool_),
    )

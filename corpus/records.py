"""What travels between the steps: frozen records in the order of the journey, each of which checks itself.

arrive `Utterance` · score `Predictions` · choose `Selection` · ask `AnnotationTask` · hear `Annotation` ·
merge `Label` · learn `Snapshot` · judge `EvaluationReport` · register `ModelVersion`

Records carry ids, numbers and, where a step works on content, plain text in memory. They are never written as they are:
`corpus.store` encrypts every text first. Times are UTC, durations seconds, rates Hz.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError

Split = Literal["train", "dev", "test"]
Reason = Literal["audit", "uncertain", "slice", "novel"]
Ask = Literal["transcribe", "label_intent", "triage"]
AssignmentKind = Literal["first", "second", "more", "help", "gold"]
Verdict = Literal["labelled", "unintelligible", "accidental", "critical_data", "distress", "help"]
Purpose = Literal["score", "annotate", "train", "judge"]
Kind = Literal["asr", "intent"]
Role = Literal["train", "dev", "audit"]
Origin = Literal["base", "learned", "outside"]

Floats = npt.NDArray[np.float32]
Strings = npt.NDArray[np.str_]

OTHER_INTENT: Final = "other"
"""The intent of an utterance whose true intent is not in the inventory."""

ASR_COLUMNS: Final = (
    "expected_errors",  # word errors of the best transcript, mean over the posterior draws
    "expected_wer",  # expected_errors / words of the best transcript (at least 1)
    "logprob_sum",  # log probability of the best path, summed over frames [nats]
    "logprob_mean",  # the same, mean over frames [nats]
    "confidence_min",  # Tsallis confidence of a word, minimum over words, in [0, 1]
    "confidence_mean",
    "confidence_product",
    "gibbs_min",  # the same by Gibbs (Shannon) entropy
    "gibbs_mean",
    "gibbs_product",
    "nonblank_entropy",  # mean entropy of the frames that are not blank [nats]
    "num_tokens",  # tokens of the best transcript
    "num_hypotheses",  # distinct transcripts among the draws
    "duration",  # [s]
)
"""The columns of `Predictions.asr`, in order."""

BLOCK: Final = 65_536
"""Rows of `Predictions` that are checked at a time."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RecordError(message)


def _one_of(value: str, literal: object, what: str) -> None:
    known = get_args(literal)
    _require(value in known, f"{what} is {value!r}; known are {', '.join(known)}")


def canonical_json(value: object) -> str:
    """Returns the one JSON text of `value`: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """Returns the SHA-256 of `canonical_json(value)` in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# --- arrive -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wake:
    """Evidence that the device was meant to listen: a detected word with its score in [0, 1], or a pressed button."""

    word: str | None = None
    score: float | None = None
    button: bool = False

    def __post_init__(self) -> None:
        if self.button:
            _require(self.word is None and self.score is None, "wake is a button or a word, not both")
        else:
            _require(bool(self.word) and self.score is not None, "wake needs a word and a score, or button: true")
            _require(0.0 <= float(self.score or 0.0) <= 1.0, f"wake score {self.score} is outside [0, 1]")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One arrival that was accepted. No account, serial, name or place: those are in the vault and nowhere else."""

    utterance_id: str
    speaker_id: str
    arrived_at: datetime
    sample_rate: int
    num_samples: int
    locale: str
    device_type: str
    wake: Wake
    split: Split
    audio_key: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(self.sample_rate > 0, f"utterance {self.utterance_id}: sample_rate must be above 0")
        _require(self.num_samples > 0, f"utterance {self.utterance_id}: num_samples must be above 0")
        _require(self.arrived_at.tzinfo is not None, f"utterance {self.utterance_id}: arrived_at needs a time zone")
        _one_of(self.split, Split, f"utterance {self.utterance_id}: split")

    @property
    def duration(self) -> float:
        """Length [s]."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """A slot: `text[start:end]` of the text that it belongs to (characters, end exclusive)."""

    name: str
    start: int
    end: int

    def __post_init__(self) -> None:
        _require(bool(self.name), "a slot needs a name")
        _require(0 <= self.start < self.end, f"slot {self.name}: span {self.start}:{self.end} is empty or negative")


def check_spans(text: str, slots: Sequence[SlotSpan], item: str) -> None:
    """Passes when all spans lie inside `text` and do not overlap.

    Raises:
        RecordError: a span leaves the text or overlaps its neighbour; the message names `item`, never the text.
    """
    end = 0
    for slot in sorted(slots, key=lambda s: s.start):
        _require(slot.end <= len(text), f"{item}: slot {slot.name} ends after the text")
        _require(slot.start >= end, f"{item}: slot {slot.name} overlaps another slot")
        end = slot.end


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One transcript that the speech model considered, its weight among the draws, and what the intent model read."""

    text: str
    weight: float
    intent: str = ""
    slots: tuple[SlotSpan, ...] = ()


# --- score ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Predictions:
    """Sufficient statistics of N scored utterances, columnar.

    Attributes:
        utterance_ids: (N,) str.
        asr_version, intent_version: the models that scored, as registered.
        intents: C names, the columns of `intent_probs`.
        intent_probs: (N, C) float32, p(intent | audio): marginal over the hypotheses; rows sum to 1 +- 1e-5.
        intent_logsumexp: (N,) float32, log-sum-exp of the intent logits (the free energy with its sign changed).
        entropy_given_hypothesis: (N,) float32, sum_h w_h H[p(y|h)] [nats].
        pass_disagreement: (N,) float32, mutual information over dropout passes [nats]; zeros where none ran.
        embeddings: (N, D) float32 of unit length.
        asr: (N, len(ASR_COLUMNS)) float32.
    """

    utterance_ids: Strings
    asr_version: str
    intent_version: str
    intents: tuple[str, ...]
    intent_probs: Floats
    intent_logsumexp: Floats
    entropy_given_hypothesis: Floats
    pass_disagreement: Floats
    embeddings: Floats
    asr: Floats

    def __post_init__(self) -> None:
        n = len(self.utterance_ids)
        shapes = {
            "intent_probs": (n, len(self.intents)),
            "intent_logsumexp": (n,),
            "entropy_given_hypothesis": (n,),
            "pass_disagreement": (n,),
            "embeddings": (n, self.embeddings.shape[-1]),
            "asr": (n, len(ASR_COLUMNS)),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            _require(values.shape == shape, f"predictions: {name} has shape {values.shape}, not {shape}")
            finite = by_blocks(
                values, lambda block: np.isfinite(block.reshape(len(block), block[0].size)).all(axis=1), np.bool_
            )
            _require(bool(finite.all()), f"predictions: {name} is not finite for {self._first(~finite)}")
        _require(len(set(self.utterance_ids.tolist())) == n, "predictions: an utterance stands twice")
        if n:
            off = np.abs(self.intent_probs.sum(axis=1, dtype=np.float64) - 1.0) > 1e-5
            _require(not off.any(), f"predictions: intent_probs of {self._first(off)} do not sum to 1")
            _require(bool(self.intent_probs.min() >= 0), "predictions: a probability is negative")
            lengths = by_blocks(self.embeddings, lambda block: np.linalg.norm(block, axis=1), np.float32)
            off = np.abs(lengths - 1.0) > 1e-3
            _require(not off.any(), f"predictions: the embedding of {self._first(off)} is not of unit length")

    def _first(self, mask: npt.NDArray[np.bool_]) -> str:
        if not mask.any():  # messages are written before it is known whether they are needed
            return "no utterance"
        return f"utterance {self.utterance_ids[mask][0]} (and {int(mask.sum()) - 1} more)"

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def column(self, name: str) -> Floats:
        """Returns one ASR column, (N,) float32."""
        return self.asr[:, ASR_COLUMNS.index(name)]

    def take(self, rows: npt.NDArray[np.intp]) -> Predictions:
        """Returns the predictions of the given rows, in their order."""
        return Predictions(
            utterance_ids=self.utterance_ids[rows],
            asr_version=self.asr_version,
            intent_version=self.intent_version,
            intents=self.intents,
            intent_probs=self.intent_probs[rows],
            intent_logsumexp=self.intent_logsumexp[rows],
            entropy_given_hypothesis=self.entropy_given_hypothesis[rows],
            pass_disagreement=self.pass_disagreement[rows],
            embeddings=self.embeddings[rows],
            asr=self.asr[rows],
        )


def by_blocks(values: Floats, of_rows: Callable[[Floats], Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Returns (N,) what the function gives for every row, worked out in blocks: a check needs no copy of a million."""
    out = np.empty(len(values), dtype)
    for start in range(0, len(values), BLOCK):
        out[start : start + BLOCK] = of_rows(values[start : start + BLOCK])
    return out


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Returns one `Predictions` with the rows of all parts, in order.

    Raises:
        RecordError: no parts, or parts of different versions or inventories.
    """
    _require(len(parts) > 0, "no predictions to join")
    first = parts[0]
    for part in parts[1:]:
        same = (part.asr_version, part.intent_version, part.intents) == (
            first.asr_version,
            first.intent_version,
            first.intents,
        )
        _require(same, "predictions of different model versions can't be joined; score again with one pair")
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (
            "utterance_ids",
            "intent_probs",
            "intent_logsumexp",
            "entropy_given_hypothesis",
            "pass_disagreement",
            "embeddings",
            "asr",
        )
    }
    return Predictions(
        asr_version=first.asr_version, intent_version=first.intent_version, intents=first.intents, **arrays
    )


# --- choose -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selection:
    """The M utterances that a round asks people about; ids, never positions.

    Attributes:
        round: name of the round.
        utterance_ids: (M,) str, most valuable first; unique.
        reasons, asks: (M,) str.
        scores: (M,) float64, the acquisition score.
        inclusion_probs: (M,) float64 in (0, 1]; true probabilities for `audit` rows, 1 for rows taken for certain.
        costs: (M,) float64, expected annotator seconds.
    """

    round: str
    utterance_ids: Strings
    reasons: Strings
    asks: Strings
    scores: npt.NDArray[np.float64]
    inclusion_probs: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        m = len(self.utterance_ids)
        for name in ("reasons", "asks", "scores", "inclusion_probs", "costs"):
            _require(len(getattr(self, name)) == m, f"selection {self.round}: {name} has another length than the ids")
        _require(len(set(self.utterance_ids.tolist())) == m, f"selection {self.round}: an utterance stands twice")
        for reason in set(self.reasons.tolist()):
            _one_of(reason, Reason, f"selection {self.round}: reason")
        for ask in set(self.asks.tolist()):
            _one_of(ask, Ask, f"selection {self.round}: ask")
        numbers = np.concatenate([self.scores, self.inclusion_probs, self.costs])
        _require(bool(np.isfinite(numbers).all()), f"selection {self.round}: a number is not finite")
        inside = (self.inclusion_probs > 0) & (self.inclusion_probs <= 1)
        _require(bool(inside.all()), f"selection {self.round}: an inclusion probability is outside (0, 1]")
        _require(bool((self.costs >= 0).all()), f"selection {self.round}: a cost is negative")

    def __len__(self) -> int:
        return len(self.utterance_ids)


# --- ask --------------------------------------------------------------------------------------------------------------


def task_id(round_: str, utterance_id: str, ask: str) -> str:
    """Returns the id of the task: the same question is always the same task."""
    return "t" + digest([round_, utterance_id, ask])[:31]


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """A question to a person. Carries no personal field.

    Attributes:
        draft: the best hypothesis, shown to be corrected; None where it is withheld.
        intents, slot_names: what the annotator may choose from.
        question: what somebody who asked for help wants to know; None where nobody did.
        audio: name of the clip's file beside the task file.
        duration: [s].
    """

    task_id: str
    round: str
    utterance_id: str
    ask: Ask
    audio: str
    duration: float
    intents: tuple[str, ...]
    slot_names: tuple[str, ...]
    draft: Hypothesis | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        _one_of(self.ask, Ask, f"task {self.task_id}: ask")
        expected = task_id(self.round, self.utterance_id, self.ask)
        _require(
            self.task_id == expected, f"task {self.task_id}: the id does not belong to its round, utterance and ask"
        )


# --- hear -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's answer to one task. A later revision of the same person replaces the earlier.

    Required by verdict `labelled` and ask: `transcribe` a transcript and an intent, `label_intent` an intent,
    `triage` nothing. Other verdicts need nothing. `proposal` is the annotator's name for an intent outside the
    inventory, whose `intent` is then `other`; `question` is what somebody who asks for help wants to know.
    """

    task_id: str
    annotator_id: str
    ask: Ask
    verdict: Verdict
    transcript: str | None = None
    intent: str | None = None
    slots: tuple[SlotSpan, ...] = ()
    lead_time: float = 0.0
    revision: int = 1
    proposal: str | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        item = f"annotation of task {self.task_id}"
        _one_of(self.ask, Ask, f"{item}: ask")
        _one_of(self.verdict, Verdict, f"{item}: verdict")
        _require(bool(self.annotator_id), f"{item}: annotator_id is empty")
        _require(self.revision >= 1, f"{item}: revision must be at least 1")
        _require(np.isfinite(self.lead_time) and self.lead_time >= 0, f"{item}: lead_time must be 0 or more [s]")
        if self.verdict == "labelled" and self.ask == "transcribe":
            _require(self.transcript is not None, f"{item}: a transcript is required")
        if self.verdict == "labelled" and self.ask != "triage":
            _require(bool(self.intent), f"{item}: an intent is required")
        if self.slots and self.transcript is not None:
            check_spans(self.transcript, self.slots, item)


# --- merge ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Label:
    """What is currently held true of an utterance; superseded by a higher revision, never edited.

    Attributes:
        transcript: normalised text, "" for silence, None where nobody was asked.
        intent: None where nobody was asked.
        agreement: in [0, 1] between the annotators; 1 where one answered.
        annotators: how many answered; 0 for labels that came with the manifest.
    """

    utterance_id: str
    transcript: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...]
    agreement: float
    annotators: int
    revision: int

    def __post_init__(self) -> None:
        item = f"label of utterance {self.utterance_id}"
        _require(0.0 <= self.agreement <= 1.0, f"{item}: agreement {self.agreement} is outside [0, 1]")
        _require(self.annotators >= 0 and self.revision >= 1, f"{item}: bad count of annotators or revision")
        _require(self.transcript is not None or self.intent is not None, f"{item}: neither transcript nor intent")
        if self.slots:
            _require(self.transcript is not None, f"{item}: slots without a transcript")
            check_spans(self.transcript or "", self.slots, item)


# --- learn ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class SnapshotRow:
    """One label that a snapshot names; `weight` counts in the loss (audit and dev rows: 0 or 1 for judging)."""

    utterance_id: str
    revision: int
    role: Role
    weight: float

    def __post_init__(self) -> None:
        _one_of(self.role, Role, f"snapshot row {self.utterance_id}: role")
        _require(np.isfinite(self.weight) and self.weight >= 0, f"snapshot row {self.utterance_id}: bad weight")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a model learns from and is judged on: ids only, immutable, named by its own digest.

    Attributes:
        rows: sorted by utterance_id; train rows are what is learned, audit rows what judges.
    """

    rows: tuple[SnapshotRow, ...]

    def __post_init__(self) -> None:
        ids = [row.utterance_id for row in self.rows]
        _require(len(set(ids)) == len(ids), "snapshot: an utterance stands twice")
        _require(ids == sorted(ids), "snapshot: rows are not sorted by utterance_id")

    @property
    def snapshot_id(self) -> str:
        """SHA-256 of the sorted rows."""
        return digest([[r.utterance_id, r.revision, r.role, r.weight] for r in self.rows])

    @property
    def eval_set_id(self) -> str:
        """SHA-256 of the audit rows alone: reports with the same id were judged on the same set."""
        return digest([[r.utterance_id, r.revision] for r in self.rows if r.role == "audit"])

    def of(self, role: Role) -> tuple[SnapshotRow, ...]:
        """Returns the rows of one role."""
        return tuple(row for row in self.rows if row.role == role)


# --- judge ------------------------------------------------------------------------------------------------------------

REPORT_COLUMNS: Final = (
    "utterance_ids",
    "speaker_ids",
    "errors",
    "words",
    "char_errors",
    "chars",
    "correct",
    "confidence",
    "slot_counts",
)
"""Columns that every report has, one row an utterance."""

REPORT_DETAILS: Final = ("word_edits", "duration", "snr", "truth", "predicted", "raw_confidence", "success")
"""Columns that reports of older versions lack."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval; `n` counts utterances, `speakers` the independent clusters behind it."""

    value: float
    low: float
    high: float
    n: int
    speakers: int = 0

    def as_json(self) -> dict[str, float | int]:
        """Returns the value, its interval and its sizes as a JSON object."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "speakers": self.speakers}


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """One model version on one evaluation set; per-utterance counts, from which every figure derives.

    Attributes:
        kind, version, eval_set_id: what was judged on what.
        utterance_ids, speaker_ids: (N,) str.
        errors, words: (N,) int64 word errors and reference words (kind `asr`; zeros for `intent`).
        char_errors, chars: (N,) int64.
        correct: (N,) bool intent correct (kind `intent`; all False for `asr`).
        confidence: (N,) float32 of the top intent, or mean word confidence.
        slot_counts: (N, 3) int64 true positive, false positive, false negative spans.
        word_edits: (N, 3) int64 substitutions, deletions, insertions; their sum is `errors`.
        duration: (N,) float32 [s]; 0 where the clip is gone.
        snr: (N,) float32 speech above noise [dB], see `training.signal`; 0 where the clip is gone.
        truth, predicted: (N,) int64 positions in `intents`, -1 where there is none.
        raw_confidence: (N,) float32 of the top intent before temperature scaling; for `asr` as `confidence`.
        success: (N,) int64 1 where intent and all slots are right from the sound on, 0 where not, -1 where the label
            can't tell: without a transcript there are no slots.
        intents: names, sorted.
        beside: version of the other kind that the sound went through, too: the speech model that an intent model
            listened through, the intent model that read what a speech model heard; "" where there was none.
        normaliser: version of the normal form under which words were counted; "" in reports of older versions, whose
            columns from `word_edits` on are empty.
    """

    kind: Kind
    version: str
    eval_set_id: str
    utterance_ids: Strings
    speaker_ids: Strings
    errors: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    char_errors: npt.NDArray[np.int64]
    chars: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_]
    confidence: Floats
    slot_counts: npt.NDArray[np.int64]
    word_edits: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    duration: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    snr: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    truth: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    predicted: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    raw_confidence: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    success: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    intents: tuple[str, ...] = ()
    beside: str = ""
    normaliser: str = ""

    def __post_init__(self) -> None:
        n = len(self.utterance_ids)
        for names, length in ((REPORT_COLUMNS, n), (REPORT_DETAILS, n if self.detailed else 0)):
            for name in names:
                same = len(getattr(self, name)) == length
                _require(same, f"report of {self.kind} {self.version}: {name} has another length")

    def __len__(self) -> int:
        return len(self.utterance_ids)

    @property
    def detailed(self) -> bool:
        """Whether it holds the columns from `word_edits` on, which reports of older versions lack."""
        return bool(self.normaliser)

    @property
    def wer(self) -> float:
        """Sum of errors / sum of words."""
        return float(self.errors.sum() / max(1, int(self.words.sum())))

    @property
    def accuracy(self) -> float:
        """Share of utterances whose intent is right."""
        return float(self.correct.mean()) if len(self) else 0.0


# --- register ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model.

    Attributes:
        version: number as text, counted by kind from "1", which is the base.
        run_id: MLflow run that made it.
        snapshot_id: what it learned from; "" for a base.
        base, parent: digest of the base's weights; version that was champion when it was made ("" for a base). An
            outside model that somebody registered learned from no snapshot, is its own base, and has a parent.
        tainted: an utterance it learned from was erased since.
        model_uri: folder of the model's files (safetensors and JSON).
    """

    kind: Kind
    version: str
    run_id: str
    snapshot_id: str
    base: str
    parent: str
    model_uri: str
    tainted: bool = False

    def __post_init__(self) -> None:
        _one_of(self.kind, Kind, "model version: kind")
        _require(self.version.isdigit() and int(self.version) >= 1, f"model version {self.version!r} is not a number")

    @property
    def origin(self) -> Origin:
        """Whether it is a base that others start from, learned from labels here, or came from outside."""
        if self.snapshot_id:
            return "learned"
        return "outside" if self.parent else "base"


def utc(moment: datetime) -> datetime:
    """Returns the moment in UTC.

    Raises:
        RecordError: the moment has no time zone.
    """
    _require(moment.tzinfo is not None, "a time needs its zone, such as 2026-11-22T03:00:00+00:00")
    return moment.astimezone(UTC)

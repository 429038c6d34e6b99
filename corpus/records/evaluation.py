"""Records of judge: evaluation reports and intervals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats, Kind, Strings, _require

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
"""Columns that every report has, with one row for each utterance."""


REPORT_DETAILS: Final = ("word_edits", "duration", "snr", "truth", "predicted", "raw_confidence", "success")
"""Columns that reports of older versions lack."""

REPORT_EXTRAS: Final = ("marks", "number_errors", "number_words")
"""Columns that are empty where nothing was to be counted."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval, from `n` utterances of `speakers` speakers, the independent clusters."""

    value: float
    low: float
    high: float
    n: int
    speakers: int = 0

    def as_json(self) -> dict[str, float | int]:
        """Return the value, its interval and its counts as a JSON object."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "speakers": self.speakers}


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Results of one model version on one evaluation set, by utterance; every metric is computed from them.

    Attributes:
        kind, version, eval_set_id: the version that was judged, and the set.
        utterance_ids, speaker_ids: (N,) str.
        errors, words: (N,) int64 word errors and reference words (kind `asr`; zeros for `intent`).
        char_errors, chars: (N,) int64.
        correct: (N,) bool intent correct (kind `intent`; all False for `asr`).
        confidence: (N,) float32 of the top intent, or mean word confidence.
        slot_counts: (N, 3) int64 true positive, false positive, false negative spans.
        word_edits: (N, 3) int64 substitutions, deletions, insertions; their sum is `errors`.
        duration: (N,) float32 [s]; 0 where there is no clip any more.
        snr: (N,) float32 speech above noise [dB], see `training.evaluation.signal_quality`; 0 without a clip.
        truth, predicted: (N,) int64 positions in `intents`, -1 where there is none.
        raw_confidence: (N,) float32 of the top intent before temperature scaling; the same as `confidence` for `asr`.
        success: (N,) int64 1 where the intent and all slots that were found from the audio are right, 0 where not, -1
            where the label has no transcript and so no slots.
        marks: (N,) str keyed digests of the normalised reference texts (kind `asr`): with another mark, a row has
            another text, also of the same length; empty in reports of older versions and for `intent`.
        number_errors, number_words: (N,) int64 word errors and reference words under the form `numbers`, in which
            numbers in digits and in words agree (kind `asr`); empty without such a form.
        intents: names, sorted.
        beside: version of the other kind's model that took part: the speech model whose transcripts an intent model
            read, or the intent model that read the transcripts of a speech model; "" where there was none.
        normaliser: version of the normal form under which words were counted; "" in reports of older versions, whose
            columns from `word_edits` on are empty.
        numbers: version of the form under which `number_errors` were counted, see `training.evaluation.number_forms`;
            "" without one. It is only shown: the gate decides by `errors`.
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
    marks: Strings = field(default_factory=lambda: np.zeros(0, np.str_))
    number_errors: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    number_words: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    intents: tuple[str, ...] = ()
    beside: str = ""
    normaliser: str = ""
    numbers: str = ""

    def __post_init__(self) -> None:
        rows = len(self.utterance_ids)
        for names, length in ((REPORT_COLUMNS, rows), (REPORT_DETAILS, rows if self.detailed else 0)):
            for name in names:
                same = len(getattr(self, name)) == length
                _require(same, f"report of {self.kind} {self.version}: {name} has another length")

        for name in REPORT_EXTRAS:
            other = f"report of {self.kind} {self.version}: {name} has another length"
            _require(len(getattr(self, name)) in (0, rows), other)

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def take(self, rows: npt.NDArray[np.bool_]) -> EvaluationReport:
        """Return the report of some of its rows, (N,) bool, in their order."""
        names = REPORT_COLUMNS + (REPORT_DETAILS if self.detailed else ())
        names += tuple(name for name in REPORT_EXTRAS if len(getattr(self, name)))
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def detailed(self) -> bool:
        """Return whether it has the columns from `word_edits` on, which reports of older versions lack."""
        return bool(self.normaliser)

    @property
    def wer(self) -> float:
        """Return the word error rate: sum of errors / sum of words."""
        return float(self.errors.sum() / max(1, int(self.words.sum())))

    @property
    def accuracy(self) -> float:
        """Return the share of utterances whose intent is right."""
        return float(self.correct.mean()) if len(self) else 0.0

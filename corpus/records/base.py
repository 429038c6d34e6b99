"""What all records share: types of their fields, checks, canonical JSON and digests.

Records are frozen dataclasses that the steps pass on, and each checks itself:

ingest `Utterance` · score `Predictions` · sample `Selection` · export `AnnotationTask` · merge `Annotation`, `Label` ·
retrain `Snapshot`, `ModelVersion` · judge `EvaluationReport`

Records contain ids, numbers and, where a step works on content, plain text in memory. They are never written as they
are: `corpus.tables` encrypts every text first. Times are UTC, durations are in seconds, rates in Hz.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError

Split = Literal["train", "dev", "test"]
Reason = Literal["audit", "uncertain", "slice", "novel", "again"]
Ask = Literal["transcribe", "label_intent", "triage"]
AssignmentKind = Literal["first", "second", "more", "help", "gold"]
Verdict = Literal["labelled", "unintelligible", "accidental", "critical_data", "distress", "help"]
Purpose = Literal["score", "annotate", "train", "judge", "access"]
Kind = Literal["asr", "intent"]
Role = Literal["train", "dev", "audit"]
Origin = Literal["base", "learned", "external"]

Floats = npt.NDArray[np.float32]
Strings = npt.NDArray[np.str_]

OTHER_INTENT: Final = "other"
"""Intent of an utterance whose true intent is not in the inventory."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RecordError(message)


def _one_of(value: str, literal: object, what: str) -> None:
    names = get_args(literal)
    _require(value in names, f"{what} is {value!r}; known are {', '.join(names)}")


def canonical_json(value: object) -> str:
    """Return `value` as JSON with sorted keys, no spaces and no NaN, so that equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """Return the SHA-256 of `canonical_json(value)`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC.

    Raises:
        RecordError: the moment has no time zone.
    """
    _require(moment.tzinfo is not None, "a time needs its zone, such as 2026-11-22T03:00:00+00:00")
    return moment.astimezone(UTC)

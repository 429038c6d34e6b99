"""The clips of a labelled corpus as features: mel cepstra, averaged over stretches of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import AudioRefused, UsageError
from corpus.records.base import Floats
from training.replay_learners.corpora import LabelledRow

CLIP_FEATURES: Final = "cepstra-2"
"""Version of these features; a replay that was begun with others begins anew."""

CEPSTRA, STEPS = 20, 12
"""Number of mel cepstra of a clip, and of the stretches of time over which they and their deltas are averaged."""

RATE: Final = 16_000
"""Sample rate of decoded clips [Hz]."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is left out, since its clip can't be read.

    Attributes:
        file, line: name of the split's file, and the row's line in it.
        clip: as the row names it.
        why: reason and detail.
    """

    file: str
    line: int
    clip: str
    why: str

    def __str__(self) -> str:
        """Return file, line, clip and reason as one line of text."""
        return f"{self.file} line {self.line}: {self.clip}: {self.why}"


@dataclass(frozen=True, slots=True)
class Clips:
    """The rows of a split whose clips can be read.

    Attributes:
        rows: the N rows.
        vectors: (N, 480) float32 cepstra and deltas at each step.
        durations: (N,) lengths of the decoded clips [s].
        left_out: the other rows.
    """

    rows: tuple[LabelledRow, ...]
    vectors: Floats
    durations: npt.NDArray[np.float64]
    left_out: tuple[LeftOut, ...]


def read_clips(rows: Sequence[LabelledRow], file: str, on_clip: Callable[[], None]) -> Clips:
    """Return the rows of a split with the features of their clips; a damaged or missing clip is left out.

    Args:
        rows: of one split.
        file: name of the split's file.
        on_clip: called after each clip.

    Raises:
        UsageError: no clip of the split can be read.
    """
    from corpus.audio.decode import decode
    from corpus.audio.limits import AudioSettings

    pipeline, settings = _cepstra(), AudioSettings()
    kept, vectors, durations, left_out = [], [], [], []
    for row in rows:
        assert row.audio is not None
        try:
            samples, _ = decode(row.audio, settings)
        except AudioRefused as refusal:
            left_out.append(LeftOut(file, row.line, row.clip, f"{refusal.reason}: {refusal}"))
        else:
            kept.append(row)
            vectors.append(_vector(samples, pipeline))
            durations.append(len(samples) / RATE)
        on_clip()
    if not kept:
        raise UsageError(f"no clip of {file} can be read, the first is {left_out[0]}; check the files")
    return Clips(tuple(kept), np.stack(vectors), np.array(durations, np.float64), tuple(left_out))


def speech_features(pool: Clips, test: Clips) -> tuple[Floats, Floats]:
    """Return (N, D) and (M, D) features of clips: 20 mel cepstra and their deltas at 12 time steps, standardised.

    Mean and standard deviation are those of the pool.
    """
    mean, spread = pool.vectors.mean(axis=0), np.maximum(pool.vectors.std(axis=0), 1e-6)
    return unit_rows((pool.vectors - mean) / spread), unit_rows((test.vectors - mean) / spread)


def unit_rows(rows: npt.ArrayLike) -> Floats:
    """Return the rows scaled to length 1, float32; a row of zeros (no n-gram of the pool) becomes the first axis."""
    found = np.asarray(rows, np.float64)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    out: Floats = (found / np.maximum(length, 1e-12)).astype(np.float32)
    out[length[:, 0] < 1e-9, 0] = 1.0
    return out


def _cepstra() -> Any:
    from corpus.audio import torchaudio_guard

    torchaudio_guard.guard()
    from torchaudio.transforms import MFCC

    spectrum = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "f_max": 4000.0}
    return MFCC(sample_rate=RATE, n_mfcc=CEPSTRA, melkwargs=spectrum)


def _vector(samples: Floats, pipeline: Any) -> Floats:
    import torch
    from torchaudio.functional import compute_deltas

    cepstra = pipeline(torch.from_numpy(samples))
    both = torch.cat([cepstra, compute_deltas(cepstra)])
    steps = torch.nn.functional.adaptive_avg_pool1d(both[None], STEPS)  # every frame counts in one of the steps
    vector: Floats = steps[0].flatten().numpy().astype(np.float32)
    return vector

"""Check a training on the dev rows before its model is registered: did it diverge, is it clearly worse than the base?

The dev rows are few and are rows of other speakers, so a rise of the error rate says little by itself. A model is
refused only where the rise is large and is not luck: a sign test over the rows has to find it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Kind

LUCK: Final = 0.01
"""Largest probability of the sign test at which a rise is not luck."""

MIN_ROWS: Final = 7
"""Fewest dev rows that can tell: if all of 7 became worse, the probability is 1/128, with 6 it is 1/64."""

MIN_RISE: Final = 0.05
"""Least rise of the intent error that is clear."""

GROWTH: Final = 3.0
"""A training diverged where the loss of its last epoch is this many times that of its first step, and 1 nat more."""

GUESS: Final = 3.0
"""Loss of a guess among twenty symbols [nats per token]."""


@dataclass(frozen=True, slots=True)
class DevErrors:
    """Errors on N dev rows, clips or texts, before and after a training.

    Attributes:
        size: (N,) int, how much can be wrong in each row: its words, or 1 or 2 texts of an utterance.
        before, after: (N,) int, errors of the base and of the trained model; insertions can make them larger.
    """

    size: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.size)

    @property
    def rates(self) -> tuple[float, float]:
        """Return the error rate before and after."""
        total = max(1, int(self.size.sum()))
        return float(self.before.sum() / total), float(self.after.sum() / total)


def can_tell(dev: DevErrors | None) -> bool:
    """Return whether there are enough dev rows to find out that a model is worse."""
    return dev is not None and len(dev) >= MIN_ROWS


def why_worse(kind: Kind, dev: DevErrors | None) -> str:
    """Return why a model is clearly worse than its base, in a part of a sentence; "" where it is not.

    For speech, the word errors have at least doubled or the share of right words has at least halved; for intents, the
    error has risen by 5 points or more. In addition, so many more rows became worse than better that it is not luck
    (one-sided sign test, p <= 0.01).

    Args:
        kind: `asr` or `intent`.
        dev: errors on the dev rows; None without dev rows.
    """
    if dev is None or not can_tell(dev):
        return ""
    before, after = dev.rates
    worse, better = int((dev.after > dev.before).sum()), int((dev.after < dev.before).sum())
    if kind == "asr":
        large = after >= 2.0 * before or (before < 1.0 and 1.0 - after <= (1.0 - before) / 2.0)
    else:
        large = after - before >= MIN_RISE
    if not large or sign_test(worse, better) > LUCK:
        return ""
    measure = "WER" if kind == "asr" else "intent error"
    return (
        f"{measure} on {len(dev)} dev rows rose from {100 * before:.1f} % of the base to {100 * after:.1f} % "
        f"({worse} rows worse, {better} better)"
    )


def why_diverged(first_loss: float | None, losses: Sequence[float]) -> str:
    """Return why a training diverged, in a part of a sentence; "" where it did not.

    The first step may be one easy clip: a loss that is above it, but does not rise from epoch to epoch and is below
    that of a guess, has not diverged.

    Args:
        first_loss: loss of the first step, which is still the base's; None where it is not known.
        losses: mean loss of each epoch.
    """
    if first_loss is None or not losses or losses[-1] <= max(GROWTH * first_loss, first_loss + 1.0):
        return ""
    if losses[-1] <= losses[0] and losses[-1] < GUESS:
        return ""
    return f"the loss rose from {first_loss:.3g} at the first step to {losses[-1]:.3g} in the last epoch"


def sign_test(worse: int, better: int) -> float:
    """Return the probability of at least so many worse rows if worse and better were equally likely."""
    if not worse + better:
        return 1.0
    from scipy import stats

    return float(stats.binom.sf(worse - 1, worse + better, 0.5))

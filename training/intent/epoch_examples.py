"""The texts of an epoch: all examples and some replay sentences, with recognition errors imitated anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from training.intent.fit import IntentExample
from training.intent.text_noise import NoiseSettings, with_asr_errors


def epoch_examples(
    examples: Sequence[IntentExample],
    replay: Sequence[IntentExample],
    *,
    replayed: int,
    replay_weight: float,
    noise: NoiseSettings,
    seed: int,
) -> Callable[[int], list[IntentExample]]:
    """Return a function from the epoch to its texts.

    Draws are seeded by the epoch and the text's own id, so that one example more or less does not change the others.

    Args:
        examples: labelled texts; those of weight 0 are left out, and the mean weight of the others becomes 1.
        replay: sentences of the base.
        replayed: largest number of them in an epoch.
        replay_weight: the weight of each.
        noise: how recognition errors are imitated.
        seed: seed of all draws.
    """
    labelled = [row for row in examples if row.weight > 0]
    mean = sum(row.weight for row in labelled) / len(labelled)
    rows = [replace(row, weight=row.weight / mean) for row in labelled]
    words = sorted({word for row in (*rows, *replay) for word in row.text.split()})
    count = min(len(replay), replayed)

    def draw(epoch: int) -> list[IntentExample]:
        rng = np.random.default_rng([seed, 30, epoch])
        chosen = rng.choice(len(replay), size=count, replace=False) if count else ()
        again = [replace(replay[int(i)], weight=replay_weight) for i in chosen]
        return [_with_asr_errors(row, words, epoch, noise, seed) for row in (*rows, *again)]

    return draw


def _with_asr_errors(
    row: IntentExample, words: Sequence[str], epoch: int, noise: NoiseSettings, seed: int
) -> IntentExample:
    name = int.from_bytes(hashlib.sha256(f"{row.utterance_id}\0{row.text}".encode()).digest()[:16], "big")
    rng = np.random.default_rng([seed, 31, epoch, name])
    text, slots = with_asr_errors(row.text, row.slots or (), words, rng, noise)
    return replace(row, text=text, slots=None if row.slots is None else slots)

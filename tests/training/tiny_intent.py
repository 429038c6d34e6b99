"""An intent model small enough to be made in each test: a real encoder of one layer, random or quickly fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.records.arrivals import SlotSpan
from training.intent.fit import FitSettings, IntentExample, fit
from training.intent.model import IntentModel
from training.intent.pretrain import IntentPretrainSettings, new_model, train_tokenizer
from training.intent.text_branch import WORDS, WordVectors, text_hash
from training.intent.text_noise import NoiseSettings

SILENT = NoiseSettings(clean=1.0)
TINY = IntentPretrainSettings(vocabulary=320, width=32, layers=1, heads=2, noise=SILENT)
ROOMS = ("kitchen", "hall", "cellar", "attic", "garage")
QUICK = FitSettings(epochs=24, batch_size=8, encoder_rate=5e-3, head_rate=5e-3)


def rows(count: int = 20) -> list[IntentExample]:
    """Return commands to lights and players in turn, with their slots, ids `u000` and so on."""
    made = []
    for i in range(count):
        room = ROOMS[i % len(ROOMS)]
        if i % 2:
            text, intent = f"turn on the {room} light", "lights"
            slots: tuple[SlotSpan, ...] = (SlotSpan("room", 12, 12 + len(room)),)
        else:
            text, intent, slots = f"play some music by {ROOMS[i % len(ROOMS)]} band", "music", ()
        made.append(IntentExample(f"u{i:03d}", text, intent, slots))
    return made


def tiny_intent() -> IntentModel:
    """Return an untrained model with the intents `lights`, `music` and `other` and the slot `room`."""
    return new_model(train_tokenizer([row.text for row in rows()], TINY.vocabulary), rows(), TINY)


def made_up_words(words: Sequence[str], width: int) -> WordVectors:
    """Return random vectors of words."""
    rng = np.random.default_rng(4)
    vectors = rng.integers(-127, 128, size=(len(words), width)).astype(np.int8)
    hashes = np.sort(np.array([text_hash(word, WORDS) for word in words], dtype=np.int32))
    return WordVectors(hashes, vectors, rng.uniform(0.1, 1.0, len(words)).astype(np.float32))


def taught_intent() -> IntentModel:
    """Return `tiny_intent` after it learned `rows`."""
    model = tiny_intent()
    fit(model, lambda epoch: rows(), QUICK)
    return model

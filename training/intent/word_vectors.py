"""Vectors of words, distilled from a sentence encoder: what a word means to it, without its layers.

Each frequent word of the encoder's vocabulary goes through the encoder by itself. The outputs are reduced to their
principal components and weighted by the words' rank, as model2vec does (van Dongen & Tulkens 2024): the mean of a
text's vectors is then close to what the encoder says of the text, for a thousandth of the time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.errors import SettingsError
from training.intent.text_branch import WORDS, WordVectors, text_hash

BATCH_TOKENS: Final = 4_096

WORD: Final = re.compile(r"[a-z]+|[0-9]{1,4}")
"""Tokens of the vocabulary that are whole words of a text in normal form."""


def distilled(teacher: Path, count: int, width: int) -> WordVectors:
    """Return vectors of the most frequent words of an encoder.

    Args:
        teacher: folder of a sentence encoder of transformers whose WordPiece vocabulary is ordered by frequency, such
            as all-MiniLM-L6-v2 (Wang et al. 2020, Reimers & Gurevych 2019); its output is the mean over tokens.
        count: largest number of words.
        width: length of the vectors.

    Raises:
        SettingsError: it is no such encoder, or has too few words.
    """
    words = _words(teacher, count)
    if len(words) < width:
        raise SettingsError(f"teacher {teacher.name}: {len(words)} words; it needs a WordPiece vocabulary of words")
    outputs = _outputs(teacher, words)
    centred = outputs - outputs.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # the last are the largest
    reduced = centred @ axes[:, -width:]
    zipf = np.log(1 + np.arange(1, len(words) + 1))  # a word's rank stands for how rare it is
    largest = np.maximum(np.abs(reduced).max(axis=1), 1e-12)
    vectors = np.round(reduced / largest[:, None] * 127).astype(np.int8)
    hashes = np.array([text_hash(word, WORDS) for word in words], dtype=np.int32)
    order = np.argsort(hashes, kind="stable")
    weights = (zipf * largest / (zipf * largest).max()).astype(np.float32)
    return WordVectors(hashes[order], vectors[order], weights[order])


def _words(teacher: Path, count: int) -> list[str]:
    """Return the whole words of the vocabulary, the most frequent first."""
    try:
        vocabulary = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise SettingsError(f"teacher {teacher.name}: needs a tokenizer.json with a WordPiece vocabulary") from None
    return [word for word in ordered if WORD.fullmatch(word)][:count]


def _outputs(teacher: Path, words: list[str]) -> npt.NDArray[np.float64]:
    """Return what the encoder says of each word, (V, D)."""
    import torch

    from training.intent.model import load_intent, text_batches

    model = load_intent(teacher)
    found = np.zeros((len(words), model.network.intent_head.in_features))
    for places, batch, _ in text_batches(model, words, BATCH_TOKENS):
        with torch.inference_mode():
            found[places] = model.network(**batch)[2].double().numpy()
    return found

"""Vectors of words, distilled from a sentence encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)
import training
from corpus.errors import SettingsError
from tests.real_bases import folder_of
from training.intent.model import load_intent
from training.intent.text_branch import WORDS, text_hash
from training.intent.word_vectors import distilled

BASE = Path(training.__file__).parent / "bases" / "intent"

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "play", "7", "light", "!", "jazz", "lamp")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("teacher")
    BertTokenizerFast(vocab={token: number for number, token in enumerate(VOCABULARY)}).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(VOCABULARY), **sizes)).save_pretrained(folder)
    return folder


def test_the_most_frequent_whole_words_have_vectors_and_rare_ones_count_more(teacher):
    found = distilled(teacher, 5, 4)
    assert found.hashes.tolist() == sorted(text_hash(word, WORDS) for word in ("the", "play", "7", "light", "jazz"))
    assert found.vectors.dtype == np.int8
    assert np.abs(found.vectors.astype(int)).max(axis=1).tolist() == [127] * 5
    assert found.weights.max() == 1.0
    assert (found.weights > 0).all()
    again = distilled(teacher, 5, 4)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_a_teacher_without_enough_words_or_without_a_vocabulary_is_refused(teacher, tmp_path):
    with pytest.raises(SettingsError, match="6 words"):
        distilled(teacher, 100, 8)
    with pytest.raises(SettingsError, match="needs a tokenizer"):
        distilled(tmp_path, 100, 8)


@pytest.mark.bases
def test_the_embedded_base_has_the_words_of_minilm():
    words = distilled(folder_of("minilm"), 20_000, 96)
    text = load_intent(BASE).network.text
    assert np.array_equal(text.word_hashes.numpy(), words.hashes)
    assert np.abs(text.word_vectors.numpy().astype(int) - words.vectors).max() <= 1
    assert np.allclose(text.word_weights.numpy(), words.weights, atol=1e-3)

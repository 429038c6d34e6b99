"""What an intent model reads of the text itself: its words and n-grams, by their hashes."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from corpus.text import normalise
from tests.training.tiny_intent import made_up_words, taught_intent
from training.intent.model import classify, load_intent, save_intent
from training.intent.text_branch import LETTERS, WORDS, TextBranch, ngram_table, ngrams, text_hash

TEXTS = ["turn on the light", "play some jazz", "what's the time the time", "a", ""]


@pytest.fixture(scope="module")
def reading():
    """Return a model with n-grams and words whose heads are not zero."""
    model = taught_intent()
    model.network.set_words(made_up_words(["play", "jazz", "light", "what", "time"], 6))
    model.network.set_ngrams(*ngram_table(TEXTS))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        model.network.text.ngram_head.normal_()
        model.network.text.word_head.normal_()
    return model


@given(st.text())
def test_the_letters_are_those_of_scikit_learn(text: str):
    own = normalise(text)
    peer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)).build_analyzer()(own)
    assert Counter(part for part, kind in ngrams(own) if kind == LETTERS) == Counter(peer)
    words = own.split()
    assert [part for part, kind in ngrams(own) if kind == WORDS and " " not in part] == words


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("abc ", max_size=12), min_size=1, max_size=6), st.text("abcd ", max_size=12))
def test_the_weights_are_the_tfidf_of_scikit_learn(learned: list[str], asked: str):
    texts = [normalise(text) for text in learned]
    hashes, idf = ngram_table(texts)
    branch = TextBranch(len(hashes), 0, 0, 2, 0.0)
    branch.ngram_hashes.copy_(torch.as_tensor(hashes))
    branch.ngram_idf.copy_(torch.as_tensor(idf))
    (columns,), (weights,) = branch.ngrams_of([normalise(asked)])
    if not len(hashes):
        assert not len(columns)
        return
    peer = TfidfVectorizer(
        analyzer=lambda text: [text_hash(*part) for part in ngrams(text)], sublinear_tf=True, norm=None
    ).fit(texts)
    assert sorted(peer.vocabulary_) == hashes.tolist()
    row = peer.transform([normalise(asked)]).tocoo()
    names = peer.get_feature_names_out()
    expected = {int(names[place]): value for place, value in zip(row.col, row.data, strict=True)}
    length = np.sqrt(sum(value**2 for value in expected.values())) or 1.0
    found = dict(zip(hashes[columns].tolist(), weights.tolist(), strict=True))
    assert found == pytest.approx({own: value / length for own, value in expected.items()}, abs=1e-6)


def test_a_text_has_the_same_logits_in_any_batch_and_after_it_was_saved(reading, tmp_path):
    together = classify(reading, TEXTS).logits
    alone = np.concatenate([classify(reading, [text]).logits for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    save_intent(reading, tmp_path / "model")
    assert np.allclose(classify(load_intent(tmp_path / "model"), TEXTS).logits, together, atol=1e-6)


def test_a_text_without_known_words_and_ngrams_gets_nothing(reading):
    inputs = reading.network.text_inputs(["", "xq", "jazz"])
    logits = reading.network.text(inputs)
    assert logits[:2].abs().max() == 0.0
    assert logits[2].abs().max() > 0.0
    assert float(inputs.words[2].norm()) == pytest.approx(1.0)


def test_dropout_passes_leave_out_the_same_words_and_ngrams_of_all_texts(reading):
    together = classify(reading, TEXTS, passes=3, seed=1).pass_probs
    alone = np.concatenate([classify(reading, [text], passes=3, seed=1).pass_probs for text in TEXTS], axis=1)
    assert np.allclose(together, alone, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-3)


def test_a_new_intent_begins_at_the_mean_of_the_others(reading):
    branch = TextBranch(3, 2, 4, 2, 0.0)
    with torch.no_grad():
        branch.ngram_head.copy_(torch.arange(6.0).reshape(3, 2))
    branch.extend(1)
    assert branch.ngram_head[:, 2].tolist() == [0.5, 2.5, 4.5]
    assert branch.word_head.shape == (4, 3)


def test_a_model_from_before_there_was_a_branch_answers_as_it_did(tmp_path):
    model = taught_intent()
    save_intent(model, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in config.items() if not key.startswith(("ngram", "word"))}))
    assert np.array_equal(classify(load_intent(tmp_path / "model"), TEXTS).logits, classify(model, TEXTS).logits)
    assert model.network.text is None

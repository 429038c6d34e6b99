from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from training.asr.language_model import END, START, UNKNOWN, NgramModel, build_ngrams

WORDS = "abcd"
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), min_size=1, max_size=12)


def probability(model: NgramModel, history: tuple[str, ...], word: str) -> float:
    """Return p(word | history) as a reader of an ARPA file does."""
    gram = (*history, word)
    if gram in model.probs[len(gram) - 1]:
        return model.probs[len(gram) - 1][gram]
    return model.backoffs.get(history, 1.0) * probability(model, history[1:], word)


def histories(model: NgramModel, length: int) -> list[tuple[str, ...]]:
    return list(itertools.product([START, *model.vocabulary], repeat=length))


def test_bigrams_are_those_computed_by_hand():
    model = build_ngrams([("a b", 1.0), ("a a", 1.0)], order=2)
    # bigrams: <s> a 2; a b, b </s>, a a, a </s> once each: n1 = 4, n2 = 1, so D = 4 / 6
    # contexts: a after <s> and a: 2; b after a: 1; </s> after a and b: 2; D of unigrams = 1 / (1 + 2 * 2) = 0.2
    # V = a, b, </s>, <unk>; left for the even base: 3 * 0.2 / 5 = 0.12, so 0.03 each
    unigrams = {"a": 1.8 / 5 + 0.03, "b": 0.8 / 5 + 0.03, END: 1.8 / 5 + 0.03, UNKNOWN: 0.03}
    assert {gram[0]: p for gram, p in model.probs[0].items()} == pytest.approx(unigrams)
    assert probability(model, (START,), "a") == pytest.approx((2 - 2 / 3) / 2 + (2 / 3 / 2) * unigrams["a"])
    assert probability(model, ("a",), "b") == pytest.approx((1 / 3) / 3 + (2 / 3) * unigrams["b"])
    assert probability(model, ("b",), "a") == pytest.approx((2 / 3) * unigrams["a"])


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.lists(st.floats(0.1, 7.0), min_size=12, max_size=12), st.sampled_from([2, 3]))
def test_the_words_after_any_history_sum_to_one(texts, weights, order):
    model = build_ngrams(list(zip(texts, weights, strict=False)), {"listed": 3.0, "known": 0.0}, order)
    for length in range(order):
        for history in histories(model, length):
            total = sum(probability(model, history, word) for word in model.vocabulary)
            assert total == pytest.approx(1.0, abs=1e-9), history


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.randoms())
def test_the_order_of_the_texts_does_not_matter(texts, rng):
    weighted = [(text, weight) for text in texts for weight in (0.1, 0.2, 0.7)]
    shuffled = list(weighted)
    rng.shuffle(shuffled)
    assert build_ngrams(weighted, {"w": 1.0}) == build_ngrams(shuffled, {"w": 1.0})


def test_every_word_of_the_list_has_a_probability_and_frequent_ones_a_higher_one():
    model = build_ngrams([("play a song", 1.0)], {"stop": 90.0, "pause": 10.0, "hum": 0.0})
    stop, pause, hum = (probability(model, (), word) for word in ("stop", "pause", "hum"))
    assert stop > pause > hum == pytest.approx(probability(model, (), UNKNOWN))
    assert hum > 0


def test_a_heavier_text_is_likelier_and_a_word_of_few_contexts_is_rarer_elsewhere():
    model = build_ngrams([("play jazz", 5.0), ("play rock", 1.0)], order=2)
    assert probability(model, ("play",), "jazz") > probability(model, ("play",), "rock")
    # "york" follows "new" alone, "park" three words: elsewhere "park" is likelier, though it is as frequent
    texts = ["new york", "new york", "new york", "the park", "a park", "big park"]
    model = build_ngrams([(text, 1.0) for text in texts], order=2)
    assert probability(model, ("york",), "park") > probability(model, ("york",), "york")


@pytest.mark.parametrize(
    ("texts", "order"), [([], 3), ([("  ", 1.0)], 3), ([("a", 0.0)], 3), ([("a", float("nan"))], 2), ([("a", 1.0)], 4)]
)
def test_what_can_not_be_built_is_refused(texts, order):
    with pytest.raises(UsageError):
        build_ngrams(texts, order=order)

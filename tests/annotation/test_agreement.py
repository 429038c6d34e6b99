from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.agreement import krippendorff_alpha, measure_agreement, word_edits, word_similarity
from annotation.votes import pair_agreement
from corpus.records.arrivals import SlotSpan
from tests.annotation.worlds import TEXTS, answers, judged, labelled

# The worked example of Krippendorff (2011), section C: four observers, twelve units, nominal alpha 0.743.
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "1233244125 1.".replace(" ", ""))


def test_alpha_of_the_published_example() -> None:
    units = [[row[u] for row in OBSERVERS if row[u] != "."] for u in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_for_full_agreement_and_undefined_without_variation() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1.0
    assert krippendorff_alpha([["a", "a"], ["a", "a", "a"]]) is None
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([["a"], ["b"]]) is None


def test_alpha_is_near_zero_for_chance_and_negative_for_systematic_disagreement() -> None:
    rng = np.random.default_rng(1)
    units = [list(pair) for pair in rng.choice(list("abc"), size=(4000, 2))]
    assert abs(krippendorff_alpha(units)) < 0.05
    assert krippendorff_alpha([["a", "b"]] * 10) < 0


def brute_alpha(units: list[list[str]]) -> float | None:
    """Alpha by its definition: every ordered pair, one by one."""
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    n = len(values)
    observed = sum(
        sum(a != b for i, a in enumerate(u) for j, b in enumerate(u) if i != j) / (len(u) - 1) for u in units
    )
    expected = sum(a != b for i, a in enumerate(values) for j, b in enumerate(values) if i != j)
    return 1 - (observed / n) / (expected / (n * (n - 1))) if expected else None


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=6))
def test_alpha_is_its_definition(units: list[list[str]]) -> None:
    expected = brute_alpha(units)
    assert krippendorff_alpha(units) == (expected if expected is None else pytest.approx(expected))


def brute_edits(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


sentences = st.lists(st.sampled_from(["on", "off", "the", "light"]), max_size=6).map(" ".join)


@settings(deadline=None)
@given(sentences, sentences)
def test_word_edits_are_the_levenshtein_distance_and_symmetric(a: str, b: str) -> None:
    assert word_edits(a, b) == word_edits(b, a) == brute_edits(a.split(), b.split())
    assert 0.0 <= word_similarity(a, b) <= 1.0


def test_silence_against_words_counts_every_word() -> None:
    assert word_edits("", "turn on the light") == 4
    assert word_similarity("", "turn on") == 0.0
    assert word_similarity("", "") == 1.0


def test_agreement_sums_edits_and_words_over_pairs() -> None:
    room = SlotSpan("room", 12, 17)
    rows = [
        labelled("ann", "turn on the light", slots=(room,)),
        labelled("bob", "turn on a light", slots=(SlotSpan("room", 10, 15),)),
        labelled("ann", "", "other", task_id="t2"),
        labelled("bob", "play some music", "play_music", task_id="t2"),
    ]
    found = measure_agreement(rows)
    assert (found.pairs, found.intents, found.same_intent) == (2, 2, 1)
    assert (found.edits, found.words) == (1 + 3, 8 + 3)
    assert found.wer == pytest.approx(2 * 4 / 11)
    assert (found.slot_f1, found.same_verdict) == (1.0, 2)


def test_answers_to_different_tasks_are_not_compared() -> None:
    found = measure_agreement([labelled("ann"), labelled("bob", task_id="t2")])
    assert (found.pairs, found.intents, found.wer, found.slot_f1) == (0, 0, None, None)


def test_who_asks_for_help_has_not_answered() -> None:
    assert measure_agreement([labelled("ann"), judged("bob", "help")]).pairs == 0


def test_different_verdicts_do_not_agree() -> None:
    assert pair_agreement(labelled("ann"), judged("bob", "accidental")) == 0.0
    assert pair_agreement(judged("ann", "accidental"), judged("bob", "accidental")) == 1.0


@settings(max_examples=150, deadline=None)
@given(st.lists(answers(), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_agreement_does_not_depend_on_order_and_stays_in_range(rows, rng) -> None:
    found = measure_agreement(rows)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert measure_agreement(shuffled) == found
    assert 0 <= found.same_verdict <= found.pairs
    assert 0 <= found.same_intent <= found.intents
    assert found.slot_f1 is None or 0.0 <= found.slot_f1 <= 1.0


@settings(deadline=None)
@given(answers(), answers())
def test_pair_agreement_is_symmetric_and_one_with_itself(first, second) -> None:
    second = replace(second, annotator_id="dan")
    assert pair_agreement(first, second) == pair_agreement(second, first)
    assert 0.0 <= pair_agreement(first, second) <= 1.0
    assert pair_agreement(first, first) == 1.0


def test_the_texts_of_the_tests_are_in_normal_form() -> None:
    assert all(word_edits(text, text) == 0 for text in TEXTS)

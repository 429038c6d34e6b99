"""What refuses a training: a large rise on the dev rows that is not luck, or a loss that grew."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.dev_check import MIN_ROWS, DevErrors, can_tell, sign_test, why_diverged, why_worse


def errors(size: list[int], before: list[int], after: list[int]) -> DevErrors:
    return DevErrors(*(np.array(each, dtype=np.int64) for each in (size, before, after)))


def test_word_errors_that_double_are_worse_and_the_sentence_has_both_rates():
    doubled = errors([5] * 12, [1] * 12, [4] * 11 + [0])
    why = why_worse("asr", doubled)
    assert why == "WER on 12 dev rows rose from 20.0 % of the base to 73.3 % (11 rows worse, 1 better)"
    assert why_worse("asr", errors([5] * 10, [2] * 10, [3] * 10)) == ""


def test_a_weak_base_is_worse_where_it_loses_half_of_its_right_words():
    silent = errors([4] * 12, [2] * 12, [4] * 12)  # it writes nothing any more: 50 % to 100 %
    assert "100.0 %" in why_worse("asr", silent)
    weak = errors([4] * 12, [3] * 12, [4] * 12)
    assert why_worse("asr", weak)
    useless = errors([4] * 12, [4] * 12, [5] * 12)
    assert why_worse("asr", useless) == ""


def test_an_intent_error_is_worse_where_it_rises_by_five_points_and_not_by_luck():
    assert why_worse("intent", errors([2] * 20, [0] * 20, [2] * 8 + [0] * 12)).startswith("intent error on 20 dev rows")
    assert why_worse("intent", errors([2] * 20, [0] * 20, [2] * 5 + [0] * 15)) == ""
    assert why_worse("intent", errors([1] * 200, [0] * 200, [1] * 9 + [0] * 191)) == ""


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_too_few_rows_tell_nothing(kind):
    few = errors([4] * (MIN_ROWS - 1), [0] * (MIN_ROWS - 1), [4] * (MIN_ROWS - 1))
    enough = errors([4] * MIN_ROWS, [0] * MIN_ROWS, [4] * MIN_ROWS)
    assert (can_tell(few), why_worse(kind, few), can_tell(None), why_worse(kind, None)) == (False, "", False, "")
    assert can_tell(enough)
    assert why_worse(kind, enough)


def test_equal_models_are_seldom_refused():
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(400):
        before, after = rng.binomial(5, 0.1, (2, 25))
        refused += bool(why_worse("asr", errors([5] * 25, before.tolist(), after.tolist())))
    assert refused <= 4


def test_the_sign_test_is_exact():
    assert sign_test(0, 0) == 1.0
    assert sign_test(7, 0) == pytest.approx(1 / 128)
    assert sign_test(2, 1) == pytest.approx(0.5)


def test_a_loss_that_grows_far_above_the_bases_diverged():
    assert why_diverged(2.0, [2.5, 9.0]) == "the loss rose from 2 at the first step to 9 in the last epoch"
    assert why_diverged(2.0, [9.0, 2.0]) == ""
    assert why_diverged(0.1, [0.9]) == ""  # nine times, but little
    assert why_diverged(None, [9.0]) == ""
    assert why_diverged(0.003, [2.0, 1.4]) == ""  # the first step was one easy clip
    assert why_diverged(0.003, [1.4, 2.0]) != ""
    assert why_diverged(2.0, [9.0, 7.0]) != ""  # it fell, but from far above
    assert why_diverged(1.0, []) == ""

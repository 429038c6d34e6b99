from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.latency import CLIPS, Timing, judging_speed, speed_figures, spread_over_speakers, time_calls


def test_every_clip_is_timed_by_itself_after_one_that_is_not():
    asked = []
    found = time_calls(asked.append, ["a", "b"])
    assert asked == ["a", "a", "b"]
    assert found.shape == (2,)
    assert (found >= 0).all()
    assert time_calls(asked.append, []).shape == (0,)


def test_clips_are_of_as_many_speakers_as_there_are():
    speakers = ["s1"] * 30 + ["s2", "s3"]
    chosen = spread_over_speakers(speakers)
    assert len(chosen) == CLIPS
    assert {speakers[row] for row in chosen} == {"s1", "s2", "s3"}
    assert spread_over_speakers(["a", "b"], 5) == [0, 1]


@pytest.mark.parametrize("seconds", [[1.8], [0.9, 1.8, 2.7]])
def test_the_real_time_factor_of_one_speaker_is_anything_up_to_its_slowest_clip(seconds):
    count = len(seconds)
    rtf = speed_figures(Timing(np.ones(count), np.array(seconds), np.array(["s"] * count)))["rtf"]
    assert (rtf.value, rtf.low, rtf.high) == (pytest.approx(1.8), 0.0, max(seconds))
    assert rtf.low < rtf.value <= rtf.high


def test_the_real_time_factor_of_two_speakers_reaches_far_but_not_below_nought():
    rtf = speed_figures(Timing(np.ones(2), np.array([0.1, 3.5]), np.array(["s", "t"])))["rtf"]
    assert (rtf.value, rtf.low) == (pytest.approx(1.8), 0.0)
    assert rtf.high > 3.5


def test_speed_has_intervals():
    seconds = np.arange(1, 21) / 100
    timing = Timing(np.full(20, 2.0), seconds, np.array([f"s{k}" for k in range(20)]))
    found = speed_figures(timing)
    assert found["rtf"].value == pytest.approx(seconds.sum() / 40)
    assert found["latency_p50"].value == pytest.approx(0.10)
    assert found["latency_p95"].value == pytest.approx(0.19)
    for rate in found.values():
        assert 0 <= rate.low <= rate.value <= rate.high <= 0.2
    assert found["latency_p50"].low < 0.1 < found["latency_p50"].high
    assert speed_figures(Timing(np.zeros(0), np.zeros(0), np.array([], dtype=str))) == {}


def test_an_intent_model_is_as_slow_as_hearing_and_understanding_together_and_its_part_is_shown():
    hearing, understanding, speakers = np.array([0.2, 0.4]), np.array([0.1, 0.1]), ["a", "b"]
    speech = judging_speed([1.0, 2.0], hearing, None, speakers)
    assert set(speech) == {"rtf", "latency_p50", "latency_p95"}
    assert speech["rtf"].value == pytest.approx(0.2)
    both = judging_speed([1.0, 2.0], hearing, understanding, speakers)
    assert set(both) == {*speech, "own_latency_p50", "own_latency_p95"}
    assert both["latency_p95"].value == pytest.approx(0.5)
    assert both["own_latency_p95"].value == pytest.approx(0.1)

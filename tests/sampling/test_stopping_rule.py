from __future__ import annotations

import json

import numpy as np
import pytest

from corpus.errors import RecordError
from sampling.stopping_rule import JudgedVersion, StoppingSettings, fit_curve, outlook, remaining_error


def judged_of(labels: list[int], power: float, scale: float = 80.0, speakers: int = 60, seed: int = 0, base=0.5):
    """Versions whose error follows the curve, judged by speakers who differ; later sets hold earlier ones."""
    rng = np.random.default_rng(seed)
    hard = np.clip(base + 0.15 * rng.normal(size=speakers), 0.05, 0.95)
    made = []
    for k, n in enumerate(labels):
        heard = np.arange(speakers * (k + 2) // (len(labels) + 1))
        units = np.full(len(heard), 20.0)
        base_errors = rng.binomial(20, hard[heard]).astype(float)
        mine = rng.binomial(20, np.minimum(1, hard[heard] * (1 + n / scale) ** -power)).astype(float)
        made.append(JudgedVersion(n, np.array([f"s{i:03d}" for i in heard]), mine, base_errors, units))
    return made


def test_a_curve_is_found_again():
    labels = np.array([50.0, 100.0, 200.0, 400.0])
    curve = fit_curve(labels, ((1 + labels / 100) ** -0.5)[:, None], np.ones(4))
    for n in (50.0, 400.0, 800.0):
        assert remaining_error(curve, n)[0] == pytest.approx((1 + n / 100) ** -0.5, rel=0.03)


def test_what_the_next_labels_bring_is_within_its_interval():
    inside = 0
    for seed in range(30):
        found = outlook(judged_of([50, 100, 200, 300], 0.5, seed=seed), StoppingSettings(labels=100))
        truth = 0.5 * ((1 + 300 / 80) ** -0.5 - (1 + 400 / 80) ** -0.5)
        assert found.low <= found.gain <= found.high
        assert found.gain == pytest.approx(found.now - found.then)
        inside += found.low <= truth <= found.high
    assert inside >= 24  # 90 % asked for
    assert (found.labels, found.more, found.versions) == (300, 100, 4)
    json.dumps(found.as_json(), allow_nan=False)


def test_a_flat_curve_advises_to_stop_and_a_falling_one_to_go_on():
    rising = outlook(judged_of([50, 100, 200], 0.6))
    assert rising.advice == "go on"
    assert rising.why.startswith("the next 100 labels are expected to bring")
    flat = outlook(judged_of([2000, 4000, 8000], 0.05, speakers=300))
    assert flat.advice == "stop"
    assert "less than 0.5 points" in flat.why
    harmful = outlook(judged_of([50, 100, 200], -0.4, speakers=200))
    assert harmful.gain == 0.0


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        ([], "needs at least 3 judged versions, there are 0"),
        (judged_of([50, 100], 0.5), "needs at least 3 judged versions, there are 2"),
        (judged_of([50, 50, 50], 0.5), "needs at least 3 judged versions, there are 1"),
        (judged_of([50, 100, 200], 0.5, speakers=8), "needs 10 speakers who judge"),
        (judged_of([50, 100, 200], 0.5, base=-2.0)[:2], "there are 2"),
    ],
    ids=["none", "two", "one size", "few speakers", "few errors"],
)
def test_too_little_is_said_to_be(judged, why):
    found = outlook(judged)
    assert found.advice == "unknown"
    assert why in found.why
    assert found.gain is None
    json.dumps(found.as_json(), allow_nan=False)


def test_a_base_without_errors_tells_nothing():
    perfect = [
        JudgedVersion(n, np.array([f"s{i}" for i in range(20)]), np.zeros(20), np.zeros(20), np.ones(20))
        for n in (5, 9, 20)
    ]
    assert outlook(perfect).advice == "unknown"


def test_the_same_versions_give_the_same_outlook():
    judged = judged_of([50, 100, 200], 0.5)
    assert outlook(judged) == outlook(judged)
    assert outlook(judged, seed=1) != outlook(judged)


def test_sums_that_do_not_fit_are_refused():
    with pytest.raises(RecordError, match="stopping"):
        JudgedVersion(5, np.array(["a", "b"]), np.ones(1), np.ones(2), np.ones(2))
    with pytest.raises(RecordError, match="not finite"):
        JudgedVersion(5, np.array(["a"]), np.array([np.nan]), np.ones(1), np.ones(1))

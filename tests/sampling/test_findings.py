"""Predictions compared with labels: missing labels are left out, and cohorts come from audit rows alone."""

import numpy as np
import pytest

from corpus.errors import RecordError
from sampling.cohorts import CohortSettings
from sampling.example_pools import unit
from sampling.findings import cohorts_of, compare_with_labels, evidence_of
from sampling.from_arrays import predictions_of


def findings(**changes):
    rng = np.random.default_rng(0)
    ids = [f"u{k}" for k in range(4)]
    made = predictions_of(
        ids,
        np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]),
        unit(rng.normal(size=(4, 3))),
        intents=("on", "off"),
        versions=("1", "1"),
        duration=np.ones(4),
        asr={"expected_errors": np.array([0.1, 2.0, 0.3, 1.0]), "num_tokens": np.full(4, 5.0)},
    )
    given = {
        "errors": {"u0": 0, "u1": 3},
        "words": {"u0": 4, "u1": 5},
        "intents": {"u0": "on", "u1": "on", "u3": "on"},
        "inclusion_probs": np.array([0.5, 0.25, 1.0, 1.0]),
        "speaker_ids": np.array(["a", "b", "c", "d"]),
        "audit": np.array([True, True, False, False]),
    }
    return compare_with_labels(made, **(given | changes))


def test_rows_without_the_label_are_left_out_of_the_evidence():
    found = findings()
    words, intent = evidence_of(found, "words"), evidence_of(found, "intent")
    assert words.outcomes.tolist() == [0, 3]
    np.testing.assert_allclose(words.scores, [0.1, 2.0], rtol=1e-6)
    assert words.weights.tolist() == [2, 4]
    assert intent.outcomes.tolist() == [0, 1, 0]
    assert intent.speaker_ids.tolist() == ["a", "b", "d"]
    assert intent.audit.tolist() == [True, True, False]


def test_a_share_of_0_looks_for_no_cohort():
    assert cohorts_of(findings(), CohortSettings(share=0), 0, "night") == []


def test_columns_of_another_length_are_refused():
    with pytest.raises(RecordError, match="unequal length"):
        findings(audit=np.array([True]))

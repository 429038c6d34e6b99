from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus.errors import RecordError
from corpus.records.predictions import BLOCK
from sampling.example_pools import predictions_of

SEAM = [0, BLOCK - 1, BLOCK, BLOCK + 1]


@pytest.fixture(scope="module")
def predictions():
    return predictions_of(BLOCK + 2, intents=2, width=2)


@pytest.mark.parametrize("row", SEAM)
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("embeddings", np.nan, "embeddings is not finite for utterance {}"),
        ("pass_disagreement", np.inf, "pass_disagreement is not finite for utterance {}"),
        ("embeddings", 0.0, "the embedding of utterance {} .* is not of unit length"),
        ("intent_probs", 0.1, "intent_probs of utterance {} .* do not sum to 1"),
    ],
)
def test_a_bad_row_is_named_in_any_block(predictions, row, column, value, message):
    values = getattr(predictions, column).copy()
    values[row] = value
    with pytest.raises(RecordError, match=message.format(predictions.utterance_ids[row])):
        replace(predictions, **{column: values})


def test_a_negative_probability_and_a_repeated_id_are_refused():
    predictions = predictions_of(4, intents=2)
    with pytest.raises(RecordError, match="a probability is negative"):
        replace(predictions, intent_probs=np.tile(np.array([1.5, -0.5], np.float32), (4, 1)))
    with pytest.raises(RecordError, match="appears twice"):
        replace(predictions, utterance_ids=predictions.utterance_ids[[0, 1, 2, 2]])


def test_no_rows_and_no_width_have_a_defined_outcome():
    assert len(predictions_of(0)) == 0
    with pytest.raises(RecordError, match="not of unit length"):
        replace(predictions_of(3), embeddings=np.zeros((3, 0), np.float32))

"""The rows with a mistake are ranked by how much is wrong with them."""

import numpy as np

from corpus.records.evaluation import EvaluationReport
from training.evaluation.error_ranking import worst_first


def report(kind, **columns):
    count = len(next(iter(columns.values())))
    zeros = np.zeros(count, np.int64)
    given = {
        "errors": zeros,
        "words": zeros + 4,
        "correct": zeros == 0,
        "confidence": zeros.astype(np.float32),
        "slot_counts": np.zeros((count, 3), np.int64),
    } | {name: np.array(column) for name, column in columns.items()}
    ids = np.array([f"u{k}" for k in range(count)])
    return EvaluationReport(
        kind, "1", "set", ids, ids, given["errors"], given["words"], zeros, zeros, given["correct"].astype(bool),
        given["confidence"].astype(np.float32), given["slot_counts"],
    )  # fmt: skip


def test_most_word_errors_come_first_then_the_larger_share_then_the_id():
    found = worst_first(report("asr", errors=[1, 0, 3, 1, 1], words=[4, 4, 9, 2, 4]))
    assert found == [2, 3, 0, 4]


def test_wrong_intents_come_first_the_surest_before_the_doubtful_then_wrong_slots():
    slots = [[0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0], [2, 1, 0]]
    found = worst_first(
        report("intent", correct=[0, 1, 0, 1, 1], confidence=[0.5, 0.9, 0.8, 0.9, 0.9], slot_counts=slots)
    )
    assert found == [2, 0, 1, 4]

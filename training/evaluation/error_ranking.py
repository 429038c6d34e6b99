"""The rows of a report with a mistake, in the order in which they are worth looking at."""

from __future__ import annotations

import numpy as np

from corpus.records.evaluation import EvaluationReport


def worst_first(report: EvaluationReport) -> list[int]:
    """Return the rows with a mistake, the worst first.

    Of a speech model those with most word errors first, among equals those with the larger share of wrong words. Of an
    intent model wrong intents first, the surest first, then those with most wrong slots. Ties go by utterance id.
    """
    if report.kind == "asr":
        share = report.errors / np.maximum(1, report.words)
        order = np.lexsort((report.utterance_ids, -share, -report.errors))
        wrong = report.errors > 0
    else:
        slots = report.slot_counts[:, 1:].sum(axis=1)
        order = np.lexsort((report.utterance_ids, -slots, -report.confidence, report.correct))
        wrong = ~report.correct | (slots > 0)
    return [int(row) for row in order if wrong[row]]

"""Order of the wrong rows of a report, the worst first, for people who read them."""

from __future__ import annotations

import numpy as np

from corpus.records.evaluation import EvaluationReport


def worst_first(report: EvaluationReport) -> list[int]:
    """Return the rows with an error, the worst first.

    Speech model: most word errors first, then the larger share of wrong words. Intent model: wrong intents first, those
    with the highest confidence at the top, then rows with most wrong slots. Ties are sorted by utterance id.
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

"""What a version's run shows of its reports: the few metrics that decide, and tables of all figures and slices.

MLflow's columns, charts and comparisons are in the order of names, so those that decide begin with `anchor`, `audit`,
`base`, `champion` and `change`; all others come later in the alphabet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from training.evaluation.metrics import DECIMALS, SliceRow, with_bounds
from training.evaluation.rates import MAIN
from training.evaluation.report_pairs import FigurePair, SlicePair

EXPLAINING: Final[Mapping[Kind, tuple[str, ...]]] = {
    "asr": ("deletions", "ece", "end_to_end_success", "insertions", "substitutions", "wer_numbers"),
    "intent": ("ece", "end_to_end_success", "macro_f1", "slot_f1"),
}
"""Figures beside the error rate that are metrics, without bounds; the table of figures has all with theirs."""

FIGURE_COLUMNS: Final = ("figure", "value", "champion", "change", "change low", "change high", "low", "high")
SLICE_COLUMNS: Final = ("slice", "rows", *FIGURE_COLUMNS[1:], "speakers", "thin")
"""Columns of the tables; MLflow's page has room for the first five."""


def version_metrics(report: EvaluationReport, rates: Mapping[str, Interval]) -> dict[str, float]:
    """Return the metrics of a version on the rows that judge it: `audit_wer` or `audit_intent_error` and the like.

    Args:
        report: of the version.
        rates: its figures by name, see `training.evaluation.rates.figures`.
    """
    main = rates.get(MAIN[report.kind])
    if main is None:
        return {}
    values = with_bounds({f"audit_{MAIN[report.kind]}": main})
    values |= {"audit_rows": float(main.n), "audit_speakers": float(main.speakers)}
    return values | {name: rates[name].value for name in EXPLAINING[report.kind] if name in rates}


def anchor_metrics(kind: Kind, rate: Interval) -> dict[str, float]:
    """Return the metrics on the anchor rows, which are the same for all versions."""
    return {**with_bounds({f"anchor_{MAIN[kind]}": rate}), "anchor_rows": float(rate.n)}


def figure_rows(pairs: Sequence[FigurePair]) -> list[tuple[object, ...]]:
    """Return the rows of the table of figures for the second version of each pair, the champion being the first."""
    return [
        (pair.figure, *_compared(pair.second, pair.first, pair.difference)) for pair in pairs if pair.second is not None
    ]


def figure_rows_alone(rates: Mapping[str, Interval]) -> list[tuple[object, ...]]:
    """Return the rows of the table of figures for a version that is compared with none."""
    return [(name, *_compared(rate)) for name, rate in rates.items()]


def slice_rows_compared(pairs: Sequence[SlicePair]) -> list[tuple[object, ...]]:
    """Return the rows of the table of slices for the second version of each pair, the largest slices first."""
    largest = sorted(pairs, key=lambda pair: (pair.second.thin, -pair.second.rate.n))
    return [_slice(pair.second, _compared(pair.second.rate, pair.first.rate, pair.difference)) for pair in largest]


def slice_rows_alone(rows: Sequence[SliceRow]) -> list[tuple[object, ...]]:
    """Return the rows of the table of slices for a version that is compared with none, the largest slices first."""
    largest = sorted(rows, key=lambda row: (row.thin, -row.rate.n))
    return [_slice(row, _compared(row.rate)) for row in largest]


def _slice(row: SliceRow, rates: tuple[float | None, ...]) -> tuple[object, ...]:
    return (f"{row.dimension}={row.value}", row.rate.n, *rates, row.rate.speakers, row.thin)


def _compared(
    rate: Interval, champion: Interval | None = None, difference: Interval | None = None
) -> tuple[float | None, ...]:
    """Return the cells of a rate beside that of the champion, in the order of the columns."""
    value, low, high = _bounds(rate)
    return (value, _bounds(champion)[0], *_bounds(difference), low, high)


def _bounds(rate: Interval | None) -> tuple[float | None, ...]:
    return (None,) * 3 if rate is None else tuple(round(each, DECIMALS) for each in (rate.value, rate.low, rate.high))

"""A comparison of two versions as an MLflow run: figures, tables and the page, with ids, counts and rates alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corpus.records.evaluation import Interval
from corpus.storage import operation_ids
from flows.reports.compare import Compared, Comparison
from flows.reports.compare_table import figure_text, points_head, versions_of
from flows.runtime.markdown import markdown_table, plain_text
from training.evaluation.interval_text import points_text

if TYPE_CHECKING:
    from training.tracking.store import TrackingSettings

PAGE = "comparison.html"


def log_comparison(tracking_settings: TrackingSettings, home: Path, compared: Compared, page: str) -> str:
    """Log a comparison to MLflow; return the id of its run, which is one for a pair of versions and a set of rows.

    Args:
        tracking_settings: where MLflow is.
        home: the home.
        compared: the comparison.
        page: its HTML page.

    Raises:
        EarmarkError: the store can't be reached.
    """
    from training.tracking import run_names, runs
    from training.tracking.facts import RunFacts
    from training.tracking.store import open_tracking

    report = compared.document
    tracking = open_tracking(tracking_settings, home)
    facts = RunFacts(
        operation_id=operation_ids.compare(report.kind, report.first, report.second, report.eval_set_id),
        name=run_names.compared(report.kind, report.first, report.second, report.difference.n),
        kind="compare",
        config={"model": report.kind, "first": report.first, "second": report.second},
        eval_set_id=report.eval_set_id,
    )
    with runs.tracked_run(tracking, facts) as run_id:
        runs.describe_run(tracking, run_id, _note(report))
        runs.log_metrics(tracking, run_id, _metrics(report))
        names = versions_of(report)
        columns = (*names, "change", "change low", "change high")
        runs.log_table(tracking, run_id, "figures.json", ("figure", *columns), _figures(report))
        headers = ("slice", "rows", *columns, "speakers", "thin")
        runs.log_table(tracking, run_id, "slices.json", headers, _slices(report))
        runs.log_document(tracking, run_id, "comparison.json", report.to_json())
        runs.log_document(tracking, run_id, PAGE, page)
    return run_id


def _metrics(report: Comparison) -> dict[str, float]:
    """Return the metrics of the comparison, those that decide first in the alphabet."""
    from training.evaluation.metrics import loggable, with_bounds
    from training.evaluation.rates import MAIN

    measure = MAIN[report.kind]
    values = {
        "audit_rows": float(report.difference.n),
        "audit_speakers": float(report.difference.speakers),
        **with_bounds({"change": report.difference}),
        **with_bounds({f"first_{measure}": report.rates[0], f"second_{measure}": report.rates[1]}),
        "utterances_better": float(report.better),
        "utterances_worse": float(report.worse),
    }
    return loggable(values)


def _figures(report: Comparison) -> list[tuple[str | float | None, ...]]:
    return [(row.name, _value(row.first), _value(row.second), *_bounds(row.difference)) for row in report.figures]


def _slices(report: Comparison) -> list[tuple[str | float | None, ...]]:
    largest = sorted(report.slices, key=lambda row: (row.thin, -row.rows))
    return [
        (row.slice, row.rows, _value(row.first), _value(row.second), *_bounds(row.difference), row.speakers, row.thin)
        for row in largest
    ]


def _value(rate: Interval | None) -> float | None:
    return None if rate is None else round(rate.value, 4)


def _bounds(rate: Interval | None) -> tuple[float | None, ...]:
    return (None,) * 3 if rate is None else tuple(round(each, 4) for each in (rate.value, rate.low, rate.high))


def _note(report: Comparison) -> str:
    """Return the description of the run in Markdown: the figures of both versions, and where the page is."""
    names, rows = versions_of(report), report.difference
    lines = [
        f"Both on the same {rows.n} rows of {rows.speakers} speakers, 95 % intervals by speaker; the page is the "
        f"artifact `{PAGE}`.",
        "",
        markdown_table(
            ("", *names, points_head(names)),
            [
                (row.name, figure_text(row.first), figure_text(row.second), points_text(row.difference))
                for row in report.figures
            ],
        ),
        "",
        f"{report.better} utterances are better in {plain_text(names[1])}, {report.worse} are worse.",
    ]
    return "\n".join(lines)

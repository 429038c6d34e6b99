"""A comparison of two versions as a page: one HTML file that includes its plots, with ids, counts and rates alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.errors import UsageError
from corpus.storage.durable_write import write_file
from flows.reports.compare import Compared, FigureRow, SliceComparison
from flows.reports.compare_table import (
    cost_rows,
    figure_change,
    figure_notes,
    figure_side,
    figure_text,
    notes_of,
    points_head,
    size_text,
    slice_change,
    slice_side,
    versions_of,
)
from flows.reports.page_templates import page_template
from training.evaluation.interval_text import slice_text


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text, and the CSS class that colours it."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its cells, and the CSS class that colours it."""

    cells: list[Cell]
    kind: str = ""


def write_page(home: Path, compared: Compared) -> Path:
    """Write the page into the home, under `compare/<kind>-<first>-<second>/`; return its path.

    Raises:
        UsageError: the folder can't be written to.
    """
    report = compared.document
    folder = home / "compare" / f"{report.kind}-{report.first}-{report.second}"
    try:
        write_file(folder / "index.html", [page_html(compared).encode()])
    except OSError as error:
        raise UsageError(f"{folder} can't be written: {type(error).__name__}; make room or give rights") from None
    return folder / "index.html"


def page_html(compared: Compared) -> str:
    """Return the page as one HTML document that needs no other file."""
    report = compared.document
    return page_template("compare.html").render(
        names=versions_of(report),
        points_head=points_head(versions_of(report)),
        figure_notes=figure_notes(report),
        notes=notes_of(report),
        report=report,
        figures=[_figure_row(row) for row in report.figures],
        slices=[_slice_row(row) for row in report.slices],
        costs=[Row([Cell(text) for text in row]) for row in cost_rows(report)],
        slices_picture=_slices_picture(compared),
        confidence_picture=_confidence_picture(compared),
        confusions=_confusion_pictures(compared),
    )


def _figure_row(row: FigureRow) -> Row:
    texts = (row.name, figure_text(row.first), figure_text(row.second))
    return Row([*map(Cell, texts), Cell(figure_change(row), figure_side(row))])


def _slice_row(row: SliceComparison) -> Row:
    texts = (row.slice, size_text(row), slice_text(row.first), slice_text(row.second))
    return Row([*map(Cell, texts), Cell(slice_change(row), slice_side(row))], "thin" if row.thin else "")


def _slices_picture(compared: Compared) -> str:
    from training.tracking.comparison import embedded, slices_side_by_side

    report = compared.document
    return embedded(slices_side_by_side(*compared.slices, versions_of(report), report.measure))


def _confidence_picture(compared: Compared) -> str:
    from training.evaluation.rates import correctness
    from training.tracking.comparison import embedded, reliability_of_both

    reports = compared.reports
    right = [correctness(each) for each in reports]
    return embedded(reliability_of_both([each.confidence for each in reports], right, versions_of(compared.document)))


def _confusion_pictures(compared: Compared) -> list[tuple[str, str]]:
    """Return the name and the confusion matrix of intents of each version; nothing for speech models."""
    from training.tracking.comparison import embedded
    from training.tracking.figures import confusion

    if compared.document.kind != "intent":
        return []
    pictures = []
    for name, report in zip(versions_of(compared.document), compared.reports, strict=True):
        intents = [*report.intents, "unknown"]
        true, guess = ([intents[k] for k in codes.tolist()] for codes in (report.truth, report.predicted))
        pictures.append((name, embedded(confusion(true, guess))))
    return pictures

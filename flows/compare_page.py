"""The comparison as a page: one HTML file with its pictures in it, of ids, counts and rates alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from corpus.errors import UsageError
from corpus.records import Interval
from flows.compare import Compared, FigureRow, SliceComparison
from flows.compare_table import cost_rows, rate_text, size_text, versions_of
from flows.settings import Settings

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 2px solid #bbb; } tr.thin td { color: #999; }
td.better { color: #00724f; font-weight: 600; } td.worse { color: #a83a00; font-weight: 600; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; } p.note { color: #666; }
"""


def write_page(settings: Settings, compared: Compared) -> Path:
    """The page lies in the home under `compare/<kind>-<first>-<second>/`; returns its path.

    Raises:
        UsageError: the folder can't be written to.
    """
    report = compared.document
    folder = settings.home / "compare" / f"{report.kind}-{report.first}-{report.second}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "index.html").write_text(_page(compared), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} can't be written: {type(error).__name__}; make room or give rights") from None
    return folder / "index.html"


def _page(compared: Compared) -> str:
    report = compared.document
    names, difference = versions_of(report), report.difference
    parts = [
        f"<h1>{escape(names[0])} and {escape(names[1])}</h1>",
        f"<p>{difference.n} audit rows of {difference.speakers} speakers, evaluation set "
        f"<code>{escape(report.eval_set_id[:12])}</code>, normal form {escape(report.normaliser)}. "
        "Intervals are 95 %, by speaker; rates are weighted by 1 / inclusion probability, so they are those of the "
        "traffic. A difference is coloured where its interval leaves out 0.</p>",
        f"<p>{report.better} utterances are better in {escape(names[1])}, {report.worse} are worse.</p>",
        "<h2>Figures</h2>",
        _table(("", *names, "difference"), [_figure(row) for row in report.figures]),
        f"<h2>{escape(report.measure)} by slice</h2>",
        '<p class="note">Grey slices are thin: too few rows or speakers to conclude from.</p>',
        _picture(_slices(compared), "rates of both versions by slice"),
        _table(("slice", "rows, speakers", *names, "difference"), [_slice(row) for row in report.slices]),
        "<h2>Confidence</h2>",
        _picture(_reliability(compared), "how right against how sure"),
        *_confusion(compared),
        "<h2>Cost</h2>",
        _table(("", *names), [("", [(cell, "") for cell in row]) for row in cost_rows(report)]),
    ]
    title = f"{names[0]} and {names[1]}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


Row = tuple[str, list[tuple[str, str]]]
"""The class of a table's row, and its cells with theirs."""


def _figure(row: FigureRow) -> Row:
    apart = row.difference
    cells = [(row.name, ""), (rate_text(row.first), ""), (rate_text(row.second), "")]
    return "", [*cells, (rate_text(apart), _verdict(apart, -1 if row.better == "less" else 1))]


def _slice(row: SliceComparison) -> Row:
    apart, thin = row.difference, row.thin
    cells = [(row.slice, ""), (size_text(row), ""), (rate_text(row.first), ""), (rate_text(row.second), "")]
    return "thin" if thin else "", [*cells, (rate_text(apart), "" if thin else _verdict(apart, -1))]


def _verdict(apart: Interval | None, sign: int) -> str:
    if apart is None or apart.low <= 0 <= apart.high:
        return ""
    return "better" if apart.value * sign > 0 else "worse"


def _table(headers: Sequence[str], rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    lines = [
        f"<tr{_class(kind)}>" + "".join(f"<td{_class(of)}>{escape(text)}</td>" for text, of in cells) + "</tr>"
        for kind, cells in rows
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(lines) + "\n</tbody></table>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _picture(address: str, what: str) -> str:
    return f'<figure><img src="{address}" alt="{escape(what)}"></figure>'


def _slices(compared: Compared) -> str:
    from training.tracking.comparison import embedded, slices_side_by_side

    report = compared.document
    return embedded(slices_side_by_side(*compared.slices, versions_of(report), report.measure))


def _reliability(compared: Compared) -> str:
    from training.rates import rightness
    from training.tracking.comparison import embedded, reliability_of_both

    reports = compared.reports
    right = [rightness(each) for each in reports]
    return embedded(reliability_of_both([each.confidence for each in reports], right, versions_of(compared.document)))


def _confusion(compared: Compared) -> list[str]:
    """Returns which intents each version takes for which; nothing for speech models."""
    from training.tracking.comparison import embedded
    from training.tracking.figures import confusion

    if compared.document.kind != "intent":
        return []
    parts = ["<h2>Which intent is taken for which</h2>"]
    for name, report in zip(versions_of(compared.document), compared.reports, strict=True):
        intents = [*report.intents, "unknown"]
        true, guess = ([intents[k] for k in codes.tolist()] for codes in (report.truth, report.predicted))
        parts += [f"<h3>{escape(name)}</h3>", _picture(embedded(confusion(true, guess)), f"confusion of {name}")]
    return parts

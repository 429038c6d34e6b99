"""The annotators' weeks as a Markdown page with pictures, and as tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from annotation.inventory import InventorySettings
from corpus.handle import Corpus
from corpus.settings import places
from flows.models.inventory import inventory_of
from flows.reports.annotation_weekly import (
    LocaleRow,
    PersonRow,
    PointCost,
    Week,
    by_locale,
    by_person,
    cost_of_a_point,
    weeks,
)
from flows.runtime import console
from flows.runtime.markdown import markdown_table
from flows.runtime.output_files import MARK, write_output
from flows.runtime.results import Result
from training.evaluation.interval_text import rate_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from training.asr.transcribe import TranscribeSettings
    from training.evaluation.gate import PromotionSettings

WORDS: Final = {
    "compared": "pairs of answers",
    "alpha_intent": "agreement on intents (alpha, 1 at best)",
    "alpha_verdict": "agreement on verdicts (alpha, 1 at best)",
    "wer_between": "WER between answers",
    "slot_f1": "slot F1 between answers",
    "weight": "weight of the answers",
    "wer_to_others": "WER to others",
    "accidental": "accidental activations",
    "minutes_spent": "annotator minutes",
    "minutes_so_far": "annotator minutes so far",
    "rows": "rows that judge",
    "eval_set_id": "evaluation set",
    "not_judged": "WER",
    "wer_base": "WER of the base",
    "wer_champion": "WER of the champion",
    "minutes_a_point": "annotator minutes for a point of WER",
}
"""Words of the figures by key; other keys are shown with blanks."""

SHARES: Final = frozenset({"wer_between", "slot_f1", "same_intent", "wer_to_others", "wer_base", "wer_champion"})
"""Keys of figures in per cent."""

PICTURES: Final = {
    "throughput.png": "answers and minutes",
    "agreement.png": "agreement",
    "accidental.png": "accidental activations",
}
"""What the pictures of the page show, by the name of their file."""


@dataclass(frozen=True, slots=True)
class WeekRow(Result):
    """One week of annotation, rounded for people.

    Attributes:
        week: ISO date of its Monday.
        answers, minutes_spent, people: of the week.
        compared: pairs of answers to the same question.
        alpha_intent, alpha_verdict: Krippendorff's alpha.
        wer_between, slot_f1: WER and slot F1 between answers.
        accidental: share of accidental activations with its interval, as text; None without audit rows.
    """

    week: str
    answers: int
    minutes_spent: float
    people: int
    compared: int
    alpha_intent: float | None
    alpha_verdict: float | None
    wer_between: float | None
    slot_f1: float | None
    accidental: str | None


@dataclass(frozen=True, slots=True)
class WeeklyReport(Result):
    """The figures by week, annotator and locale, the cost of a point of WER, and the file of the page."""

    weeks: tuple[WeekRow, ...]
    people: tuple[PersonRow, ...]
    locales: tuple[LocaleRow, ...]
    cost: PointCost
    page: str


def write_report(
    corpus: Corpus,
    names: InventorySettings,
    how: TranscribeSettings,
    gate: PromotionSettings,
    folder: Path,
    count: int,
) -> WeeklyReport:
    """Write report.md and its pictures into the folder; return the figures.

    Args:
        corpus: the corpus.
        names: configured ones; with those of the home they are the names that answers are compared by.
        how: settings of transcription, for base and champion, which are judged on all rows of now.
        gate: which rows judge.
        folder: where the page is written; it is made where it is missing.
        count: how many weeks at most, the latest ones.

    Raises:
        UsageError: the folder can't be written to.
    """
    home = places(corpus.settings).home
    inventory = inventory_of(corpus, home, names)
    found = weeks(corpus, count, inventory)
    report = WeeklyReport(
        weeks=tuple(_week_row(week) for week in found),
        people=by_person(corpus, inventory),
        locales=by_locale(corpus, inventory),
        cost=cost_of_a_point(corpus, how, gate),
        page=str(folder / "report.md"),
    )
    pictures = _pictures(found)
    for name, picture in pictures.items():
        write_output(folder / name, picture, "--out", home)
    text = f"[//]: # ({MARK})\n\n{_markdown(report, list(pictures))}"
    write_output(folder / "report.md", text.encode(), "--out", home)
    return report


def _pictures(found: Sequence[Week]) -> dict[str, bytes]:
    """Return the plots of the page as PNG, by the name of their file; one without a point in it is left out."""
    from training.tracking.weekly import agreement_figure, false_starts_figure, throughput_figure

    if not found:
        return {}
    names = [f"{week.monday:%d %b}" for week in found]
    alphas, wers = [w.agreement.alpha_intent for w in found], [w.agreement.wer for w in found]
    shares = [w.accidental for w in found]
    pictures = {
        "throughput.png": throughput_figure(names, [w.answers for w in found], [w.minutes_spent for w in found])
    }
    if any(figure is not None for figure in (*alphas, *wers)):
        pictures["agreement.png"] = agreement_figure(names, alphas, wers)
    if any(share is not None for share in shares):
        pictures["accidental.png"] = false_starts_figure(names, shares)
    return {name: _png(picture) for name, picture in pictures.items()}


def _png(picture: Figure) -> bytes:
    file = BytesIO()
    picture.savefig(file, format="png", metadata={"Software": MARK})
    return file.getvalue()


def _week_row(week: Week) -> WeekRow:
    share = week.accidental
    return WeekRow(
        week=week.monday.isoformat(),
        answers=week.answers,
        minutes_spent=round(week.minutes_spent, 1),
        people=week.people,
        compared=week.agreement.pairs,
        alpha_intent=week.agreement.alpha_intent,
        alpha_verdict=week.agreement.alpha_verdict,
        wer_between=week.agreement.wer,
        slot_f1=week.agreement.slot_f1,
        accidental=None if share is None else rate_text(share),
    )


def _markdown(report: WeeklyReport, pictures: Sequence[str]) -> str:
    parts = ["# Annotation, week by week", ""]
    if not report.weeks:
        return "\n".join([*parts, "There are no answers yet.", ""])
    parts += [*_table(report.weeks), ""]
    for name in pictures:
        parts += [f"![{PICTURES[name]}]({name})", ""]
    if "agreement.png" not in pictures:
        parts += ["No two people have answered the same question yet, so there is no agreement to show.", ""]
    parts += [
        "The share of accidental activations in the traffic is estimated from the audit rows, each weighted by "
        "1 / its inclusion probability, and counted once, in the week of its last answer.",
        "",
    ]
    parts += ["## By annotator", "", *_table(report.people), "", "## By locale", "", *_table(report.locales), ""]
    parts += ["## What a point of WER costs", "", *_table([report.cost]), ""]
    parts += [
        "Minutes are all lead times so far; WER is that of the traffic, estimated on all rows that judge now, as in "
        "`earmark compare`. The page of a night takes the anchor rows where it has them, so its minutes for a point "
        "differ.",
        "",
    ]
    return "\n".join(parts)


def _table(rows: Sequence[Result]) -> list[str]:
    if not rows:
        return ["none"]
    return [markdown_table(*_cells(rows))]


def _cells(rows: Sequence[Result]) -> tuple[list[str], list[list[object]]]:
    """Return the words of the columns, and the cells of each row; shares are in per cent."""
    documents = [row.to_json() for row in rows]
    keys = list(documents[0])
    for row in documents:
        row |= {"eval_set_id": row["eval_set_id"][:12]} if row.get("eval_set_id") else {}
    cells = [[console.percent(row[key]) if key in SHARES else row[key] for key in keys] for row in documents]
    return [WORDS.get(key, key.replace("_", " ")) for key in keys], cells


def show_weekly(report: WeeklyReport) -> None:
    """Print the figures by week, annotator and locale, the cost, and where the page is."""
    for name, rows in (("weeks", report.weeks), ("people", report.people), ("locales", report.locales)):
        if rows:
            console.show_table(name, *_cells(rows))
    headers, (cost,) = _cells([report.cost])
    console.show_pairs("cost", dict(zip(headers, cost, strict=True)))
    console.show_line(f"page  {report.page}")

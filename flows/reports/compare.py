"""Compare two versions of one kind on the same accumulated audit rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.records.models import ModelVersion
from corpus.tables import annotations as annotations_table
from corpus.tables import costs, left_out, snapshots
from flows.models import registry
from flows.models.eval_set import AuditSet, set_that_judges
from flows.models.evaluation_store import MEASURE, evaluate_versions, judging_cost
from flows.models.slices import shown_slices
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasHome, HasNight, HasPromotion, HasScore

if TYPE_CHECKING:
    from training.evaluation.metrics import SliceRow
    from training.evaluation.report_pairs import SlicePair

NAMES = {
    "wer": "WER",
    "wer_numbers": "WER, numbers alike",
    "substitutions": "substitutions",
    "deletions": "deletions",
    "insertions": "insertions",
    "cer": "CER",
    "sentence_error_rate": "utterances with an error",
    "intent_error": "intent error",
    "intent_accuracy": "intent accuracy",
    "macro_f1": "intent macro F1",
    "slot_f1": "slot span F1",
    "slot_precision": "slot precision",
    "slot_recall": "slot recall",
    "end_to_end_success": "end-to-end success",
    "ece": "calibration error",
    "ece_before_scaling": "calibration error before scaling",
    "rtf": "real-time factor [s for each s of audio]",
    "latency_p50": "latency, median [s]",
    "latency_p95": "latency, 95th percentile [s]",
    "own_latency_p50": "understanding alone, median [s]",
    "own_latency_p95": "understanding alone, 95th percentile [s]",
}
"""Names of the figures in tables and pages."""


class SettingsOfCompare(HasHome, HasScore, HasPromotion, HasNight, Protocol):
    """The settings that a comparison reads: how versions are evaluated, and on which rows."""


@dataclass(frozen=True, slots=True)
class FigureRow(Result):
    """One figure of both versions.

    Attributes:
        figure: its key in `training.evaluation.rates`.
        name: its name in tables.
        better: whether less or more of it is better.
        first, second: of each version, with its 95 % interval by speaker; None where it has no meaning, such as a
            calibration error where next to nothing is right.
        difference: second - first, from the same bootstrap samples of speakers; None where the two can't be paired.
    """

    figure: str
    name: str
    better: Literal["less", "more"]
    first: Interval | None
    second: Interval | None
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class SliceComparison(Result):
    """The error rate of both versions in one slice.

    Attributes:
        slice: `dimension=value`.
        dimension, value: its parts.
        thin: whether the slice has too few rows or speakers to conclude from.
        rows, speakers: how many the slice has.
        first, second, difference: error rates, and second - first.
    """

    slice: str
    dimension: str
    value: str
    thin: bool
    rows: int
    speakers: int
    first: Interval
    second: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class VersionCost(Result):
    """The cost of a version: labels, people's time, training time and speed.

    Attributes:
        labels: how many utterances it learned from.
        minutes_on_labels: what annotators spent on the answers to these; None where no answer tells a time.
        training_seconds: duration of its retraining [s]; None where it was not retrained in this home.
        speed: real-time factor and latency by name; empty where not measured.
    """

    labels: int
    minutes_on_labels: float | None
    training_seconds: float | None
    speed: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    """Two versions on one evaluation set, in ids, counts and rates alone.

    Attributes:
        kind: of both versions.
        measure: name of the error rate that the gate decides on.
        first, second: the versions.
        eval_set_id: the evaluation rows.
        normaliser: version of the normal form of texts.
        numbers: version of the form in which numbers were counted a second time; None where in none, or in two.
        rates: the error rate of each version.
        difference: second - first in the error rate.
        figures, slices: every figure, and the error rate in every slice.
        worse, better: number of utterances on which the second version is worse or better than the first.
        cost: of each version.
        page: file of the comparison as a page; None where none was written.
        run: id of its run in MLflow; None where it was not logged.
    """

    kind: Kind
    measure: str
    first: str
    second: str
    eval_set_id: str
    normaliser: str
    rates: tuple[Interval, Interval]
    difference: Interval
    figures: tuple[FigureRow, ...]
    worse: int
    better: int
    slices: tuple[SliceComparison, ...]
    cost: tuple[VersionCost, VersionCost]
    numbers: str | None = None
    page: str | None = None
    run: str | None = None

    @property
    def forms(self) -> str:
        """Return the normal forms under which words were counted, in words."""
        return f"normal form {self.normaliser}" + (f", numbers alike {self.numbers}" if self.numbers else "")


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions that were judged on one evaluation set, with all that the page needs.

    Attributes:
        audit: the evaluation rows.
        versions, reports: of the first and the second version.
        slices: the error rate of both in every slice, in the same order.
        document: the comparison in ids, counts and rates.
    """

    audit: AuditSet
    versions: tuple[ModelVersion, ModelVersion]
    reports: tuple[EvaluationReport, EvaluationReport]
    slices: tuple[list[SliceRow], list[SliceRow]]
    document: Comparison


def pair_of(first: str, second: str) -> tuple[Kind, str, str]:
    """Return the kind of two versions, such as `asr/base` and `asr/3`, and their names.

    Raises:
        UsageError: one has another form, or they are of two kinds.
    """
    (kind, first_name), (second_kind, second_name) = registry.parse(first), registry.parse(second)
    if kind != second_kind:
        raise UsageError(f"{first} and {second} are of two kinds; compare two versions of one")
    return kind, first_name, second_name


def compare_versions(corpus: Corpus, settings: SettingsOfCompare, first: str, second: str) -> Compared:
    """Judge two versions on the same accumulated audit rows; return figures, paired differences, slices and cost.

    Raises:
        UsageError: a version is unknown, the two are of different kinds, or no row that judges is labelled.
    """
    from training.evaluation.gate import flips
    from training.evaluation.intervals import IntervalSettings, paired_difference, report_interval
    from training.evaluation.report_pairs import slice_pairs

    kind, first_name, second_name = pair_of(first, second)
    versions = registry.by_name(corpus, kind, first_name), registry.by_name(corpus, kind, second_name)
    audit = set_that_judges(corpus, settings.promotion, kind, settings.score.transcribe.window)
    # A speech model is also judged by what the champion intent model makes of its transcripts.
    beside = registry.champion(corpus, "intent").version if kind == "asr" else None
    found = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, versions, beside)
    one, two = found[versions[0].version], found[versions[1].version]
    interval = IntervalSettings(alpha=0.05)
    worse, better = flips(one, two)
    slices = slice_pairs(one, two, shown_slices(corpus, settings.night, audit, one), audit.weights)
    document = Comparison(
        kind=kind,
        measure=MEASURE[kind],
        first=versions[0].version,
        second=versions[1].version,
        eval_set_id=audit.eval_set_id,
        normaliser=one.normaliser,
        rates=(
            report_interval(one, interval, weights=audit.weights),
            report_interval(two, interval, weights=audit.weights),
        ),
        difference=paired_difference(one, two, interval, weights=audit.weights),
        figures=_figure_rows(one, two, audit),
        worse=worse,
        better=better,
        slices=tuple(_slice_comparison(pair) for pair in slices),
        cost=(_version_cost(corpus, audit, versions[0]), _version_cost(corpus, audit, versions[1])),
        numbers=one.numbers if one.numbers and one.numbers == two.numbers else None,
    )
    tables = [pair.first for pair in slices], [pair.second for pair in slices]
    return Compared(audit, versions, (one, two), tables, document)


def _figure_rows(one: EvaluationReport, two: EvaluationReport, audit: AuditSet) -> tuple[FigureRow, ...]:
    from training.evaluation.rates import better
    from training.evaluation.report_pairs import figure_pairs

    return tuple(
        FigureRow(
            figure=pair.figure,
            name=NAMES[pair.figure],
            better="less" if better(pair.figure) < 0 else "more",
            first=pair.first,
            second=pair.second,
            difference=pair.difference,
        )
        for pair in figure_pairs(one, two, audit.weights)
    )


def _slice_comparison(pair: SlicePair) -> SliceComparison:
    row = pair.first
    return SliceComparison(
        slice=f"{row.dimension}={row.value}",
        dimension=row.dimension,
        value=row.value,
        thin=row.thin,
        rows=row.rate.n,
        speakers=row.rate.speakers,
        first=row.rate,
        second=pair.second.rate,
        difference=pair.difference,
    )


def _version_cost(corpus: Corpus, audit: AuditSet, version: ModelVersion) -> VersionCost:
    """Return how many labels a version learned from, what they and its training took, and how fast it is."""
    with corpus.read() as conn:
        learned = snapshots.snapshot(conn, version.snapshot_id).of("train") if version.snapshot_id else ()
        ids = {row.utterance_id for row in learned}
        seconds = sum(row.lead_time for row in annotations_table.latest_answers(conn) if row.utterance_id in ids)
        training_seconds = costs.training_seconds(conn, version.kind, version.version)
        unlearned = sum(left_out.labels_by_reason(conn, version.kind, version.version).values())
    judging = judging_cost(corpus, version.kind, version.version, audit.eval_set_id)
    return VersionCost(
        labels=len(ids) - unlearned,
        minutes_on_labels=round(seconds / 60.0, 1) if seconds or not ids else None,
        training_seconds=training_seconds,
        speed=judging.speed,
    )

"""Compare: two versions on the same accumulated audit rows, as numbers, as a table and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records import EvaluationReport, ModelVersion
from corpus.store import costs, labels
from corpus.store import models as store
from flows import console, models
from flows.eval_set import AuditSet, audit_set
from flows.evaluation_store import MEASURE, judging_cost, reports
from flows.results import as_json
from flows.settings import Settings
from flows.slices import shown_slices

if TYPE_CHECKING:
    from training.metrics import SliceRow

NAMES = {
    "wer": "WER",
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
    "rtf": "real-time factor",
    "latency_p50": "latency in seconds, median",
    "latency_p95": "latency, 95th percentile",
    "own_latency_p50": "understanding alone, median",
    "own_latency_p95": "understanding alone, 95th percentile",
}
"""What people call the figures."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions that were judged on one set.

    Attributes:
        audit: the rows that judged.
        versions, reports: first and second.
        slices: the rate of both in every slice, in the same order.
        document: all of it as JSON: ids, counts and rates alone.
    """

    audit: AuditSet
    versions: tuple[ModelVersion, ModelVersion]
    reports: tuple[EvaluationReport, EvaluationReport]
    slices: tuple[list[SliceRow], list[SliceRow]]
    document: dict[str, Any]


def compare_versions(corpus: Corpus, settings: Settings, first: str, second: str) -> Compared:
    """Returns two versions on the same accumulated audit rows: figures, paired differences, flips, slices and cost.

    Raises:
        UsageError: unknown versions, versions of two kinds, or no audit row is labelled.
    """
    from training.intervals import IntervalSettings, paired_difference, report_interval
    from training.metrics import slice_rows
    from training.promotion import flips

    (kind, one), (other_kind, two) = models.parse(first), models.parse(second)
    if kind != other_kind:
        raise UsageError(f"{first} and {second} are of two kinds; compare two versions of one")
    versions = models.by_name(corpus, kind, one), models.by_name(corpus, kind, two)
    audit = audit_set(corpus, settings.promotion, kind)
    if not audit.labels:
        raise UsageError("no audit row is labelled yet; merge annotations first")
    beside = models.champion(corpus, "intent").version if kind == "asr" else None
    found = reports(corpus, settings, audit, versions, beside)
    a, b = (found[version.version] for version in versions)
    interval = IntervalSettings(alpha=0.05)
    worse, better = flips(a, b)
    shown = shown_slices(corpus, settings.night, audit, a)
    tables = slice_rows(a, shown, None, audit.weights), slice_rows(b, shown, None, audit.weights)
    document = {
        "kind": kind,
        "measure": MEASURE[kind],
        "first": versions[0].version,
        "second": versions[1].version,
        "eval_set_id": audit.eval_set_id,
        "normaliser": a.normaliser,
        "rates": [report_interval(report, interval, weights=audit.weights).as_json() for report in (a, b)],
        "difference": paired_difference(a, b, interval, weights=audit.weights).as_json(),
        "figures": _figures(a, b, audit),
        "worse": worse,
        "better": better,
        "slices": _slices(a, b, audit, shown, tables),
        "cost": [_cost(corpus, audit, version) for version in versions],
    }
    return Compared(audit, versions, (a, b), tables, document)


def _figures(a: EvaluationReport, b: EvaluationReport, audit: AuditSet) -> list[dict[str, Any]]:
    """Returns every figure of both versions with the paired difference."""
    from training.rates import better, difference, figures

    left, right = (figures(report, weights=audit.weights) for report in (a, b))
    rows = []
    for name in (n for n in left if n in right):
        apart = difference(a, b, name, weights=audit.weights)
        row = {"figure": name, "name": NAMES[name], "better": "less" if better(name) < 0 else "more"}
        rows.append({**row, "first": left[name].as_json(), "second": right[name].as_json(),
                     "difference": apart.as_json() if apart else None})  # fmt: skip
    return rows


def _slices(
    a: EvaluationReport,
    b: EvaluationReport,
    audit: AuditSet,
    shown: dict[str, Any],
    tables: tuple[list[SliceRow], list[SliceRow]],
) -> list[dict[str, Any]]:
    from training.intervals import IntervalSettings, paired_difference
    from training.metrics import slice_masks

    rows = []
    for (_, mask), x, y in zip(slice_masks(a, shown), *tables, strict=True):
        apart = paired_difference(a, b, IntervalSettings(), rows=mask, weights=audit.weights)
        name = {"slice": f"{x.dimension}={x.value}", "dimension": x.dimension, "value": x.value, "thin": x.thin}
        rates = {"first": x.rate.as_json(), "second": y.rate.as_json(), "difference": apart.as_json()}
        rows.append({**name, "rows": x.rate.n, "speakers": x.rate.speakers, **rates})
    return rows


def _cost(corpus: Corpus, audit: AuditSet, version: ModelVersion) -> dict[str, Any]:
    """Returns what a version learned from, what that took people and machines, and how fast it is."""
    with corpus.read() as conn:
        learned = store.snapshot(conn, version.snapshot_id).of("train") if version.snapshot_id else ()
        seconds = costs.training_seconds(conn, version.kind, version.version)
        answers = labels.latest_answers(conn)
    ids = {row.utterance_id for row in learned}
    took = judging_cost(corpus, version.kind, version.version, audit.eval_set_id)
    return {
        "labels": len(ids),
        "annotator_minutes": round(sum(row.lead_time for row in answers if row.utterance_id in ids) / 60.0, 1),
        "training_seconds": seconds,
        "speed": as_json(took.speed),
    }


# --- showing ----------------------------------------------------------------------------------------------------------


def rate_text(rate: dict[str, Any] | None) -> str:
    """Returns `12.3 % [10.1, 14.6]`."""
    return "-" if rate is None else console.percent(rate["value"], rate["low"], rate["high"])


def speed_text(rate: dict[str, Any] | None) -> str:
    """Returns `0.021 [0.018, 0.025]`."""
    return "-" if rate is None else f"{rate['value']:.3g} [{rate['low']:.3g}, {rate['high']:.3g}]"


def size_text(row: dict[str, Any]) -> str:
    """Returns rows and speakers of a slice, and whether it is thin."""
    return f"{row['rows']}, {row['speakers']}" + (" thin" if row["thin"] else "")


def versions_of(report: dict[str, Any]) -> tuple[str, str]:
    """Returns the names of the two versions, such as `asr 2`."""
    return f"{report['kind']} {report['first']}", f"{report['kind']} {report['second']}"


def cost_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns what both versions cost, one row a figure."""
    first, second = report["cost"]
    rows: list[tuple[str, ...]] = [
        (title, *(console.cell(each[name]) for each in (first, second)))
        for title, name in (
            ("labels learned from", "labels"),
            ("annotator minutes", "annotator_minutes"),
            ("training in seconds", "training_seconds"),
        )
    ]
    speeds = [name for name in NAMES if name in first["speed"] or name in second["speed"]]
    rows += [(NAMES[n], *(speed_text(each["speed"].get(n)) for each in (first, second))) for n in speeds]
    return rows


def show_comparison(report: dict[str, Any]) -> None:
    """The comparison stands on stdout."""
    names, difference = versions_of(report), report["difference"]
    print(
        f"{difference['n']} audit rows of {difference['speakers']} speakers, set {report['eval_set_id'][:12]}, "
        f"normal form {report['normaliser']}, 95 % intervals by speaker"
    )
    console.show_table(
        "",
        ("", *names, "difference"),
        [
            (row["name"], rate_text(row["first"]), rate_text(row["second"]), rate_text(row["difference"]))
            for row in report["figures"]
        ],
    )
    console.show_table(
        f"{report['measure']} by slice",
        ("slice", "rows, speakers", *names, "difference"),
        [
            (row["slice"], size_text(row), rate_text(row["first"]), rate_text(row["second"]),
             rate_text(row["difference"]))
            for row in report["slices"]
        ],
    )  # fmt: skip
    console.show_table("cost", ("", *names), cost_rows(report))
    print(f"{report['better']} utterances are better in {names[1]}, {report['worse']} are worse")

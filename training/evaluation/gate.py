"""The gate: decides whether a challenger becomes the champion, from reports of both on the same rows.

The measure is an error rate (WER or intent error). Every difference is challenger - champion, so below 0 is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Kind, Strings
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.settings import MOST_ROWS
from training.evaluation.intervals import (
    IntervalSettings,
    error_counts,
    paired_difference,
    report_interval,
    report_rate,
)
from training.evaluation.metrics import slice_masks
from training.evaluation.number_forms import NumberForm

Verdict = Literal["promote", "refuse", "indicative"]
SliceVerdict = Literal["not worse", "not shown", "harmed", "small"]


class PromotionSettings(BaseModel):
    """When a challenger may become the champion.

    The slices that decide are locale, device and the attributes of the manifest, which describe the users and where
    they are. Duration, noise, intent, and new or returning speakers are reported but decide nothing: every slice is one
    more chance to refuse a better model because of a few rows, and there are dozens of intents.

    Attributes:
        judged_on: `audit`, the probability sample of the traffic, weighted by 1 / inclusion probability; or `held_out`,
            labels that were imported for evaluation, each counted once, for a project that starts from a labelled
            corpus.
        min_audit_rows: With fewer audit rows nothing is promoted; the report is indicative.
        min_speakers: With fewer speakers of audit rows nothing is promoted; the report is indicative.
        alpha: Probability that a challenger that is no better is ever promoted, over all looks together.
        slice_min_rows: A slice with as many rows and `slice_min_speakers` is large: the challenger must be shown to be
            no worse on it. Others are small, and can only show harm. Reports have a lower bound, see `MetricSettings`.
        slice_min_speakers: Fewest speakers of a large slice.
        slice_margin: How much the error rate of a large slice may rise and still count as not worse.
        slice_alpha: One-sided level of that test.
        max_negative_flips_asr: Share of all rows that may have more word errors than before, however few are better.
        max_negative_flips_intent: Share of all rows that may be wrong now and were right before, however few are
            better.
        negative_flips_per_positive: Rows that may become worse for each row that became better, where that is more than
            the share above. A champion that gets most rows right leaves few to become better, so the share protects it;
            a poor one is protected by neither.
        numbers: Form in which English numbers are counted a second time, so that "12" and "twelve" agree: `earmark`, or
            `whisper`, transformers' EnglishTextNormalizer; null: only in the plain form. It is shown beside the WER
            and decides nothing.
        interval: How intervals are drawn; its alpha is replaced by that of the look.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    judged_on: Literal["audit", "held_out"] = "audit"
    min_audit_rows: int = Field(default=100, ge=2, le=MOST_ROWS)
    min_speakers: int = Field(default=24, ge=2, le=MOST_ROWS)
    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    slice_min_rows: int = Field(default=100, ge=2, le=MOST_ROWS)
    slice_min_speakers: int = Field(default=12, ge=2, le=MOST_ROWS)
    slice_margin: float = Field(default=0.03, ge=0.0, le=10.0)
    slice_alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    max_negative_flips_asr: float = Field(default=0.12, ge=0.0, le=1.0)
    max_negative_flips_intent: float = Field(default=0.05, ge=0.0, le=1.0)
    negative_flips_per_positive: float = Field(default=0.5, ge=0.0, le=1.0)
    numbers: NumberForm | None = "earmark"
    interval: IntervalSettings = IntervalSettings()


@dataclass(frozen=True, slots=True)
class SliceDecision:
    """The gate's verdict on one slice.

    `not worse`: large, and not worse by more than the margin. `not shown`: large, but a rise beyond the margin can't be
    excluded. `harmed`: worse by more than the margin, and not by chance. `small`: too small to show that it is not
    worse, and not harmed. Decisions that older versions stored have `held` in place of `not worse`, `thin` in that of
    `small`, and no `level`, which is the coverage of the two-sided interval of the difference.
    """

    dimension: str
    value: str
    difference: Interval
    champion: float
    challenger: float
    verdict: SliceVerdict
    level: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's decision, with every number that it depends on.

    Attributes:
        decision: `promote`, `refuse`, or `indicative` if there are too few rows to decide.
        reasons: one sentence each: why it was promoted or refused, or why it is indicative.
        measure: `wer` or `intent_error`.
        difference: challenger - champion at the level `alpha_used`.
        champion, challenger: rate of each at the same level.
        look: number of decisions of the gate for this kind so far, this one included.
        alpha_used: alpha / (k (k + 1)) at the k-th look.
        negative_flips, positive_flips: rows that became worse, rows that became better.
        flip_cap: share of rows that may become worse; see `most_negative_flips`.
        slice_margin: by how much a slice's error rate may rise.
        large_slice: fewest rows and speakers of a slice that is large.
        normaliser: version of the normal form under which words were counted.
    """

    kind: Kind
    champion_version: str
    challenger_version: str
    eval_set_id: str
    decision: Verdict
    reasons: tuple[str, ...]
    measure: str
    difference: Interval
    champion: Interval
    challenger: Interval
    look: int
    alpha_used: float
    negative_flips: int
    positive_flips: int
    slices: tuple[SliceDecision, ...]
    flip_cap: float
    slice_margin: float
    large_slice: tuple[int, int]
    normaliser: str

    @property
    def promotes(self) -> bool:
        """Return whether the challenger may become the champion."""
        return self.decision == "promote"

    def as_json(self) -> dict[str, Any]:
        """Return the decision as a JSON object of numbers, names and sentences; no content."""
        plain = asdict(self)
        plain["reasons"] = list(self.reasons)
        plain["slices"] = [asdict(row) for row in self.slices]
        return plain


def alpha_at(alpha: float, look: int) -> float:
    """Return alpha / (k (k + 1)), whose sum over all looks k = 1, 2, ... is alpha.

    Raises:
        RecordError: the look is below 1.
    """
    if look < 1:
        raise RecordError(f"look {look} is below 1; the first decision of a gate is look 1")
    return alpha / (look * (look + 1))


def decide(
    champion: EvaluationReport,
    challenger: EvaluationReport,
    look: int,
    settings: PromotionSettings | None = None,
    slices: Mapping[str, Strings] | None = None,
    weights: npt.ArrayLike | None = None,
) -> Decision:
    """Return the decision whether the challenger becomes the champion.

    The challenger is promoted if the whole interval of the difference is below 0, every large slice is shown to be no
    worse than the margin allows, no slice is harmed, and few rows became worse, in all or beside those that became
    better. Below the minimum of rows or speakers the decision is `indicative`; it does not count as a look, because it
    can't promote anything.

    Args:
        champion: report of the version in use.
        challenger: report of the other version on the same rows in the same order.
        look: 1 for the first decision of this kind that is not `indicative`, then 2 and so on.
        settings: of the gate; the defaults where None.
        slices: by dimension, such as `locale`, the value of each row, (N,) str.
        weights: (N,) 1 / inclusion probability of the rows; None counts every row once.

    Raises:
        RecordError: the reports are not of one evaluation set and kind, or the look is below 1.
    """
    settings = settings or PromotionSettings()
    if champion.eval_set_id != challenger.eval_set_id:
        raise RecordError(
            f"{champion.kind} {champion.version} and {challenger.version} were judged on different sets; "
            f"evaluate both on one"
        )
    used = alpha_at(settings.alpha, look)
    interval = settings.interval.model_copy(update={"alpha": used})
    difference = paired_difference(champion, challenger, interval, weights=weights)
    table = _slice_decisions(champion, challenger, slices or {}, settings, weights)
    worse, better = flips(champion, challenger)
    most = most_negative_flips(champion.kind, len(champion), better, settings)
    missing = _missing_evidence(champion, settings)
    level = f"{100 * (1 - used):.4g} %"
    objections = _objections(difference, level, (worse, better, len(champion)), most, table, settings)
    verdict: Verdict = "indicative" if missing else "refuse" if objections else "promote"
    return Decision(
        kind=champion.kind,
        champion_version=champion.version,
        challenger_version=challenger.version,
        eval_set_id=champion.eval_set_id,
        decision=verdict,
        reasons=tuple(missing + objections) or (f"the whole {level} interval of the difference is on the better side",),
        measure="wer" if champion.kind == "asr" else "intent_error",
        difference=difference,
        champion=report_interval(champion, interval, weights=weights),
        challenger=report_interval(challenger, interval, weights=weights),
        look=look,
        alpha_used=used,
        negative_flips=worse,
        positive_flips=better,
        slices=tuple(table),
        flip_cap=most / max(1, len(champion)),
        slice_margin=settings.slice_margin,
        large_slice=(settings.slice_min_rows, settings.slice_min_speakers),
        normaliser=champion.normaliser,
    )


def flips(champion: EvaluationReport, challenger: EvaluationReport) -> tuple[int, int]:
    """Return how many rows became worse and how many became better.

    Worse is more word errors (asr), or wrong instead of right (intent). Both reports are on the same rows in the same
    order.
    """
    change = error_counts(challenger)[0] - error_counts(champion)[0]
    return int((change > 0).sum()), int((change < 0).sum())


def most_negative_flips(kind: Kind, rows: int, better: int, settings: PromotionSettings) -> float:
    """Return how many rows may become worse: a share of all rows, or of those that became better if that is more.

    Args:
        kind: `asr` or `intent`.
        rows: number of all rows.
        better: number of rows that became better.
        settings: of the gate.
    """
    share = settings.max_negative_flips_asr if kind == "asr" else settings.max_negative_flips_intent
    return max(share * rows, settings.negative_flips_per_positive * better)


def _missing_evidence(champion: EvaluationReport, settings: PromotionSettings) -> list[str]:
    """Return why there are too few rows to decide; nothing if there are enough."""
    rows, speakers = len(champion), len(np.unique(champion.speaker_ids))
    held_out = settings.judged_on == "held_out"
    which = "held-out" if held_out else "audit"
    more = "bring more labels that judge (held_out: true)" if held_out else "label more of the audit share"
    reasons = []
    if rows < settings.min_audit_rows:
        reasons.append(f"{rows} {which} rows, {settings.min_audit_rows} are needed; {more}")
    if speakers < settings.min_speakers:
        verb = "bring" if held_out else "label"
        reasons.append(f"{speakers} speakers, {settings.min_speakers} are needed; {verb} {which} rows of more speakers")
    if champion.kind == "asr" and not champion.words.any():
        reasons.append(f"no {which} row has a word in it; {more}")
    return reasons


def _objections(
    difference: Interval,
    level: str,
    flipped: tuple[int, int, int],
    most_worse: float,
    table: list[SliceDecision],
    settings: PromotionSettings,
) -> list[str]:
    """Return the reasons not to promote the challenger, one sentence each.

    Args:
        difference: challenger - champion.
        level: coverage of its interval.
        flipped: numbers of rows that became worse, of rows that became better, and of all rows.
        most_worse: how many rows may become worse.
        table: the verdicts on the slices.
        settings: of the gate.
    """
    worse, better, rows = flipped
    reasons = []
    if difference.low > 0:
        reasons.append("the challenger is worse")
    elif difference.high >= 0:
        reasons.append(f"the {level} interval of the difference reaches 0, so the challenger is not shown to be better")
    if worse > most_worse:
        reasons.append(
            f"{worse} of {rows} rows became worse and {better} better, above the cap of {int(most_worse)} worse rows"
        )
    margin = f"{100 * settings.slice_margin:.1f}"
    for row in table:
        name = f"slice {row.dimension}={row.value}"
        if row.verdict == "harmed":
            reasons.append(f"{name} is worse by {100 * row.difference.value:.1f} points, margin {margin}")
        elif row.verdict == "not shown":
            most = f"{100 * row.difference.high:.1f} points ({100 * row.level:.4g} % interval)"
            reasons.append(f"{name} may be worse by up to {most}, margin {margin}")
    return reasons


def _slice_decisions(
    champion: EvaluationReport,
    challenger: EvaluationReport,
    slices: Mapping[str, Strings],
    settings: PromotionSettings,
    weights: npt.ArrayLike | None,
) -> list[SliceDecision]:
    """Return the verdict on each slice, by one-sided tests at `slice_alpha`.

    Small slices are many and can only show harm, so all of them together share one `slice_alpha` (Bonferroni).
    """
    masks = slice_masks(champion, slices)
    large = [_is_large(int(rows.sum()), len(np.unique(champion.speaker_ids[rows])), settings) for _, rows in masks]
    shared = max(1, large.count(False))
    table = []
    for ((dimension, value), rows), is_large in zip(masks, large, strict=True):
        alpha = 2 * settings.slice_alpha / (1 if is_large else shared)
        interval = settings.interval.model_copy(update={"alpha": alpha})
        difference = paired_difference(champion, challenger, interval, rows=rows, weights=weights)
        before, after = (report_rate(each, rows=rows, weights=weights) for each in (champion, challenger))
        verdict = _slice_verdict(difference, is_large, settings)
        table.append(SliceDecision(dimension, value, difference, before, after, verdict, 1 - alpha))
    return table


def _is_large(rows: int, speakers: int, settings: PromotionSettings) -> bool:
    return rows >= settings.slice_min_rows and speakers >= settings.slice_min_speakers


def _slice_verdict(difference: Interval, is_large: bool, settings: PromotionSettings) -> SliceVerdict:
    """Return the verdict on a slice: a test of non-inferiority if it is large; a small one can only show harm."""
    if difference.low > 0 and difference.value > settings.slice_margin:
        return "harmed"
    if not is_large:
        return "small"
    return "not worse" if difference.high <= settings.slice_margin else "not shown"

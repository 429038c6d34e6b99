"""Intervals for error rates: a paired bootstrap that resamples speakers, or a t interval if there are few speakers.

The errors of one speaker are related, so speakers are drawn and not utterances (Liu & Peng 2020, "Statistical testing
on ASR performance via blockwise bootstrap"). Every rate here is a ratio of sums, sum(w * numerator) / sum(w *
denominator): WER with errors and words, intent error with wrong intents and ones. `w` is 1, or 1 / inclusion
probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Strings
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.settings import MOST_ROWS, MOST_SEED

Numbers = npt.NDArray[np.float64]

DRAWS_AT_ONCE = 4_000_000
"""Speakers drawn in one block, which limits the memory to some 100 MB."""


class IntervalSettings(BaseModel):
    """How intervals are computed.

    Attributes:
        alpha: 1 - coverage; 0.05 gives 95 %.
        resamples: Fewest draws; a smaller alpha takes more, so that `tail_draws` lie beyond each bound.
        tail_draws: How many draws must lie beyond each bound.
        max_resamples: Most draws; if more would be needed, the t interval is used instead.
        t_below: Below this many speakers, the t interval is used.
        seed: Seed of the draws; the same rows and seed give the same interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    resamples: int = Field(default=2000, ge=100, le=1_000_000)
    tail_draws: int = Field(default=20, ge=1, le=10_000)
    max_resamples: int = Field(default=200_000, ge=100, le=10_000_000)
    t_below: int = Field(default=20, ge=2, le=MOST_ROWS)
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


@dataclass(frozen=True, slots=True)
class SpeakerSums:
    """Sums by speaker, S speakers, from which an interval is computed.

    Attributes:
        numerator, denominator: (S,) float64, weighted.
        rows: number of utterances in the sums.
    """

    numerator: Numbers
    denominator: Numbers
    rows: int


def speaker_sums(
    numerator: npt.ArrayLike, denominator: npt.ArrayLike, speaker_ids: Strings, weights: npt.ArrayLike | None = None
) -> SpeakerSums:
    """Return the rows summed by speaker, in the order of the speakers' ids.

    Args:
        numerator: (N,), such as word errors.
        denominator: (N,), such as reference words.
        speaker_ids: (N,) str.
        weights: (N,) above 0, such as 1 / inclusion probability; None counts every row once.

    Raises:
        RecordError: lengths differ, or a weight is not a finite number above 0.
    """
    upper = np.asarray(numerator, dtype=np.float64)
    lower = np.asarray(denominator, dtype=np.float64)
    weight = np.ones(len(upper)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(upper) == len(lower) == len(weight) == len(speaker_ids):
        raise RecordError("an interval needs numerator, denominator, weights and speakers of one length")
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise RecordError("an interval needs weights that are finite and above 0; check the inclusion probabilities")
    names, of = np.unique(np.asarray(speaker_ids), return_inverse=True)
    return SpeakerSums(
        numerator=np.bincount(of, weights=upper * weight, minlength=len(names)).astype(np.float64),
        denominator=np.bincount(of, weights=lower * weight, minlength=len(names)).astype(np.float64),
        rows=len(upper),
    )


def ratio_interval(
    sums: SpeakerSums, settings: IntervalSettings | None = None, bounds: tuple[float, float] = (-1.0, 1.0)
) -> Interval:
    """Return the ratio of the sums with its two-sided interval over speakers.

    With one speaker, or a denominator of 0, the interval can't be computed and is `bounds`.

    Args:
        sums: numerators and denominators by speaker.
        settings: alpha and draws; the defaults where None.
        bounds: the interval if it can't be computed.
    """
    settings = settings or IntervalSettings()
    speakers = len(sums.numerator)
    total = float(sums.denominator.sum())
    value = float(sums.numerator.sum() / total) if total > 0 else 0.0
    if speakers < 2 or total <= 0:
        low, high = bounds
    else:
        tail = _expanded_tail(settings.alpha, speakers)
        # With few speakers and a small alpha, no affordable number of draws reaches the tail.
        if speakers < settings.t_below or tail * settings.max_resamples < settings.tail_draws:
            low, high = _t_bounds(sums, settings.alpha)
        else:
            draws = max(settings.resamples, int(np.ceil(settings.tail_draws / tail)))
            low, high = _bootstrap_bounds(sums, tail, draws, settings.seed)
    return Interval(value=value, low=low, high=high, n=sums.rows, speakers=speakers)


def error_interval(sums: SpeakerSums, settings: IntervalSettings | None = None) -> Interval:
    """Return an error rate of at least 0 with its interval, which has a width even if no error was seen.

    If no utterance was wrong, or all were, each draw of speakers shows the same. The far bound is then that of Clopper
    & Pearson (1934) for one utterance per speaker: 1 - (alpha / 2)^(1 / S).
    """
    settings = settings or IntervalSettings()
    found = ratio_interval(sums, settings, bounds=(0.0, 1.0))
    if found.speakers == 0 or sums.denominator.sum() <= 0:
        return found
    near_one = float((settings.alpha / 2) ** (1.0 / found.speakers))
    low, high = max(0.0, found.low), max(found.high, found.value)  # a WER can be above 1
    if not sums.numerator.any():
        high = max(high, 1.0 - near_one)
    elif np.array_equal(sums.numerator, sums.denominator):
        low = min(low, near_one)
    return replace(found, low=low, high=high)


def error_counts(report: EvaluationReport) -> tuple[Numbers, Numbers]:
    """Return errors and units by row, (N,) each: word errors and words (asr), wrong intents and ones (intent)."""
    if report.kind == "asr":
        return report.errors.astype(np.float64), report.words.astype(np.float64)
    return (~report.correct).astype(np.float64), np.ones(len(report))


def report_interval(
    report: EvaluationReport,
    settings: IntervalSettings | None = None,
    *,
    rows: npt.NDArray[np.bool_] | None = None,
    weights: npt.ArrayLike | None = None,
) -> Interval:
    """Return the WER (asr) or the intent error (intent) of a report with its interval.

    Args:
        report: of one version.
        settings: alpha and draws; the defaults where None.
        rows: (N,) bool, the rows of a slice; all where None.
        weights: (N,) 1 / inclusion probability; None counts every row once.
    """
    upper, lower = error_counts(report)
    found = error_interval(_sums_of(report, upper, lower, rows, weights), settings)
    # WER can exceed 1, as words can be inserted; an intent error can't.
    return replace(found, high=min(1.0, found.high)) if report.kind == "intent" else found


def interval_on(
    report: EvaluationReport,
    utterance_ids: Sequence[str],
    weight_of: Mapping[str, float],
    settings: IntervalSettings | None = None,
) -> Interval:
    """Return the WER (asr) or the intent error (intent) on some of a report's utterances with its interval.

    Args:
        report: of one version.
        utterance_ids: the utterances; those that the report lacks are left out.
        weight_of: 1 / inclusion probability by utterance.
        settings: alpha and draws; the defaults where None.

    Raises:
        RecordError: an utterance has no weight; the message names the first.
    """
    part = report.take(np.isin(report.utterance_ids, list(utterance_ids)))
    return report_interval(part, settings, weights=weights_by_id(part, weight_of))


def report_rate(
    report: EvaluationReport,
    *,
    rows: npt.NDArray[np.bool_] | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Return the WER (asr) or the intent error (intent) without an interval; 0 if there is no word or no row."""
    upper, lower = error_counts(report)
    sums = _sums_of(report, upper, lower, rows, weights)
    total = float(sums.denominator.sum())
    return float(sums.numerator.sum() / total) if total > 0 else 0.0


def rate_by_speaker(report: EvaluationReport, *, weights: npt.ArrayLike | None = None) -> dict[str, tuple[float, int]]:
    """Return by speaker the WER (asr) or intent error (intent), and the number of rows."""
    found = {}
    for speaker_id in np.unique(report.speaker_ids).tolist():
        rows = report.speaker_ids == speaker_id
        found[speaker_id] = (report_rate(report, rows=rows, weights=weights), int(rows.sum()))
    return found


def paired_difference(
    champion: EvaluationReport,
    challenger: EvaluationReport,
    settings: IntervalSettings | None = None,
    *,
    rows: npt.NDArray[np.bool_] | None = None,
    weights: npt.ArrayLike | None = None,
) -> Interval:
    """Return challenger - champion in WER or intent error with its interval; below 0 the challenger is better.

    Both are computed on the same draws of speakers, so errors that both make cancel out. If both make the same errors
    everywhere, the difference is 0 with no width.

    Raises:
        RecordError: the reports are not on the same rows in the same order.
    """
    require_paired(champion, challenger)
    old, words = error_counts(champion)
    new, _ = error_counts(challenger)
    found = ratio_interval(_sums_of(champion, new - old, words, rows, weights), settings)
    if champion.kind == "intent":  # a t interval of a few speakers may go beyond what is possible
        found = replace(found, low=max(-1.0, found.low), high=min(1.0, found.high))
    return found


def complement(error: Interval) -> Interval:
    """Return the accuracy that belongs to an error rate, 1 - error, with its interval."""
    return Interval(1 - error.value, 1 - error.high, 1 - error.low, error.n, error.speakers)


def reversed_difference(difference: Interval) -> Interval:
    """Return b - a from a - b."""
    value, low, high = (0.0 - each for each in (difference.value, difference.high, difference.low))  # 0, never -0
    return Interval(value, low, high, difference.n, difference.speakers)


def require_paired(champion: EvaluationReport, challenger: EvaluationReport) -> None:
    """Check that two reports can be compared row by row.

    They must be of one kind, on the same utterances in the same order, with the same references, and under one normal
    form, because errors under two normal forms can't be compared.

    Raises:
        RecordError: they can't be compared; the message names the first utterance that differs.
    """
    names = f"reports of {champion.kind} {champion.version} and {challenger.kind} {challenger.version}"
    if champion.normaliser != challenger.normaliser:
        raise RecordError(f"{names} count words under different normal forms; evaluate both again")
    if champion.kind != challenger.kind:
        raise RecordError(f"{names} are of different kinds and can't be compared")
    if len(champion) != len(challenger):
        raise RecordError(f"{names} have {len(champion)} and {len(challenger)} rows; evaluate both on one set")
    same = (champion.utterance_ids == challenger.utterance_ids) & (champion.speaker_ids == challenger.speaker_ids)
    same &= champion.words == challenger.words
    if len(champion.marks) and len(challenger.marks):  # reports of older versions have none
        same &= champion.marks == challenger.marks
    if not same.all():
        first = champion.utterance_ids[~same][0]
        raise RecordError(f"{names} differ at utterance {first} in id, speaker or reference; evaluate both on one set")


def weights_by_id(report: EvaluationReport, weight_of: Mapping[str, float]) -> list[float]:
    """Return the weight of each row of a report.

    Raises:
        RecordError: a row has none; it would count as one that was drawn for certain. The message names the first.
    """
    ids = report.utterance_ids.tolist()
    missing = next((i for i in ids if i not in weight_of), None)
    if missing is not None:
        raise RecordError(f"utterance {missing} has no weight; give 1 / inclusion probability of every row")
    return [weight_of[i] for i in ids]


def traffic_weights(probabilities: Sequence[float]) -> Numbers:
    """Return 1 / inclusion probability of each row, (N,) float64; rates with these weights estimate the traffic's."""
    return 1.0 / np.array(probabilities, dtype=np.float64)


def _sums_of(
    report: EvaluationReport,
    upper: Numbers,
    lower: Numbers,
    rows: npt.NDArray[np.bool_] | None,
    weights: npt.ArrayLike | None,
) -> SpeakerSums:
    """Return the sums by speaker over the given rows of a report."""
    weight = np.ones(len(report)) if weights is None else np.asarray(weights, dtype=np.float64)
    keep = np.ones(len(report), dtype=bool) if rows is None else rows
    if len(weight) != len(report) or len(keep) != len(report):
        raise RecordError(f"report of {report.kind} {report.version}: weights or rows have another length")
    return speaker_sums(upper[keep], lower[keep], report.speaker_ids[keep], weight[keep])


def _expanded_tail(alpha: float, speakers: int) -> float:
    """Return the tail probability of a percentile interval, corrected for the number of speakers.

    Resampling S speakers gives a spread that is too small by sqrt((S - 1) / S), and a normal tail instead of a t tail.
    The correction is tail = Phi(sqrt(S / (S - 1)) t_{alpha / 2, S - 1}) (Hesterberg 2015, "What teachers should know
    about the bootstrap", section 3.3).
    """
    from scipy import special

    quantile = special.stdtrit(speakers - 1, alpha / 2)
    return float(special.ndtr(np.sqrt(speakers / (speakers - 1)) * quantile))


def _bootstrap_bounds(sums: SpeakerSums, tail: float, draws: int, seed: int) -> tuple[float, float]:
    """Return the percentiles `tail` and 1 - `tail` of the ratio over draws of S speakers with replacement."""
    speakers = len(sums.numerator)
    rng = np.random.default_rng([seed, speakers])
    ratios = np.empty(draws)
    block = max(1, DRAWS_AT_ONCE // speakers)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn = rng.integers(0, speakers, size=(size, speakers))
        below = sums.denominator[drawn].sum(axis=1)
        above = sums.numerator[drawn].sum(axis=1)
        # A draw of speakers without a single word has no rate; it counts as 0.
        ratios[start : start + size] = np.divide(above, below, out=np.zeros(size), where=below > 0)
    low, high = np.quantile(ratios, [tail, 1.0 - tail])
    return float(low), float(high)


def _t_bounds(sums: SpeakerSums, alpha: float) -> tuple[float, float]:
    """Return value -+ t_{alpha / 2, S - 1} times the error of the delete-one-speaker jackknife (Efron & Stein 1981)."""
    from scipy import special

    speakers = len(sums.numerator)
    above, below = sums.numerator.sum(), sums.denominator.sum()
    value = above / below
    rest = below - sums.denominator
    without = np.divide(above - sums.numerator, rest, out=np.full(speakers, value), where=rest > 0)
    error = np.sqrt((speakers - 1) / speakers * np.square(without - without.mean()).sum())
    reach = -special.stdtrit(speakers - 1, alpha / 2) * error
    return float(value - reach), float(value + reach)

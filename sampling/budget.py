"""The settings of a round, and its budget: how many clips and annotator seconds it may use, and for what."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus import plugins
from corpus.errors import SettingsError
from corpus.locales import canonical_locale
from corpus.settings import MOST_ROWS, MOST_SEED
from sampling.cohorts import CohortSettings
from sampling.pool import Scores
from sampling.requests import RequestSettings


class SamplingSettings(BaseModel):
    """How a round chooses utterances.

    Attributes:
        strategy: Name of a strategy, also of another package. `strategy:measure` ranks by one measure, such as
            `power:entropy`; without a measure, rows are ranked by the expected errors that an annotator second
            resolves.
        clips: Most clips that people are given in a round, a clip once for each answer that it is asked for
            (`people.audit_answers`, `people.other_answers`), without control tasks and answers after a disagreement;
            null: as many as the caps allow.
        minutes: Most expected annotator minutes of a round, with every answer that a row is asked for
            (`people.audit_answers`, `people.other_answers`) but control tasks and answers after a disagreement; null:
            no such limit.
        max_fraction: Largest share of the pool that a round may sample.
        floor: How many clips a small night may sample in spite of `max_fraction` [clips].
        audit_share: Share of the clips that is a probability sample.
        audit_target: `audit_share` applies once there are this many audit rows.
        audit_share_while_few: Share of the audit sample until then.
        max_per_speaker: Most clips of one speaker in a round, audit rows included.
        novel_share: Share of the clips that are least similar to the labelled and the chosen ones.
        slice_quotas: By slice and value, the least share of the clips that are not audit rows.
        cohorts: Hidden groups with more errors than the rest, and their share of the clips.
        near_duplicate: Cosine from which two rows count as one; null: never.
        cold_start_labels: Below this many labels, `default` chooses by typicality.
        triage_below: Below this confidence only "was the assistant meant" is asked; null: never.
        requests: How clips are treated that are probably no requests.
        seed: Seed of all draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strategy: str = "default"
    clips: int | None = Field(default=None, ge=1, le=MOST_ROWS)
    minutes: float | None = Field(default=None, gt=0, le=10_000_000, allow_inf_nan=False)
    max_fraction: float = Field(default=0.002, ge=0, le=1)
    floor: int = Field(default=40, ge=0, le=MOST_ROWS)
    audit_share: float = Field(default=0.15, ge=0, le=1)
    audit_target: int = Field(default=150, ge=0, le=MOST_ROWS)
    audit_share_while_few: float = Field(default=0.5, ge=0, le=1)
    max_per_speaker: int = Field(default=3, ge=1, le=MOST_ROWS)
    novel_share: float = Field(default=0.1, ge=0, le=1)
    slice_quotas: dict[str, dict[str, float]] = Field(default_factory=dict)
    cohorts: CohortSettings = CohortSettings()
    near_duplicate: float | None = Field(default=0.98, gt=0, le=1)
    cold_start_labels: int = Field(default=20, ge=0, le=MOST_ROWS)
    triage_below: float | None = Field(default=None, gt=0, le=1)
    requests: RequestSettings = RequestSettings()
    seed: int = Field(default=0, ge=0, le=MOST_SEED)

    @field_validator("strategy")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == cls.model_fields["strategy"].default:
            return value
        from sampling.measures import MEASURES  # scipy: not for a command that chooses nothing
        from sampling.strategies.registry import STRATEGIES

        name, _, ranked_by = value.partition(":")
        plugins.require_known(plugins.STRATEGIES, name, STRATEGIES)
        if ranked_by:
            plugins.require_known(plugins.MEASURES, ranked_by, MEASURES)
        return value

    @field_validator("slice_quotas")
    @classmethod
    def _shares(cls, quotas: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        if "locale" in quotas:
            locales = {canonical_locale(locale): share for locale, share in quotas["locale"].items()}
            if len(locales) < len(quotas["locale"]):
                raise ValueError("slice_quotas locale: one locale is written in two ways; give each once")
            quotas = quotas | {"locale": locales}
        for name, shares in quotas.items():
            if not all(0 < share <= 1 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
                raise ValueError(f"slice_quotas {name}: shares must lie in (0, 1] and sum to 1 at most")
        return quotas


@dataclass(frozen=True, slots=True)
class AnswersPerRow:
    """How many people answer an audit row, and any other row; each answer takes the seconds of the question."""

    audit: int = 1
    other: int = 1

    def to(self, rows: int, audit: int) -> int:
        """Return how many answers people give to so many rows, of which `audit` are audit rows."""
        return audit * self.audit + (rows - audit) * self.other


ONE_ANSWER = AnswersPerRow()


@dataclass(frozen=True, slots=True)
class Budget:
    """What a round may spend.

    Attributes:
        clips: most clips of the round.
        planned: clips that the round is likely to choose; the shares refer to this number.
        seconds: most expected annotator seconds; inf without a limit.
        audit, novel: clips of the audit share and of the novel share.
        bound_by: name of the cap that sets `clips`, to show to people.
    """

    clips: int
    planned: int
    seconds: float
    audit: int
    novel: int
    bound_by: str


def plan_budget(
    settings: SamplingSettings,
    *,
    pool_size: int,
    available: int,
    audit_room: int,
    audit_rows_so_far: int,
    costs: Scores,
    audit_costs: Scores,
    answers: AnswersPerRow = ONE_ANSWER,
) -> Budget:
    """Return what the round may spend; every cap holds, whichever rows are drawn later.

    The size of the audit share is fixed before its draw, from the costs of the whole frame, so that the inclusion
    probabilities stay true. It is small enough that even the most expensive rows fit the seconds.

    Args:
        settings: caps and shares.
        pool_size: rows of the pool, N.
        available: rows of the frame: those that no earlier round chose.
        audit_room: rows that fit the cap on speakers.
        audit_rows_so_far: audit rows of earlier rounds.
        costs: (available,) of all answers to each row's question [annotator seconds].
        audit_costs: (available,) of all answers to a row of the audit share [annotator seconds].
        answers: how many of them a row is asked for, each of which counts among `settings.clips`.

    Raises:
        SettingsError: caps that leave no clip; the message names them.
    """
    ceiling = max(settings.floor, int(settings.max_fraction * pool_size + 1e-9))
    caps = {"the pool": available, f"max_fraction {settings.max_fraction:g} with floor {settings.floor}": ceiling}
    bound_by = min(caps, key=lambda cap: caps[cap])
    clips = caps[bound_by]
    if clips == 0:
        raise SettingsError(f"{bound_by} allows no clip of {pool_size} utterances; raise floor or max_fraction")
    asked = math.inf if settings.clips is None else settings.clips
    seconds = math.inf if settings.minutes is None else settings.minutes * 60.0
    if float(costs.min()) > seconds and float(audit_costs.min()) > seconds:
        raise SettingsError(
            f"minutes {settings.minutes:g} buys no label: the cheapest costs {costs.min():.0f} s; raise it"
        )
    mean, of_audit = float(costs.mean()), float(audit_costs.mean())

    def expected(planned: int) -> float:
        rows = _audit_clips(settings, planned, audit_rows_so_far)
        return rows * of_audit + max(0, planned - rows) * mean

    planned = max(1, bisect_right(range(1, clips + 1), seconds, key=expected))
    planned = min(planned, _clips_for(asked, settings, clips, audit_rows_so_far, answers))
    audit = min(_audit_clips(settings, planned, audit_rows_so_far), audit_room, clips)
    audit = min(audit, int(np.searchsorted(np.cumsum(np.sort(audit_costs)[::-1]), seconds, side="right")))
    audit = int(min(audit, asked // answers.audit))
    by_answers = audit + (asked - audit * answers.audit) // answers.other
    if by_answers < 1:
        raise SettingsError(f"clips {asked:g} allows no clip, as {answers.other} people answer each; raise it")
    if by_answers < clips:
        bound_by, clips = "clips", int(by_answers)
    novel = min(int(settings.novel_share * planned + 1e-9), clips - audit)
    return Budget(clips, planned, seconds, audit, novel, bound_by)


def nights_to_audit_rows(
    settings: SamplingSettings, needed: int, so_far: int = 0, answers: AnswersPerRow = ONE_ANSWER
) -> int | None:
    """Return after how many nights at the earliest there are so many audit rows, where every night fills its clips.

    Args:
        settings: caps and shares.
        needed: how many audit rows are wanted.
        so_far: how many there are.
        answers: how many of them a row is asked for.

    Returns:
        The number of nights; None where `clips` sets no number, or no audit row is drawn.
    """
    if settings.clips is None:
        return None
    nights = 0
    while so_far < needed:
        planned = _clips_for(settings.clips, settings, settings.clips, so_far, answers)
        drawn = min(_audit_clips(settings, planned, so_far), settings.clips // answers.audit)
        if not drawn:
            return None
        so_far, nights = so_far + drawn, nights + 1
    return nights


def _clips_for(asked: float, settings: SamplingSettings, most: int, so_far: int, answers: AnswersPerRow) -> int:
    """Return how many clips, at least one and `most` at most, a round plans for that many answers."""

    def needed(planned: int) -> int:
        return answers.to(planned, _audit_clips(settings, planned, so_far))

    return max(1, bisect_right(range(1, most + 1), asked, key=needed))


def _audit_clips(settings: SamplingSettings, planned: int, so_far: int) -> int:
    share = settings.audit_share * planned
    missing = max(0, settings.audit_target - so_far)
    # The larger share ends where it reaches the target, not a night later.
    while_few = min(settings.audit_share_while_few * planned, float(missing))
    return math.ceil(max(share, while_few) - 1e-9)

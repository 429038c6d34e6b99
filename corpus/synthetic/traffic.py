"""Nights of synthetic traffic: the arrivals with their faults, and the truth about each.

Night k depends on the settings and k alone. The speakers are the same every night; the share of new accents and new
phrasings grows from night to night.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from corpus.errors import RecordError
from corpus.records.base import Floats, Verdict
from corpus.settings import MOST_SEED
from corpus.synthetic.acoustics import AugmentSettings, augment, doorbell
from corpus.synthetic.language import Sentence, background, sentence
from corpus.synthetic.speakers import Speaker, speakers
from corpus.synthetic.speech import RATE, resample, speak

DOORBELL: Final = "doorbell"

Kind = Literal["command", "accidental", "unintelligible", "repeat", "damaged", "no_wake", "bad_row"]


class TrafficSettings(BaseModel):
    """The synthesised traffic of the demo; shares are of the lines of a manifest unless they say otherwise.

    Attributes:
        seed: Seed of all draws.
        nights: Number of nights.
        utterances_per_night: Lines of a night's manifest, faults and repeats included.
        speakers: Number of customers; every second one has a drift accent.
        drift_accents: Share of the utterances of night 1 by customers with a drift accent.
        doorbells: Share of customers with a new device, whose microphone is new to every base model.
        new_accents: Drift accents that occur; all of them where empty.
        drift_phrasings: Share of the requests of night 1 in drift phrasings.
        drift_growth: Added to both drift shares every night, up to 0.95.
        accidental: Share of lines in which conversation or television woke the device by accident.
        unintelligible: Share of lines whose speech nobody can understand.
        repeats: Share of events delivered again, in the same manifest or in that of the next night.
        damaged: Share of lines whose audio is cut, empty, text, a header alone, or missing.
        no_wake: Share of lines without evidence that the customer addressed the device.
        bad_rows: Share of lines that are no JSON, lack a field or hold an impossible value.
        noisy: Share of requests in high noise (3-12 dB; else 15-35 dB).
        known: Share of requests whose text, intent and slots come with the manifest.
        opted_out: Share of customers without consent to annotation (some of them without any consent).
        first_night: Day of the first night.
        time_zone: IANA name of the time zone of the nights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    nights: int = Field(default=3, ge=1, le=10_000)
    utterances_per_night: int = Field(default=400, ge=1, le=10_000_000)
    speakers: int = Field(default=60, ge=2, le=10_000_000)
    drift_accents: float = Field(default=0.5, ge=0, le=1)
    doorbells: float = Field(default=0.5, ge=0, le=1)
    new_accents: tuple[str, ...] = ()
    drift_phrasings: float = Field(default=0.4, ge=0, le=1)
    drift_growth: float = Field(default=0.05, ge=0, le=1)
    accidental: float = Field(default=0.05, ge=0, le=1)
    unintelligible: float = Field(default=0.02, ge=0, le=1)
    repeats: float = Field(default=0.02, ge=0, le=1)
    damaged: float = Field(default=0.015, ge=0, le=1)
    no_wake: float = Field(default=0.01, ge=0, le=1)
    bad_rows: float = Field(default=0.015, ge=0, le=1)
    noisy: float = Field(default=0.25, ge=0, le=1)
    known: float = Field(default=0.0, ge=0, le=1)
    opted_out: float = Field(default=0.1, ge=0, le=1)
    first_night: date = date(2026, 11, 2)
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value} is no time zone; give one such as Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _shares_fit(self) -> TrafficSettings:
        taken = self.accidental + self.unintelligible + self.repeats + self.damaged + self.no_wake + self.bad_rows
        if taken > 1:
            raise ValueError("accidental, unintelligible, repeats, damaged, no_wake and bad_rows add up to over 1")
        return self


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event: what the device reports, what was really spoken, and samples (n,) float32 at `rate` [Hz]."""

    event_id: str
    kind: Kind
    speaker: Speaker
    noise: Literal["low", "high"]
    wake: Mapping[str, object]
    arrived_at: datetime
    spoken: Sentence
    verdict: Verdict
    known: bool
    samples: Floats
    rate: int


def window(settings: TrafficSettings, night: int) -> tuple[datetime, datetime]:
    """Return start and end (exclusive) of a night in UTC: a calendar day of the settings' time zone."""
    zone = ZoneInfo(settings.time_zone)
    day = settings.first_night + timedelta(days=_from_one(night) - 1)
    starts = (datetime.combine(day + timedelta(days=k), time(), tzinfo=zone).astimezone(UTC) for k in (0, 1))
    return next(starts), next(starts)


def plan(settings: TrafficSettings, night: int) -> tuple[Kind, ...]:
    """Return the kind of each line of a night's manifest; the shares are exact to the nearest line."""
    lines = settings.utterances_per_night
    shares: dict[Kind, float] = {
        "accidental": settings.accidental,
        "unintelligible": settings.unintelligible,
        "repeat": settings.repeats,
        "damaged": settings.damaged,
        "no_wake": settings.no_wake,
        "bad_row": settings.bad_rows,
    }
    kinds: list[Kind] = [kind for kind, share in shares.items() for _ in range(round(share * lines))]
    kinds = kinds[:lines] + ["command"] * (lines - len(kinds))
    rng = np.random.default_rng([_PLAN, settings.seed, _from_one(night)])
    return tuple(kinds[k] for k in rng.permutation(lines))


def arrival(settings: TrafficSettings, night: int, index: int, kind: Kind) -> Arrival:
    """Return event `index` of a night; it depends on the arguments alone."""
    rng = np.random.default_rng([_EVENT, settings.seed, night, index])
    drifted = min(0.95, settings.drift_accents + (night - 1) * settings.drift_growth)
    speaker = _drawn(rng, settings, drift=bool(rng.random() < drifted))
    moment = _moment(rng, settings, night)
    high = bool(rng.random() < settings.noisy) or kind in ("accidental", "unintelligible")
    if kind == "accidental":
        spoken = Sentence(background(rng) if rng.random() < 0.85 else "", "", ())
    else:
        drifted = min(0.95, settings.drift_phrasings + (night - 1) * settings.drift_growth)
        spoken = sentence(rng, "drift" if rng.random() < drifted else "base")
    samples, rate = _recorded(rng, spoken, speaker, _conditions(kind, high))
    no_truth = kind in ("unintelligible", "damaged")
    return Arrival(
        event_id=f"evt-{settings.seed:x}-{night:03d}-{index:05d}",
        kind=kind,
        speaker=speaker,
        noise="high" if high else "low",
        wake=_wake(rng, speaker, accidental=kind == "accidental"),
        arrived_at=moment,
        spoken=Sentence("", "", ()) if no_truth else spoken,
        verdict="accidental" if kind == "accidental" else "unintelligible" if no_truth else "labelled",
        known=kind == "command" and bool(rng.random() < settings.known),
        samples=samples,
        rate=rate,
    )


_PLAN, _EVENT, _CONSENT, _DEVICE = 303, 404, 505, 707  # first numbers of the seeds
# Share of the arrivals by hour of the day
_HOURS = np.array([1, 1, 1, 1, 1, 2, 6, 9, 8, 5, 4, 4, 5, 5, 4, 4, 5, 8, 10, 9, 8, 6, 4, 2]) / 113.0


def _from_one(night: int) -> int:
    if night < 1:
        raise RecordError(f"night {night} does not exist; nights count from 1")
    return night


@lru_cache(maxsize=8)
def customers(settings: TrafficSettings) -> tuple[tuple[Speaker, ...], tuple[Speaker, ...]]:
    """Return the customers with base accents and those with drift accents."""
    base = settings.speakers - settings.speakers // 2
    return (
        _with_doorbells(settings, speakers(settings.seed, base, "base"), 0),
        _with_doorbells(settings, speakers(settings.seed, settings.speakers // 2, "drift", settings.new_accents), 1),
    )


def _with_doorbells(settings: TrafficSettings, group: Sequence[Speaker], number: int) -> tuple[Speaker, ...]:
    rng = np.random.default_rng([_DEVICE, settings.seed, number])
    new = set(rng.permutation(len(group))[: round(settings.doorbells * len(group))].tolist())
    return tuple(replace(one, device_type=DOORBELL) if k in new else one for k, one in enumerate(group))


@lru_cache(maxsize=8)
def consents(settings: TrafficSettings) -> dict[str, tuple[str, ...]]:
    """Return the consent of each account; one in three of those who opted out consents to nothing."""
    accounts = [speaker.account for group in customers(settings) for speaker in group]
    given: dict[str, tuple[str, ...]] = dict.fromkeys(accounts, ("score", "annotate", "train"))
    rng = np.random.default_rng([_CONSENT, settings.seed])
    opted_out = rng.permutation(len(accounts))[: round(settings.opted_out * len(accounts))]
    for place, k in enumerate(opted_out):
        given[accounts[k]] = ((), ("score",), ("score", "train"))[place % 3]
    return given


def _drawn(rng: np.random.Generator, settings: TrafficSettings, *, drift: bool) -> Speaker:
    """Return a customer of the group; some speak up to six times as often as others."""
    group = customers(settings)[drift]
    weights = 1.0 / np.linspace(1.0, 6.0, len(group))
    return group[int(rng.choice(len(group), p=weights / weights.sum()))]


def _moment(rng: np.random.Generator, settings: TrafficSettings, night: int) -> datetime:
    """Return a moment of the night in local time, most likely around breakfast and in the evening."""
    start, end = window(settings, night)
    seconds = int(rng.choice(24, p=_HOURS)) * 3600 + float(rng.uniform(0, 3600))
    seconds = min(seconds, (end - start).total_seconds() - 1)  # a day of 23 hours
    moment = (start + timedelta(seconds=seconds)).astimezone(ZoneInfo(settings.time_zone))
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _wake(rng: np.random.Generator, speaker: Speaker, *, accidental: bool) -> dict[str, object]:
    score, press = float(rng.beta(5, 5) if accidental else rng.beta(12, 2)), float(rng.random())
    if press < {"car": 0.5, "phone": 0.3}.get(speaker.device_type, 0.0) and not accidental:
        return {"button": True}
    return {"word": "hey earmark", "score": round(score, 3)}


def _conditions(kind: Kind, high: bool) -> AugmentSettings:
    if kind == "accidental":  # far from the device, with other sound
        return AugmentSettings(snr_db=(0.0, 12.0), peak=(0.05, 0.3), reverberant=1.0, narrow=0.3)
    if kind == "unintelligible":
        return AugmentSettings(snr_db=(-18.0, -10.0), narrow=0.0)
    return AugmentSettings(snr_db=(3.0, 12.0) if high else (15.0, 35.0), narrow=0.0)


def _recorded(
    rng: np.random.Generator, spoken: Sentence, speaker: Speaker, conditions: AugmentSettings
) -> tuple[Floats, int]:
    """Return samples and rate [Hz] as the device sends them: a car at 8 kHz, half the phones at 22.05 kHz."""
    speech = speak(spoken.text, speaker.voice) if spoken.text else np.zeros(RATE, dtype=np.float32)
    samples = augment(speech, rng, conditions)
    if speaker.device_type == DOORBELL:
        samples = doorbell(samples)
    odd = int(speaker.device_serial[-1], 16) % 2 == 1
    rate = 8_000 if speaker.device_type == "car" else 22_050 if speaker.device_type == "phone" and odd else RATE
    return resample(samples, RATE, rate), rate

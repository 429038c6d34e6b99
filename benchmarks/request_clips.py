"""Nights of clips for `benchmarks.requests`: requests, and sounds that are none, of three groups that share nothing.

`choosing` is what the rule before any verdict was chosen on, `first` the night that is answered, `second` the one whose
choice is judged. Each has its own kinds of sounds, its own speakers of FSDD, and its own voices of eSpeak.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from corpus.records.base import Floats
from corpus.synthetic.acoustics import noise
from corpus.synthetic.speakers import pretraining_set
from corpus.synthetic.speech import resample

RATE = 16_000
JUNK = 0.13
SPEAKERS = {"choosing": ("george", "lucas"), "first": ("jackson", "theo"), "second": ("nicolas", "yweweler")}
VOICES = {"choosing": 7_100, "first": 7_200, "second": 7_300}


@dataclass(frozen=True)
class NightClips:
    """The clips of a night.

    Attributes:
        clips: id and samples at 16 kHz.
        kinds: what each clip is: `digit` or `command`, or the kind of a sound that is no request.
        requests: (N,) bool.
    """

    clips: list[tuple[str, Floats]]
    kinds: list[str]
    requests: Any


def night_clips(group: str, seed: int, clips: int, fsdd: Path, spoken: str = "both") -> NightClips:
    """Return a night with 13 % junk, the kinds in equal parts; the rest are digits, or half digits, half commands."""
    rng = np.random.default_rng([seed, clips, len(group)])
    junk = round(JUNK * clips)
    digits = (clips - junk) // (2 if spoken == "both" else 1)
    sounds = list(SOUNDS[group])
    made = [(name, SOUNDS[group][name](rng, fsdd)) for name in (sounds[k % len(sounds)] for k in range(junk))]
    made += [("digit", clip) for clip in _digits(rng, fsdd, SPEAKERS[group], digits)]
    commands = clips - junk - digits
    examples = pretraining_set(VOICES[group] + seed, commands, accents="all", phrasings="all")
    made += [("command", each.samples) for each in examples]
    order = rng.permutation(len(made)).tolist()
    kinds = [made[k][0] for k in order]
    named = [(f"{group}-{seed}-{place:04d}", made[k][1]) for place, k in enumerate(order)]
    return NightClips(named, kinds, np.array([kind in ("digit", "command") for kind in kinds]))


def _digits(rng: np.random.Generator, fsdd: Path, speakers: tuple[str, ...], count: int) -> list[Floats]:
    rows = [json.loads(line) for line in (fsdd / "train.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["speaker"] in speakers]
    return [_clip(fsdd, rows[k]) for k in rng.permutation(len(rows))[:count].tolist()]


def _clip(fsdd: Path, row: dict[str, Any]) -> Floats:
    samples, rate = soundfile.read(fsdd / row["audio"], dtype="float32")
    return resample(samples, rate, RATE)


# --- sounds -----------------------------------------------------------------------------------------------------------


def _length(rng: np.random.Generator) -> int:
    return int(rng.uniform(0.5, 6.0) * RATE)


def _at(samples: Any, rng: np.random.Generator, low: float, high: float) -> Floats:
    """Return the samples at a level between two [dB below full scale], clipped."""
    level = 10 ** (rng.uniform(low, high) / 20)
    return np.asarray(np.clip(samples / max(1e-9, float(np.std(samples))) * level, -1, 1), np.float32)


def _coloured(rng: np.random.Generator, slope: float, low: float = 20.0, high: float = 8_000.0) -> Any:
    """Return noise whose power falls with `slope` powers of the frequency, within a band."""
    length = _length(rng)
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    shape = np.maximum(frequency, 20.0) ** (-slope / 2) * ((frequency > low) & (frequency < high))
    spectrum = (rng.standard_normal(len(frequency)) + 1j * rng.standard_normal(len(frequency))) * shape
    return np.fft.irfft(spectrum, length)


def _flat(low: float, high: float) -> Callable[..., Floats]:
    def make(rng: np.random.Generator, _: Path) -> Floats:
        colour: Any = rng.choice(["white", "pink"])
        return _at(noise(rng, _length(rng), colour), rng, low, high)

    return make


def _band(low: float, high: float) -> Callable[..., Floats]:
    def make(rng: np.random.Generator, _: Path) -> Floats:
        bottom = float(rng.uniform(50, 1_000))
        return _at(_coloured(rng, float(rng.uniform(0, 2)), bottom, bottom * rng.uniform(2, 8)), rng, low, high)

    return make


def _rain(rng: np.random.Generator, _: Path) -> Floats:
    """Noise whose loudness drifts, with drops."""
    samples = _coloured(rng, float(rng.uniform(0, 1)))
    knots = rng.uniform(0.3, 1.0, max(2, len(samples) // RATE * 3))
    samples = (
        samples / samples.std() * np.interp(np.arange(len(samples)), np.linspace(0, len(samples), len(knots)), knots)
    )
    for start in rng.integers(0, len(samples), int(rng.integers(2, 30))):
        drop = np.exp(-np.arange(400) / 60) * np.sin(np.arange(400) * rng.uniform(0.2, 1.5)) * rng.uniform(1, 6)
        samples[start : start + 400] += drop[: len(samples) - start]
    return _at(samples, rng, -40, -20)


def _brown(rng: np.random.Generator, _: Path) -> Floats:
    return _at(_coloured(rng, 2.0), rng, -65, -20)


def _hum(rng: np.random.Generator, _: Path) -> Floats:
    return _at(noise(rng, _length(rng), "hum"), rng, -60, -20)


def _siren(rng: np.random.Generator, _: Path) -> Floats:
    t = np.arange(_length(rng)) / RATE
    pitch = rng.uniform(400, 900) * (1 + rng.uniform(0.1, 0.5) * np.sin(2 * np.pi * rng.uniform(0.3, 3) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return _at(sum(np.sin(h * phase) / h for h in (1, 2, 3)), rng, -35, -12)


def _clicks(rng: np.random.Generator, _: Path) -> Floats:
    samples = 0.01 * rng.standard_normal(_length(rng))
    for start in rng.integers(0, len(samples), int(rng.integers(1, 12))):
        burst = np.exp(-np.arange(1_600) / rng.uniform(40, 500)) * rng.standard_normal(1_600)
        samples[start : start + 1_600] += burst[: len(samples) - start]
    return _at(samples, rng, -45, -20)


def _notes(rng: np.random.Generator, _: Path) -> Floats:
    """Plucked notes."""
    t = np.arange(_length(rng)) / RATE
    samples, beat = np.zeros(len(t)), rng.choice([0.25, 0.4, 0.6])
    for start in np.arange(0, t[-1], beat):
        since = np.clip(t - start, 0, None)
        for tone in 220 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12], 2) / 12):
            struck = np.exp(-3 * since) * (t >= start)
            samples += struck * sum(np.sin(2 * np.pi * tone * h * since) / h for h in (1, 2, 3))
    return _at(samples, rng, -28, -12)


def _song(rng: np.random.Generator, _: Path) -> Floats:
    """Held chords with vibrato, and a drum."""
    t = np.arange(_length(rng)) / RATE
    samples = np.zeros(len(t))
    for start in np.arange(0, t[-1], rng.uniform(0.7, 1.5)):
        held = (t >= start) & (t < start + 1.0)
        for tone in rng.uniform(110, 260) * np.array([1.0, 5 / 4, 3 / 2]):
            phase = 2 * np.pi * tone * t + rng.uniform(1, 4) * np.sin(2 * np.pi * 5.5 * t)
            samples += held * sum(np.sin(h * phase) / h**0.8 for h in (1, 2, 3, 4, 5))
    for start in np.arange(0, t[-1], rng.choice([0.3, 0.5])):
        since = np.clip(t - start, 0, None)
        samples += (t >= start) * 4 * np.exp(-25 * since) * rng.standard_normal(len(t))
    return _at(samples, rng, -28, -12)


def _overlaid(rng: np.random.Generator, spoken: list[Floats], talkers: int) -> Floats:
    samples = np.zeros(max(2 * RATE, _length(rng)), np.float32)
    for row in rng.integers(0, len(spoken), talkers):
        clip = spoken[row][: len(samples)]
        at = rng.integers(0, len(samples) - len(clip) + 1)
        samples[at : at + len(clip)] += clip * rng.uniform(0.2, 1.0)
    return _at(samples, rng, -35, -12)


def _babble_of_digits(group: str, talkers: int) -> Callable[..., Floats]:
    def make(rng: np.random.Generator, fsdd: Path) -> Floats:
        return _overlaid(rng, _digits(rng, fsdd, SPEAKERS[group], talkers), talkers)

    return make


def _babble_of_sentences(group: str, talkers: int) -> Callable[..., Floats]:
    def make(rng: np.random.Generator, _: Path) -> Floats:
        seed = VOICES[group] + 50 + int(rng.integers(1_000_000))
        return _overlaid(rng, [each.samples for each in pretraining_set(seed, talkers, accents="all")], talkers)

    return make


SOUNDS: dict[str, dict[str, Callable[..., Floats]]] = {
    "choosing": {
        "brown noise": _brown,
        "hum": _hum,
        "siren": _siren,
        "clicks": _clicks,
        "babble of 8 sentences": _babble_of_sentences("choosing", 8),
    },
    "first": {
        "faint noise": _flat(-70, -50),
        "noise": _flat(-40, -20),
        "notes": _notes,
        "babble of 40 digits": _babble_of_digits("first", 40),
    },
    "second": {
        "faint band noise": _band(-70, -50),
        "rain": _rain,
        "song": _song,
        "babble of 12 sentences": _babble_of_sentences("second", 12),
    },
}
"""Makers of sounds that are no request, by group and kind."""

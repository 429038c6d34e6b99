"""Limits of the recordings that are accepted, and the reasons for a refusal with their remedies."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from corpus.audio.resample import convertible
from corpus.errors import AudioRefused
from corpus.settings import MOST_SECONDS

REMEDIES: Final = {
    "missing_file": "correct the name, or add the file",
    "no_permission": "let the user that earmark runs as read it",
    "unreadable": "give a whole recording in WAV, FLAC, Ogg or MP3",
    "empty": "record again, or leave the row out",
    "too_large": "cut the recording, save it as FLAC, or raise ingest.audio.max_bytes",
    "truncated": "copy the file again from its source",
    "no_length": "write the recording to a file, not to a pipe, or save it again",
    "several_recordings": "give each recording a file and a row of its own",
    "unsupported_codec": "save it as 16-bit PCM WAV",
    "too_many_channels": "save one or two channels, or raise ingest.audio.max_channels",
    "bad_rate": "save it at a usual rate, such as 16000 Hz",
    "too_short": "leave the row out, or lower ingest.audio.min_duration",
    "too_long": "cut the recording, or raise ingest.audio.max_duration",
    "not_finite": "save it as 16-bit PCM WAV",
    "clipped": "lower the gain of the microphone, or raise ingest.audio.max_clipped",
    "silent": "leave the row out, check the microphone, or lower ingest.audio.silent_peak",
}
"""Every reason of `AudioRefused`, and what to do about it."""


class AudioSettings(BaseModel):
    """Which recordings are accepted.

    Attributes:
        min_duration: Shortest clip that is accepted [s].
        max_duration: Longest clip that is accepted [s].
        max_bytes: Largest file as it arrives [bytes].
        max_channels: A recording with more channels is refused; two channels are averaged, or the louder one is
            taken where they cancel.
        min_rate: Lowest sample rate that is accepted [Hz].
        max_rate: Highest sample rate that is accepted [Hz].
        silent_peak: A clip whose samples all stay within this of their mean is silence (full scale is 1).
        max_clipped: Largest share of samples at full scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_duration: float = Field(default=0.1, gt=0, le=MOST_SECONDS)
    max_duration: float = Field(default=30.0, gt=0, le=MOST_SECONDS)
    max_bytes: int = Field(default=10_000_000, gt=0, le=2**40)
    max_channels: int = Field(default=2, ge=1, le=8)
    min_rate: int = Field(default=8_000, gt=0, le=1_000_000)
    max_rate: int = Field(default=48_000, gt=0, le=1_000_000)
    silent_peak: float = Field(default=5e-4, ge=0, lt=1)
    max_clipped: float = Field(default=0.1, gt=0, le=1)


def most_frames(rate: int, settings: AudioSettings) -> int:
    """Return the number of samples per channel of the longest accepted recording at a rate [Hz]."""
    return int(settings.max_duration * rate)


def check_header(channels: int, rate: int, settings: AudioSettings) -> None:
    """Check that a recording with these channels and this rate [Hz] is accepted.

    Raises:
        AudioRefused: `unreadable`, `too_many_channels` or `bad_rate`.
    """
    if channels < 1:
        raise AudioRefused("unreadable", "the header names no channel")
    if channels > settings.max_channels:
        raise AudioRefused("too_many_channels", f"{channels} channels, {settings.max_channels} are allowed")
    if not settings.min_rate <= rate <= settings.max_rate or not convertible(rate):
        raise AudioRefused(
            "bad_rate", f"{rate} Hz; usual rates of {settings.min_rate}-{settings.max_rate} Hz are accepted"
        )


def check_length(frames: int, rate: int, settings: AudioSettings) -> None:
    """Check that a recording with `frames` samples per channel is neither empty, too short nor too long.

    Raises:
        AudioRefused: `empty`, `too_short` or `too_long`.
    """
    seconds = frames / rate
    if frames <= 0:
        raise AudioRefused("empty", "the file holds no samples")
    if seconds < settings.min_duration:
        raise AudioRefused("too_short", f"{seconds:.3f} s, at least {settings.min_duration:g} s are needed")
    if seconds > settings.max_duration:
        raise AudioRefused("too_long", f"over {settings.max_duration:g} s")

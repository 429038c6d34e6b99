"""Speech synthesis with the shared library of eSpeak NG; the same text and voice give the same bytes.

eSpeak has three states that last from one utterance to the next: a position in its table of pitch flutter, a count of
glottal cycles, which drives roughness and the trilled Scottish r, and a random generator for breath and frication. So
every variant here has flutter and roughness 0 and the Scottish r is not trilled (by changed copies of eSpeak's files),
and the generator is seeded before each call.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError, SettingsError
from corpus.records.base import Floats
from corpus.synthetic import mixed_accents

RATE: Final = 16_000
"""Sample rate of `speak` [Hz]."""

BASE_ACCENTS: Final = ("en-us", "en-us-nyc", "en-gb", "en-gb-x-rp")
"""Accents of the speech that the embedded base models are trained on."""

DRIFT_ACCENTS: Final = (
    "en-gb-scotland",
    "en-029",  # Caribbean
    "en-gb-x-gbclan",  # Lancaster
    "en-gb-x-gbcwmd",  # West Midlands
    "en-x-german",
    "en-x-indian",
    "en-x-french",
)
"""Accents that are new to the base models: four regional voices of eSpeak, and three foreign accents defined here."""

MIXED_ACCENTS: Final = mixed_accents.names()
"""Accents that only the embedded speech base learns from; no customer of the traffic has one."""

VARIANTS: Final = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
"""Timbres: men, then women."""

# eSpeak's `replace` swaps one phoneme for another of the same table: 00 anywhere, 01 at the end of a word.
_FOREIGN: Final = {
    "en-x-german": "phonemes en\nreplace 00 w v\nreplace 00 T s\nreplace 00 D z\nreplace 00 V a\n"
    "replace 01 z s\nreplace 01 d t\nreplace 01 b p\nstressLength 160 150 180 180 0 0 230 260\n",
    "en-x-indian": "phonemes en-us\nreplace 00 T t\nreplace 00 D d\nreplace 00 w v\nreplace 00 z s\n"
    "intonation 3\nstressLength 180 170 180 180 0 0 190 200\n",
    "en-x-french": "phonemes en\nreplace 00 h NULL\nreplace 00 T s\nreplace 00 D z\nreplace 00 I i:\n"
    "replace 00 V a\nstressLength 170 170 180 180 0 0 220 300\n",
}

_ESPEAK_HZ: Final = 22_050  # sample rate of eSpeak
_ESPEAK_RATE, _ESPEAK_PITCH = 1, 3  # espeak_PARAMETER
# The Scottish r, alone and as the end of a vowel.
_UNTRILLED: Final = "dictionary en\nreplace 00 r r/\n" + "".join(
    f"replace 00 {trilled} {plain}\n"
    for trilled, plain in (
        ("O@", "O"),
        ("o@", "o"),
        ("U@", "U"),
        ("A@", "A:"),
        ("e@", "e:"),
        ("i@", "i:"),
        ("i@3", "i:"),
    )
)

_LONGEST_PATH = 120  # [characters]; eSpeak truncates longer paths
_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: espeak_Synth returns once all samples were handed over
_UTF8 = 1
_KEEP = 0.06  # silence kept before and after the speech [s]

_lock = threading.Lock()
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Voice:
    """How somebody speaks: an accent, a timbre, a pace [words/min] and a pitch in [0, 99]."""

    accent: str = "en-us"
    variant: str = "m3"
    rate: int = 165
    pitch: int = 50

    def __post_init__(self) -> None:
        accents = (*BASE_ACCENTS, *DRIFT_ACCENTS)
        if self.accent not in accents and self.accent not in MIXED_ACCENTS:
            raise RecordError(f"voice accent {self.accent!r} is unknown; known are {', '.join(accents)}")
        if self.variant not in VARIANTS:
            raise RecordError(f"voice variant {self.variant!r} is unknown; known are {', '.join(VARIANTS)}")
        if not (80 <= self.rate <= 450 and 0 <= self.pitch <= 99):
            raise RecordError(f"voice rate {self.rate} is outside 80-450 or pitch {self.pitch} outside 0-99")

    @property
    def name(self) -> str:
        """Return the name of the voice in eSpeak."""
        return f"{'en' if self.accent == 'en-gb' else self.accent}+{self.variant}"


def speak(text: str, voice: Voice) -> Floats:
    """Return the spoken text, (n,) float32 in [-1, 1] at 16 kHz, with 60 ms of silence at both ends.

    The samples depend on the text and the voice alone, not on what was spoken before. Calls of several threads wait
    for each other.

    Raises:
        RecordError: the text has no word to speak.
        SettingsError: the demo extra is not installed.
    """
    with _lock:
        library, chunks, _ = _library()
        chunks.clear()
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise SettingsError(f"eSpeak has no voice {voice.name}; pip install --upgrade 'earmark[demo]'")
        library.espeak_SetParameter(_ESPEAK_RATE, voice.rate, 0)
        library.espeak_SetParameter(_ESPEAK_PITCH, voice.pitch, 0)
        library.espeak_ng_SetRandSeed(zlib.crc32(text.encode()))
        data = text.encode() + b"\0"
        library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        raw = b"".join(chunks)
    samples = np.frombuffer(raw, dtype=np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 64)
    if not loud.size:
        raise RecordError("the text to speak has no word")
    keep = round(_KEEP * _ESPEAK_HZ)
    samples = np.pad(samples[loud[0] : loud[-1] + 1], keep)
    spoken = resample(samples.astype(np.float32) / 32768.0, _ESPEAK_HZ, RATE)
    return np.clip(spoken, -1.0, 1.0)


def resample(samples: Floats, source: int, target: int) -> Floats:
    """Return the samples (n,) float32 at the target rate [Hz], by polyphase filtering."""
    if source == target:
        return samples
    from scipy.signal import resample_poly

    divisor = int(np.gcd(source, target))
    up, down = target // divisor, source // divisor
    return np.asarray(resample_poly(samples, up, down, window=_low_pass(up, down)), dtype=np.float32)


@cache
def _low_pass(up: int, down: int) -> npt.NDArray[np.float32]:
    """Return the low-pass filter that `resample_poly` would otherwise design at every call."""
    from scipy.signal import firwin

    widest = max(up, down)
    return np.asarray(firwin(20 * widest + 1, 1.0 / widest, window=("kaiser", 5.0)), dtype=np.float32)


@cache
def _library() -> tuple[Any, list[bytes], Any]:
    """Return the started library, the list that its callback fills, and the callback, which the cache keeps alive."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise SettingsError("speech needs eSpeak NG; pip install 'earmark[demo]'") from error
    home = _voice_home(Path(espeakng_loader.get_data_path()))
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    chunks: list[bytes] = []

    def keep(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(keep)
    if library.espeak_Initialize(_SYNCHRONOUS, 0, str(home).encode(), 0) != _ESPEAK_HZ:
        raise SettingsError("eSpeak NG does not start; pip install --force-reinstall 'earmark[demo]'")
    library.espeak_SetSynthCallback(callback)
    return library, chunks, callback


def _voice_home(data: Path) -> Path:
    """Return a folder with eSpeak's data (links), the steady variants and the foreign accents; deleted at exit."""
    folder = Path(tempfile.mkdtemp(prefix="earmark-voices-"))
    owner = os.getpid()
    atexit.register(_in_process(owner, lambda: shutil.rmtree(folder, ignore_errors=True)))
    home = folder / "espeak-ng-data"
    if len(str(home)) > _LONGEST_PATH:
        raise SettingsError("the folder for temporary files has too long a path for eSpeak NG; set TMPDIR to another")
    variants = home / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in data.iterdir():
        if entry.name != "voices":
            (home / entry.name).symlink_to(entry)
    for variant in VARIANTS:
        shipped = (data / "voices" / "!v" / variant).read_text(encoding="utf-8")
        (variants / variant).write_text(f"{shipped}\nflutter 0\nroughness 0\n", encoding="utf-8")
    scottish = (data / "lang" / "gmw" / "en-GB-scotland").read_text(encoding="utf-8")
    (home / "voices" / "en-gb-scotland").write_text(f"{scottish}\n{_UNTRILLED}", encoding="utf-8")
    mixed = {name: mixed_accents.rules(number) + "\n" for number, name in enumerate(MIXED_ACCENTS)}
    for accent, rules in (_FOREIGN | mixed).items():
        (home / "voices" / accent).write_text(
            f"name {accent}\nlanguage {accent}\ndictionary en\n{rules}", encoding="utf-8"
        )
    return home


def _in_process(owner: int, act: Callable[[], None]) -> Callable[[], None]:
    """Return `act` for the process `owner` alone: a forked child must not delete its parent's folder."""
    return lambda: act() if os.getpid() == owner else None

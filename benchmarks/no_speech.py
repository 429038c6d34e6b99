"""How often Whisper writes words where nobody speaks, and what the checks for silence and loops cost real speech.

    python -m benchmarks.no_speech --base FOLDER --fsdd ../shared/data/fsdd --out FOLDER

`library` is the greedy `generate` of transformers with the same tokens suppressed, `earmark` the greedy text after the
checks, `draws` the share of drawn texts. Sounds, 30 clips each of 0.5 to 6 s: silence, faint noise (-70 to -50 dB),
noise (-40 to -20 dB), notes with overtones, and babble, 40 digits of FSDD laid over each other, which are speech.
Digits: clips of FSDD's test split with and without half a second of faint noise at both ends. Their WER is by earmark's
normal form, in which "8" is not "eight", with digits spelled, and with numbers alike. Windows shorter than the model's
own are for earmark.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from corpus.edits import distance
from corpus.records.base import Floats
from corpus.synthetic.acoustics import noise
from corpus.synthetic.speech import resample
from corpus.text import normalise
from training.evaluation.number_forms import in_number_form

RATE = 16_000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPELLED = {str(number): word for number, word in enumerate(DIGITS)}
WINDOWS = (None, 20.0, 12.0, 6.0)


def main() -> None:
    """Measure, print the result and write `no_speech.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--digits", type=int, default=200)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    from training.asr.loading import load_asr

    asr = load_asr(given.base)
    rows = [json.loads(line) for line in (given.fsdd / "test.jsonl").read_text().splitlines()]
    order = np.random.default_rng(0).permutation(len(rows))
    spoken = [(digit_clip(given.fsdd, rows[row]), rows[row]["text"]) for row in order]
    found: dict[str, Any] = {"sounds": {}, "digits": {}}
    for name, make in SOUNDS.items():
        clips = [make(np.random.default_rng([number, len(name)]), spoken) for number in range(given.clips)]
        found["sounds"][name] = words_of(asr, clips, given.draws)
        print(name, found["sounds"][name], flush=True)
    faint = (1e-3 * noise(np.random.default_rng(0), RATE // 2, "white")).astype(np.float32)
    digits = spoken[: given.digits]
    for name, edge in (("bare", faint[:0]), ("with edges", faint)):
        clips = [np.concatenate([edge, clip, edge]) for clip, _ in digits]
        found["digits"][name] = rates(asr, clips, [text for _, text in digits])
        print(name, json.dumps(found["digits"][name]), flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "no_speech.json").write_text(json.dumps(found, indent=2) + "\n")


def digit_clip(folder: Path, row: dict[str, Any]) -> Floats:
    """Return a clip of FSDD at 16 kHz."""
    samples, rate = soundfile.read(folder / row["audio"], dtype="float32")
    return resample(samples, rate, RATE)


def words_of(asr: Any, clips: Sequence[Floats], draws: int) -> dict[str, float]:
    """Return the share of clips and of draws with words, and the words of the longest text."""
    from training.asr.transcribe import TranscribeSettings, transcribe

    library = [library_text(asr, clip) for clip in clips]
    outputs = transcribe(asr, [(str(k), clip) for k, clip in enumerate(clips)], TranscribeSettings(draws=draws))
    drawn = [sum(h.weight for h in output.hypotheses if h.text) for output in outputs]
    return {
        "library": share(library),
        "earmark": share([output.text for output in outputs]),
        "draws": round(float(np.mean(drawn)), 3),
        "longest of library": max(len(text.split()) for text in library),
        "longest of earmark": max(len(output.text.split()) for output in outputs),
    }


def share(texts: Sequence[str]) -> float:
    """Return the share of texts with words."""
    return round(sum(map(bool, texts)) / len(texts), 3)


def library_text(asr: Any, clip: Floats) -> str:
    """Return the normalised greedy text of transformers' `generate`, with the same tokens suppressed."""
    import torch

    from training.asr.model import extract_features
    from training.asr.seq2seq_prompts import decoding_rules, max_tokens
    from training.asr.transcribe import token_text

    rules = decoding_rules(asr)
    how: dict[str, Any] = {
        "do_sample": False,
        "num_beams": 1,
        "suppress_tokens": list(rules.never),
        "begin_suppress_tokens": list(rules.never_first),
        "max_length": None,
        "max_new_tokens": max_tokens(rules, len(clip) / RATE),
    }
    with torch.inference_mode():
        tokens = asr.model.generate(**extract_features(asr, [clip]), **how)[0].tolist()
    return token_text(asr, [token for token in tokens if token not in (*rules.prefix, *rules.ends)])


def rates(asr: Any, clips: Sequence[Floats], texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the word error rates by who decodes, and the CPU seconds a clip."""
    from training.asr.transcribe import TranscribeSettings, transcribe

    found = {"library": errors([library_text(asr, clip) for clip in clips], texts)}
    named = [(str(number), clip) for number, clip in enumerate(clips)]
    for window in WINDOWS:
        started = time.process_time()
        settings = TranscribeSettings(draws=1, window=window, batch_seconds=0.1)
        heard = [output.text for output in transcribe(asr, named, settings)]
        took = (time.process_time() - started) / len(clips)
        name = "earmark" if window is None else f"earmark, {window:g} s"
        found[name] = errors(heard, texts) | {"cpu seconds a clip": round(took, 3)}
    return found


def errors(heard: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Return the word error rate by the normal form and two in which digits agree, and the share of empty texts."""
    by_form: dict[str, Callable[[str], list[str]]] = {
        "wer": lambda text: normalise(text).split(),
        "wer, digits spelled": lambda text: [SPELLED.get(word, word) for word in normalise(text).split()],
        "wer, numbers alike": lambda text: in_number_form(text, "earmark").split(),
    }
    found = {}
    for name, form in by_form.items():
        edits = sum(distance(form(text), form(own)) for text, own in zip(texts, heard, strict=True))
        found[name] = round(edits / sum(len(form(text)) for text in texts), 3)
    return found | {"empty": round(sum(not own for own in heard) / len(heard), 3)}


Spoken = Sequence[tuple[Floats, str]]


def _length(rng: np.random.Generator) -> int:
    return int(rng.uniform(0.5, 6.0) * RATE)


def _noise(rng: np.random.Generator, low: float, high: float) -> Floats:
    colour: Any = rng.choice(["white", "pink"])
    samples = noise(rng, _length(rng), colour)
    return (samples / samples.std() * 10 ** (rng.uniform(low, high) / 20)).astype(np.float32)


def _notes(rng: np.random.Generator, _: Spoken) -> Floats:
    t = np.arange(_length(rng)) / RATE
    samples, beat = np.zeros(len(t)), rng.choice([0.25, 0.4, 0.6])
    for start in np.arange(0, t[-1], beat):
        since = np.clip(t - start, 0, None)
        for tone in 220 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12], 2) / 12):
            samples += (
                np.exp(-3 * since) * (t >= start) * sum(np.sin(2 * np.pi * tone * h * since) / h for h in (1, 2, 3))
            )
    return (samples / np.abs(samples).max() * 10 ** (rng.uniform(-20, -6) / 20)).astype(np.float32)


def _babble(rng: np.random.Generator, spoken: Spoken) -> Floats:
    samples = np.zeros(max(2 * RATE, _length(rng)), dtype=np.float32)
    for row in rng.integers(0, len(spoken), 40):
        clip = spoken[row][0][: len(samples)]
        at = rng.integers(0, len(samples) - len(clip) + 1)
        samples[at : at + len(clip)] += clip * rng.uniform(0.2, 1.0)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


SOUNDS: dict[str, Callable[[np.random.Generator, Spoken], Floats]] = {
    "silence": lambda rng, _: np.zeros(_length(rng), dtype=np.float32),
    "faint noise": lambda rng, _: _noise(rng, -70, -50),
    "noise": lambda rng, _: _noise(rng, -40, -20),
    "notes": _notes,
    "babble": _babble,
}


if __name__ == "__main__":
    main()

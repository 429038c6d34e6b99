"""Small labelled corpora, of texts and of tones."""

import json
import wave

import numpy as np

PHRASES = {
    "light": ("switch the {} lamp on", "turn off the {} light", "make the {} light brighter"),
    "music": ("play some {} music", "put on a {} song", "next {} track please"),
    "weather": ("will it rain in {}", "how is the weather in {}", "is it cold in {} today"),
    "alarm": ("wake me at {}", "set an alarm for {}", "cancel my {} alarm"),
}
WORDS = ("kitchen", "blue", "jazz", "paris", "seven", "noon", "bedroom", "rock", "oslo", "early", "late", "green")
TONES = {"low": 300.0, "middle": 700.0, "high": 1500.0}


def write_texts(folder, pool, test, seed=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", pool), ("test", test)):
        with (folder / f"{name}.jsonl").open("w") as file:
            for k in range(count):
                intent = list(PHRASES)[k % len(PHRASES)]
                text = str(rng.choice(PHRASES[intent])).format(rng.choice(WORDS))
                file.write(json.dumps({"text": text, "intent": intent, "speaker": f"s{k % 5}"}) + "\n")
    return folder


def write_clips(folder, pool, test, seed=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", pool), ("test", test)):
        with (folder / f"{name}.jsonl").open("w") as file:
            for k in range(count):
                intent = list(TONES)[k % len(TONES)]
                clip = f"{name}-{k}.wav"
                _tone(folder / clip, TONES[intent] * rng.uniform(0.95, 1.05), rng)
                row = {"audio": clip, "text": intent, "intent": intent, "speaker": ("ann", "bob")[k % 2]}
                file.write(json.dumps(row | {"sample_rate": 8000, "num_samples": 2400}) + "\n")
    return folder


def _tone(path, frequency, rng):
    samples = 8000 * np.sin(2 * np.pi * frequency * np.arange(2400) / 8000) + 300 * rng.normal(size=2400)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype(np.int16).tobytes())

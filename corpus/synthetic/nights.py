"""A synthetic night on disk: WAV files and `manifest.jsonl` as devices would send them, and the truth beside."""

from __future__ import annotations

import io
import json
import wave
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Floats, Verdict
from corpus.synthetic.traffic import Arrival, Kind, TrafficSettings, arrival, consents, plan
from corpus.text import lines_of

DAMAGES: Final = ("truncated", "empty", "text", "header", "missing")
"""Kinds of damaged audio, used in turn."""

BAD_ROWS: Final = ("no_json", "no_account", "no_zone", "wake_score", "outside", "consent")
"""Kinds of bad rows, used in turn."""

NOTICE: Final = "demo"
"""Version of the notice that the customers saw."""


@dataclass(frozen=True, slots=True)
class NightFiles:
    """Where a night was written, and how many lines of each kind its manifest has."""

    manifest: Path
    truth: Path
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Truth:
    """What a careful annotator would answer about one event."""

    text: str
    intent: str
    slots: tuple[SlotSpan, ...]
    verdict: Verdict


def write_night(folder: Path, settings: TrafficSettings, night: int) -> NightFiles:
    """Write `night-NNN/manifest.jsonl` with its audio, and `truth/night-NNN.jsonl`.

    The same settings and night give the same bytes, whatever else the folder holds.

    Args:
        folder: folder of all nights; created if missing.
        settings: of the traffic.
        night: from 1.

    Raises:
        RecordError: a night below 1.
        SettingsError: the demo extra is not installed.
    """
    kinds = plan(settings, night)
    name = f"night-{night:03d}"
    home, truth = folder / name, folder / "truth" / f"{name}.jsonl"
    (home / "audio").mkdir(parents=True, exist_ok=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    lines: list[tuple[bool, float, str]] = []  # repeats are last
    truths: dict[str, str] = {}
    counts = Counter[str]()
    for index, kind in enumerate(kinds):
        event = arrival(settings, *_source(settings, night, index, kinds))
        row = _row(event, consents(settings)[event.speaker.account])
        line = json.dumps(row, ensure_ascii=False)
        if kind == "damaged":
            _write_damaged(home / str(row["audio"]), event, DAMAGES[counts[kind] % len(DAMAGES)])
        else:
            (home / str(row["audio"])).write_bytes(wav(event.samples, event.rate))
        if kind == "bad_row":
            line = _broken_line(row, BAD_ROWS[counts[kind] % len(BAD_ROWS)])
        lines.append((kind == "repeat", event.arrived_at.timestamp(), line))
        truths[event.event_id] = json.dumps(_truth(event), ensure_ascii=False)
        counts[kind] += 1
    manifest = home / "manifest.jsonl"
    manifest.write_text("".join(f"{line}\n" for *_, line in sorted(lines)), encoding="utf-8")
    truth.write_text("".join(f"{truths[event]}\n" for event in sorted(truths)), encoding="utf-8")
    return NightFiles(manifest, truth, dict(counts))


def read_truth(paths: Iterable[Path]) -> dict[tuple[str, str], Truth]:
    """Return the truth of all events in the files, by account ("" in files of older versions) and event id."""
    truths: dict[tuple[str, str], Truth] = {}
    for path in paths:
        for line in lines_of(path.read_text(encoding="utf-8")):
            row = json.loads(line)
            slots = tuple(SlotSpan(slot["name"], slot["start"], slot["end"]) for slot in row["slots"])
            truths[row.get("account", ""), row["event_id"]] = Truth(row["text"], row["intent"], slots, row["verdict"])
    return truths


def wav(samples: Floats, rate: int) -> bytes:
    """Return a WAV file of 16-bit PCM, one channel, with the samples (n,) in [-1, 1] at `rate` [Hz]."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _source(settings: TrafficSettings, night: int, index: int, kinds: tuple[Kind, ...]) -> tuple[int, int, Kind]:
    """Return night, index and kind of the event of a line: its own, or for a repeat that of an earlier command.

    Every second repeat is from the night before, if there is one.
    """
    if kinds[index] != "repeat":
        return night, index, kinds[index]
    from_last_night = night > 1 and index % 2 == 1
    others = plan(settings, night - 1) if from_last_night else kinds
    commands = [k for k, kind in enumerate(others) if kind == "command"]
    if not commands:
        raise RecordError("repeats need requests to repeat; lower the other shares of the traffic settings")
    return (night - 1 if from_last_night else night), commands[index % len(commands)], "command"


def _slots(event: Arrival) -> list[dict[str, object]]:
    return [{"name": slot.name, "start": slot.start, "end": slot.end} for slot in event.spoken.slots]


def _row(event: Arrival, consent: tuple[str, ...]) -> dict[str, object]:
    row: dict[str, object] = {
        "audio": f"audio/{event.event_id}.wav",
        "account": event.speaker.account,
        "device_serial": event.speaker.device_serial,
        "locale": event.speaker.locale,
        "device_type": event.speaker.device_type,
        "consent": list(consent),
        "notice": NOTICE,
        "wake": None if event.kind == "no_wake" else event.wake,
        "arrived_at": event.arrived_at.isoformat(timespec="milliseconds"),
        "event_id": event.event_id,
        "attributes": {"accent": event.speaker.accent, "noise": event.noise},
    }
    if event.known:
        row |= {"text": event.spoken.text, "intent": event.spoken.intent, "slots": _slots(event)}
    return row


def _truth(event: Arrival) -> dict[str, object]:
    return {
        "account": event.speaker.account,
        "event_id": event.event_id,
        "text": event.spoken.text,
        "intent": event.spoken.intent,
        "slots": _slots(event),
        "verdict": event.verdict,
    }


def _write_damaged(path: Path, event: Arrival, damage: str) -> None:
    whole = wav(event.samples, event.rate)
    if damage == "missing":
        path.unlink(missing_ok=True)
        return
    path.write_bytes(
        {
            "truncated": whole[: 44 + len(whole) // 3],  # the header promises three times as much
            "empty": b"",
            "text": b"This is not audio.\n",
            "header": wav(event.samples[:0], event.rate),
        }[damage]
    )


def _broken_line(row: dict[str, object], fault: str) -> str:
    """Return the manifest line of a row with the given fault."""
    if fault == "no_json":
        return json.dumps(row)[:-20]
    if fault == "no_account":
        return json.dumps({key: value for key, value in row.items() if key != "account"})
    changed: dict[str, dict[str, object]] = {
        "no_zone": {"arrived_at": str(row["arrived_at"])[:23]},
        "wake_score": {"wake": {"word": "hey earmark", "score": 1.7}},
        "outside": {"audio": "../../outside.wav"},
        # of nobody else: such a row withdraws the account's consent
        "consent": {"consent": ["everything"], "account": f"{row['account']}-unreadable"},
    }
    return json.dumps(row | changed[fault])

"""A stranger's corpus: spoken orders with intents, slots and a locale that earmark's own inventory lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from corpus.synthetic.speech import RATE, VARIANTS, Voice, speak

ORDERS = (
    ("book a cabin to {} for two", "Book_Cabin", "port"),
    ("is there a ferry to {} today", "Find_Ferry", "port"),
    ("when does the boat leave {}", "Departure", "port"),
    ("cancel my trip to {}", "Cancel_Trip", "port"),
    ("move my car to {}", "Park_Car", "deck"),
    ("where is {}", "Find_Place", "deck"),
)
PORTS = ("rome", "oslo", "dover", "palma", "split", "ostend")
DECKS = ("deck four", "the upper deck", "the car deck", "deck nine")

INTENTS = {
    "AddToPlaylist": "Queue_Song",
    "GetWeather": "Sky_Report",
    "PlayMusic": "Start_Music",
    "RateBook": "Give_Marks",
    "SearchCreativeWork": "Look_Up_Work",
}
SLOTS = {"artist": "singer", "city": "town", "object_name": "work", "playlist": "list", "rating_value": "mark"}
"""Names of SNIPS, and those under which the stranger has them."""
LONGEST = 60
"""Characters of the longest order that is taken from SNIPS."""

KNOWN = ("Book_Cabin", "Find_Ferry", "Cancel_Trip", "Queue_Song", "Give_Marks", "Start_Music")
"""Intents that a manifest may name; the others are first named by annotators."""


@dataclass(frozen=True, slots=True)
class Order:
    """One spoken order.

    Attributes:
        event_id: its id at the source.
        text, intent: what was said.
        slots: name, start and end of each; the end is exclusive.
    """

    event_id: str
    text: str
    intent: str
    slots: tuple[tuple[str, int, int], ...] = ()

    def values(self) -> list[tuple[str, str]]:
        """Return name and value of each slot."""
        return [(name, self.text[start:end]) for name, start, end in self.slots]


def write_corpus(
    folder: Path, clips: int, known: int, recordings: Path | None = None, snips: Path | None = None
) -> list[Order]:
    """Write clips and a manifest, and return what was said in each.

    Args:
        folder: gets `manifest.jsonl` and `clips/`.
        clips: how many, each speaker says four.
        known: how many of the first may have their text, intent and slots in the manifest, see `KNOWN`.
        recordings: folder of FSDD, whose digits every fifth order is then; their intents are `Dial_` and two digits.
        snips: folder of SNIPS, whose commands the others are then; without it, orders about ships.
    """
    (folder / "clips").mkdir(parents=True)
    digits = _digits(recordings) if recordings is not None else []
    texts = _commands(snips) if snips is not None else _ship_orders()
    orders, rows = [], []
    for number in range(clips):
        if digits and number % 5 == 4:
            text, intent, path = digits[number * 211 % len(digits)]
            samples, rate = soundfile.read(path, dtype="float32")
            order = Order(f"e{number}", text, intent)
        else:
            text, intent, slots = next(texts)
            order = Order(f"e{number}", text, intent, slots)
            voice = Voice(variant=VARIANTS[number // 4 % len(VARIANTS)], pitch=30 + number // 4 % 5 * 10)
            samples, rate = speak(order.text, voice), RATE
        soundfile.write(folder / "clips" / f"{number}.wav", samples, rate)
        orders.append(order)
        rows.append(_row(number, order, known=number < known and order.intent in KNOWN))
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return orders


Spans = tuple[tuple[str, int, int], ...]


def _ship_orders() -> Iterator[tuple[str, str, Spans]]:
    number = 0
    while True:
        pattern, intent, slot = ORDERS[number % len(ORDERS)]
        values = PORTS if slot == "port" else DECKS
        value = values[number // len(ORDERS) % len(values)]
        start = pattern.index("{")
        yield pattern.format(value), intent, ((slot, start, start + len(value)),)
        number += 1


def _commands(folder: Path) -> Iterator[tuple[str, str, Spans]]:
    """Yield commands of SNIPS whose slots are all among `SLOTS`, the intents in turn."""
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    by_intent: dict[str, list[tuple[str, str, Spans]]] = {name: [] for name in INTENTS}
    for row in rows:
        names = {slot["name"] for slot in row["slots"]}
        if row["intent"] in INTENTS and names <= set(SLOTS) and len(row["text"]) <= LONGEST:
            spans = tuple((SLOTS[slot["name"]], slot["start"], slot["end"]) for slot in row["slots"])
            by_intent[row["intent"]].append((row["text"], INTENTS[row["intent"]], spans))
    for turn in range(max(map(len, by_intent.values()))):
        for found in by_intent.values():
            yield found[turn % len(found)]


def _digits(folder: Path) -> list[tuple[str, str, Path]]:
    """Return text, intent and file of each recorded digit."""
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    pair = {name: f"Dial_{digit // 2 * 2}{digit // 2 * 2 + 1}" for digit, name in enumerate(names)}
    return [(row["text"], pair[row["text"]], folder / row["audio"]) for row in rows]


def account_of(number: int) -> str:
    """Return the account of a clip."""
    return f"stranger-{number // 4}"


def _row(number: int, order: Order, *, known: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "audio": f"clips/{number}.wav",
        "account": account_of(number),
        "event_id": order.event_id,
        "locale": "en_GB" if number % 2 else "en-gb",
        "device_type": "cabin phone",
        "consent": ["score", "annotate", "train"],
        "notice": "v1",
        "wake": {"button": True},
        "arrived_at": f"2026-11-21T{6 + number // 60:02d}:{number % 60:02d}:00Z",
    }
    if known:
        row |= {"text": order.text, "intent": order.intent, "slots": _slots(number, order)}
    return row


def _slots(number: int, order: Order) -> str | list[dict[str, Any]]:
    """Return the slots in one of the three forms of a manifest; a value that may stand twice by its place."""
    if number % 3 == 0 or any(order.text.count(value) > 1 for _, value in order.values()):
        return [{"name": name, "start": start, "end": end} for name, start, end in order.slots]
    if number % 3 == 1:
        return [{"name": name, "value": value} for name, value in order.values()]
    return "; ".join(f"{name}={value}" for name, value in order.values())


def answer_to(task: dict[str, Any], order: Order) -> dict[str, Any]:
    """Return what an annotator who hears the order answers to a task, as one line of an annotation file."""
    row: dict[str, Any] = {"task_id": task["task_id"], "annotator_id": "ann", "ask": task["ask"], "verdict": "labelled"}
    if task["ask"] == "triage":
        return row
    row |= {"intent": order.intent, "lead_time": 6.0}
    if task["ask"] == "transcribe":
        row["transcript"] = order.text
        row["slots"] = [{"name": name, "start": start, "end": end} for name, start, end in order.slots]
    return row

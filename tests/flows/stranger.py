"""A stranger's corpus: spoken orders with intents, slots and a locale that earmark's own inventory lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
KNOWN = ("Book_Cabin", "Find_Ferry", "Cancel_Trip")
"""Intents that a manifest may name; the others are first named by annotators."""


@dataclass(frozen=True, slots=True)
class Order:
    """One spoken order.

    Attributes:
        event_id: its id at the source.
        text, intent, slot, value: what was said.
    """

    event_id: str
    text: str
    intent: str
    slot: str
    value: str


def write_corpus(folder: Path, clips: int, known: int, recordings: Path | None = None) -> list[Order]:
    """Write clips and a manifest, and return what was said in each.

    Args:
        folder: gets `manifest.jsonl` and `clips/`.
        clips: how many, each speaker says four.
        known: how many of the first may have their text, intent and slots in the manifest, see `KNOWN`.
        recordings: folder of FSDD, whose digits every fifth order is then; their intents are `Dial_` and the digit.
    """
    (folder / "clips").mkdir(parents=True)
    digits = _digits(recordings) if recordings is not None else []
    orders, rows = [], []
    for number in range(clips):
        order, samples, rate = _spoken(number, digits)
        soundfile.write(folder / "clips" / f"{number}.wav", samples, rate)
        orders.append(order)
        rows.append(_row(number, order, known=number < known and order.intent in KNOWN))
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return orders


def _spoken(number: int, digits: list[dict[str, Any]]) -> tuple[Order, np.ndarray, int]:
    if digits and number % 5 == 4:
        row = digits[number * 211 % len(digits)]
        samples, rate = soundfile.read(row["path"], dtype="float32")
        return Order(f"e{number}", row["text"], f"Dial_{row['text']}", "", ""), samples, rate
    pattern, intent, slot = ORDERS[number % len(ORDERS)]
    values = PORTS if slot == "port" else DECKS
    value = values[number // len(ORDERS) % len(values)]
    voice = Voice(variant=VARIANTS[number // 4 % len(VARIANTS)], pitch=30 + number // 4 % 5 * 10)
    text = pattern.format(value)
    return Order(f"e{number}", text, intent, slot, value), speak(text, voice), RATE


def _digits(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    return [{**row, "path": folder / row["audio"]} for row in rows]


def _row(number: int, order: Order, *, known: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "audio": f"clips/{number}.wav",
        "account": f"stranger-{number // 4}",
        "event_id": order.event_id,
        "locale": "en_GB" if number % 2 else "en-gb",
        "device_type": "cabin phone",
        "consent": ["score", "annotate", "train"],
        "wake": {"button": True},
        "arrived_at": f"2026-11-21T{10 + number // 60:02d}:{number % 60:02d}:00Z",
    }
    if known:
        row |= {"text": order.text, "intent": order.intent}
        row |= {"slots": [{"name": order.slot, "value": order.value}]} if order.slot else {}
    return row


def answer_to(task: dict[str, Any], order: Order) -> dict[str, Any]:
    """Return what an annotator who hears the order answers to a task, as one line of an annotation file."""
    row: dict[str, Any] = {"task_id": task["task_id"], "annotator_id": "ann", "ask": task["ask"], "verdict": "labelled"}
    if task["ask"] == "triage":
        return row
    row |= {"intent": order.intent, "lead_time": 6.0}
    if task["ask"] == "transcribe":
        row["transcript"] = order.text
        start = order.text.find(order.value)
        row["slots"] = [{"name": order.slot, "start": start, "end": start + len(order.value)}] if order.slot else []
    return row

"""Replay sentences of a base: synthetic ones of its recipe, which keep a fine-tuning from forgetting its intents."""

from __future__ import annotations

import json
from pathlib import Path

from corpus.errors import Damaged
from corpus.records.arrivals import SlotSpan
from corpus.text import lines_of
from training.intent.fit import IntentExample

REPLAY = "replay.jsonl"
"""File in the folder of a base with synthetic sentences of its recipe, one `{text, intent, slots}` a line."""


def read_replay(folder: Path) -> list[IntentExample]:
    """Return the replay sentences in the folder of a base, an empty list where it has none.

    Raises:
        Damaged: a line can't be read; the message names it.
    """
    file = folder / REPLAY
    if not file.is_file():
        return []
    rows = []
    for number, line in enumerate(lines_of(file.read_text(encoding="utf-8")), start=1):
        try:
            row = json.loads(line)
            slots = tuple(SlotSpan(slot["name"], slot["start"], slot["end"]) for slot in row["slots"])
            rows.append(IntentExample(f"replay-{number:05d}", row["text"], row["intent"], slots))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Damaged(f"replay set of the intent base: line {number} can't be read; restore the base") from error
    return rows

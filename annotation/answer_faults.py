"""What is wrong with a refused answer, in one line: the field, what it must be, and the nearest name of an unknown one.

A line never has a value, which may be speech, and it is stored. So an unknown field is named only where it resembles a
known one, and a slot by its number alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from typing import Any, Final, get_args

from corpus.records.base import Ask, Verdict
from corpus.slot_text import slot_title

VERDICTS: Final = ", ".join(get_args(Verdict))

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_SHOWN: Final = 64

_OTHER_NAMES: Final = {
    "text": "transcript",
    "transcription": "transcript",
    "sentence": "transcript",
    "annotator": "annotator_id",
    "worker": "annotator_id",
    "task": "task_id",
    "id": "task_id",
    "label": "intent",
    "entities": "slots",
    "seconds": "lead_time",
    "time": "lead_time",
    "comment": "question",
}
"""What other formats call a field, where the words are too different to be found by their letters."""

_WANTED: Final = {
    "task_id": "give the id of the task, from tasks.jsonl",
    "annotator_id": "give a string of 1 to 128 characters on one line, without blanks at its ends",
    "ask": f"give that of the task, one of {', '.join(get_args(Ask))}",
    "verdict": f"give one of {VERDICTS}",
    "transcript": 'give a string, "" (in a table <silence>) where nobody spoke',
    "intent": "give a name of at most 256 characters, without control characters",
    "slots": "give a list of objects with name, and start and end or value, or text such as room=kitchen; device=light",
    "lead_time": "give seconds, 0 to 86400 (24 hours), such as 8.9",
    "revision": "give a whole number from 1 on; the first correction of an answer is 2",
    "proposal": "give a name of at most 256 characters, without control characters",
    "question": "give a string of at most 2000 characters",
}
"""What each field of an answer must be."""

_SLOT_WANTED: Final = "give a name, and either start and end or value"

_REASONS: Final = {
    "malformed": "the line is not one JSON object in UTF-8 with every key once; write one object a line",
    "too_long": "the line is longer than an answer can be; write one object a line",
    "unknown_task": "field task_id: there is no such task here; give the id of a task, from tasks.jsonl of this home",
    "closed_task": "field task_id: the task is closed, as it is overdue or its clip may not be opened any more",
}


_SLOT_NAMED: Final = re.compile(r"(slot \d+) \(.*\)(?=: )", re.DOTALL)


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known field that an unknown name most likely means; None where none is near."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    if plain in known:
        return plain
    if (other := _OTHER_NAMES.get(plain)) in known:
        return other
    return next(iter(difflib.get_close_matches(plain, list(known), n=1)), None)


def shown_name(name: str) -> str:
    """Return the name of a column as a message shows it: on one line, cut after 64 characters."""
    return f"`{_CONTROL.sub(' ', name)[:_LONGEST_SHOWN].strip()}`"


def unknown_field(name: object, known: Collection[str], given: Collection[object]) -> str:
    """Return the message on a field that the format does not have.

    Args:
        name: of the field.
        known: the fields of the format.
        given: the fields of the row; one that is there already is not suggested.
    """
    listed = f"known are {', '.join(known)}"
    # messages are stored: a key that resembles no field may be what somebody said
    if not isinstance(name, str) or not _PLAIN.fullmatch(name) or nearest(name, known) is None:
        return f"an unknown field; leave it out, {listed}"
    near = nearest(name, [field for field in known if field not in given])
    meant = f"write `{near}` if you meant that, else leave it out" if near else "leave it out"
    return f"unknown field `{name}`; {meant}, {listed}"


def unknown_columns(names: Sequence[str], known: Collection[str], given: Collection[str]) -> str:
    """Return the names of a table's unknown columns, each with the known one that it may mean."""
    free = [field for field in known if field not in given]
    found = []
    for name in names:
        near = nearest(name, free)
        meant = f" (do you mean `{near}`?)" if near else ""
        found.append(f"{shown_name(name)}{meant}" if name else "one without a name")
    return ", ".join(found)


def fault_of(reason: str, field: str) -> str:
    """Return the message on a reason and a field; "" where neither says more."""
    if reason in _REASONS:
        return _REASONS[reason]
    if field not in _WANTED:
        return ""
    return f"field {field}: {'is missing; ' if reason == 'missing_field' else ''}{_WANTED[field]}"


def without_names(message: str) -> str:
    """Return a message on slots with their numbers alone: messages are stored, and a name may be what somebody said."""
    return _SLOT_NAMED.sub(r"\1", message)


def slot_fault(inside: Sequence[int | str], kind: str) -> str:
    """Return the message on a slot whose shape is wrong; it has the slot's number, never its name.

    Args:
        inside: its position and, where one key of it is wrong, the key.
        kind: of the fault, as pydantic names it.
    """
    title = slot_title(int(inside[0]) + 1, None)
    key = str(inside[1]) if len(inside) > 1 and kind != "extra_forbidden" else ""
    faults: dict[str, Any] = {"missing": "is missing", "extra_forbidden": "holds an unknown key"}
    what = faults.get(kind, "is of the wrong type or out of range")
    return f"field slots, {title}: {f'{key} ' if key else ''}{what}; {_SLOT_WANTED}"

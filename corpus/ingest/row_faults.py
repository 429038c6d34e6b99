"""Why a manifest row is refused, in one line: the field, the slot or key in it, and the remedy.

A line never has a value: it may be somebody's name, or speech. An unknown field is named where its name looks like one
that a program gives; the name of a slot is a word of the operator.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from corpus.slot_text import slot_title

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}")

_FAULTS: Final = {
    "missing": "is missing",
    "extra_forbidden": "holds an unknown key",
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "too_long": "holds too much",
    "string_unicode": "is not valid UTF-8",
    "unstorable": "holds a character that can't be stored",
    "control": "holds a line break or another control character",
    "no_time": "is no time",
    "naive": "has no time zone",
    "early": "is before 1970",
    "late": "is after the year 9999 in UTC",
    "no_tag": "is no language tag",
}
_SLOT_WANTED: Final = "give a name, and either start and end or value"
_WANTED: Final = {
    "audio": "give a file name in UTF-8, without control characters, of at most 4096 characters",
    "account": "give a string of 1 to 512 characters",
    "device_serial": "give a string of 1 to 512 characters, or leave it out",
    "locale": "give one such as en-GB",
    "device_type": "give a string of 1 to 64 characters",
    "consent": "give a list of score, annotate, train; an empty one where the customer opted out",
    "wake": "give an object with word and score from 0 to 1, or with button true",
    "arrived_at": "give an ISO 8601 time with its zone, such as 2026-01-31T08:00:00Z",
    "event_id": "give a string of 1 to 512 characters, or leave it out",
    "attributes": "give an object of at most 32 short strings by short names",
    "text": "give a string of at most 5000 characters, or leave it out",
    "intent": "give a string of 1 to 128 characters, or leave it out",
    "slots": "give a list of objects with name, and start and end or value, or text such as room=kitchen; device=light",
    "held_out": "give true or false",
    "notice": "give the version of the notice that the customer saw, a string of 1 to 64 characters, or leave it out",
}
"""What each field must be."""


_REQUIRED: Final = ("audio", "account", "locale", "device_type", "consent", "wake", "arrived_at")
_USUAL: Final = {
    "account": ("speaker", "speaker_id", "user", "user_id", "client_id", "customer"),
    "text": ("transcript", "transcription", "sentence", "utterance"),
    "audio": ("path", "file", "file_name", "audio_path", "audio_filepath", "wav"),
    "intent": ("label", "intent_name"),
    "arrived_at": ("time", "timestamp", "date", "datetime", "created_at"),
    "locale": ("language", "lang"),
    "device_type": ("device",),
    "wake": ("wake_word", "wakeword"),
    "slots": ("entities",),
}
_NEVER_GUESSED: Final = ("consent", "wake")
"""Fields of which a wrong guess would do harm: what a customer agreed to, and whether the assistant was called."""

_CLOSE: Final = 0.75
"""How alike an unknown name and a field have to be, 1 for equal ones."""

_OTHER_NAMES: Final = {name: field for field, names in _USUAL.items() for name in names}
"""The field that is meant by a usual name of another format."""


def what_is_wrong(error: ValidationError, row: Mapping[Any, Any]) -> str:
    """Return one line on one fault: an unknown name where there is one, as it may be a field that seems to be missing.

    Args:
        error: of the schema of a manifest row.
        row: the row that breaks it.
    """
    errors = error.errors(include_url=False, include_input=False)
    fault = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    name, *inside = fault["loc"] or ("",)
    if name not in _WANTED:
        return _unknown_fields(
            [each["loc"][0] for each in errors if each["loc"] and each["loc"][0] not in _WANTED], row
        )
    if fault["type"] == "slots_text":
        return f"field slots, {fault['ctx']['fault']}"
    if name == "slots" and inside:
        return f"field slots, {_slot_fault(fault['type'], inside, row['slots'])}; {_SLOT_WANTED}"
    return f"field {name}: {_fault(fault['type'], inside)}; {_WANTED[str(name)]}"


def _fault(kind: str, inside: Sequence[int | str]) -> str:
    if kind == "extra_forbidden":
        return f"holds an unknown key{_shown(inside[-1])}"
    return "is of the wrong type" if kind.endswith("_type") else _FAULTS.get(kind, "has a value that is not allowed")


def _slot_fault(kind: str, inside: Sequence[int | str], slots: object) -> str:
    """Return the slot and its fault; `inside` are its position and, where a key of it is wrong, the key."""
    position = int(inside[0])
    slot = slots[position] if isinstance(slots, list) else None
    title = slot_title(position + 1, slot.get("name") if isinstance(slot, Mapping) else None)
    key = f"{inside[1]} " if len(inside) > 1 and kind != "extra_forbidden" else ""
    return f"{title}: {key}{_fault(kind, inside)}"


def _unknown_fields(names: Sequence[object], row: Mapping[Any, Any]) -> str:
    """Return what to do about the unknown fields of a row, and which required fields are missing.

    Where a missing field is meant by an unknown one, renaming it is proposed; else the first unknown field is named.
    """
    absent = [field for field in _WANTED if row.get(field) is None]
    meant: dict[object, str] = {}
    for name in names:
        field = _meant(name, [each for each in absent if each not in meant.values()])
        if field:
            meant[name] = field
    missing = [field for field in _REQUIRED if field in absent]
    lacks = f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    if not set(meant.values()) & set(missing):
        shown = _shown(names[0])
        written = f"write `{meant[names[0]]}` if you meant that, " if names[0] in meant else ""
        known = f"{lacks}; known are" if missing else "known are"
        field = f"unknown field{shown}" if shown else "an unknown field"
        return f"{field}; {written}leave it out, or put it into attributes; {known} {', '.join(_WANTED)}"
    if len(meant) == 1:
        ((name, field),) = meant.items()
        return f"unknown field{_shown(name)}, and {lacks}: rename it to {field}"
    renamed = ", ".join(f"`{name}` to {field}" for name, field in meant.items())
    return f"unknown fields {_listed(list(meant))}, and {lacks}: rename {renamed}"


def _meant(name: object, absent: Sequence[str]) -> str:
    """Return the absent field that is meant by an unknown name; "" where none is."""
    if not _shown(name):
        return ""
    usual = _OTHER_NAMES.get(str(name).lower())
    guessed = [field for field in absent if field not in _NEVER_GUESSED]
    near = [usual] if usual in absent else difflib.get_close_matches(str(name).lower(), guessed, n=1, cutoff=_CLOSE)
    return str(near[0]) if near else ""


def _listed(names: Sequence[object]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shown(name: object) -> str:
    """Return a key for a message, after a space; "" where it does not look like a name that a program gives."""
    return f" `{name}`" if isinstance(name, str) and _PLAIN.fullmatch(name) else ""


def repeated_key(name: object) -> str:
    """Return the message for a repeated key or column."""
    return f"{f'field {name}:' if name in _WANTED else 'a field'} appears twice; write it once"

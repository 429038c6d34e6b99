"""Mapping of a labelled corpus' columns to the fields of a manifest, and conversion of its rows.

Values are converted where nothing is lost: class numbers to names, numbers to text, times without a zone to UTC. A row
with any other value is refused; the message names field and column only. An empty text is a missing text: where nobody
spoke, the text is `<silence>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from corpus.errors import RecordError, SettingsError, UsageError
from corpus.importing.source import Source
from corpus.ingest.manifest_row import BadRow, ConsentStatement, parse, statements_in
from corpus.silence_mark import spoken
from corpus.timestamps import time_of

Constant = Literal[
    "account", "device_serial", "locale", "device_type", "consent", "notice", "wake", "arrived_at", "text", "intent"
]
"""Fields that may have one value for all rows."""

Column = Literal["audio", Constant, "slots", "event_id"]
"""Fields that may come from a column."""

_DEFAULTS: Final[dict[str, Any]] = {
    "locale": "und",  # BCP 47: undetermined; a guess would put rows into a wrong slice
    "device_type": "import",
}
# Only where a corpus has no such column: a customer whose cell is empty did not consent.
_FULL_CONSENT: Final[dict[str, Any]] = {"consent": ["score", "annotate", "train"], "wake": {"button": True}}
_PERSONAL: Final = ("account", "device_serial")


class Unfit(Exception):
    """A value can't be converted to its field; the message names field and column."""


class ImportSettings(BaseModel):
    """What the columns of a labelled corpus mean.

    A field that neither `columns` nor `constants` names takes the column of its own name where there is one, then its
    default: locale `und`, device_type `import`, all consents, a pressed button, the moment of the import. The account
    has no default. The audio is also found where just one column is audio by its type.

    Attributes:
        columns: Manifest field -> column of the corpus, `outer.inner` where it lies inside another; null takes no
            column.
        constants: Manifest field -> value of all rows or, with a column too, of the rows whose column is empty.
        attributes: Columns that become slices.
        account_prefix: Put before every account of a column, so that speaker 1 of two corpora is not one customer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    columns: dict[Column, str | None] = {}
    constants: dict[Constant, Any] = {}
    attributes: list[str] = []
    account_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The mapping for one source.

    Attributes:
        columns: column by field.
        constants: value by field; where the field has a column too, the value of rows whose column is empty.
        attributes: columns that become slices.
        account_prefix: see `ImportSettings`.
        classes: names by column of class numbers.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, Any]
    attributes: tuple[str, ...]
    account_prefix: str
    classes: Mapping[str, tuple[str, ...]]

    def needed_columns(self) -> set[str]:
        """Return the columns to read, with the outer column of each nested one."""
        used = {*self.columns.values(), *self.attributes}
        return used | {column.split(".")[0] for column in used}

    def as_text(self) -> dict[str, str]:
        """Return in words where each field comes from; constants that identify a person are not shown."""
        text = {}
        for field in get_args(Column):
            parts = [f"column {self.columns[field]}"] if field in self.columns else []
            if field in self.constants:
                value = self.constants[field]
                parts.append("a constant" if field in _PERSONAL else f"constant {json.dumps(value, default=str)}")
            text[field] = ", else ".join(parts) or ("the moment of the import" if field == "arrived_at" else "-")
        return text | {"attributes": ", ".join(f"column {column}" for column in self.attributes) or "-"}

    def with_column(self, detail: str) -> str:
        """Return a message on a field with the name of its column added."""
        for field, column in self.columns.items():
            start = f"field {field}"
            if detail.startswith((f"{start}:", f"{start},")):
                return detail.replace(start, f"{start} (column {column})", 1)
        return detail


def plan(source: Source, settings: ImportSettings) -> Plan:
    """Return where each field of a manifest comes from, for this source.

    Raises:
        UsageError: a column is missing, or no column is the audio or the account.
        SettingsError: a constant does not fit its field, or an attribute would identify a person.
    """
    if not source.columns:
        raise no_rows(source)
    given: dict[str, str] = {field: column for field, column in settings.columns.items() if column is not None}
    named = [*((f"columns.{field}", column) for field, column in given.items())]
    named += [("attributes", column) for column in settings.attributes]
    for setting, column in named:
        if column not in source.columns:
            raise UsageError(
                f"importing.{setting}: {source.name} has no column {column}; known are {_column_names(source)}"
            )
    columns = dict(given)
    for field in get_args(Column):
        if field not in settings.columns and field not in settings.constants and field in source.columns:
            columns[field] = field
    if "audio" not in settings.columns and "audio" not in columns and len(source.recordings) == 1:
        columns["audio"] = source.recordings[0]
    consent = {field: value for field, value in _FULL_CONSENT.items() if field not in columns}
    constants: dict[str, Any] = _DEFAULTS | consent
    constants |= {field: _plain(value) for field, value in settings.constants.items() if value is not None}
    _check_mapping(source, columns, constants, settings.attributes)
    return Plan(columns, constants, tuple(settings.attributes), settings.account_prefix, source.classes)


def suggestions(source: Source, mapping: Plan) -> list[str]:
    """Return a line for each column of classes that may be the intent, where nothing else is."""
    if "intent" in mapping.columns or "intent" in mapping.constants:
        return []
    used = {*mapping.columns.values(), *mapping.attributes}
    return [
        f"column {column} has {len(names)} classes; if they are intents: --set importing.columns.intent={column}"
        for column, names in source.classes.items()
        if column not in used
    ]


def _column_names(source: Source) -> str:
    return ", ".join(source.columns)


def no_rows(source: Source) -> UsageError:
    """Return the error of a split that is empty."""
    remedy = "choose another with --split" if len(source.splits) > 1 else "give a corpus with rows"
    return UsageError(f"{source.name}: the split {source.split} holds no rows; {remedy}")


def _check_mapping(
    source: Source, columns: Mapping[str, str], constants: Mapping[str, Any], attributes: list[str]
) -> None:
    """Check that audio and account are mapped, constants fit their fields, and no attribute identifies a person."""
    if "audio" not in columns:
        raise UsageError(
            f"{source.name}: no column is the audio; set importing.columns.audio to one of {_column_names(source)}"
        )
    if "account" not in columns and "account" not in constants:
        raise UsageError(
            f"{source.name}: no column is the account; set importing.columns.account to one of {_column_names(source)},"
            " or importing.constants.account to one name for all rows"
        )
    for field in _PERSONAL:
        if columns.get(field) in attributes:
            raise SettingsError(
                f"importing.attributes: column {columns[field]} is the {field}, which belongs to the vault alone; leave"
                " it out"
            )
    probe = {"audio": "a", "account": "a", "arrived_at": datetime.now(UTC).isoformat(), **_FULL_CONSENT, **constants}
    row = parse(0, probe)
    if isinstance(row, BadRow):
        raise SettingsError(f"importing.constants: {row.detail}; correct it")


# --- convert a row ----------------------------------------------------------------------------------------------------


def cell(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column, or of a nested one by its dotted name; None where there is none."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def values_of(row: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the fields of a manifest row except the audio; an empty value counts as not given.

    Raises:
        Unfit: a value can't be converted to its field.
    """
    values = dict(plan.constants)
    for field, column in plan.columns.items():
        value = _given(row, column, plan) if field != "audio" else None
        if value is not None:
            values[field] = _converted(field, column, value, plan)
        elif field == "consent":
            values.setdefault(field, [])  # an empty cell is no consent
    attributes = {}
    for column in plan.attributes:
        value = _given(row, column, plan)
        if value is not None:
            attributes[column] = _text("attributes", column, value, plan)
    return values | ({"attributes": attributes} if attributes else {})


def statements_of(row: Mapping[str, Any], plan: Plan) -> tuple[ConsentStatement, ...]:
    """Return the consent statement of a row in which a value can't be converted; it may be that of the consent."""
    values: dict[str, Any] = {}
    for field in ("account", "consent", "arrived_at"):
        columns = {field: plan.columns[field]} if field in plan.columns else {}
        with suppress(Unfit):
            values |= values_of(row, replace(plan, columns=columns, attributes=()))
    return statements_in(values)


def _given(row: Mapping[str, Any], column: str, plan: Plan) -> Any:
    """Return the value of a column, None where it is empty; an empty class label is -1.

    An empty consent is a value: it says that the customer allows nothing.
    """
    value = _plain(cell(row, column))
    if isinstance(value, str) and not value.strip() and plan.columns.get("consent") != column:
        return None
    return None if column in plan.classes and isinstance(value, int) and value < 0 else value


def _converted(field: str, column: str, value: Any, plan: Plan) -> Any:
    if field == "slots":
        return _slots(column, value)
    if field == "consent":
        return value.replace(",", " ").split() if isinstance(value, str) else value
    if field == "wake":
        return {"button": value} if isinstance(value, bool) else value
    if field == "arrived_at":
        return _moment(value)
    text = _text(field, column, value, plan)
    if field == "text":
        try:
            return spoken(text)
        except RecordError as error:
            raise Unfit(f"field text (column {column}): {error}") from None
    return plan.account_prefix + text if field == "account" else text


def _text(field: str, column: str, value: Any, plan: Plan) -> str:
    if column in plan.classes and isinstance(value, int):
        names = plan.classes[column]
        if value >= len(names):
            raise Unfit(f"field {field} (column {column}): a class number without a name; write it again")
        return names[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of integers with empty cells is stored as floats
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise Unfit(f"field {field} (column {column}): not text; map it to a column inside, such as {column}.name")


def _slots(column: str, value: Any) -> Any:
    """Return slots as a list, from a list, its JSON, or an object of lists as older `datasets` store it.

    A text that is no JSON is returned as it is: the check of the manifest row reads `room=kitchen; device=light`.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = _plain(json.loads(value))
        except (ValueError, RecursionError):
            raise Unfit(f"field slots (column {column}): not valid JSON; give a list of slots, or name=value") from None
    if isinstance(value, dict):
        lists = list(value.values())
        if not all(isinstance(entry, list) and len(entry) == len(lists[0]) for entry in lists):
            raise Unfit(f"field slots (column {column}): an object of unequal lists; give a list of slots")
        return [dict(zip(value, entries, strict=True)) for entries in zip(*lists, strict=True)]
    return value


def _moment(value: Any) -> Any:
    """Return a time as ISO 8601 text; a time without a zone is UTC."""
    if isinstance(value, str):
        try:
            value = time_of(value)
        except ValueError:
            return value  # the check of the manifest row refuses it
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """Return the value without nulls inside objects, and None for NaN, which is an empty number in a table."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value

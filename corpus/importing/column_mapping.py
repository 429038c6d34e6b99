"""Which column of a labelled corpus is which field of a manifest, and one of its rows in a manifest's terms.

Values are made to fit where nothing can be lost: class numbers become names, numbers text, times without a zone UTC.
What does not fit is refused by row, and said in the names of fields and columns only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from corpus.errors import SettingsError, UsageError
from corpus.importing.source import Source
from corpus.ingest.manifest_row import BadRow, ConsentStatement, consent_in, parse

Constant = Literal[
    "account", "device_serial", "locale", "device_type", "consent", "wake", "arrived_at", "text", "intent"
]
"""The fields that one value may fill in all rows."""

Column = Literal["audio", Constant, "slots", "event_id"]
"""The fields that a column may fill."""

_UNKNOWN: Final[dict[str, Any]] = {
    "locale": "und",  # BCP 47: undetermined; a wrong one would be a wrong slice
    "device_type": "import",
}
# Only where a corpus has no word on it at all: a customer whose cell is empty did not agree.
_AGREED: Final[dict[str, Any]] = {"consent": ["score", "annotate", "train"], "wake": {"button": True}}
_PERSONAL: Final = ("account", "device_serial")


class Unfit(Exception):
    """A value can't be what its field needs; the message names field and column."""


class ImportSettings(BaseModel):
    """What the columns of a labelled corpus mean.

    A field that neither `columns` nor `constants` names takes the column of its own name where there is one, then its
    default: locale `und`, device_type `import`, all consents, a pressed button, the moment of the import. The account
    has no default. The audio is also found where just one column is audio by its type.

    Attributes:
        columns: Manifest field -> column of the corpus, `outer.inner` where it lies inside another; null takes no
            column.
        constants: Manifest field -> value of all rows or, beside a column, of the rows whose column is empty.
        attributes: Columns that become slices.
        account_prefix: Put before every account of a column, so that speaker 1 of two corpora is not one customer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[Column, str | None] = {}
    constants: dict[Constant, Any] = {}
    attributes: list[str] = []
    account_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The mapping as it holds for one source.

    Attributes:
        columns: column by field.
        constants: value by field; beside a column it stands in where that is empty.
        attributes: columns that become slices.
        account_prefix: see `ImportSettings`.
        classes: names by column of class numbers.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, Any]
    attributes: tuple[str, ...]
    account_prefix: str
    classes: Mapping[str, tuple[str, ...]]

    def needed(self) -> set[str]:
        """Return the outer columns that must be read."""
        used = {*self.columns.values(), *self.attributes}
        return used | {column.split(".")[0] for column in used}

    def shown(self) -> dict[str, str]:
        """Return what fills each field, in words; who it is stays unsaid."""
        words = {}
        for field in get_args(Column):
            parts = [f"column {self.columns[field]}"] if field in self.columns else []
            if field in self.constants:
                value = self.constants[field]
                parts.append("a constant" if field in _PERSONAL else f"constant {json.dumps(value, default=str)}")
            words[field] = ", else ".join(parts) or ("the moment of the import" if field == "arrived_at" else "-")
        return words | {"attributes": ", ".join(f"column {column}" for column in self.attributes) or "-"}

    def explained(self, detail: str) -> str:
        """Return what is wrong with a field, with the column that it came from."""
        for field, column in self.columns.items():
            if detail.startswith(f"field {field}:"):
                return detail.replace(f"field {field}:", f"field {field} (column {column}):", 1)
        return detail


def plan(source: Source, settings: ImportSettings) -> Plan:
    """Return what fills each field for this source.

    Raises:
        UsageError: a column that is not there, no audio, nobody as the account, or a constant that does not fit.
    """
    given: dict[str, str] = {field: column for field, column in settings.columns.items() if column is not None}
    for setting, column in [*((f"columns.{field}", c) for field, c in given.items()),
                            *(("attributes", c) for c in settings.attributes)]:  # fmt: skip
        if column not in source.columns:
            raise UsageError(f"importing.{setting}: {source.name} has no column {column}; known are {_known(source)}")
    columns = dict(given)
    for field in get_args(Column):
        if field not in settings.columns and field not in settings.constants and field in source.columns:
            columns[field] = field
    if "audio" not in settings.columns and "audio" not in columns and len(source.recordings) == 1:
        columns["audio"] = source.recordings[0]
    agreed = {field: value for field, value in _AGREED.items() if field not in columns}
    constants: dict[str, Any] = _UNKNOWN | agreed
    constants |= {field: _plain(value) for field, value in settings.constants.items() if value is not None}
    _require(source, columns, constants, settings.attributes)
    return Plan(columns, constants, tuple(settings.attributes), settings.account_prefix, source.classes)


def _known(source: Source) -> str:
    return ", ".join(source.columns) or "none, since it holds no rows"


def _require(source: Source, columns: Mapping[str, str], constants: Mapping[str, Any], attributes: list[str]) -> None:
    """Pass when recording and account are named, constants fit their fields, and no slice tells who it is."""
    if "audio" not in columns:
        raise UsageError(
            f"{source.name}: no column is the audio; set importing.columns.audio to one of {_known(source)}"
        )
    if "account" not in columns and "account" not in constants:
        raise UsageError(
            f"{source.name}: nobody is named as the speaker; set importing.columns.account to one of {_known(source)},"
            " or importing.constants.account to one name for all rows"
        )
    for field in _PERSONAL:
        if columns.get(field) in attributes:
            raise SettingsError(
                f"importing.attributes: column {columns[field]} is the {field}, which only the vault may know; leave it"
                " out"
            )
    probe = {"audio": "a", "account": "a", "arrived_at": datetime.now(UTC).isoformat(), **_AGREED, **constants}
    row = parse(0, probe)
    if isinstance(row, BadRow):
        raise SettingsError(f"importing.constants: {row.detail}; correct it")


# --- one row ----------------------------------------------------------------------------------------------------------


def cell(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column, found inside its outer one where the name has dots; None where it has none."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def values_of(row: Mapping[str, Any], fields: Plan) -> dict[str, Any]:
    """Return the fields of a manifest row, all but the audio; an empty value counts as not given.

    Raises:
        Unfit: a value is of a kind that its field has no use for.
    """
    values = dict(fields.constants)
    for field, column in fields.columns.items():
        value = _given(row, column, fields) if field != "audio" else None
        if value is not None:
            values[field] = _fitted(field, column, value, fields)
        elif field == "consent":
            values.setdefault(field, [])  # who said nothing did not agree
    attributes = {}
    for column in fields.attributes:
        value = _given(row, column, fields)
        if value is not None:
            attributes[column] = _word("attributes", column, value, fields)
    return values | ({"attributes": attributes} if attributes else {})


def consent_of(row: Mapping[str, Any], fields: Plan) -> ConsentStatement | None:
    """Return what a row says of consent although another of its values fits no field."""
    only = {field: column for field, column in fields.columns.items() if field in ("account", "consent", "arrived_at")}
    try:
        return consent_in(values_of(row, replace(fields, columns=only, attributes=())))
    except Unfit:
        return None


def _given(row: Mapping[str, Any], column: str, fields: Plan) -> Any:
    """Return a value, None where it is one of the ways to say nothing: class labels do it by -1."""
    value = _plain(cell(row, column))
    return None if column in fields.classes and isinstance(value, int) and value < 0 else value


def _fitted(field: str, column: str, value: Any, fields: Plan) -> Any:
    if field == "slots":
        return _slots(column, value)
    if field == "consent":
        return value.replace(",", " ").split() if isinstance(value, str) else value
    if field == "wake":
        return {"button": value} if isinstance(value, bool) else value
    if field == "arrived_at":
        return _moment(value)
    word = _word(field, column, value, fields)
    return fields.account_prefix + word if field == "account" else word


def _word(field: str, column: str, value: Any, fields: Plan) -> str:
    if column in fields.classes and isinstance(value, int):
        names = fields.classes[column]
        if value >= len(names):
            raise Unfit(f"field {field} (column {column}): a class number without a name; write it again")
        return names[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a table with gaps keeps its integers as floats
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise Unfit(f"field {field} (column {column}): not text; map it to a column inside, such as {column}.name")


def _slots(column: str, value: Any) -> Any:
    """Return a list of slots from one, from its JSON, or from an object of lists, as `datasets` once kept them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Unfit(f"field slots (column {column}): text that is no JSON; give a list of slots") from None
    if isinstance(value, dict):
        lists = list(value.values())
        if not all(isinstance(entry, list) and len(entry) == len(lists[0]) for entry in lists):
            raise Unfit(f"field slots (column {column}): an object of unequal lists; give a list of slots")
        return [dict(zip(value, entries, strict=True)) for entries in zip(*lists, strict=True)]
    return value


def _moment(value: Any) -> Any:
    """Return a time in ISO 8601; one without a zone is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value  # for the manifest to refuse
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """Return the value without nulls inside objects, and None for NaN, by which tables say that there is no number."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value

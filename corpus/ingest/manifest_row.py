"""The schema of a manifest row.

A reason names the field and the remedy, never a value: see `corpus.ingest.row_faults`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError
from pydantic_core import PydanticCustomError

from corpus.errors import RecordError
from corpus.ingest.manifest_slots import place_slots, slots_of_text
from corpus.ingest.row_faults import what_is_wrong
from corpus.locales import canonical_locale
from corpus.names import clean_name
from corpus.records.arrivals import SlotSpan, Wake
from corpus.records.base import utc
from corpus.timestamps import time_of

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNSTORABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
# Characters that end a line or move the cursor, in names that are printed in reports and passed to shells.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


BAD_ROW: Final = "bad_row"
"""Reason of a row that can't be read."""

UNREADABLE: Final = frozenset({"score"})
"""What a consent that can't be read leaves of what its account allowed before."""


@dataclass(frozen=True, slots=True)
class ConsentStatement:
    """A customer's consent as a row states it; it is applied even where the row is refused.

    Attributes:
        account: for the vault only.
        consent: some of `score`, `annotate`, `train`; what is left of them where the consent can't be read.
        at: time of the statement (UTC); None where the row has no valid time.
        readable: False where the account can be read and the consent can't.
    """

    account: str = field(repr=False)
    consent: frozenset[str]
    at: datetime | None
    readable: bool = True


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is refused.

    Attributes:
        line: line or row, counted from 1.
        detail: names the field and the remedy, never a value.
        reason: one of `corpus.ingest.ingest.REASONS`.
        statements: the consent of its customer, or of each that it names; none where no account can be read.
    """

    line: int
    detail: str
    reason: str = BAD_ROW
    statements: tuple[ConsentStatement, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A valid row of a manifest: one arrival.

    Attributes:
        line: line of a JSON Lines file, or row of a Parquet file, counted from 1.
        audio: path, relative to the manifest's folder or absolute.
        locale: canonical, see `corpus.locales`.
        account, device_serial: the customer and the device; for the vault only.
        consent: some of `score`, `annotate`, `train`; empty where the customer opted out.
        wake: None where there is no evidence that the customer addressed the device.
        arrived_at: UTC.
        event_id: id of the event at its source; None where it has none.
        attributes: further slices, by name.
        text, slots: known transcript in normal form, and the slots inside it.
        intent: known intent; its name is clean, as those of slots are, see `corpus.names`.
        held_out: the known text and intent are for judging models, never for training.
        dated: the row gives its time itself; False where `arrived_at` is the time of an import.
        notice: version of the notice that the customer saw.
        unnoticed: its consent to annotation is left out of `consent`, as no notice that counts is named.
    """

    line: int
    audio: str
    account: str
    device_serial: str | None
    locale: str
    device_type: str
    consent: frozenset[str]
    wake: Wake | None
    arrived_at: datetime
    event_id: str | None
    attributes: Mapping[str, str]
    text: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...]
    held_out: bool = False
    dated: bool = True
    notice: str | None = None
    unnoticed: bool = False

    @property
    def statements(self) -> tuple[ConsentStatement, ...]:
        """Return the customer's consent as the row states it."""
        # Without a notice the consent does not count, but it takes nothing back.
        stated = self.consent | {"annotate"} if self.unnoticed else self.consent
        return (ConsentStatement(self.account, stated, self.arrived_at),)


def _storable(value: str) -> str:
    # Databases refuse NUL, and a lone surrogate can't be written as UTF-8.
    if _UNSTORABLE.search(value):
        raise PydanticCustomError("unstorable", "NUL, or no UTF-8")
    return value


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise PydanticCustomError("control", "a control character")
    return _storable(value)


def _clean(value: str) -> str:
    clean = clean_name(value)
    if not clean:
        raise PydanticCustomError("string_too_short", "empty")
    return clean


def _canonical(value: str) -> str:
    try:
        return canonical_locale(value)
    except RecordError as error:
        raise PydanticCustomError("no_tag", "no language tag") from error


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return slots_of_text(value)
    except RecordError as error:
        raise PydanticCustomError("slots_text", "{fault}", {"fault": str(error)}) from error


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = time_of(value)
        except ValueError as error:
            raise PydanticCustomError("no_time", "no time") from error
    if not isinstance(value, datetime):
        raise PydanticCustomError("time_type", "of the wrong type")
    try:
        moment = utc(value)
    except RecordError as error:
        raise PydanticCustomError("naive", "no time zone") from error
    except OverflowError as error:
        raise PydanticCustomError("early" if value.year == 1 else "late", "out of range") from error
    if moment < _EARLIEST:
        raise PydanticCustomError("early", "before 1970")
    return moment


def _text(most: int, least: int = 1) -> Any:
    return Annotated[StrictStr, Field(min_length=least, max_length=most), AfterValidator(_storable)]


def _name(most: int, least: int = 1) -> Any:
    return Annotated[StrictStr, Field(min_length=least, max_length=most), AfterValidator(_one_line)]


def _operators_name(most: int) -> Any:
    return Annotated[StrictStr, Field(max_length=most), AfterValidator(_one_line), AfterValidator(_clean)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Wake(_Schema):
    word: _name(64) | None = None  # type: ignore[valid-type]
    score: float | None = Field(None, ge=0, le=1)
    button: bool = False


class _Slot(_Schema):
    name: _operators_name(64)  # type: ignore[valid-type]
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, ge=1)
    value: _text(5000) | None = None  # type: ignore[valid-type]


class _Account(_Schema):
    account: _text(512)  # type: ignore[valid-type]


class _Consent(_Schema):
    consent: list[Literal["score", "annotate", "train"]] = Field(max_length=16)


class _Notice(_Schema):
    notice: _name(64) | None = None  # type: ignore[valid-type]


class _Row(_Schema):
    audio: _name(4096)  # type: ignore[valid-type]
    account: _text(512)  # type: ignore[valid-type]
    device_serial: _text(512) | None = None  # type: ignore[valid-type]
    locale: Annotated[str, AfterValidator(_canonical)]
    device_type: _name(64)  # type: ignore[valid-type]
    consent: list[Literal["score", "annotate", "train"]] = Field(max_length=16)
    wake: _Wake | None = None
    arrived_at: Annotated[datetime, BeforeValidator(_moment)]
    event_id: _text(512) | None = None  # type: ignore[valid-type]
    attributes: dict[_name(64), _name(256, 0)] = Field(default_factory=dict, max_length=32)  # type: ignore[valid-type]
    text: _text(5000, 0) | None = None  # type: ignore[valid-type]
    intent: _operators_name(128) | None = None  # type: ignore[valid-type]
    slots: Annotated[list[_Slot], Field(max_length=128), BeforeValidator(_listed)] = Field(default_factory=list)
    held_out: bool = False
    notice: _name(64) | None = None  # type: ignore[valid-type]


def parse(line: int, value: object) -> ManifestRow | BadRow:
    """Return the manifest row of a decoded JSON or Parquet value, or a `BadRow` with the reason.

    Args:
        line: its line or row, counted from 1.
        value: the decoded value; fields that are null count as not given.
    """
    if not isinstance(value, dict):
        return BadRow(line, "the row is no JSON object; write one object a line")
    value = _flat(value)
    try:
        row = _Row.model_validate({name: given for name, given in value.items() if given is not None})
        wake = _wake(row.wake)
        text, slots = _known_text(row)
    except ValidationError as error:
        return BadRow(line, what_is_wrong(error, value), statements=statements_in(value))
    except RecordError as error:
        return BadRow(line, str(error), statements=statements_in(value))
    return ManifestRow(
        line=line,
        audio=row.audio,
        account=row.account,
        device_serial=row.device_serial,
        locale=row.locale,
        device_type=row.device_type,
        consent=frozenset(row.consent),
        wake=wake,
        arrived_at=row.arrived_at,
        event_id=row.event_id,
        attributes=row.attributes,
        text=text,
        intent=row.intent,
        slots=slots,
        held_out=row.held_out,
        notice=row.notice,
    )


def _flat(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a row in which the uses and the notice of a consent, given as one object, are fields of their own."""
    consent = value.get("consent")
    if not isinstance(consent, Mapping) or "uses" not in consent or set(consent) - {"uses", "notice"}:
        return value
    return {**value, "consent": consent["uses"]} | ({"notice": consent["notice"]} if "notice" in consent else {})


def statements_in(value: Mapping[Any, Any]) -> tuple[ConsentStatement, ...]:
    """Return the consent statement of an invalid row; none where the account can't be read.

    A consent that can't be read may be a withdrawal, so it is taken as one from annotation and training.
    """
    value = _flat(value)
    account = _account(value.get("account"))
    if account is None:
        return ()
    try:
        stated = _Consent.model_validate({"consent": value.get("consent")})
    except ValidationError:
        return (ConsentStatement(account, UNREADABLE, _time(value), readable=False),)
    return (ConsentStatement(account, frozenset(stated.consent), _time(value)),)


def parse_statement(value: object) -> tuple[tuple[ConsentStatement, ...], str]:
    """Return the consent statement of a line of a list of statements, and what is wrong with the line; "" if nothing.

    A line with an account is a statement even where something else of it is wrong.
    """
    if not isinstance(value, dict):
        return (), "the line can't be read; write account, consent and time"
    found = statements_in(value | {"arrived_at": value.get("time")})
    if set(value) - {"account", "consent", "time", "notice"}:
        return found, "an unknown field; known are account, consent, time, notice"
    if not found:
        return (), "field account: give a string of 1 to 512 characters"
    if not found[0].readable:
        return found, "field consent: give a list of score, annotate, train; an empty one where the customer opted out"
    if value.get("time") is not None and found[0].at is None:
        return found, "field time: give an ISO 8601 time with its zone, such as 2026-01-31T08:00:00Z"
    if not is_notice(value.get("notice")):
        return found, "field notice: give the version of the notice, a string of 1 to 64 characters, or leave it out"
    return found, ""


def is_notice(value: object) -> bool:
    """Return whether a value may be the version of a notice; None is none."""
    try:
        _Notice.model_validate({"notice": value})
    except ValidationError:
        return False
    return True


def statements_among(given: Mapping[str, Sequence[object]]) -> tuple[ConsentStatement, ...]:
    """Return the consent statements of an invalid row in which a field may have several values, by field.

    Every account that it names allows what all its consents allow.
    """
    found: dict[str, ConsentStatement] = {}
    names = ("account", "consent", "arrived_at")
    for values in product(*(given.get(name) or [None] for name in names)):
        for each in statements_in(dict(zip(names, values, strict=True))):
            other = found.setdefault(each.account, each)
            found[each.account] = ConsentStatement(
                each.account,
                each.consent & other.consent,
                None if each.at is None or other.at is None else max(each.at, other.at),
                each.readable and other.readable,
            )
    return tuple(found.values())


def _account(value: object) -> str | None:
    # The row with a number is refused; its customer is the one whose account has these digits.
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        account: str = _Account.model_validate({"account": text}).account
        return account
    except ValidationError:
        return None


def _time(value: Mapping[Any, Any]) -> datetime | None:
    try:
        return _moment(value.get("arrived_at"))
    except PydanticCustomError:
        return None


def _wake(wake: _Wake | None) -> Wake | None:
    if wake is None or (wake.word is None and wake.score is None and not wake.button):
        return None
    return Wake(word=wake.word, score=wake.score, button=wake.button)


def _known_text(row: _Row) -> tuple[str | None, tuple[SlotSpan, ...]]:
    if row.held_out and row.text is None and row.intent is None:
        raise RecordError("field held_out: the row has neither text nor intent; give the text, the intent or both")
    if row.text is None:
        if row.slots:
            raise RecordError("field slots: slots without a text; give the text that they belong to")
        return None, ()
    try:
        return place_slots(row.text, row.slots)
    except RecordError as error:
        raise RecordError(f"field slots, {error}") from error

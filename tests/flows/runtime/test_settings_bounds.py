"""Every number of the settings has bounds on both sides, so that none overflows or runs for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel

from corpus.errors import SettingsError
from corpus.settings import MOST_DAYS, MOST_ROWS, MOST_SECONDS
from flows.runtime.settings import Settings, load_settings

UPPER = (annotated_types.Le, annotated_types.Lt)
LOWER = (annotated_types.Ge, annotated_types.Gt)
CHECKED = ("corpus.split", "importing.constants", "sampling.slice_quotas")
"""Settings with numbers by name, whose validators check their sum."""

COST = ("base", "per_second", "per_token")
"""What a cost has, all of it together."""

ANYTHING = ("export.options",)
"""Settings that are passed on to other packages."""


def numbers(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, int, type, list[Any]]]:
    """Yield key, number of values (0: one, not a list), type and bounds of each number below a group of settings."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if key not in (*CHECKED, *ANYTHING):
            yield from _numbers_in(field.annotation, list(field.metadata), key, 0)


def _numbers_in(kind: Any, bounds: list[Any], key: str, several: int) -> Iterator[tuple[str, int, type, list[Any]]]:
    if get_origin(kind) is Annotated:
        inner = [each for info in kind.__metadata__ for each in getattr(info, "metadata", [info])]
        yield from _numbers_in(get_args(kind)[0], [*bounds, *inner], key, several)
    elif get_origin(kind) is tuple:
        first, *others = get_args(kind)
        if not (isinstance(first, type) and issubclass(first, BaseModel)):  # a list of groups has no key of its own
            yield from _numbers_in(first, bounds, key, 1 + sum(other is not ... for other in others))
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _numbers_in(each, bounds, key, several)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from numbers(kind, f"{key}.")
    elif kind in (int, float):
        yield key, several, kind, bounds


NUMBERS = {key: found for key, *found in numbers(Settings)}


def test_all_numbers_are_found():
    assert len(NUMBERS) > 150
    assert {"asr.loop.augment.speeds", "asr.lora.rank", "cost.triage.base", "sampling.minutes"} <= NUMBERS.keys()


def given(key: str, value: float) -> Settings:
    several = NUMBERS[key][0]
    group = key.rpartition(".")[0]
    others = COST if group.startswith("cost.") else ()
    together = [f"{group}.{name}=1" for name in others if f"{group}.{name}" != key]
    return load_settings(None, [*together, f"{key}={json.dumps([value] * several if several else value)}"])


def refusal(key: str, value: float) -> str:
    try:
        given(key, value)
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_has_bounds_on_both_sides_and_is_refused_beyond_them(key: str):
    _, kind, bounds = NUMBERS[key]
    (upper,) = (each for each in bounds if isinstance(each, UPPER))
    (lower,) = (each for each in bounds if isinstance(each, LOWER))
    most = upper.le if isinstance(upper, annotated_types.Le) else upper.lt
    least = lower.ge if isinstance(lower, annotated_types.Ge) else lower.gt
    beyond = [10**18, -(10**18), most + 1, least - 1, *([1e308, -1e308] if kind is float else [10**400])]
    for value in beyond:
        with pytest.raises(SettingsError, match="^--set: " + key.replace(".", r"\.")) as caught:
            given(key, value)
        assert "\n" not in str(caught.value)
    if isinstance(upper, annotated_types.Le):
        said = refusal(key, most)  # where it contradicts another setting
        assert said == "" or key.rpartition(".")[0] in said


def test_days_seconds_and_rows_at_their_bounds_overflow_neither_dates_nor_integers():
    now = datetime.now(UTC)
    assert now - timedelta(days=MOST_DAYS) < now < now + timedelta(days=MOST_DAYS, seconds=10_000_000 + MOST_SECONDS)
    assert MOST_ROWS**2 < 2**63

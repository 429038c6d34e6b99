"""Results of steps become JSON."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from flows.runtime.results import Result, as_json


@dataclass(frozen=True, slots=True)
class Merged(Result):
    merged: int
    skipped: str | None = None
    by_kind: dict[str, int] = field(default_factory=dict)
    refused: tuple[int, ...] = field(default=(), metadata={"key": "refused lines"})
    champion: str | None = field(default="", metadata={"key": "champion"})


def test_a_result_becomes_a_document_without_what_is_missing():
    assert Merged(3, by_kind={"asr": 1}, refused=(4, 9), champion=None).to_json() == {
        "merged": 3,
        "by_kind": {"asr": 1},
        "refused lines": [4, 9],
        "champion": None,
    }
    assert Merged(0, skipped="no annotations came back").to_json()["skipped"] == "no annotations came back"


def test_the_values_of_a_result_become_plain_json():
    value = {
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "rate": np.float64(0.5),
        "rows": np.arange(2),
        "ids": {"b", "a"},
        "path": Path("x"),
        "inner": [Merged(1)],
    }
    plain = as_json(value)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["ids"] == ["a", "b"]
    assert plain["rows"] == [0, 1]
    assert plain["inner"][0]["merged"] == 1


def test_a_value_that_json_does_not_have_is_refused():
    with pytest.raises(TypeError, match="object has no form in JSON"):
        as_json(object())

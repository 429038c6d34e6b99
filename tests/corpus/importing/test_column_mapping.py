"""Values of an imported row: an empty text is no text, silence is asked for, and an empty split is said to be empty."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from corpus.errors import UsageError
from corpus.importing.open_source import open_source
from tests.corpus.importing.conftest import Look, Values
from tests.corpus.labelled_sources import clip


def lines(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "0.wav").write_bytes(clip(0))
    (folder / "train.jsonl").write_text("".join(json.dumps({"audio": "0.wav"} | row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("empty", ["", "  ", "\u00a0", None])
def test_an_empty_cell_is_no_value(tmp_path: Path, values: Values, empty: str | None) -> None:
    row = {"text": empty, "intent": empty, "event_id": empty, "locale": empty, "region": empty}
    (found,) = values(lines(tmp_path / "d", [row]), attributes=["region"])
    assert found is not None
    assert not {"text", "intent", "event_id", "attributes"} & found.keys()
    assert found["locale"] == "und"


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_consent_allows_nothing_whatever_the_constant(tmp_path: Path, values: Values, empty: str) -> None:
    constants = {"account": "x", "consent": ["score", "train"]}
    rows = lines(tmp_path / "d", [{"consent": empty}, {"consent": None}])
    found = values(rows, constants=constants, columns={"consent": "consent"})
    assert [row and row["consent"] for row in found] == [[], ["score", "train"]]


def test_silence_is_asked_for_and_another_mark_costs_its_row(tmp_path: Path, values: Values, look: Look) -> None:
    assert values(lines(tmp_path / "d", [{"text": "<Silence>"}]))[0]["text"] == ""
    report = look(lines(tmp_path / "d", [{"text": "<noise>"}, {"text": "hello"}]))
    assert [(each.row, each.detail) for each in report.problems] == [
        (
            1,
            "field text (column text): is a mark that earmark does not know; write <silence> where nobody spoke, else"
            " the words",
        )
    ]


def test_texts_of_a_table_stay_texts(tmp_path: Path, values: Values) -> None:
    words = ["001", "1e5", "0042", "NA", "nan", "None"]
    sounds = [{"bytes": clip(k), "path": None} for k in range(len(words))]
    frame = pd.DataFrame({"audio": sounds, "speaker": words, "text": words})
    frame.to_parquet(tmp_path / "x.parquet")
    found = values(tmp_path / "x.parquet", columns={"account": "speaker"})
    assert [row and (row["account"], row["text"]) for row in found] == [(word, word) for word in words]


def test_labels_of_pandas_rows_are_no_columns_but_a_named_index_is_one(tmp_path: Path, look: Look) -> None:
    frame = pd.DataFrame({"audio": [{"bytes": clip(k), "path": None} for k in range(3)], "text": ["a", "b", "c"]})
    frame[frame.text != "b"].to_parquet(tmp_path / "x.parquet")
    assert [column for column in look(tmp_path / "x.parquet").columns if "." not in column] == ["audio", "text"]
    frame.index = pd.Index(["i", "j", "k"], name="event_id")
    frame.to_parquet(tmp_path / "y.parquet")
    assert look(tmp_path / "y.parquet").mapping["event_id"] == "column event_id"


def test_an_empty_split_is_said_to_hold_no_rows(tmp_path: Path, look: Look) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="d: the split train holds no rows; give a corpus with rows"):
        look(tmp_path / "d")
    (tmp_path / "d" / "test.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="the split test holds no rows; choose another with --split"):
        look(tmp_path / "d", split="test")
    assert open_source(str(tmp_path / "d"), None, None, tmp_path).columns == {}


def test_times_are_read_as_those_of_a_manifest_and_are_utc_without_a_zone(tmp_path: Path, values: Values) -> None:
    times = {
        "2026-01-01t00:00:00z": "2026-01-01T00:00:00.000000+00:00",
        "2016-12-31T23:59:60Z": "2017-01-01T00:00:00.000000+00:00",
        "2026-01-01 00:00:00": "2026-01-01T00:00:00.000000+00:00",
        "2026-01-01T00:00:60Z": "2026-01-01T00:00:60Z",  # which the check of the row refuses
    }
    lines = [json.dumps({"audio": "a.wav", "arrived_at": text}) for text in times]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    found = [row and row["arrived_at"] for row in values(tmp_path / "x.jsonl")]
    assert found == list(times.values())

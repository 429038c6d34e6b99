"""AudioFolders as people have them: cells are texts, one odd row costs itself, and no recording is lost in silence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.importing.import_rows import Preview
from tests.corpus.importing.conftest import Look, Values
from tests.corpus.labelled_sources import clip

WORDS = ("0042", "001", "1e5", "NA", "nan", "None", "null", "N/A", "1.0", "1.50", "true", "-inf", "1_000", "00", "0x1F")


def folder_of(folder: Path, rows: list[Any], kind: str = "csv", recordings: int | None = None) -> Path:
    """Write an AudioFolder; a row is the fields of a recording `0.wav`, `1.wav`, ... of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(rows) if recordings is None else recordings):
        (folder / f"{number}.wav").write_bytes(clip(number))
    full = [{"file_name": f"{number}.wav"} | row for number, row in enumerate(rows)]
    path = folder / f"metadata.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for row in full for key in row)))
            writer.writeheader()
            writer.writerows(full)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in full))
    else:
        pd.DataFrame(full).to_parquet(path)
    return folder


def field(values: list[dict[str, Any] | None], name: str) -> list[Any]:
    return [row and row.get(name) for row in values]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("gap", [0, 57, 99])
def test_one_row_in_a_hundred_without_a_transcript_is_a_row_without_text(
    tmp_path: Path, values: Values, kind: str, gap: int
) -> None:
    rows = [{"text": None if k == gap else f"hello {k}"} for k in range(100)]
    found = field(values(folder_of(tmp_path / "d", rows, kind, recordings=1)), "text")
    assert found == [row["text"] for row in rows]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("among", [WORDS, ("001", "002"), ("NA", "NA"), ("1e5", "2e5"), ("true", "false"), ("1.0",)])
def test_ids_and_texts_stay_as_they_are_written(
    tmp_path: Path, values: Values, kind: str, among: tuple[str, ...]
) -> None:
    rows = [{"id": word, "text": word, "intent": word, "event_id": word, "region": word} for word in among]
    given = {"columns": {"account": "id"}, "attributes": ["region"]}
    found = values(folder_of(tmp_path / "d", rows, kind, recordings=1), **given)
    for name in ("account", "text", "intent", "event_id"):
        assert field(found, name) == list(among), name
    assert field(found, "attributes") == [{"region": word} for word in among]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00<>[](){}\u2039\u203a&"), max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), st.sampled_from(",;\t|"))
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cell_of_a_csv_file_is_read_back(
    tmp_path: Path, values: Values, rows: list[tuple[str, str]], mark: str
) -> None:
    folder = folder_of(tmp_path / "d", [{}], recordings=1)
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=mark)
        writer.writerows([("file_name", "id", "text"), *(("0.wav", *row) for row in rows)])
    found = values(folder, columns={"event_id": "id"})
    assert field(found, "event_id") == [cell if cell.strip() else None for cell, _ in rows]
    assert field(found, "text") == [cell if cell.strip() else None for _, cell in rows]


def test_a_json_row_may_lack_a_field_or_mix_numbers_with_texts(tmp_path: Path, values: Values) -> None:
    rows = [{"id": "001", "text": "a"}, {"id": 2}, {"id": "3", "text": 7}]
    found = values(folder_of(tmp_path / "d", rows, "jsonl"), columns={"account": "id"})
    assert field(found, "account") == ["001", "2", "3"]
    assert field(found, "text") == ["a", None, "7"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_metadata_is_read_as_spreadsheets_save_it(
    tmp_path: Path, values: Values, encoding: str, end: str, mark: str
) -> None:
    folder = folder_of(tmp_path / "d", [{}, {}])
    lines = [("", "File_Name", "text", ""), ("0", "0.wav", "f\u00fcr"), ("", "", "", ""), ("1", "1.wav", '"a\nb"', "")]
    (folder / "metadata.csv").write_bytes(end.join(mark.join(cells) for cells in lines).encode(encoding))
    assert field(values(folder), "text") == ["f\u00fcr", "a\nb"]


def test_a_row_that_cant_be_read_costs_itself(tmp_path: Path, look: Look) -> None:
    folder = folder_of(tmp_path / "d", [{"text": "a"}] * 3)
    lines = ["file_name,text", "0.wav,a", "1.wav,a,planted", "../../planted.wav,b", ",c", "2.wav,d", "9.wav,e"]
    (folder / "metadata.csv").write_text("\n".join(lines))
    report = look(folder)
    assert (report.looked_at, report.usable, report.left_out) == (6, 2, 1)
    assert [(each.row, each.reason, each.file) for each in report.problems] == [
        (2, "bad_row", ""), (3, "missing_file", ""), (4, "missing_file", ""), (6, "missing_file", "9.wav"),
    ]  # fmt: skip
    assert "planted" not in str(report)
    folder = folder_of(tmp_path / "j", [{"text": "a"}] * 2, "jsonl")
    with (folder / "metadata.jsonl").open("a") as file:
        file.write("{\n[1]\n")
    assert (look(folder).looked_at, look(folder).usable) == (4, 2)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"name,text\n0.wav,a\n", "the first line of metadata.csv has no column file_name; add it"),
        (b"file_name,text\n/x/0.wav,a\n", "no file_name of metadata.csv names a file inside the folder"),
        (b"file_name,text\n", "holds no rows"),
        (b"", "has no column file_name"),
        (b"file_name,text\n0.wav,\xff\n", "metadata.csv is not UTF-8; save it as CSV UTF-8"),
        (b"file_name,text,text\n0.wav,a,b\n", "metadata.csv has a column twice; rename one"),
    ],
)
def test_what_is_wrong_with_a_whole_metadata_file_is_named(
    tmp_path: Path, look: Look, metadata: bytes, message: str
) -> None:
    folder = folder_of(tmp_path / "d", [{}])
    (folder / "metadata.csv").write_bytes(metadata)
    with pytest.raises(UsageError, match=message):
        look(folder)


def test_metadata_in_two_formats_is_one_line(tmp_path: Path, look: Look) -> None:
    folder = folder_of(folder_of(tmp_path / "d", [{}]), [{}], "jsonl")
    with pytest.raises(UsageError, match="metadata in two formats; keep one"):
        look(folder)


def test_labels_of_pandas_rows_are_no_columns(tmp_path: Path, look: Look) -> None:
    folder = folder_of(tmp_path / "d", [{"text": "a"}] * 3)
    (folder / "metadata.csv").unlink()
    frame = pd.DataFrame({"file_name": [f"{k}.wav" for k in range(3)], "text": ["a", "b", "c"]})
    frame[frame.text != "b"].to_parquet(folder / "metadata.parquet")
    report = look(folder)
    assert list(report.columns) == ["audio", "text"]
    assert report.usable == 2


@pytest.mark.parametrize(("extra", "shown"), [(1, "7.wav"), (2, "7.wav, 8.wav"), (5, "7.wav, 8.wav, 9.wav, ...")])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_recordings_without_a_row_are_counted_and_named(
    tmp_path: Path, look: Look, kind: str, extra: int, shown: str
) -> None:
    folder = folder_of(tmp_path / "d", [{"text": "a"}] * 2, kind)
    for number in range(extra):
        (folder / f"{'z' if number > 2 else ''}{7 + number}.wav").write_bytes(clip(number))
    report = look(folder)
    assert (report.rows, report.left_out) == (2, extra)
    word = "recording" if extra == 1 else "recordings"
    assert report.notes == (f"{extra} {word} without a row in the metadata, left out: {shown}",)


# --- classes as folders -----------------------------------------------------------------------------------------------


def class_folders(folder: Path, *more: str) -> Path:
    names = [f"{name}/{number}.wav" for name in ("lights", "music") for number in range(2)]
    for seed, name in enumerate([*names, *more]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(clip(seed))
    return folder


def suggested(report: Preview) -> bool:
    line = "column label has 2 classes; if they are intents: --set importing.columns.intent=label"
    return line in report.notes


def test_a_loose_recording_beside_class_folders_is_a_row_without_a_class_and_named(
    tmp_path: Path, values: Values, look: Look
) -> None:
    folder = class_folders(tmp_path / "d", "loose.wav")
    intents = field(values(folder, columns={"intent": "label"}), "intent")
    assert intents == ["lights", "lights", None, "music", "music"]
    report = look(folder)
    assert report.columns == {"audio": "audio", "label": "class label of 2"}
    assert report.notes[0] == "1 recording beside the class folders without a class: loose.wav"


@pytest.mark.parametrize(
    ("more", "intents"),
    [
        ("README.txt", ["lights", "lights", "music", "music"]),
        ("lights/deep/9.wav", ["lights"] * 3 + ["music"] * 2),
        (".hidden.wav", ["lights", "lights", "music", "music"]),
    ],
)
def test_other_files_take_no_class_away(tmp_path: Path, values: Values, more: str, intents: list[str]) -> None:
    folder = class_folders(tmp_path / "d", more)
    assert field(values(folder, columns={"intent": "label"}), "intent") == intents


def test_recordings_beside_the_folders_of_splits_are_counted(tmp_path: Path, look: Look) -> None:
    folder = tmp_path / "d"
    for split in ("train", "test"):
        class_folders(folder / split)
    (folder / "loose.wav").write_bytes(clip(9))
    report = look(folder, "test", columns={"intent": "label"})
    assert (report.rows, report.left_out) == (4, 1)
    assert report.notes == ("1 recording in no split, left out: loose.wav",)


def test_a_column_of_classes_is_suggested_as_the_intent_until_something_is(tmp_path: Path, look: Look) -> None:
    folder = class_folders(tmp_path / "d")
    assert suggested(look(folder))
    assert not suggested(look(folder, columns={"intent": "label"}))
    assert not suggested(look(folder, constants={"account": "x", "intent": "y"}))
    assert not suggested(look(folder, attributes=["label"]))
    one = tmp_path / "one" / "lights"
    one.mkdir(parents=True)
    (one / "0.wav").write_bytes(clip(0))
    assert look(one.parent).notes == ()


def test_a_damaged_recording_is_named_by_its_file(tmp_path: Path, look: Look) -> None:
    folder = class_folders(tmp_path / "d")
    (folder / "lights" / "1.wav").write_bytes(b"RIFF\0\0")
    (folder / "music" / "0.wav").write_bytes(b"")
    assert [(each.row, each.file) for each in look(folder).problems] == [(2, "lights/1.wav"), (3, "music/0.wav")]

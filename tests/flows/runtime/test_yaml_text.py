"""YAML is read as its version 1.2 has it; each key is a text, given once; what is written means the same in both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import SettingsError
from flows.runtime.settings import load_settings
from flows.runtime.yaml_text import YamlFault, dump_yaml, load_yaml

VALUES: dict[str, Any] = {
    "1:30": "1:30", "190:20:30": "190:20:30", "1010": 1010, "0o17": 15, "0x1F": 31, "0b11": "0b11", "1_000": "1_000",
    "0": 0, "+12": 12, "-0": 0, "yes": "yes", "no": "no", "on": "on", "Off": "Off", "y": "y", "true": True,
    "FALSE": False, "12e03": 12000.0, "1e2": 100.0, "5.": 5.0, "-.5": -0.5, ".inf": math.inf, "1_0.5": "1_0.5",
    "2026-01-01": "2026-01-01", "2026-01-01 00:00:00": "2026-01-01 00:00:00", "~": None, "": None, "Null": None,
    "=": "=", "0o8": "0o8", "0x": "0x", "1e": "1e", "'7'": "7", "[1, yes]": [1, "yes"],
}  # fmt: skip


@pytest.mark.parametrize("text", VALUES)
def test_a_value_is_that_of_yaml_1_2(text: str) -> None:
    found = load_yaml(text)
    assert (found, type(found)) == (VALUES[text], type(VALUES[text]))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: 2\na: 3", 3, "gives a a second time; keep one of them"),
        ("x:\n  clips: 1\n  'clips': 2", 3, "gives clips a second time"),
        ("{a: {b: 1, b: 2}}", 1, "gives b a second time"),
        ("- {a: 1}\n- {a: 1, a: 1}", 2, "gives a a second time"),
        ("1: x", 1, "has a key that is no text; put it in quotes"),
        ("x:\n  ~: 1", 2, "has a key that is no text"),
        ("? [a]\n: 1", 1, "has a key that is no text"),
        ("a: &a [*a]", 1, "has \\*a inside of &a; write it out"),
        ("a: [", 1, "is not YAML; fix it"),
        ("a: !!timestamp 2026-01-01", 1, "is not YAML"),
        ("a: !!python/name:os.system", 1, "is not YAML"),
        ("!!int 1:30", 1, "has a number that is none"),
        ("9" * 5000, 1, "has a number that is none, or too long"),
        ("- " * 3000, 0, "is not YAML"),
        ("a: 1\nb: [010]", 2, "has the number 010; write 8 or 10, or put it in quotes for a text"),
        ("-017", 1, "has the number -017; write -15 or -17, or"),
        ("08", 1, "has the number 08; write 8, or"),
        ("007", 1, "has the number 007; write 7, or"),
        ("0" * 3000, 1, "has the number 0{20}; write it without 0, or"),
    ],
)
def test_what_has_no_one_meaning_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(YamlFault, match=what) as fault:
        load_yaml(text)
    assert fault.value.line == line


def test_merged_keys_and_aliases_are_read() -> None:
    text = "a: &a {<<: {x: 1}, x: 2, y: &y [3]}\nb: {<<: *a, y: *y}"
    assert load_yaml(text) == {"a": {"x": 2, "y": [3]}, "b": {"x": 2, "y": [3]}}


TEXTS = st.sampled_from(sorted(VALUES)) | st.text(st.sampled_from("01789.:_-+eExob yn~#'\"{[<"), max_size=9)


@given(st.dictionaries(TEXTS, TEXTS | st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none()))
def test_what_is_written_is_read_again_in_both_versions(value: dict[str, Any]) -> None:
    for options in ({}, {"default_flow_style": True, "width": 10_000}):
        text = dump_yaml(value, **options)
        assert load_yaml(text) == value == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sampling.clips=1:30", "unable to parse string as an integer; write a whole number such as 90"),
        ("sampling.clips=010", "--set sampling.clips: the value has the number 010; write 8 or 10"),
        ("sampling.clips=1_000", "--set: sampling.clips: give a number, without quotes and without underscores"),
        ("sampling.clips=yes", "--set: sampling.clips: input should be a valid integer"),
        ("sampling.clips=true", "--set: sampling.clips: give a number"),
        ("sampling.clips='7'", "--set: sampling.clips: give a number, without quotes"),
        ("sampling.clips=0b11", "--set: sampling.clips: input should be a valid integer"),
        ("sampling={clips: 1, clips: 2}", "--set sampling: the value gives clips a second time; keep one of them"),
        ("sampling.clips=[", "--set sampling.clips: the value is not YAML; put it in quotes"),
        ("corpus.split={train: yes, dev: 0.1, test: 0.1}", "as a number; write a number such as 0.5"),
        (
            "people.people=[{annotator_id: 007}]",
            "--set people.people: the value has the number 007; write 7, or put it in quotes for a text",
        ),
        ("people.people=[{annotator_id: 7}]", "annotator_id: input should be a valid string; put it in quotes"),
    ],
)
def test_a_value_that_is_no_number_never_becomes_one(override: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(None, [override])
    assert said in str(error.value)


def test_numbers_are_those_of_yaml_1_2_in_a_file_and_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("sampling:\n  clips: 10\n  floor: 0o11\n  seed: 12e3\n")
    sampling = load_settings(file).sampling
    assert (sampling.clips, sampling.floor, sampling.seed) == (10, 9, 12000)
    assert load_settings(file, ["sampling.clips=0x1F"]).sampling.clips == 31
    file.write_text("sampling:\n  clips: 7\nsampling:\n  floor: 9\n")
    with pytest.raises(SettingsError, match=r"mine.yaml line 3 gives sampling a second time; keep one of them"):
        load_settings(file)

"""Facts on a base are read from files that anybody may have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import Damaged
from training.asr.finetune import AsrFinetuneSettings
from training.loop.base_facts import FILE, BaseFacts, filled, read_facts, sampling_rate_of, window_of, write_facts


@pytest.mark.parametrize("number", ["Infinity", "NaN", "-1", "0", "1" + "0" * 400, '"16000"'])
def test_a_rate_or_window_that_is_none_is_none(tmp_path: Path, number: str):
    (tmp_path / "preprocessor_config.json").write_text(f'{{"sampling_rate": {number}, "chunk_length": {number}}}')
    assert sampling_rate_of(tmp_path) is None
    assert window_of(tmp_path) is None


def test_a_value_of_the_base_fills_only_what_is_null(tmp_path: Path):
    given = AsrFinetuneSettings(interpolate=0.25)
    found = filled(
        given, {"interpolate": 0.5, "loop.learning_rate": 1e-4, "interpolate.more": 1.0, "none.such": 1.0}, tmp_path
    )
    assert (found.interpolate, found.loop.learning_rate) == (0.25, 1e-4)
    with pytest.raises(Damaged, match="learning_rate"):
        filled(given, {"loop.learning_rate": -1.0}, tmp_path)


def test_facts_that_can_not_be_read_are_damaged(tmp_path: Path):
    facts = BaseFacts(name="own", kind="asr", source="folder own", safe={"interpolate": 0.5})
    write_facts(facts, tmp_path)
    assert read_facts(tmp_path) == facts
    (tmp_path / "earmark_base.json").write_text('{"name": "own"}')
    with pytest.raises(Damaged, match=r"earmark_base\.json"):
        read_facts(tmp_path)


@pytest.mark.parametrize("value", ['"fast"', '"yes"', '"0.1"', "null", "[1]"])
def test_facts_with_a_safe_value_that_is_no_number_name_file_and_key(tmp_path: Path, value: str):
    safe = f'{{"loop.learning_rate": {value}}}'
    (tmp_path / FILE).write_text(f'{{"name": "own", "kind": "asr", "source": "folder own", "safe": {safe}}}')
    with pytest.raises(
        Damaged, match=rf"{FILE}: safe\.loop\.learning_rate has a value .*; correct that key in the file"
    ):
        read_facts(tmp_path)

"""Errors of a version: worst first, label and transcript side by side, one audit row a clip, no text stored."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.storage import records_schema as schema
from flows.reports.demo_tables import DemoReport
from flows.reports.error_analysis import _inside, mistakes
from flows.reports.error_table import cell, show_mistakes, wrapped
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, small_settings


@pytest.fixture(scope="module")
def settings(lived: tuple[Settings, DemoReport], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path_factory.mktemp("mistakes") / "home"))


def readings(settings: Settings, person: str) -> list[dict[str, Any]]:
    with opened(settings) as corpus, corpus.read() as conn:
        rows = conn.execute(sa.select(schema.audit.c.detail).where(schema.audit.c.actor == f"person:{person}"))
        return [json.loads(row.detail) for row in rows]


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_every_clip_that_is_shown_is_one_row_on_the_chain(settings: Settings, kind: str, capsys: Any):
    with opened(settings) as corpus:
        report = mistakes(corpus, settings, f"{kind}/base", [], 3, f"lena-{kind}")
    rows = report.utterances
    assert 0 < len(rows) <= 3
    assert report.wrong <= report.rows
    opened_rows = readings(settings, f"lena-{kind}")
    assert [row["utterance_id"] for row in opened_rows] == [row.utterance_id for row in rows]
    assert all(row["purpose"] == "judge" and row["parts"] == ["audio", "label"] for row in opened_rows)
    if kind == "asr":
        assert [row.errors for row in rows] == sorted((row.errors for row in rows), reverse=True)
        assert rows[0].reference.split() == [word for _, word, _ in rows[0].steps if word]
    else:
        assert rows[0].intent != rows[0].predicted
    show_mistakes(report)
    shown = capsys.readouterr().out
    for row in rows:
        assert row.utterance_id in shown
    assert "[-" in shown
    assert "\x1b[" not in shown
    texts = [row.reference.encode() for row in rows if len((row.reference or "").split()) > 1]
    assert texts
    for file in (file for file in settings.home.rglob("*") if file.is_file()):
        data = file.read_bytes()
        assert not [text for text in texts if text in data], f"{file.name} contains a transcript"


def test_a_slice_narrows_and_an_unknown_one_is_named(settings: Settings):
    with opened(settings) as corpus:
        whole = mistakes(corpus, settings, "asr/base", [], 50, "lena")
        where = whole.utterances[0].slices["device"]
        some = mistakes(corpus, settings, "asr/base", [f"device={where}", "duration=2-4 s"], 50, "lena")
        expected = [
            row.utterance_id
            for row in whole.utterances
            if (row.slices["device"], row.slices["duration"]) == (where, "2-4 s")
        ]
        assert [row.utterance_id for row in some.utterances] == expected
        with pytest.raises(UsageError, match="device is one of"):
            mistakes(corpus, settings, "asr/base", ["device=toaster"], 1, "lena")
        with pytest.raises(UsageError, match=r"dimensions are .*locale"):
            mistakes(corpus, settings, "asr/base", ["planet=mars"], 1, "lena")


def test_a_locale_is_found_however_it_is_written():
    slices = {"locale": np.array(["en-GB", "de-DE", "en-GB"])}
    assert _inside(slices, ["locale=en_gb"], 3).tolist() == [True, False, True]
    with pytest.raises(
        UsageError, match="--slice locale=english: 'english' is no language tag; give one such as en-GB"
    ):
        _inside(slices, ["locale=english"], 3)


def test_a_slice_is_named_as_the_tables_name_it():
    slices = {"room": np.array(["", "den", ""])}
    assert _inside(slices, ["room=unknown"], 3).tolist() == [True, False, True]
    assert _inside(slices, ["room=den"], 3).tolist() == [False, True, False]
    with pytest.raises(UsageError, match="room is one of den, unknown"):
        _inside(slices, ["room=attic"], 3)


def test_the_command_names_the_person_who_read(settings: Settings):
    done = earmark("errors", "asr/base", "--worst", "2", "--by", "otto", "--json", *arguments(settings.home))
    rows = json.loads(done.stdout)["utterances"]
    assert [row["utterance_id"] for row in rows] == [row["utterance_id"] for row in readings(settings, "otto")]
    assert len(rows) == 2


def test_edits_are_readable_without_colour_and_wrap_by_width():
    assert cell(["substitution", "turn", "torn"])[:2] == ("[-turn-]", "{+torn+}")
    assert cell(["deletion", "on", ""])[:2] == ("[-on-]", "***")
    assert cell(["insertion", "", "a"])[:2] == ("***", "{+a+}")
    assert cell(["same", "the", "the"])[:2] == ("the", "the")
    lines = list(wrapped([cell(["same", "word", "word"])] * 7, 14))
    assert [len(line) for line in lines] == [3, 3, 1]
    assert list(wrapped([], 14)) == [[]]

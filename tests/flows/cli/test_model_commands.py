from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli.main import app
from tests.flows.audit_home import NIGHTS, audit_home
from tests.flows.homes import arguments


def test_an_estimate_is_a_table_or_one_document_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home = tmp_path / "home"
    made = audit_home(home)
    made.label(made.night(0))
    made.judge({made.night(0)[0]: 1}, wrong=[])
    made.corpus.close()
    night = ["--from", NIGHTS[0], "--to", NIGHTS[0], "--by", "locale", *arguments(home)]
    app(["estimate", *night, "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert (document["from"], document["to"], document["audit"]["labelled"]) == (*NIGHTS[:1] * 2, 12)
    assert document["rates"]["wer"]["n"] == 12
    assert [each["slice"] for each in document["slices"]] == ["locale=en-GB", "locale=en-US"]
    app(["estimate", *night], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "12 drawn, 12 answered (12 labelled" in shown
    assert "│locale=en-US" in shown


def test_an_estimate_without_labels_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made = audit_home(tmp_path / "home")
    made.corpus.close()
    app(["estimate", *arguments(tmp_path / "home")], standalone_mode=False)
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].startswith("too few audit rows to say anything: 0 labelled, of 0 speakers")

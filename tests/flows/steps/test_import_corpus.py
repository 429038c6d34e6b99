"""`earmark import` as a user meets it: one line where it can't be done, and nothing left over where it can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import door
from flows.cli.main import app
from flows.runtime.session import fail, opened
from flows.runtime.settings import load_settings
from tests.corpus import labelled_sources as labelled
from tests.flows.homes import ROOT, earmark

BY_SPEAKER = ("--set", "importing.columns.account=speaker", "--set", "importing.attributes=[accent]")


def run(home: Path, *arguments: str) -> int:
    """Run the command in this process; return its exit status."""
    try:
        app(["import", *arguments, "--set", f"corpus.home={json.dumps(str(home))}"])
    except SystemExit as end:
        return int(end.code or 0)
    except Exception as error:
        return fail(error)
    return 0


def planted(folder: Path) -> Path:
    """Return a corpus whose every word would be known again."""
    rows: list[dict[str, Any]] = [
        {
            "audio": {"bytes": labelled.clip(seed), "path": "plantedfilezq.wav"},
            "speaker": "plantedaccountzq",
            "accent": "en-GB",
            "serial": "plantedserialzq",
            "text": f"plantedtextzq {seed}",
            "intent": "play_music",
        }
        for seed in range(20)
    ]
    rows[3]["audio"] = {"bytes": b"plantedfilezq", "path": "plantedfilezq"}
    rows[4]["speaker"] = None
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    return folder


BRING = """
import json, sys
from flows.steps.import_corpus import import_corpus
from flows.runtime.session import opened
from flows.runtime.settings import load_settings
settings = load_settings(None, sys.argv[2:])
with opened(settings) as corpus:
    print(json.dumps(import_corpus(corpus, settings, sys.argv[1], None, None, None).to_json()))
"""


def test_a_corpus_comes_in_and_nothing_of_it_stays_in_clear(tmp_path: Path) -> None:
    caches = {name: str(tmp_path / name.lower()) for name in ("HF_HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for place in caches.values():
        Path(place).mkdir()
    home = tmp_path / "home"
    settings = ("account=speaker", "device_serial=serial")
    done = subprocess.run(
        [sys.executable, "-c", BRING, str(planted(tmp_path / "data")), *(f"importing.columns.{s}" for s in settings)],
        cwd=ROOT, env={**os.environ, **caches, "EARMARK_HOME": str(home)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)
    told = {line["line"]: f"{line['reason']}: {line['detail']}" for line in report.pop("refused_lines")}
    assert report == {
        "source": "data", "split": "train", "received": 20, "accepted": 18, "refused": {"bad_row": 1, "unreadable": 1},
    }  # fmt: skip
    assert told[4].startswith("unreadable")
    assert told[5].startswith("bad_row: field account (column speaker)")
    assert "planted" not in done.stderr + done.stdout
    for place in (home, *map(Path, caches.values())):
        for path in place.rglob("*"):
            assert "planted" not in path.name
            assert path.is_dir() or b"planted" not in path.read_bytes(), path
    assert not (home / "work").exists()
    assert not list(Path(caches["TMPDIR"]).iterdir())
    with opened(load_settings(None, [f"corpus.home={json.dumps(str(home))}"])) as corpus:
        from corpus.tables import utterances

        with corpus.read() as conn:
            ids = utterances.in_window(conn)
        labels = [content.label for content in door.open(corpus, ids, "train", parts=("label",))]
    assert sorted(label.transcript for label in labels if label)[0] == "plantedtextzq 0"


def test_a_dry_run_shows_the_mapping_and_makes_no_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(labelled.json_lines(tmp_path / "data", range(4)))
    assert run(tmp_path / "home", folder, "--split", "train", "--dry-run", *BY_SPEAKER) == 0
    shown = capsys.readouterr().out
    assert "column speaker" in shown
    assert run(tmp_path / "home", folder, "--split", "train", "--limit", "3", "--dry-run", "--json", *BY_SPEAKER) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["looked_at"], document["usable"], document["splits"]) == (3, 3, ["test", "train"])
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_corpus_of_refused_rows_alone_is_shown_and_ends_with_the_commonest_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    audio = {"bytes": b"no audio", "path": "a.wav"}
    rows = [{"audio": audio, "speaker": "ada" if k else None, "accent": "en-GB"} for k in range(4)]
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    assert run(tmp_path / "home", str(folder), *BY_SPEAKER, *(["--json"] if as_json else [])) == 1
    shown, said = capfd.readouterr()
    if as_json:
        assert json.loads(shown)["refused"] == {"bad_row": 1, "unreadable": 3}
    else:
        assert "rows accepted  0" in shown
        assert "line 1: bad_row" in shown
    assert "none of the 4 rows was accepted, 3 were refused as unreadable, such as line 2: " in said


def test_recordings_of_a_folder_are_named_by_their_files_and_what_is_odd_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = labelled.class_folders(tmp_path / "data", range(6))
    first, second = (f"{labelled.INTENTS[k % 2]}/{k}.wav" for k in (2, 3))
    (folder / first).write_bytes(b"RIFF\0\0")
    (folder / second).write_bytes(b"")
    (folder / "loose.wav").write_bytes(labelled.clip(9))
    account = ("--set", "importing.constants.account=somebody")
    notes = [
        "1 recording beside the class folders without a class: loose.wav",
        "column label has 2 classes; if they are intents: --set importing.columns.intent=label",
    ]
    assert run(tmp_path / "home", str(folder), "--dry-run", *account) == 0
    shown = capfd.readouterr().out
    assert [line.strip() for line in shown.partition("notes\n")[2].splitlines()] == notes
    assert first in shown
    assert run(tmp_path / "home", str(folder), *account) == 0
    shown = capfd.readouterr().out
    assert f"  file {first}: unreadable: " in shown
    assert f"  file {second}: empty: " in shown
    assert [line.strip() for line in shown.partition("notes\n")[2].splitlines()] == notes
    assert run(tmp_path / "home", str(folder), "--json", *account) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["notes"] == notes
    assert sorted(row["clip"] for row in document["refused_lines"]) == [first, second]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.parquet", *BY_SPEAKER), "none.parquet: no such file or folder"),
        (("data", "--split", "dev", *BY_SPEAKER), "known are test, train"),
        (("data", "--subset", "de", *BY_SPEAKER), "only a hub repository has subsets"),
        (("data", "--set", "importing.columns.account=who"), "no column who; known are audio, speaker"),
        (("data",), "no column is the account"),
        (("data", "--set", "importing.columns.acount=speaker"), "importing.columns.acount"),
        (("empty", *BY_SPEAKER), "holds no corpus"),
    ],
)
def test_what_can_not_be_imported_is_one_line_and_leaves_no_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    labelled.json_lines(tmp_path / "data", range(2))
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "home", str(tmp_path / arguments[0]), *arguments[1:]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_a_hub_id_without_network_is_one_line(tmp_path: Path) -> None:
    done = earmark("import", "owner/name@v1", *BY_SPEAKER, EARMARK_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "owner/name: no such folder here, and the hub can't be reached" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()

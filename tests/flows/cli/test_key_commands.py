"""Who has to keep a key is told of both: that of the content, and that of the audit logs beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.handle import open_corpus
from corpus.tables import checkpoints
from flows.runtime.progress import listening
from flows.runtime.progress_lines import ProgressLines
from flows.runtime.session import opened
from tests.corpus.stored import arrive
from tests.flows.homes import arguments, earmark, small_settings


def test_the_audit_key_is_named_when_a_home_is_made_and_when_its_key_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    home = tmp_path / "home"
    settings = small_settings(home)
    said: list[str] = []
    with ProgressLines(said.append) as lines, listening(lines), opened(settings) as corpus:
        arrive(corpus, 1)
        file = checkpoints.key_file(corpus)
    assert f"back it up, and {file} beside it" in "".join(said)
    inside = home / "keys" / "kek"
    inside.parent.mkdir(mode=0o700)
    file.with_suffix("").rename(inside)
    open_corpus(settings.corpus).close()
    done = earmark("key", "move", *arguments(home), XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert done.returncode == 0, done.stderr
    assert f"and of the audit key {file}, apart" in done.stdout + done.stderr

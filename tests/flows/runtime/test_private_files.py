"""Every file of a home is its owner's alone, whichever library or server wrote it and whatever the user's umask is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.corpus.ingest.test_ingest import row, write
from tests.flows.homes import ROOT

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_to_others(folder: Path) -> list[str]:
    """Return what others have a right on, by its path in the folder."""
    found = [folder, *folder.rglob("*")]
    return [str(path.relative_to(folder)) for path in found if not path.is_symlink() and path.stat().st_mode & OTHERS]


def test_what_a_command_and_its_servers_write_is_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(tmp_path / "m.jsonl", [row(tmp_path, seed) for seed in range(3)])
    command = [sys.executable, "-m", "flows.cli.main", "ingest", str(tmp_path / "m.jsonl")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "EARMARK_HOME": str(home)},
        umask=0o000,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in home.rglob("*")}
    assert {"lock", "records.db", "prefect.db"} <= names
    assert open_to_others(home) == []

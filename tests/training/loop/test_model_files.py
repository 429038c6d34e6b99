"""A folder is replaced in one step: a kill at any moment leaves the old one or the new one, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training.loop.model_files import FORMER, put_back, replaced_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from training.loop.model_files import replaced_folder

folder, left = Path(sys.argv[1]), int(sys.argv[2])
if sys.argv[3] == "renamed":
    sys.platform = "other"  # whose two renames are not one step

def moment(name, _):
    global left
    if name == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

with replaced_folder(folder) as draft:
    (draft / "weights").write_text("new")
    (draft / "config").write_text("new")
    sys.addaudithook(moment)
"""


def written(folder: Path, content: str) -> Path:
    with replaced_folder(folder) as draft:
        for name in ("weights", "config"):
            (draft / name).write_text(content)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("how", ["exchanged", "renamed"])
def test_a_kill_at_any_rename_loses_nothing(tmp_path: Path, how: str):
    ends = []
    for moment in range(1, 10):
        folder = written(tmp_path / f"{how}-{moment}" / "model", "old")
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(moment), how], check=False)
        if how == "renamed":
            put_back(folder)
        assert contents(folder) in ({"weights": "old", "config": "old"}, {"weights": "new", "config": "new"})
        ends.append(done.returncode)
        if done.returncode == 0:
            break
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert ends[-1] == 0
    assert contents(folder)["weights"] == "new"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_what_a_killed_replacement_left_is_put_back_by_the_next_one_and_a_finished_one_is_removed(tmp_path: Path):
    folder = written(tmp_path / "model", "old")
    former = folder.with_name(f"{FORMER}model")
    folder.rename(former)
    with pytest.raises(OSError, match="disk"), replaced_folder(folder):
        raise OSError("the disk is full")
    assert contents(folder) == {"weights": "old", "config": "old"}
    written(former, "older")
    put_back(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(folder)["weights"] == "old"

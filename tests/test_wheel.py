"""The wheel is whole: it installs where no checkout is, and the demo runs there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow

NOT_IN_IT = {"tests", "benchmarks", "docs", ".ci"}
"""Folders of the checkout that nobody needs to run earmark."""


def tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in filter(None, tracked()):
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(folder / "source"),
    ]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (made,) = folder.glob("*.whl")
    return made


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path):
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in tracked() if "/" in name and name.split("/")[0] not in NOT_IN_IT}
    wanted = {name for name in wanted if not name.endswith((".mako", "README.md"))}
    assert wanted - held == set()
    assert {name.split("/")[0] for name in held} & NOT_IN_IT == set()
    assert {name.rsplit("/", 1)[-1] for name in held} >= {"LICENSE", "NOTICE"}
    (metadata,) = (zipfile.ZipFile(wheel).read(name).decode() for name in held if name.endswith("/METADATA"))
    assert "License-Expression: Apache-2.0" in metadata


@pytest.mark.timeout(3600)
def test_the_demo_runs_where_only_the_wheel_is(wheel: Path, tmp_path: Path):
    away = tmp_path / "away"
    away.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "EARMARK_HOME")}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    run(sys.executable, "-m", "venv", str(tmp_path / "env"))
    here = tmp_path / "env" / "bin"
    run(
        str(here / "python"), "-m", "pip", "install", "--quiet", "--quiet", f"{wheel}[demo]",
        "--constraint", str(ROOT / "constraints.txt"),
    )  # fmt: skip
    assert str(tmp_path / "env") in run(str(here / "python"), "-c", "import corpus; print(corpus.__file__)")
    assert "night" in run(str(here / "earmark"), "demo", "--nights", "1")
    assert "PROBLEM" not in run(str(here / "earmark"), "doctor")
    assert (away / ".earmark" / "records.db").exists()

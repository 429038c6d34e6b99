"""`make setup` repairs what an earlier call left, on a project of no packages, so that it takes seconds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")]


def new_project(folder: Path) -> Path:
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "constraints.txt").write_text("")
    (folder / "constraints-label-studio.txt").write_text("")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "nothing"\nversion = "1"\n[tool.setuptools]\npy-modules = []\n'
    )
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return new_project(tmp_path)


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `make setup`, to be copied."""
    made = new_project(tmp_path_factory.mktemp("set-up"))
    assert ".venv is ready" in make(made)
    return made


ALONE = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
"""The environment without what a `make` that runs these tests tells those below it."""


def make(folder: Path, target: str = "setup") -> str:
    done = subprocess.run(["make", target], cwd=folder, capture_output=True, text=True, env=ALONE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return done.stdout


def no_pip(folder: Path) -> None:
    (pip,) = folder.glob("lib/python3*/site-packages/pip")
    shutil.rmtree(pip)


def no_python(folder: Path) -> None:
    for program in folder.glob("bin/python*"):
        program.unlink()
        program.symlink_to("/nowhere/python")


def begun_again(folder: Path) -> None:
    (folder / ".begun").touch()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def half_deleted(folder: Path) -> None:
    """Its Python is the machine's then, pip and all."""
    (folder / "pyvenv.cfg").unlink()


@pytest.mark.parametrize("fault", [no_pip, no_python, begun_again, emptied, half_deleted])
def test_what_was_broken_since_it_was_ready_is_repaired(set_up: Path, tmp_path: Path, fault: Callable[[Path], None]):
    project = tmp_path / "project"
    shutil.copytree(set_up, project, symlinks=True)
    assert "is ready" not in make(project)
    fault(project / ".venv")
    assert ".venv is not whole, it is made anew" in make(project)
    whole(project / ".venv")
    assert "is ready" not in make(project)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_setup_is_taken_up_again(project: Path, seconds: float, how: signal.Signals):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(["make", "setup"], cwd=project, start_new_session=True, env=ALONE, **quiet)
    time.sleep(seconds)
    os.killpg(process.pid, how)  # make and what it runs, as Ctrl-C reaches both
    process.wait(60)
    make(project)
    whole(project / ".venv")


def test_the_annotation_servers_environment_is_repaired_too(project: Path):
    make(project, ".label-studio/.ready")
    no_pip(project / ".label-studio")
    assert ".label-studio is not whole, it is made anew" in make(project, ".label-studio/.ready")
    whole(project / ".label-studio")


def whole(folder: Path) -> None:
    assert (folder / ".ready").exists()
    assert not (folder / ".begun").exists()
    assert (
        "pip"
        in subprocess.run([folder / "bin/python", "-m", "pip", "--version"], capture_output=True, text=True).stdout
    )

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corpus.errors import HomeBusy
from flows.lock import hold_home


def test_two_runs_on_one_home_exclude_each_other(tmp_path: Path):
    with hold_home(tmp_path, "nightly"), pytest.raises(HomeBusy, match="earmark nightly"):  # noqa: SIM117
        with hold_home(tmp_path, "score"):
            pass
    with hold_home(tmp_path, "score"):
        pass


def test_a_killed_run_frees_the_home(tmp_path: Path):
    script = "import os, sys, signal; from pathlib import Path; from flows.lock import hold_home\n"
    script += "with hold_home(Path(sys.argv[1]), 'x'): os.kill(os.getpid(), signal.SIGKILL)"
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -9
    with hold_home(tmp_path, "score"):
        pass

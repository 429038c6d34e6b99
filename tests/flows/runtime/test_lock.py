"""Two runs on one corpus: the second is refused with one line that names the first; a killed one frees the corpus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.errors import HomeBusy
from corpus.settings import CorpusSettings
from flows.runtime.lock import hold_corpus
from tests.flows.homes import arguments, earmark, urls

HOLD = """
import sys, time
from corpus.settings import CorpusSettings
from flows.runtime.lock import hold_corpus
with hold_corpus(CorpusSettings.model_validate_json(sys.argv[1]), "nightly"):
    print("held", flush=True)
    time.sleep(600)
"""


def holding(settings: CorpusSettings) -> subprocess.Popen[str]:
    """A process that holds the corpus, as a run on another machine would."""
    command = [sys.executable, "-c", HOLD, settings.model_dump_json()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_two_runs_on_one_home_exclude_each_other(tmp_path: Path, databases: dict[str, str]):
    settings = CorpusSettings(home=tmp_path, **databases)
    with hold_corpus(settings, "nightly"), pytest.raises(HomeBusy, match="home is in use by earmark nightly"):  # noqa: SIM117
        with hold_corpus(settings, "score"):
            pass
    with hold_corpus(settings, "score"):
        pass


@pytest.mark.parametrize("other_home", [False, True])
def test_a_second_run_is_refused_by_name_and_a_killed_one_frees_the_corpus(
    tmp_path: Path, databases: dict[str, str], other_home: bool
):
    if other_home and not databases:
        pytest.skip("two homes with databases of their own are two corpora")
    held = holding(CorpusSettings(home=tmp_path / "one", **databases))
    ours = tmp_path / ("other" if other_home else "one")
    try:
        done = earmark("nightly", *arguments(ours, *urls(databases)))
    finally:
        held.send_signal(signal.SIGKILL)
        held.wait()
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"in use by earmark nightly (process {held.pid} on {os.uname().nodename}" in line
    assert "wait until it ends" in line
    with hold_corpus(CorpusSettings(home=ours, **databases), "score"):
        pass


def test_two_corpora_on_one_server_do_not_exclude_each_other(tmp_path: Path, postgres_server):
    with (
        postgres_server.corpus() as one,
        postgres_server.corpus() as other,
        hold_corpus(CorpusSettings(home=tmp_path / "one", **one), "nightly"),
        hold_corpus(CorpusSettings(home=tmp_path / "other", **other), "nightly"),
    ):
        pass

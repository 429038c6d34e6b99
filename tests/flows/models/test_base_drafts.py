"""What a killed addition left of a base is removed; what a live one fills is not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from corpus.handle import open_corpus
from flows.models import registry
from flows.models.base_drafts import base_draft, left_drafts, remove_draft, sweep_drafts
from flows.reports.doctor import examine
from flows.runtime.lock import hold_bases
from flows.runtime.settings import load_settings
from tests.training.tiny import tiny_asr_folder
from training.loop.model_files import FORMER

FILLS = """
import sys
from pathlib import Path
from flows.models.base_drafts import base_draft

with base_draft(Path(sys.argv[1])) as draft:
    (draft / "model.safetensors").write_bytes(b"half")
    print(draft.name, flush=True)
    sys.stdin.read()
"""


def test_drafts_of_killed_processes_go_and_those_of_live_ones_stay(tmp_path: Path):
    home = tmp_path / "home"
    assert sweep_drafts(home) == 0
    assert not home.exists()
    command = [sys.executable, "-c", FILLS, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        draft = registry.added_bases(home) / name
        assert left_drafts(home) == []
        assert sweep_drafts(home) == 0
        with base_draft(home) as other:
            assert {path.name for path in registry.added_bases(home).iterdir()} == {name, other.name}
        assert draft.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert left_drafts(home) == [draft]
    with base_draft(home) as other:
        assert list(registry.added_bases(home).iterdir()) == [other]
    assert list(registry.added_bases(home).iterdir()) == []


def test_the_doctor_lists_and_removes_them_and_puts_back_what_was_being_replaced(tmp_path: Path):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    bases = registry.added_bases(settings.home)
    open_corpus(settings.corpus).close()
    for name in (".tmp-aa", ".tmp-bb"):
        tiny_asr_folder(bases / name)
    (bases / "theirs").mkdir()
    (bases / "theirs").rename(bases / f"{FORMER}theirs")
    assert [line for line in examine(settings, repair=False).problems if "2 unfinished bases" in line]
    report = examine(settings, repair=True)
    assert (report.repaired or {})["unfinished bases"] == 2
    assert [path.name for path in bases.iterdir()] == ["theirs"]
    assert not [line for line in report.problems if "unfinished" in line]


def test_a_draft_that_is_being_made_or_removed_is_nobodys_leftover(tmp_path: Path):
    home = tmp_path / "home"
    draft = registry.added_bases(home) / ".tmp-aa"
    found: list[list[Path]] = []
    looks = threading.Thread(target=lambda: found.append(left_drafts(home)))
    with hold_bases(home, "base add"):
        (draft / "decoder").mkdir(parents=True)  # as between two steps of an addition, before its lock is there
        looks.start()
        looks.join(1.0)
        assert looks.is_alive()
        remove_draft(draft)
    looks.join()
    assert found == [[]]
    draft.mkdir()
    assert left_drafts(home) == []  # nothing is in it, and it goes with the next addition
    assert sweep_drafts(home) == 1

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpus.audio.file_state import file_state
from corpus.audio.limits import AudioSettings

LIMITS = AudioSettings()


def test_what_may_change_the_verdict_changes_the_state(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    states = [file_state(path, LIMITS)]
    assert states == [file_state(path, LIMITS)]
    kept = path.stat()
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns + 1))
    states.append(file_state(path, LIMITS))
    path.write_bytes(b"three")
    states.append(file_state(path, LIMITS))
    states.append(file_state(path, AudioSettings(silent_peak=0.01)))
    copy = tmp_path / "b.wav"
    copy.write_bytes(b"three")
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    copy.replace(path)  # as large and as old as the file that it replaces
    states.append(file_state(path, LIMITS))
    path.chmod(0o400)
    states.append(file_state(path, LIMITS))
    assert None not in states
    assert len(set(states)) == len(states)


@pytest.mark.parametrize("name", ["none.wav", "a.wav/below", "\0", "x" * 5000])
def test_a_file_that_is_not_there_has_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.wav").write_bytes(b"one")
    assert file_state(tmp_path / name, LIMITS) is None

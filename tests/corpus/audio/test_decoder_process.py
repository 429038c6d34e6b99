"""What a process decodes is what decoding here gives, and it ends with whoever began it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus.audio.decoder_process import Decoder, Decoders, decode_recording
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.ingest.test_ingest import clip

SETTINGS = AudioSettings()


def files(folder: Path) -> list[Path]:
    """Return a recording, what is none, and a name without a file."""
    (folder / "good.wav").write_bytes(clip(1))
    (folder / "text.wav").write_bytes(b"This is not audio.")
    return [folder / "good.wav", folder / "text.wav", folder / "none.wav"]


def test_a_process_gives_what_decoding_here_gives(tmp_path: Path) -> None:
    paths = files(tmp_path)
    decoder = Decoder()
    good, text, none = decoder(paths, SETTINGS)
    assert good == decode_recording(paths[0], SETTINGS) == decode_recording(clip(1), SETTINGS)
    for path, found in ((paths[1], text), (paths[2], none)):
        assert isinstance(found, AudioRefused)
        with pytest.raises(AudioRefused) as here:
            decode_recording(path, SETTINGS)
        assert (found.reason, str(found)) == (here.value.reason, str(here.value))
    (short,) = decoder(paths[:1], AudioSettings(min_duration=1.0))
    assert isinstance(short, AudioRefused)
    decoder.close()
    assert not decoder.alive


def test_one_that_died_is_replaced_and_none_outlives_the_block(tmp_path: Path) -> None:
    paths = files(tmp_path)
    with Decoders() as decoders:
        first, second = decoders.running()
        assert decoders.running() == [first, second]
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises((EOFError, OSError)):
            first(paths, SETTINGS)
        again = decoders.running()
        assert second in again
        assert first not in again
        assert [decoder(paths[:1], SETTINGS) for decoder in again] == [[decode_recording(paths[0], SETTINGS)]] * 2
    assert not any(decoder.alive for decoder in again)


OWNER = """
import os, signal
from corpus.audio.decoder_process import Decoders
from corpus.audio.limits import AudioSettings
decoders = Decoders().running()
for decoder in decoders:
    decoder([], AudioSettings())
print(*(decoder.pid for decoder in decoders), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_they_end_when_their_owner_is_killed() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", OWNER], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    folders = [Path("/proc") / pid for pid in done.stdout.split()]
    assert len(folders) == 2
    until = time.monotonic() + 30
    while any(map(running, folders)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(running, folders))


def running(folder: Path) -> bool:
    try:
        return (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

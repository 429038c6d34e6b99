"""Files become what is kept of them in processes of their own, since Python's lock lets one thread decode at a time.

Such a process answers the one that started it until that closes its end or dies. It is told paths and limits: what
strangers' files do to a decoder is done where no key, no customer and no database is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus.audio import decode
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from corpus.storage.content_codec import encode_audio

_MEMORY: Final = {"MALLOC_TRIM_THRESHOLD_": str(64 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""glibc keeps what a clip needed for the next one; asking the system anew costs a quarter of the decoding."""

_COMMAND: Final = (sys.executable, "-c", "from corpus.audio.decoder_process import serve; serve()")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it came and as it is kept.

    Attributes:
        sha256: of the file's bytes, as hex.
        pcm: little-endian PCM16, mono at 16 kHz.
    """

    sha256: str
    pcm: bytes


def decoded(source: Path | bytes, settings: AudioSettings) -> Recording:
    """Return the recording that a file, or its bytes, hold.

    Raises:
        AudioRefused: it can't be taken in.
    """
    data = decode.read_bytes(source, settings) if isinstance(source, Path) else source
    samples, _ = decode.decode(data, settings)
    return Recording(hashlib.sha256(data).hexdigest(), encode_audio(samples))


class Decoder:
    """A process that decodes files, for one thread at a time."""

    def __init__(self) -> None:
        environment = os.environ | _MEMORY | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def __call__(self, paths: Sequence[Path], settings: AudioSettings) -> list[Recording | AudioRefused | None]:
        """Return what each file holds, or why it can't be taken in; None where that is not known.

        Raises:
            OSError, EOFError, pickle.UnpicklingError: the process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((list(paths), settings), self._process.stdin)
            self._process.stdin.flush()
            found: list[Recording | AudioRefused | None] = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._process.kill()  # its pipes may end before it does; whoever asks next has to find it dead
            self._process.wait()
            raise
        return found

    @property
    def pid(self) -> int:
        """Which process it is."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """The process has ended."""
        with self._process:  # closes its pipes, upon which it ends, and waits
            pass


class Decoders:
    """Some processes that decode; they begin when they are first asked for and end with the block."""

    def __init__(self, count: int = 2) -> None:
        self._count = count  # two keep one process busy that stores
        self._begun: list[Decoder] = []

    def begun(self) -> list[Decoder]:
        """Return them, all alive."""
        alive = [decoder for decoder in self._begun if decoder.alive]
        self._begun = alive + [Decoder() for _ in range(self._count - len(alive))]
        return self._begun

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        for decoder in self._begun:
            decoder.close()


def _answer(path: Path, settings: AudioSettings) -> Recording | AudioRefused | None:
    try:
        return decoded(path, settings)
    except AudioRefused as refused:
        return refused
    except Exception:  # whatever it is comes up again, and is told, when it is this row's turn
        return None


def serve() -> None:
    """Every question on the standard input has its answer on the standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; who started this one decides
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            paths, settings = pickle.load(questions)
            pickle.dump([_answer(path, settings) for path in paths], answers)
            answers.flush()
    os._exit(0)  # taking torch down in good order takes half a second

"""Decoding of audio files in separate processes, since Python's lock lets only one thread decode at a time.

A decoder process answers requests of the process that started it, until that process closes the pipe or ends. It gets
paths and limits only: a hostile file that attacks a decoder finds no key, no account and no database in its process.
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
from corpus.audio.file_state import file_state
from corpus.audio.host_faults import host_fault
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, HostFault
from corpus.storage.content_codec import encode_audio

_MALLOC_VARIABLES: Final = {"MALLOC_TRIM_THRESHOLD_": str(64 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""Make glibc keep freed memory for the next clip; new memory from the system costs a quarter of the decoding time."""

_COMMAND: Final = (sys.executable, "-c", "from corpus.audio.decoder_process import serve; serve()")


@dataclass(frozen=True, slots=True)
class Recording:
    """A decoded recording, as it is stored, and the digest of the file that it came in.

    Attributes:
        sha256: of the file's bytes, as hex.
        pcm: little-endian PCM16, mono at 16 kHz.
        one_channel: its channels cancel, and this is the loudest one.
    """

    sha256: str
    pcm: bytes
    one_channel: bool = False


def decode_recording(source: Path | bytes, settings: AudioSettings) -> Recording:
    """Return the recording of a file, or of the bytes of one.

    Raises:
        AudioRefused: it can't be decoded, or is outside the settings; with the state of a file that was read.
        HostFault: the machine can't read the file now, or lacks the memory.
    """
    state = file_state(source, settings) if isinstance(source, Path) else None  # first: the file may change meanwhile
    data = decode.read_bytes(source, settings) if isinstance(source, Path) else source
    try:
        found = decode.decoded(data, settings)
    except AudioRefused as refusal:
        refusal.file_state = state
        raise
    except MemoryError as error:
        raise HostFault(f"it can't be decoded now: {host_fault(error)}") from error
    return Recording(hashlib.sha256(data).hexdigest(), encode_audio(found.samples), found.one_channel)


class Decoder:
    """A process that decodes files, for one thread at a time."""

    def __init__(self) -> None:
        environment = os.environ | _MALLOC_VARIABLES | {"PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            self._process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        except OSError as error:
            raise HostFault(f"no decoder process can be started: {host_fault(error)}") from error

    def __call__(self, paths: Sequence[Path], settings: AudioSettings) -> list[Recording | AudioRefused | None]:
        """Return for each file the recording, the reason for its refusal, or None after an unexpected error.

        Raises:
            OSError, EOFError, pickle.UnpicklingError: the process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((list(paths), settings), self._process.stdin)
            self._process.stdin.flush()
            results: list[Recording | AudioRefused | None] = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._process.kill()  # its pipes may close before it ends; `alive` must be False from now on
            self._process.wait()
            raise
        return results

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and wait for its end."""
        with self._process:  # closes its pipes, which ends it, and waits
            pass


class Decoders:
    """A context manager of decoder processes: started when first used, ended with the block."""

    def __init__(self, count: int = 2) -> None:
        self._count = count  # two decode as fast as one process stores
        self._decoders: list[Decoder] = []

    def running(self) -> list[Decoder]:
        """Return `count` running processes; start those that are missing."""
        alive = [decoder for decoder in self._decoders if decoder.alive]
        self._decoders = alive + [Decoder() for _ in range(self._count - len(alive))]
        return self._decoders

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        for decoder in self._decoders:
            decoder.close()


def _decode_or_refuse(path: Path, settings: AudioSettings) -> Recording | AudioRefused | None:
    try:
        return decode_recording(path, settings)
    except AudioRefused as refused:
        return refused
    except Exception:  # the same error is raised and reported when the caller decodes this row itself
        return None


def serve() -> None:
    """Answer each request on standard input with the results on standard output, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the parent process decides
    requests, results = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            paths, settings = pickle.load(requests)
            pickle.dump([_decode_or_refuse(path, settings) for path in paths], results)
            results.flush()
    os._exit(0)  # a normal exit takes half a second, for torch

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.audio.decode import read_bytes
from corpus.audio.host_faults import host_fault, is_host_fault, refusal_of
from corpus.audio.limits import REMEDIES, AudioSettings
from corpus.errors import AudioRefused, HostFault

LIMITS = AudioSettings()
OF_THE_FILE = {
    "missing_file": ["ENOENT", "ENOTDIR"],
    "no_permission": ["EACCES", "EPERM"],
    "unreadable": ["ELOOP", "ENAMETOOLONG", "EINVAL", "EILSEQ", "EISDIR"],
}
OF_THE_HOST = [
    *("EIO", "EMFILE", "ENFILE", "ESTALE", "ENOMEM", "ETIMEDOUT", "EHOSTDOWN", "ENOTCONN", "EREMOTEIO", "ENODEV"),
    *("EAGAIN", "EBUSY", "ENXIO", "ECONNRESET", "ENETUNREACH", "EINTR", "EDQUOT"),
]


@pytest.mark.parametrize("name", OF_THE_HOST)
def test_a_fault_of_the_machine_refuses_nothing(name: str) -> None:
    number = getattr(errno, name)
    error = OSError(number, "told", "/somewhere/planted-name.wav")
    assert is_host_fault(error)
    with pytest.raises(HostFault) as fault:
        refusal_of(error)
    line = str(fault.value)
    assert f"{os.strerror(number)} ({errno.errorcode[number]}); this is a fault of the machine, not of the file" in line
    assert "planted-name" not in line
    assert "\n" not in line


@pytest.mark.parametrize("reason", OF_THE_FILE)
def test_what_lies_in_the_file_or_its_name_is_a_reason(reason: str) -> None:
    for name in OF_THE_FILE[reason]:
        error = OSError(getattr(errno, name), "told")
        assert not is_host_fault(error)
        assert refusal_of(error).reason == reason
        assert reason in REMEDIES


def test_a_machine_without_memory_is_at_fault() -> None:
    with pytest.raises(HostFault, match="ENOMEM"):
        refusal_of(MemoryError())
    assert "Cannot allocate memory (ENOMEM)" in host_fault(MemoryError())


def test_names_that_can_not_be_those_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name in ("loop.wav", "x" * 5000, "a\x00b"):
        with pytest.raises(AudioRefused) as refused:
            read_bytes(tmp_path / name, LIMITS)
        assert refused.value.reason == "unreadable"


EXHAUSTED = """
import resource, sys
from pathlib import Path
from corpus.audio.decode import read_bytes
from corpus.audio.limits import AudioSettings
from corpus.errors import HostFault
path = Path(sys.argv[1])
assert read_bytes(path, AudioSettings()) == b"content"
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
try:
    read_bytes(path, AudioSettings())
except HostFault as fault:
    line = str(fault)
held.clear()
assert read_bytes(path, AudioSettings()) == b"content"
print(line)
"""


def test_too_many_open_files_are_a_fault_of_the_machine_and_pass(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"content")
    command = [sys.executable, "-c", EXHAUSTED, str(tmp_path / "a.wav")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith("its file can't be read now: Too many open files (EMFILE); this is a fault of the")

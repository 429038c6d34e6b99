"""Faults of the machine are named with the file that they are about, and never with that of a clip."""

from __future__ import annotations

import errno

import pytest

from corpus.errors import HostFault
from flows.runtime.session import Unexpected, without_content


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (
            PermissionError(errno.EACCES, "", "/models/head.json"),
            HostFault,
            "/models/head.json can't be used now: this",
        ),
        (PermissionError(errno.EACCES, "", "/in/ada.WAV"), HostFault, "a clip in /in can't be used now: this user"),
        (OSError(errno.ENOSPC, ""), HostFault, "a file that the command needs (test_session.py:"),
        (ValueError("ada"), Unexpected, "unforeseen ValueError at test_session.py:"),
    ],
)
def test_a_fault_names_its_file(error: OSError, kind: type[Exception], line: str) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(kind) as raised:
        without_content(fails)()
    assert str(raised.value).startswith(line)
    assert "ada" not in str(raised.value)

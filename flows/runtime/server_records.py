"""Records of servers that commands start: of Prefect, and of MLflow's pages; by them orphans are found and stopped.

A command writes the record before it starts a server. After a `kill -9` of the command the server goes on running; the
record names its owner, who is dead, and a mark that the server has in its environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from corpus.storage.durable_write import write_file

RECORDS: Final = "server-*.json"
"""Names of the records in the folder `prefect` of the home."""

MARK: Final = "EARMARK_SERVER"
"""Environment variable of a server with a random mark, which its record repeats. A server is found again by this mark,
as another process may have its process id or its port by now."""


def write_record(folder: Path, port: int) -> tuple[Path, str]:
    """Write the record of a server that is about to start; return the record's path and the mark of the server."""
    owner, mark = os.getpid(), secrets.token_hex(16)
    record = folder / f"server-{owner}-{port}.json"
    text = json.dumps({"owner": owner, "owner_started": _start_time(owner), "mark": mark})
    write_file(record, [text.encode()], temporary=record.with_suffix(".tmp"))
    return record, mark


def stop_orphans(folder: Path) -> int:
    """Stop the servers of this home whose owner, the command that started them, is dead; return how many processes."""
    stopped = 0
    for record, mark in _of_the_dead(folder):
        for pid in _processes_with(mark) if mark else ():
            _kill(pid)
            stopped += 1
        record.unlink(missing_ok=True)
    return stopped


def orphaned_servers(folder: Path) -> list[int]:
    """Return the ids of the processes of servers of this home that run on although their owner is dead, sorted."""
    return sorted(pid for _, mark in _of_the_dead(folder) if mark for pid in _processes_with(mark))


def ports_in_use(folder: Path) -> list[int]:
    """Return the ports of the servers of this home that run, whether or not their owner is alive, sorted."""
    ports = []
    for record in folder.glob(RECORDS):
        try:
            mark = str(json.loads(record.read_bytes())["mark"])
            port = int(record.stem.rpartition("-")[2])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # its owner just ended, or it can't be read
        if _processes_with(mark):
            ports.append(port)
    return sorted(ports)


def _of_the_dead(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield record and mark of each server whose owner is dead; the mark is "" where the record can't be read."""
    for record in sorted(folder.glob(RECORDS)):
        try:
            found = json.loads(record.read_bytes())
            owner, owner_started, mark = int(found["owner"]), str(found["owner_started"]), str(found["mark"])
        except FileNotFoundError:
            continue  # its owner just ended
        except (ValueError, KeyError, TypeError):  # a living owner's is whole: it appears at once under its name
            yield record, ""
            continue
        if _start_time(owner) != owner_started:
            yield record, mark


def _start_time(pid: int) -> str:
    """Return when the process started [clock ticks after boot], "" where there is none.

    The process id alone does not identify a process: another one may have it by now. Source: proc(5), field 22 of stat.
    """
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else numbers[18]


def _processes_with(mark: str) -> list[int]:
    """Return the ids of the processes with the mark in their environment, sorted."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it just ended, or it belongs to another user
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return sorted(found)


def _kill(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 5
        while _start_time(pid) and time.monotonic() < deadline:
            time.sleep(0.05)

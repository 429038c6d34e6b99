"""Commands in processes of their own that need not import the large libraries: each is a fork of one that has them.

Most of the time of a short command goes into the imports of torch, transformers, MLflow and others, for which tests of
what a command says and does need not wait again and again. What starts here has its own memory, streams, environment
and exit status, and runs `flows.cli.main.main` to its end.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

PRELOADED = "tests.flows.large_libraries"


def run_warm(
    command: tuple[str, ...], environment: Mapping[str, str], folder: Path, timeout: float
) -> CompletedProcess[str]:
    """Run the command line in a folder, with this environment and no other; return its exit status and output.

    What large libraries read of an environment when they are imported is not seen by them: see `is_read_late`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    with tempfile.TemporaryDirectory(prefix="command-") as made:
        streams = [Path(made, name) for name in ("out", "err")]
        for each in streams:
            each.touch()
        process = context.Process(target=_run, args=(command, dict(environment), str(folder), *map(str, streams)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(list(command), timeout)
        out, err = (each.read_text(encoding="utf-8") for each in streams)
    return CompletedProcess(list(command), process.exitcode, out, err)


def is_read_late(variable: str) -> bool:
    """Return whether nothing but earmark itself reads the environment variable."""
    return variable.startswith("EARMARK_")


def _run(command: tuple[str, ...], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    from tests.flows.large_libraries import OFFLINE

    os.environ.clear()
    os.environ.update(environment if "HF_HUB_OFFLINE" in environment else environment | OFFLINE)
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        to = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(to, number)
        os.close(to)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = [str(Path(folder, "flows", "cli", "main.py")), *command]
    from flows.cli.main import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()

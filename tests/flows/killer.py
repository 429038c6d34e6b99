"""Runs the command line and kills it dead at a numbered moment: `python -m tests.flows.killer N ARGUMENTS`.

A moment is just before a commit of any database in the process, or just before a file is renamed into place. N = 0
kills nothing; the number of moments that went by is written to the file that KILLER_COUNT names.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa


def main() -> None:
    target = int(sys.argv[1])
    passed = 0

    def moment(*_: Any) -> None:
        nonlocal passed
        passed += 1
        if passed == target:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "commit", moment)
    sys.addaudithook(lambda name, _: moment() if name == "os.rename" else None)
    sys.argv = ["earmark", *sys.argv[2:]]
    from flows.cli.main import main as earmark

    try:
        earmark()
    finally:
        if os.environ.get("KILLER_COUNT"):
            Path(os.environ["KILLER_COUNT"]).write_text(str(passed))


if __name__ == "__main__":
    main()

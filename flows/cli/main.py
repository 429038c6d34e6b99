"""Run the command line. Each command imports what it needs when it runs, so that `earmark --help` answers at once."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, Final

import typer

from flows.cli import init_command, pipeline_commands  # first, as --help lists commands in this order

# isort: split
from flows.cli import (
    access_command,
    audit_commands,
    base_commands,
    consent_commands,
    dataset_commands,
    erase_command,
    home_commands,
    inventory_commands,
    key_commands,
    lm_command,
    model_commands,
    plugin_commands,
    retain_command,
    server_commands,
    suspects_command,
    sweep_command,
)
from flows.cli.options import app
from flows.cli.progress_bars import ProgressBars
from flows.runtime.private_files import make_files_private
from flows.runtime.progress import listening

__all__ = [
    "access_command",
    "app",
    "audit_commands",
    "base_commands",
    "consent_commands",
    "dataset_commands",
    "erase_command",
    "home_commands",
    "init_command",
    "inventory_commands",
    "key_commands",
    "lm_command",
    "main",
    "model_commands",
    "pipeline_commands",
    "plugin_commands",
    "retain_command",
    "server_commands",
    "suspects_command",
    "sweep_command",
]

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, by the convention of shells: 128 + SIGINT."""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"earmark {version('earmark')}")
        raise typer.Exit


@app.callback()
def _earmark(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.with_resource(listening(ProgressBars()))


def main() -> None:
    """Run the command; an error becomes one line on stderr and an exit status."""
    make_files_private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit, not a kill, so that child processes are stopped
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the name of a file may have bytes that are not UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this status without a message
            print("earmark: interrupted; nothing is lost, run the command again", file=sys.stderr)
        raise
    except Exception as error:
        from flows.runtime.session import fail

        sys.exit(fail(error))


if __name__ == "__main__":
    main()

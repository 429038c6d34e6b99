"""Set up a command or flow: lock the home, start Prefect's server, open the corpus, report errors without content."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from corpus.errors import EarmarkError, NoHome, UsageError
from corpus.handle import Corpus, open_corpus
from corpus.names import printable
from corpus.tables.checkpoints import SUFFIX
from flows.runtime.damage import leaving_out
from flows.runtime.lock import hold_corpus
from flows.runtime.machine_faults import machine_fault, own_line
from flows.runtime.prefect_server import PrefectServer, asking, prefect_server
from flows.runtime.private_files import make_files_private
from flows.runtime.progress import listening, note, track
from flows.runtime.progress_lines import ProgressLines
from flows.runtime.sealing import seal_if_grown
from flows.runtime.settings import ACTIVE, Settings, scheduled

PATIENCE = 3600.0
"""How long a run that a schedule or a remote command started waits for the home [s]: nobody is there to retry it."""

SHOWN_AT_ITS_END = 2.0
"""Work of at least this time has a line in Prefect's log when it ends [s]."""

P = ParamSpec("P")
R = TypeVar("R")


@contextlib.contextmanager
def running(settings: Settings, command: str) -> Iterator[None]:
    """Lock the home, run Prefect's server and make `settings` the active ones until the block ends.

    Args:
        settings: of the home.
        command: its name, which another process that wants the home is shown.

    Raises:
        HomeBusy: another process uses the home.
        Refused: Prefect's server does not answer.
    """
    with hold_corpus(settings.corpus, command), prefect_server(settings.home, settings.prefect) as server:
        token = ACTIVE.set(settings)
        try:
            with _connected(server, settings.prefect.start_timeout):
                yield
        finally:
            ACTIVE.reset(token)


def _flush() -> None:
    """Send the logs and events that Prefect still has in memory to its server, which is about to end."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=10)
    EventsWorker.drain_all(timeout=10)


@contextlib.contextmanager
def _connected(server: PrefectServer, start_timeout: float) -> Iterator[None]:
    """Connect Prefect to the server until the block ends; its import, which takes time, overlaps the server's start."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with track("starting Prefect's server", None, ""):
        server.wait_until_ready(start_timeout)
    # No heartbeat: each flow would wait up to a second for its thread, and the lock shows that a run was killed.
    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with asking(server.api_url, server.auth), quiet:
        try:
            yield
        finally:
            _flush()


@contextlib.contextmanager
def opened(settings: Settings, *, create: bool = True) -> Iterator[Corpus]:
    """Open the corpus until the block ends; what is damaged in it is noted, see `flows.runtime.damage`.

    At the end of a block that added to the audit logs, a checkpoint of them is signed.

    Args:
        settings: of the home.
        create: make the home where there is none; without it a missing home is an error.

    Raises:
        EarmarkError: there is no home and `create` is False, or its databases can't be opened.
    """
    corpus = open_corpus(settings.corpus, create=create)
    if corpus.made_key is not None:
        note(
            f"without {corpus.made_key} nothing of the home can be read, and it is in no copy of the home; back it up,"
            f" and {corpus.made_key}{SUFFIX} beside it, which signs the audit logs"
        )
    try:
        with leaving_out() as on_damaged:
            try:
                yield replace(corpus, on_damaged=on_damaged)
            finally:
                seal_if_grown(corpus, settings.audit)
    finally:
        corpus.close()


@contextlib.contextmanager
def opened_or_empty(settings: Settings) -> Iterator[tuple[Corpus, bool]]:
    """Open the corpus or, where there is none yet, an empty one in a temporary folder, for commands that only read.

    Yields:
        The corpus, and whether it is that of the home.

    Raises:
        EarmarkError: the databases can't be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            corpus, is_home = stack.enter_context(opened(settings, create=False)), True
        except NoHome:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="earmark-empty-")))
            nowhere = {"home": folder, "records_url": None, "vault_url": None, "content_url": None}
            nowhere["key_file"] = folder / "key"  # it goes with the folder
            corpus, is_home = open_corpus(settings.corpus.model_copy(update=nowhere)), False
            stack.callback(corpus.close)
        yield corpus, is_home


@contextlib.contextmanager
def open_for_flow(config: str | None) -> Iterator[tuple[Corpus, Settings]]:
    """Open the corpus for a flow until the block ends, with the settings of the running command.

    Progress in the block is written to the log of the flow run in Prefect. A flow that a schedule started has no such
    command: it loads the settings and locks the home itself.

    Args:
        config: what a parameter of a scheduled flow names, see `scheduled`; ignored where a command runs.

    Yields:
        The corpus and the settings.

    Raises:
        HomeBusy: another process still uses the home after `PATIENCE`.
    """
    settings = ACTIVE.get()
    if settings is not None:
        with _progress_in_prefect(), opened(settings) as corpus:
            yield corpus, settings
        return
    make_files_private()
    settings = scheduled(config)
    lock = hold_corpus(settings.corpus, "scheduled run", patience=PATIENCE)
    with lock, _progress_in_prefect(), opened(settings) as corpus:
        token = ACTIVE.set(settings)
        try:
            yield corpus, settings
        finally:
            ACTIVE.reset(token)


@contextlib.contextmanager
def _progress_in_prefect() -> Iterator[None]:
    """Write notes and progress of the block to the log of the running flow; nothing where no flow runs."""
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_run_logger

    try:
        log = get_run_logger()
    except MissingContextError:
        yield
        return
    with ProgressLines(log.info, ends_after=SHOWN_AT_ITS_END) as lines, listening(lines):
        yield


class Unexpected(EarmarkError):
    """An unforeseen error; its text names the line of code, never the message, which may be content."""


def without_content(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that it raises unforeseen exceptions as `Unexpected`: their own messages may be content."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except EarmarkError:
            raise
        except Exception as error:
            fault = machine_fault(error)
            if fault is not None:
                raise fault from error
            if os.environ.get("EARMARK_DEBUG"):
                raise
            raise Unexpected(describe_unforeseen(error)) from None

    return guarded


def describe_unforeseen(error: BaseException) -> str:
    """Return one line with the type of an exception, the line of earmark's code that it came from, and the remedy."""
    line = own_line(error)
    where = f" at {line}" if line else ""
    return (
        f"unforeseen {type(error).__name__}{where}; nothing is lost, run the command again"
        " or set EARMARK_DEBUG=1 to see the whole trace"
    )


def _wrong_path(error: BaseException) -> str | None:
    """Return one line on a path of the command line that can't be used, whatever used it; None for other errors.

    A path that the command line does not name may be that of a clip, and is not shown.
    """
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # of Path.resolve
        return "a path can't be used: its symbolic links form a loop; give another one"
    if not isinstance(error, OSError) or not isinstance(error.filename, str):
        return None
    given = [each for part in sys.argv[1:] for each in (part, part.rpartition("=")[2])]
    given += [value for name, value in os.environ.items() if name.startswith("EARMARK_")]
    named = any(path.strip("/") and error.filename.startswith(path) for path in given)
    return f"{error.filename} can't be used: {error.strerror}; give another path" if named else None


def fail(error: BaseException) -> int:
    """Print an error on stderr as one line; return the exit status."""
    wrong_path = _wrong_path(error)
    if wrong_path is None:
        error = machine_fault(error) or error
    if isinstance(error, EarmarkError):
        line, status = str(error), error.exit_status
    elif wrong_path is not None:
        line, status = wrong_path, UsageError.exit_status
    else:
        line, status = describe_unforeseen(error), 1
        if os.environ.get("EARMARK_DEBUG"):
            traceback.print_exception(error)
    print(printable("earmark: " + " ".join(line.split())), file=sys.stderr, flush=True)
    return status

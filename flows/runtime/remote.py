"""Start a retraining on the machine that runs `earmark serve` or a worker, through its Prefect server."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import Refused
from corpus.records.base import Kind
from corpus.storage.durable_write import write_file
from flows.runtime import progress
from flows.runtime.home_secret import sign_in
from flows.runtime.prefect_server import PrefectSettings, asking
from flows.runtime.results import Result


@contextlib.contextmanager
def announced(home: Path, api_url: str) -> Iterator[None]:
    """Keep the address of the server of `earmark serve` in the home until the block ends, so that commands find it."""
    record = _record(home)
    address = json.dumps({"pid": os.getpid(), "api_url": api_url})
    write_file(record, [address.encode()], temporary=record.with_suffix(".tmp"))
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RemoteRun(Result):
    """A run of the served deployment.

    Attributes:
        kind: of the model that is retrained.
        flow_run, flow_run_id: its name and id in Prefect.
        state: such as `Completed` or `Scheduled`.
    """

    kind: Kind
    flow_run: str
    flow_run_id: str
    state: str


def retrain_remotely(
    home: Path, prefect: PrefectSettings, kind: Kind, *, wait: bool, switch_base: bool = False
) -> RemoteRun:
    """Start the served deployment `retrain/retrain`; return its run.

    Args:
        home: folder of the home, where `earmark serve` leaves its address.
        prefect: with the address of the server if it is another machine's.
        kind: which model is retrained.
        wait: return only when the run has ended.
        switch_base: learn from the base of the served settings from now on, where it is another one.

    Raises:
        Refused: no server is found, it has no such deployment, it does not answer, or the run did not complete.
    """
    api_url, auth = _server(home, prefect)
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    with asking(api_url, auth), progress.track(f"retraining {kind} on another machine", None):
        try:
            run: Any = run_deployment(  # Prefect types it as a run or a coroutine
                "retrain/retrain",
                parameters={"kind": kind, "switch_base": switch_base},
                timeout=None if wait else 0,
                poll_interval=2,
                as_subflow=False,
            )
        except ObjectNotFound:
            raise Refused("the Prefect server has no deployment retrain/retrain; start earmark serve") from None
        except (OSError, RuntimeError) as error:
            raise Refused(
                f"the Prefect server does not answer ({type(error).__name__}); check that earmark serve runs"
            ) from None
    state = str(run.state.name) if run.state is not None else "Scheduled"
    if wait and not run.state.is_completed():
        raise Refused(f"run {run.name} ended as {state}; read its log on Prefect's pages: earmark ui")
    return RemoteRun(kind, run.name, str(run.id), state)


def _record(home: Path) -> Path:
    return home / "prefect" / "serve.json"


def _server(home: Path, prefect: PrefectSettings) -> tuple[str, str | None]:
    """Return the address of the server and what it asks for, as far as the home knows."""
    if prefect.api_url:
        return prefect.api_url, None  # Prefect's own environment variables have what the user's server asks for
    try:
        found = json.loads(_record(home).read_text(encoding="utf-8"))
        os.kill(int(found["pid"]), 0)  # raises where no such process lives
    except (OSError, ValueError, KeyError):
        raise Refused("no server runs on this home; start earmark serve, or set prefect.api_url") from None
    return str(found["api_url"]), sign_in(home)

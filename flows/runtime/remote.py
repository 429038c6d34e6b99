"""A retraining that the served deployment runs, started from anywhere that reaches its Prefect server."""

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
from flows.runtime.results import Result
from flows.runtime.settings import Settings


@contextlib.contextmanager
def announced(settings: Settings, api_url: str) -> Iterator[None]:
    """Commands on this home find the server of `earmark serve` until the block ends."""
    record = _record(settings)
    place = json.dumps({"pid": os.getpid(), "api_url": api_url})
    write_file(record, [place.encode()], temporary=record.with_suffix(".tmp"))
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RemoteRun(Result):
    """A run of the served deployment: its name, its id and the state that it is in."""

    kind: Kind
    flow_run: str
    flow_run_id: str
    state: str


def retrain_remotely(settings: Settings, kind: Kind, *, wait: bool) -> RemoteRun:
    """Return the run of the served deployment `retrain/retrain`, ended where `wait`.

    Raises:
        Refused: nothing is served, or the run did not complete.
    """
    api_url = _api(settings)
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}), progress.track(f"retrain {kind} there", None):
        try:
            run: Any = run_deployment(
                "retrain/retrain",
                parameters={"kind": kind},
                timeout=None if wait else 0,
                poll_interval=2,
                as_subflow=False,
            )
        except ObjectNotFound:
            raise Refused("the Prefect server has no deployment retrain/retrain; start earmark serve") from None
        except (OSError, RuntimeError) as error:
            raise Refused(
                f"the Prefect server does not answer ({type(error).__name__}); is earmark serve up?"
            ) from None
    state = str(run.state.name) if run.state is not None else "Scheduled"
    if wait and not run.state.is_completed():
        raise Refused(f"run {run.name} ended as {state}; its log stands on Prefect's pages: earmark ui")
    return RemoteRun(kind, run.name, str(run.id), state)


def _record(settings: Settings) -> Path:
    return settings.home / "prefect" / "serve.json"


def _api(settings: Settings) -> str:
    if settings.prefect.api_url:
        return settings.prefect.api_url
    try:
        found = json.loads(_record(settings).read_text(encoding="utf-8"))
        os.kill(int(found["pid"]), 0)
    except (OSError, ValueError, KeyError):
        raise Refused("nothing is served on this home; start earmark serve, or set prefect.api_url") from None
    return str(found["api_url"])

"""Run until stopped: the schedules of flows, and the pages of MLflow and Prefect on this home's stores."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpus.errors import Refused
from flows.runtime import progress
from flows.runtime.home_secret import note_sign_in, sign_in
from flows.runtime.prefect_server import prefect_server
from flows.runtime.remote import announced
from flows.runtime.schedules import clock_change_note
from flows.runtime.server_records import MARK, stop_orphans, write_record
from flows.runtime.settings import OVERRIDES_VARIABLE, SERVED_CONFIG, Settings
from training.tracking.pages import AUTH, HEALTH, URI


def serve_schedules(settings: Settings, config: Path | None, overrides: list[str]) -> None:
    """Start the nightly flow when it is due, and the other served flows on demand, until the process is stopped.

    Each run is a process of its own. It waits for the lock of the home and keeps it while it runs, so a command that is
    given at the same time is refused.

    Args:
        settings: of the home.
        config: file or name of the settings that the runs load.
        overrides: `key=value`, for the runs too.

    Raises:
        Refused: Prefect's server does not answer.
    """
    with prefect_server(settings.home, settings.prefect, ui=True) as server:
        server.wait_until_ready(settings.prefect.start_timeout)
        # Settings are passed to the runs in the environment: Prefect stores parameters in clear, and who may start a
        # run could name others.
        os.environ["EARMARK_HOME"] = str(settings.home)
        os.environ[OVERRIDES_VARIABLE] = json.dumps(overrides)
        os.environ.pop(SERVED_CONFIG, None)
        if config is not None:
            os.environ[SERVED_CONFIG] = str(config.resolve() if config.exists() else config)
        from prefect.exceptions import TerminationSignal
        from prefect.runner import Runner
        from prefect.schedules import Cron

        from flows.pipeline import merge, nightly, retrain

        schedule = Cron(settings.night.schedule, timezone=settings.night.time_zone)
        progress.note(f"Prefect's pages: {server.api_url.removesuffix('/api')}")
        if server.process is not None:
            note_sign_in(settings.home)
        progress.note(f"nightly runs at {settings.night.schedule!r} in {settings.night.time_zone}; stop with Ctrl-C")
        changes = clock_change_note(settings.night.schedule, settings.night.time_zone, datetime.now(UTC))
        if changes:
            progress.note(changes)
        runner = Runner()
        deployments: list[Any] = [  # Prefect types each as a deployment or a coroutine
            nightly.to_deployment("nightly", schedule=schedule, concurrency_limit=1),
            merge.to_deployment("merge", concurrency_limit=1),
            retrain.to_deployment("retrain", concurrency_limit=1),
        ]
        for deployment in deployments:
            runner.add_deployment(deployment)
        with announced(settings.home, server.api_url), contextlib.suppress(KeyboardInterrupt, TerminationSignal):
            asyncio.run(runner.start())


def serve_pages(settings: Settings, port: int) -> None:
    """Serve MLflow's and Prefect's pages on this machine until the process is stopped.

    Args:
        settings: of the home.
        port: of MLflow's pages; Prefect's are on the next one.

    Raises:
        Refused: Prefect's server does not answer, or MLflow's ended.
    """
    from training.tracking.store import open_tracking, runs_page, tracking_uri, without_password
    from training.tracking.views import VERSIONS, save_views

    uri = tracking_uri(settings.tracking, settings.home)
    tracking = open_tracking(
        settings.tracking, settings.home
    )  # first: MLflow's process may leave a new database half made
    save_views(tracking)
    pages = record = None
    if not uri.startswith(("http://", "https://")):
        pages, record = _start_mlflow_pages(settings.home, uri, port)
    try:
        with prefect_server(settings.home, settings.prefect, ui=True, port=port + 1) as server:
            server.wait_until_ready(settings.prefect.start_timeout)
            address = without_password(uri) if pages is None else _wait_for_pages(pages, port)
            progress.note(f"MLflow: {runs_page(tracking, address)}")
            for kind, view in VERSIONS.items():
                progress.note(f"MLflow, {kind} versions: {runs_page(tracking, address, view)}")
            progress.note(f"Prefect: {server.api_url.removesuffix('/api')}")
            if pages is not None or server.process is not None:
                note_sign_in(settings.home)
            progress.note("stop with Ctrl-C")
            if pages is not None:
                status = pages.wait()
                raise Refused(
                    f"MLflow's server ended with status {status}; if port {port} is taken, give another --port"
                )
            if server.process is not None:
                server.process.wait()
    except KeyboardInterrupt:
        progress.note("stopped")
    finally:
        if pages is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pages.pid, signal.SIGTERM)  # the group: the server and its workers
            pages.wait()
        if record is not None:
            record.unlink(missing_ok=True)


def _start_mlflow_pages(home: Path, uri: str, port: int) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the server of MLflow's pages as the leader of a process group; return it and its record."""
    folder = home / "prefect"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop_orphans(folder)  # first: the pages of a killed command have the port
    record, mark = write_record(folder, port)
    command = [sys.executable, "-m", "training.tracking.pages", str(port)]
    quiet = {
        MARK: mark,
        AUTH: sign_in(home),
        URI: uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env={**os.environ, **quiet}, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    return process, record


def _wait_for_pages(pages: subprocess.Popen[bytes], port: int) -> str:
    """Wait until MLflow's pages answer or their process has ended, 2 minutes at most; return their address."""
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}{HEALTH}", timeout=5).close()
            break
        if pages.poll() is not None:
            break
        time.sleep(0.2)
    return address

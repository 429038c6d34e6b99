"""Running all the time: the schedules, and the pages of MLflow and Prefect on this home's stores."""

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
from pathlib import Path
from typing import Any

from corpus.errors import Refused, SettingsError
from flows.runtime import progress
from flows.runtime.prefect_server import prefect_server
from flows.runtime.remote import announced
from flows.runtime.settings import OVERRIDES_VARIABLE, Settings


def serve_schedules(settings: Settings, config: Path | None, overrides: list[str]) -> None:
    """The nightly flow is scheduled, and started when it is due, until the process is stopped.

    Each run is a process of its own that waits for the home and holds it while it runs, so a run by hand at the same
    time is refused.
    """
    with prefect_server(settings.home, settings.prefect, ui=True) as server:
        server.wait_until_ready(settings.prefect.start_timeout)
        # Settings reach the runs through the environment: Prefect stores parameters in clear.
        os.environ["EARMARK_HOME"] = str(settings.home)
        os.environ[OVERRIDES_VARIABLE] = json.dumps(overrides)
        from prefect.exceptions import TerminationSignal
        from prefect.runner import Runner
        from prefect.schedules import Cron

        from flows.pipeline import merge, nightly, retrain

        named = {"config": str(config.resolve() if config.exists() else config)} if config else {}
        try:
            schedule = Cron(settings.night.schedule, timezone=settings.night.time_zone)
        except ValueError:
            raise SettingsError(
                f"night.schedule: {settings.night.schedule!r} is no cron expression such as '30 4 * * *'"
            ) from None
        progress.note(f"Prefect's pages: {server.api_url.removesuffix('/api')}")
        progress.note(f"nightly runs at {settings.night.schedule!r} in {settings.night.time_zone}; stop with Ctrl-C")
        runner = Runner()
        deployments: list[Any] = [
            nightly.to_deployment("nightly", schedule=schedule, parameters=named, concurrency_limit=1),
            merge.to_deployment("merge", parameters=named, concurrency_limit=1),
            retrain.to_deployment("retrain", parameters=named, concurrency_limit=1),
        ]
        for deployment in deployments:
            runner.add_deployment(deployment)
        with announced(settings, server.api_url), contextlib.suppress(KeyboardInterrupt, TerminationSignal):
            asyncio.run(runner.start())


def serve_pages(settings: Settings, port: int) -> None:
    """MLflow's and Prefect's pages answer on this machine until the process is stopped."""
    from training.tracking.store import open_tracking, runs_page, tracking_uri, without_password

    uri = tracking_uri(settings.tracking, settings.home)
    tracking = open_tracking(settings.tracking, settings.home)  # before MLflow's own process would build a new database
    pages = None if uri.startswith(("http://", "https://")) else _mlflow_pages(uri, port)
    try:
        with prefect_server(settings.home, settings.prefect, ui=True, port=port + 1) as server:
            server.wait_until_ready(settings.prefect.start_timeout)
            answering = without_password(uri) if pages is None else _answering(pages, port)
            progress.note(f"MLflow: {runs_page(tracking, answering)}")
            progress.note(f"Prefect: {server.api_url.removesuffix('/api')}")
            progress.note("stop with Ctrl-C")
            if pages is not None:
                status = pages.wait()
                raise Refused(f"MLflow's pages ended with status {status}; is port {port} taken? give another --port")
            if server.process is not None:
                server.process.wait()
    except KeyboardInterrupt:
        progress.note("stopped")
    finally:
        if pages is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pages.pid, signal.SIGTERM)  # its workers, too
            pages.wait()


def _mlflow_pages(uri: str, port: int) -> subprocess.Popen[bytes]:
    """Return MLflow's page server, the leader of a process group of its own."""
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port)]
    command += ["--host", "127.0.0.1", "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    silence = subprocess.DEVNULL
    return subprocess.Popen(
        command, env={**os.environ, **quiet}, stdout=silence, stderr=silence, start_new_session=True
    )


def _answering(pages: subprocess.Popen[bytes], port: int) -> str:
    """Return the address of MLflow's pages once they answer, or as soon as their process has ended."""
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            break
        if pages.poll() is not None:
            break
        time.sleep(0.2)
    return address

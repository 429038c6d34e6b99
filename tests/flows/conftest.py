"""One night of small traffic, lived through once, for all tests of this folder that only look at it."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.demo import run_demo
from flows.reports.demo_tables import DemoReport
from flows.runtime.prefect_server import prefect_server
from flows.runtime.settings import Settings
from tests import s3
from tests.flows.homes import fixed_secrets, small_settings, urls
from tests.surroundings import environment_kept


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server that all tests of a worker share: starting one takes longer than most of them."""
    from flows.runtime.prefect_server import PrefectSettings

    with (
        environment_kept(),
        prefect_server(tmp_path_factory.mktemp("prefect"), PrefectSettings()) as server,
    ):
        server.wait_until_ready(180)
        yield server.api_url


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, DemoReport]:
    """A home after two nights of the demo, and what the demo reported; its Prefect database is its own.

    The worker that asks first makes it, and each has a copy of its own.
    """
    folder = _of_all_workers(tmp_path_factory) / "lived"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "report").exists():
            settings = small_settings(Path(tempfile.mkdtemp(dir=folder)) / "home")
            fixed_secrets(settings)
            (folder / "made").write_bytes(pickle.dumps(run_demo(settings, 2, quiet=True)))
            (folder / "made").rename(folder / "report")
    report: DemoReport = pickle.loads((folder / "report").read_bytes())
    home = tmp_path_factory.mktemp("lived") / "home"
    shutil.copytree(report.home, home, ignore=shutil.ignore_patterns("lock"))
    page = home / Path(str(report.page)).relative_to(report.home)
    return small_settings(home), replace(report, home=str(home), page=str(page))


def _of_all_workers(factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder of this run of the tests, which its workers share."""
    return factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()


@pytest.fixture(scope="session", params=["embedded", pytest.param("servers", marks=pytest.mark.slow)])
def lived_anywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, DemoReport]]:
    """The same, and once more with its databases on PostgreSQL and its content on S3."""
    if request.param == "embedded":
        yield request.getfixturevalue("lived")
        return
    with request.getfixturevalue("postgres_server").corpus() as servers:
        request.getfixturevalue("s3_server")
        servers = {**servers, "content_url": s3.new_bucket()}
        settings = small_settings(tmp_path_factory.mktemp("servers") / "home", *urls(servers))
        fixed_secrets(settings)
        yield settings, run_demo(settings, 2, quiet=True)


def copy_of(home: Path, target: Path) -> Path:
    """Return a copy of a home at another place."""
    shutil.copytree(home, target, ignore=shutil.ignore_patterns("prefect", "lock"))
    return target

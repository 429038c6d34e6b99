"""One night of small traffic, lived through once, for all tests of this folder that only look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
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
    """A home after two nights of the demo, and what the demo reported; its Prefect database is its own."""
    settings = small_settings(tmp_path_factory.mktemp("lived") / "home")
    fixed_secrets(settings)
    return settings, run_demo(settings, 2, quiet=True)


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

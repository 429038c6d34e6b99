"""What all tests share: the order of files, and the servers that stand in for production's."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator

import pytest

from flows.runtime.private_files import make_files_private
from tests import postgres, s3

make_files_private()  # as the command line does: homes of tests are made in this process, too

if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share homes, and so the keys of them
    # Keys of new homes are outside of them: those of tests not among the user's own.
    os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="earmark-config-")
    atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)

LONGEST = (
    "tests/flows/test_kill.py",
    "tests/flows/test_serve.py",
    "tests/flows/test_demo.py",  # makes the home that others copy: those come later, so that no worker waits for it
    "tests/flows/test_privacy.py",
    "tests/training/asr/test_draw_temperature.py",
    "tests/flows/test_pipeline.py",
    "tests/flows/steps/test_dataset.py",
    "tests/flows/steps/test_retrain.py",
    "tests/flows/cli/test_main.py",
    "tests/flows/steps/test_register_external.py",
    "tests/corpus/test_kill.py",
    "tests/flows/replay/test_run.py",
    "tests/training/tracking/test_export.py",
    "tests/flows/test_old_home.py",
    "tests/flows/steps/test_sweep.py",
    "tests/flows/steps/test_suspects.py",
    "tests/flows/steps/test_promote_manually.py",
    "tests/flows/steps/test_retrain_decoder.py",
    "tests/training/asr/test_finetune_decoder.py",
    "tests/flows/steps/test_merge_order.py",
    "tests/corpus/ingest/test_refused_again.py",
    "tests/flows/models/test_base_models.py",
    "tests/flows/reports/test_base_list.py",
    "tests/training/asr/test_ctranslate2.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: on two workers the suite then ends when its work is done, not when its last file is."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.split("::")[0]
        return LONGEST.index(file) if file in LONGEST else len(LONGEST)

    items.sort(key=place)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line says how many tests were skipped and why: what was not tried must not pass for what was."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    reasons = Counter(_reason(report) for report in reporter.stats.get("skipped", ()))
    each = "; ".join(f"{count} because {reason}" for reason, count in sorted(reasons.items()))
    reporter.write_line(f"skipped: {reasons.total()} tests{': ' if each else ''}{each}")


def _reason(report: pytest.TestReport) -> str:
    place = report.longrepr
    return str(place[2] if isinstance(place, tuple) else place).removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server for the tests of one worker."""
    if postgres.INITDB is None:
        pytest.skip(postgres.MISSING)
    with postgres.started() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server for the tests of one worker, which the environment names as a user's would."""
    with s3.started() as endpoint, s3.reached(endpoint):
        yield endpoint


@pytest.fixture
def bucket(s3_server: str) -> str:
    """The URL of a folder in a new bucket."""
    return s3.new_bucket()


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of a corpus whose databases are new: the same test runs on both kinds.

    A test file that is about content too asks for `s3`, with the databases embedded, by an indirect parameter.
    """
    if request.param == "sqlite":
        yield {}
    elif request.param == "s3":
        yield {"content_url": request.getfixturevalue("bucket")}
    else:
        with request.getfixturevalue("postgres_server").corpus() as settings:
            yield settings

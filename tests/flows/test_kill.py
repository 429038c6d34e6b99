"""A run that was killed at any moment and run again ends as one that was not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from corpus.synthetic import window, write_night
from flows import pipeline
from flows.demo import _write_answers
from flows.nights.night import last_night
from flows.reports.audit_verify import verify_audit
from flows.reports.doctor import examine
from flows.reports.status import status_of
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.session import opened, running
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, move_home, small_settings, state

MOMENTS = ((0.1, "embedded"), (0.65, "servers"), (0.9, "embedded"))
"""Where the shorter test kills, as a share of a whole run, and where the home then lies."""


def ready_home(root: Path, url: str) -> tuple[Path, str]:
    """Return a home that has everything for its next nightly run to do every step, and that night's name."""
    settings = small_settings(root / "home").model_copy(update={"prefect": PrefectSettings(api_url=url)})
    traffic = settings.traffic
    with running(settings, "test"):
        files = write_night(root / "traffic", traffic, 1)
        first = _night(settings, 1)
        pipeline.ingest(str(files.manifest))
        pipeline.nightly(first)
        with opened(settings) as corpus:
            _write_answers(corpus, settings, first, files.truth)
    write_night(settings.inbox, traffic, 2)
    for truth in (settings.inbox / "truth").glob("*"):
        truth.unlink()
    (settings.inbox / "truth").rmdir()
    return settings.home, _night(settings, 2)


def _night(settings: Settings, number: int) -> str:
    _, end = window(settings.traffic, number)
    return last_night(end, settings.night.time_zone, settings.night.ends_at).name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prefect_url: str) -> dict[str, Any]:
    """The prepared home, how many moments a run of its night has, and what the home holds afterwards."""
    root = tmp_path_factory.mktemp("kill")
    home, night = ready_home(root, prefect_url)
    copy = copy_of(home, root / "undisturbed")
    count = root / "moments"
    done = _nightly(copy, night, prefect_url, kill_at=0, KILLER_COUNT=str(count))
    assert done.returncode == 0, done.stderr
    return {"home": home, "night": night, "moments": int(count.read_text()), "state": state(small_settings(copy))}


def _nightly(home: Path, night: str, url: str, *overrides: str, **rest: Any) -> Any:
    return earmark("nightly", "--night", night, *arguments(home, f"prefect.api_url={url}", *overrides), **rest)


def _killed_and_run_again(
    undisturbed: dict[str, Any], url: str, tmp_path: Path, moment: int, servers: Mapping[str, str]
) -> Settings:
    copy = copy_of(undisturbed["home"], tmp_path / "copy")
    elsewhere = move_home(copy, servers)
    killed = _nightly(copy, undisturbed["night"], url, *elsewhere, kill_at=moment)
    assert killed.returncode == -9, killed.stderr
    again = _nightly(copy, undisturbed["night"], url, *elsewhere)
    assert again.returncode == 0, again.stderr
    settings = small_settings(copy, *elsewhere)
    found = state(settings)
    for name, expected in undisturbed["state"].items():
        assert found[name] == expected, f"{name} differs after a kill at moment {moment}"
    return settings


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of a corpus on servers, where the test asks for one."""
    if request.getfixturevalue("where") == "embedded":
        yield {}
        return
    bucket = request.getfixturevalue("bucket")
    with request.getfixturevalue("postgres_server").corpus() as settings:
        yield {**settings, "content_url": bucket}


@pytest.mark.slow
def test_the_undisturbed_run_does_every_step(undisturbed: dict[str, Any]):
    held = undisturbed["state"]
    assert undisturbed["moments"] > 20
    assert len(held["versions"]) == 4
    assert len(held["promotions"]) == 2
    assert len({row[0] for row in held["selections"]}) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("share", "where"), MOMENTS)
def test_killed_at_some_moments(
    undisturbed: dict[str, Any], prefect_url: str, tmp_path: Path, servers: dict[str, str], share: float, where: str
):
    """A home on servers ends in the very state of the embedded one that nobody killed."""
    moment = max(1, round(share * undisturbed["moments"]))
    settings = _killed_and_run_again(undisturbed, prefect_url, tmp_path, moment, servers)
    if where == "embedded":
        return
    assert examine(settings, repair=False).problems == ()
    verified = verify_audit(settings)
    assert verified.problems == ()
    assert min(verified.records, verified.vault, verified.checkpoints) > 0
    versions = [status_of(settings).models[kind].versions for kind in ("asr", "intent")]
    assert sum(map(len, versions)) == len(undisturbed["state"]["versions"])
    assert not list(settings.home.glob("*.db*")), "rows were still written beside the server"
    assert not (settings.home / "content").exists(), "content was still written beside the server"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["embedded", "servers"])
@pytest.mark.parametrize("number", range(50))
def test_killed_at_fifty_moments(
    undisturbed: dict[str, Any], prefect_url: str, tmp_path: Path, servers: dict[str, str], number: int, where: str
):
    moments = undisturbed["moments"]
    _killed_and_run_again(undisturbed, prefect_url, tmp_path, 1 + number * moments // 50, servers)

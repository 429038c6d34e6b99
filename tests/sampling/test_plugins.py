"""Strategies and measures of other packages: found by name, loaded when used, and named in errors that they cause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corpus import plugins
from corpus.errors import PluginError, RecordError, SettingsError
from sampling.example_pools import pool_of, predictions_of
from sampling.measures import measure, measure_entry
from sampling.selection import SamplingSettings, choose
from sampling.strategies.registry import STRATEGIES, pick, ranks_by_score, strategy
from tests.plugin_packages import install, install_acme


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path with the package `acme`; the module is forgotten afterwards."""
    folder = install_acme(tmp_path / "site")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "acme", raising=False)
    return folder


def broken(findings: list[plugins.Finding]) -> dict[str, str]:
    return {found.rule: found.problem for found in findings if found.problem}


def test_a_strategy_of_another_package_picks_and_chooses_like_those_of_earmark(acme: Path):
    pool, scores = pool_of(40), np.random.default_rng(0).random(40)
    ours = pick("top", pool, 7, scores, np.random.default_rng(0)).tolist()
    assert pick("acme-best", pool, 7, scores, np.random.default_rng(0)).tolist() == ours
    settings = SamplingSettings(strategy="acme-best:acme-doubt", clips=10, max_fraction=1.0, novel_share=0.0)
    chosen = choose(pool_of(), settings, round="monday", labels_so_far=100)
    same = choose(
        pool_of(),
        settings.model_copy(update={"strategy": "top:least_confidence"}),
        round="monday",
        labels_so_far=100,
    )
    assert chosen.utterance_ids.tolist() == same.utterance_ids.tolist()


def test_a_measure_of_another_package_works_like_those_of_earmark(acme: Path):
    predictions = predictions_of(30)
    assert measure("acme-doubt", predictions) == pytest.approx(measure("least_confidence", predictions))
    assert (measure_entry("acme-doubt").low, measure_entry("acme-doubt").high) == (0.0, 1.0)


def test_a_strategy_can_declare_that_it_does_not_rank_by_score(acme: Path):
    assert [ranks_by_score(name) for name in ("acme-best", "acme-drawn", "top", "random")] == [True, False, True, False]


def test_an_unknown_name_lists_those_of_other_packages_too(acme: Path):
    with pytest.raises(SettingsError, match=r"strategy 'magic' is unknown; known are acme-best, .*badge.*, top"):
        strategy("magic")
    with pytest.raises(SettingsError, match=r"measure 'magic' is unknown; known are acme-doubt, .*energy"):
        measure("magic", predictions_of(2))
    with pytest.raises(SettingsError, match="strategy 'magic' is unknown; known are acme-best"):
        SamplingSettings(strategy="magic")
    with pytest.raises(SettingsError, match="measure 'magic' is unknown; known are acme-doubt"):
        SamplingSettings(strategy="acme-best:magic")


def test_names_are_listed_and_settings_read_without_importing_the_package(acme: Path):
    code = f"""
import sys
sys.path.insert(0, {str(acme)!r})
from corpus import plugins
from sampling.budget import SamplingSettings
SamplingSettings(strategy="acme-best:acme-doubt")
assert "acme-best" in plugins.names(plugins.STRATEGIES)
assert "acme" not in sys.modules
from sampling.strategies.registry import strategy
strategy("acme-best")
assert "acme" in sys.modules
assert not {{"torch", "prefect", "mlflow"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_without_packages_nothing_is_offered():
    assert [plugins.names(kind) for kind in (plugins.STRATEGIES, plugins.MEASURES, plugins.BACKENDS)] == [[], [], []]


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_plugin_with_a_name_of_earmark_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entries = {"earmark.strategies": {"top": "imitator:top"}, "earmark.measures": {"margin": "imitator:margin"}}
    monkeypatch.syspath_prepend(install(tmp_path / "site", "imitator", "", entries))
    clash = "of package imitator 1.2 has the name of one that comes with earmark; uninstall the package, or ask"
    with pytest.raises(PluginError, match=f"strategy 'top' {clash}"):
        pick("top", pool_of(3), 1, np.ones(3), np.random.default_rng(0))
    with pytest.raises(PluginError, match=f"measure 'margin' {clash}"):
        measure("margin", predictions_of(3))
    assert len(pick("random", pool_of(3), 1, np.ones(3), np.random.default_rng(0))) == 1


def test_a_name_that_two_packages_offer_is_nobodys(acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entries = {"earmark.strategies": {"acme-best": "rival:best"}}
    monkeypatch.syspath_prepend(install(tmp_path / "other", "rival", "", entries))
    several = r"strategy 'acme-best' is offered by several packages: (rival 1\.2, acme 1\.2|acme 1\.2, rival 1\.2); "
    with pytest.raises(PluginError, match=several + "uninstall all but one"):
        strategy("acme-best")


def test_what_can_not_be_loaded_names_package_and_remedy(acme: Path):
    with pytest.raises(
        PluginError, match=r"'acme-missing' of package acme 1\.2 can't be loaded \(ModuleNotFoundError:"
    ):
        strategy("acme-missing")
    with pytest.raises(PluginError, match=r"'acme-number' of package acme 1\.2 is no function; upgrade or uninstall"):
        strategy("acme-number")
    with pytest.raises(PluginError, match=r"'acme-function' of package acme 1\.2 is no sampling\.measures\.Measure"):
        measure("acme-function", predictions_of(2))


def test_an_error_in_a_plugin_names_the_package_and_hides_its_message(acme: Path):
    failed = (
        r"strategy 'acme-crasher' of package acme 1\.2 failed: ZeroDivisionError; `earmark check-plugin acme-crasher`"
    )
    with pytest.raises(PluginError, match=failed) as caught:
        pick("acme-crasher", pool_of(5), 2, np.ones(5), np.random.default_rng(0))
    assert "jazz" not in str(caught.value)


@pytest.mark.parametrize("name", ["acme-spender", "acme-stutterer"])
def test_no_strategy_gets_past_the_budget(acme: Path, name: str):
    with pytest.raises(RecordError, match=f"strategy {name} returned .* distinct rows, not 3"):
        pick(name, pool_of(10), 3, np.arange(10.0), np.random.default_rng(0))


@pytest.mark.parametrize("rows", [[0.0, 1.0, 2.0], [0, 1, 10], [-1, 0, 1], [[0], [1], [2]], None])
def test_what_are_no_rows_of_the_pool_is_refused(monkeypatch: pytest.MonkeyPatch, rows: object):
    monkeypatch.setitem(STRATEGIES, "odd", lambda *_: rows)
    with pytest.raises(RecordError, match="strategy odd returned other than row numbers of the pool"):
        pick("odd", pool_of(10), 3, np.arange(10.0), np.random.default_rng(0))


def test_numbers_that_are_none_are_not_ranked(acme: Path):
    predictions = predictions_of(4)
    with pytest.raises(
        RecordError, match=f"measure acme-holes of utterance {predictions.utterance_ids[0]} .* not finite"
    ):
        measure("acme-holes", predictions)

"""Rules that strategies and measures of other packages keep, and how a broken one is reported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from corpus import plugins
from sampling.measures import MEASURES, measure_entry
from sampling.plugin_checks import MEASURE_RULES, STRATEGY_RULES, check_measure, check_strategy
from sampling.strategies.registry import STRATEGIES, strategy
from tests.plugin_packages import install_acme


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path with the package `acme`; the module is forgotten afterwards."""
    folder = install_acme(tmp_path / "site")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "acme", raising=False)
    return folder


def broken(findings: list[plugins.Finding]) -> dict[str, str]:
    return {found.rule: found.problem for found in findings if found.problem}


@pytest.mark.parametrize("name", ["acme-best", "acme-drawn"])
def test_a_good_strategy_keeps_every_rule(acme: Path, name: str):
    found = check_strategy(strategy(name))
    assert len(found) == len(STRATEGY_RULES)
    assert broken(found) == {}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("acme-spender", "it returned 2 rows where 1 were asked for"),
        ("acme-stutterer", "it returned 1 of 2 rows more than once"),
        ("acme-vandal", "it changed the pool or the scores"),
        ("acme-crasher", "failed: ZeroDivisionError"),
    ],
)
def test_a_bad_strategy_breaks_a_rule(acme: Path, name: str, problem: str):
    assert problem in " | ".join(broken(check_strategy(strategy(name))).values())


def test_a_strategy_that_draws_from_a_global_generator_is_found_out(acme: Path):
    problems = broken(check_strategy(strategy("acme-gambler")))
    rule = "Return the same rows for the same generator, and neither use nor change a global one"
    assert problems[rule] in (
        "the same generator gave other rows the second time",
        "it draws from a global generator; draw from the one that is given",
    )
    assert rule not in broken(check_strategy(STRATEGIES["random"]))


def test_a_good_measure_keeps_every_rule_and_a_bad_one_breaks_one(acme: Path):
    found = check_measure(measure_entry("acme-doubt"))
    assert len(found) == len(MEASURE_RULES)
    assert broken(found) == {}
    assert (
        "values are not finite"
        in broken(check_measure(measure_entry("acme-holes")))[
            "Return one finite number for each row, within the range of the measure"
        ]
    )
    assert (
        "change the value of a row"
        in broken(check_measure(measure_entry("acme-relative")))[
            "Give a row the same value whatever other rows there are"
        ]
    )
    assert (
        "draws from a global generator"
        in broken(check_measure(measure_entry("acme-noisy")))[
            "Return the same values each time, and neither use nor change a global generator"
        ]
    )


def test_a_measure_that_leaves_its_range_is_found_out():
    entry = MEASURES["entropy"]
    narrow = type(entry)(entry.function, 0.0, 0.1)
    assert "leave its range, 0 to 0.1" in " | ".join(broken(check_measure(narrow)).values())

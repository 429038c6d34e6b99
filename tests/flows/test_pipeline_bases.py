"""A run that nobody watches keeps the home's base and says so; a person switches it with a command that has to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.models import registry
from flows.runtime.session import opened
from tests.flows.homes import earmark
from tests.flows.labelled_home import labelled_home, pairs_of
from tests.training.tiny import tiny_asr_folder

pytestmark = pytest.mark.slow


def test_a_night_keeps_the_homes_base_with_one_warning_and_a_command_switches_it(tmp_path: Path):
    settings = labelled_home(tmp_path)
    other = tiny_asr_folder(tmp_path / "other", seed=1)
    pairs = pairs_of(tmp_path, f"models.asr={other}", "night.min_new_labels=1000", "sampling.clips=1")
    where = [part for pair in pairs for part in ("--set", pair)]
    night = earmark("nightly", "--json", *where)
    assert night.returncode == 0, night.stderr
    warning = json.loads(night.stdout)["warning"]
    assert f"models.asr is {other}" in warning
    assert "asr/1" in warning
    assert "--switch-base" in warning
    assert "\n" not in warning
    refused = earmark("retrain", "asr", "--dry-run", *where)
    assert (refused.returncode, "--switch-base" in refused.stderr) == (1, True)
    preview = earmark("nightly", "--dry-run", *where)
    assert (preview.returncode, "WARNING  models.asr" in preview.stderr) == (0, True)
    switched = earmark("score", "--switch-base", *where)
    assert switched.returncode == 0, switched.stderr
    with opened(settings) as corpus:
        assert registry.by_name(corpus, "asr", "base").version == "2"
        assert registry.champion(corpus, "asr").version == "1"
    again = earmark("nightly", "--json", *where)
    assert again.returncode == 0, again.stderr
    assert "warning" not in json.loads(again.stdout)

"""What a fine-tuning of an intent model takes where its settings are null."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.models import registry
from flows.models.base_catalog import catalogue
from tests.training.base_folders import base_folder
from training.intent.base_defaults import safe_settings
from training.intent.finetune_settings import IntentFinetuneSettings, by_base


def test_the_base_that_comes_with_earmark_is_trained_as_before():
    found = by_base(IntentFinetuneSettings(), registry.BASES / "intent")
    assert (found.fit.encoder_rate, found.interpolate) == (1e-3, 0.0)
    assert found.fit.head_rate == IntentFinetuneSettings().fit.head_rate


@pytest.mark.parametrize(
    ("family", "millions", "rate"), [("bert", 22.7, 1e-4), ("distilbert", 66.4, 5e-5), ("modernbert", 149.0, 5e-5)]
)
def test_the_rate_follows_from_the_size(tmp_path: Path, family: str, millions: float, rate: float):
    found = by_base(IntentFinetuneSettings(), base_folder(tmp_path, family, millions))
    assert (found.fit.encoder_rate, found.interpolate) == (rate, 0.0)


def test_the_catalogue_says_the_same(tmp_path: Path):
    for each in catalogue():
        if each.kind == "intent":
            found = safe_settings(base_folder(tmp_path / each.name, each.family, each.parameters))
            assert {**found, **each.safe} == found, each.name

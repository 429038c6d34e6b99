"""What a fine-tuning of a speech model takes where its settings are null."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import Damaged
from flows.models import registry
from flows.models.base_catalog import catalogue
from tests.training.base_folders import base_folder
from training.asr.base_defaults import safe_settings
from training.asr.finetune import AsrFinetuneSettings, by_base
from training.loop.base_facts import FILE, BaseFacts, write_facts


def test_the_base_that_comes_with_earmark_is_trained_as_before():
    found = by_base(AsrFinetuneSettings(), registry.BASES / "asr")
    assert (found.loop.learning_rate, found.loop.batch_seconds) == (1e-3, 20.0)
    assert (found.interpolate, found.freeze_feature_encoder) == (0.25, False)
    assert found.loop.epochs == AsrFinetuneSettings().loop.epochs


@pytest.mark.parametrize(
    ("family", "millions", "rate", "frozen"),
    [
        ("whisper", 37.8, 3.75e-5, False),
        ("whisper", 72.6, 2.5e-5, False),
        ("whisper", 241.7, 1.25e-5, False),
        ("whisper", 763.9, 6.25e-6, False),
        ("whisper", 1541.6, 4.4e-6, False),
        ("wav2vec2", 94.4, 5e-5, True),
        ("wav2vec2-bert", 605.0, 5e-5, False),
        ("moonshine", 27.0, 5e-5, False),
        ("parakeet_ctc", 1.8, 1e-3, False),
    ],
)
def test_rate_and_frozen_parts_follow_from_family_and_size(
    tmp_path: Path, family: str, millions: float, rate: float, frozen: bool
):
    found = safe_settings(base_folder(tmp_path, family, millions))
    assert (found["loop.learning_rate"], found["freeze_feature_encoder"]) == (rate, frozen)
    assert found["interpolate"] == (0.25 if family == "parakeet_ctc" else 0.0)


def test_the_catalogue_says_the_same(tmp_path: Path):
    for each in catalogue():
        if each.kind == "asr":
            found = safe_settings(base_folder(tmp_path / each.name, each.family, each.parameters))
            assert {**found, **each.safe} == found, each.name


def test_what_the_settings_say_stays_and_the_facts_on_the_base_go_before_its_family(tmp_path: Path):
    folder = base_folder(tmp_path, "whisper", 37.8)
    write_facts(BaseFacts(name="mine", kind="asr", source="mine", safe={"interpolate": 0.25}), folder)
    given = AsrFinetuneSettings.model_validate({"loop": {"learning_rate": 1e-6}, "freeze_feature_encoder": True})
    found = by_base(given, folder)
    assert (found.loop.learning_rate, found.freeze_feature_encoder) == (1e-6, True)
    assert (found.loop.batch_seconds, found.interpolate) == (30.0, 0.25)
    assert by_base(found, folder) == found
    write_facts(BaseFacts(name="mine", kind="asr", source="mine", safe={"interpolate": 7.0}), folder)
    with pytest.raises(Damaged, match="interpolate"):
        by_base(AsrFinetuneSettings(), folder)
    (folder / FILE).write_text("{")
    with pytest.raises(Damaged, match=FILE):
        by_base(AsrFinetuneSettings(), folder)

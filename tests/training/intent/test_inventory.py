"""The inventory of an intent model, read from its configuration, is that of the loaded model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.errors import Damaged, SettingsError
from tests.training.tiny_intent import tiny_intent
from training.intent.inventory import Inventory, inventory
from training.intent.model import load_intent, save_intent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("inventory") / "m"
    save_intent(tiny_intent(), made)
    return made


def test_the_inventory_of_a_folder_is_that_of_the_loaded_model(folder: Path):
    model = load_intent(folder)
    assert inventory(folder) == Inventory(model.intents, model.slot_names)
    assert inventory(folder).slot_names == ("room",)


def test_a_plain_text_encoder_has_only_the_intent_other(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "distilbert", "intents": ["lights"]}')
    assert inventory(tmp_path) == Inventory(("other",), ())


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"no config\.json"):
        inventory(tmp_path)


@pytest.mark.parametrize("change", [{"intents": "lights"}, {"intents": None}, {"slot_names": [1]}])
def test_an_inventory_that_is_no_list_of_names_is_damage(folder: Path, tmp_path: Path, change: dict[str, Any]):
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(Damaged, match="restore the folder"):
        inventory(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type": "earmark-joint-intent"}'])
def test_a_configuration_that_cannot_be_read_is_damage(tmp_path: Path, text: str):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(Damaged, match="restore the folder"):
        inventory(tmp_path)

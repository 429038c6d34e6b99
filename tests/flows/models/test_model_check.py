"""What is found out about a model before it is registered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from corpus.errors import UsageError
from flows.models import registry
from flows.models.model_check import check_base, check_model
from tests.training.families import FAMILIES, family_folder
from tests.training.tiny import tiny_asr_folder
from tests.training.tiny_intent import tiny_intent
from training.intent.model import save_intent


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_of_speech_models_passes(family: str, tmp_path: Path):
    folder = family_folder(family, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    check_base(folder, "asr")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("kind", registry.KINDS)
def test_the_bases_that_come_with_earmark_pass(kind):
    check_base(registry.BASES / kind, kind)


def test_a_model_of_the_other_kind_is_refused_in_one_line():
    with pytest.raises(
        UsageError, match=r"can use as intent: by its configuration \(parakeet_ctc\) it is of asr"
    ) as refused:
        check_model(registry.BASES / "asr", "intent")
    assert "\n" not in str(refused.value)


def test_numbers_that_are_not_finite_are_found(tmp_path: Path):
    folder = tiny_asr_folder(tmp_path / "asr")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, each in weights.items() if name.startswith("ctc_head") and each.ndim > 1)
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="not finite"):
        check_base(folder, "asr")


def test_clips_of_another_rate_are_refused(tmp_path: Path):
    folder = family_folder("wav2vec2", tmp_path)
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            text = (folder / name).read_text().replace('"sampling_rate": 16000', '"sampling_rate": 8000')
            (folder / name).write_text(text)
    with pytest.raises(UsageError, match="8000 Hz"):
        check_base(folder, "asr")


def test_a_model_that_can_t_spell_what_labels_say_can_t_be_fine_tuned(tmp_path: Path):
    folder = family_folder("wav2vec2", tmp_path)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    upper = {token.upper() if len(token) == 1 else token: place for token, place in vocabulary.items()}
    (folder / "vocab.json").write_text(json.dumps(upper))
    check_model(folder, "asr")  # it transcribes
    with pytest.raises(UsageError, match="lower case"):
        check_base(folder, "asr")


@pytest.mark.parametrize("how", ["zero", "equal", "deaf"])
@pytest.mark.parametrize("name", ["whisper", "parakeet", "intent"])
def test_weights_that_say_the_same_for_any_input_are_refused(name: str, how: str, tmp_path: Path):
    if name == "intent":
        save_intent(tiny_intent(), tmp_path / "intent")
        folder = tmp_path / "intent"
    else:
        folder = family_folder(name, tmp_path)
    weights = load_file(folder / "model.safetensors")
    for key, each in weights.items():
        if how != "deaf" or "encoder" in key:
            weights[key] = np.full_like(each, 0.01 if how == "equal" else 0.0)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    said = "gives the same for any text" if name == "intent" else "gives the same for any sound"
    with pytest.raises(UsageError, match=said):
        check_base(folder, "intent" if name == "intent" else "asr")


def test_a_whisper_without_numbers_is_refused(tmp_path: Path):
    folder = family_folder("whisper", tmp_path)
    weights = load_file(folder / "model.safetensors")
    for key, each in weights.items():
        weights[key] = np.full_like(each, np.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"not finite|any sound"):
        check_base(folder, "asr")

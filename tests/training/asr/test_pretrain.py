from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import training
from corpus.edits import distance
from corpus.errors import SettingsError
from corpus.text import normalise
from tests.training.tiny import TINY, tone_examples
from training.asr.fit import AsrLoopSettings
from training.asr.loading import load_asr
from training.asr.pretrain import AsrPretrainSettings, pretrain, pretrain_on, pretrain_settings
from training.asr.pretrain_texts import COMMON_WORDS, word_salad
from training.asr.transcribe import best_texts
from training.loop.model_files import weights_digest
from training.pretrain import main

BASE = Path(training.__file__).parent / "bases" / "asr"
QUICK = AsrPretrainSettings(clips=4, shape=TINY, loop=AsrLoopSettings(epochs=1, batch_seconds=8))


def test_the_recipe_repeats_itself_and_its_seed_matters(tmp_path):
    made = [
        pretrain_on(tone_examples(4), tmp_path / name, QUICK.model_copy(update={"seed": seed}))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert made[0].digest == made[1].digest == weights_digest(tmp_path / "a") != made[2].digest
    assert made[0].parameters == sum(p.numel() for p in load_asr(tmp_path / "a").model.parameters())


def test_the_recipe_runs_on_synthesised_speech(tmp_path):
    pytest.importorskip("espeakng_loader", reason="no eSpeak NG is installed; pip install 'earmark[demo]'")
    made = pretrain(tmp_path / "asr", QUICK)
    assert made.audio_seconds > 2
    assert load_asr(tmp_path / "asr").vocab_size == TINY.vocabulary


def test_minutes_and_size_change_epochs_and_clips():
    standard = AsrPretrainSettings()
    assert pretrain_settings(3).model_copy(update={"seed": 0}) == standard
    assert pretrain_settings(0, size=10).clips == 10
    assert pretrain_settings(0, minutes=2).loop.epochs < pretrain_settings(0, minutes=20).loop.epochs
    with pytest.raises(SettingsError, match="above 0"):
        pretrain_settings(0, minutes=-1)


def test_bad_usage_ends_with_status_2(tmp_path, capsys):
    assert main(["asr", "--out", str(tmp_path / "asr"), "--size", "0"]) == 2
    assert "above 0" in capsys.readouterr().err
    assert main(["intent", "--out", str(tmp_path / "intent"), "--minutes", "3"]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["vision", "--out", str(tmp_path)])
    assert stop.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_base_transcribes_new_voices():
    pytest.importorskip("espeakng_loader", reason="no eSpeak NG is installed; pip install 'earmark[demo]'")
    from corpus.synthetic import pretraining_set

    spoken = list(pretraining_set(987, 24, accents="base", phrasings="base"))
    heard = best_texts(load_asr(BASE), [example.samples for example in spoken])
    errors = sum(distance(example.text.split(), text.split()) for example, text in zip(spoken, heard, strict=True))
    assert errors / sum(len(example.text.split()) for example in spoken) < 0.35


def test_the_embedded_base_is_small_and_holds_no_code():
    files = [path for path in BASE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    state = load_asr(BASE).model.state_dict()
    assert all(bool(np.isfinite(tensor.numpy()).all()) for tensor in state.values())


def test_salads_have_words_of_both_kinds_in_no_order():
    rng = np.random.default_rng(0)
    salads = [word_salad(["turn on the zzz", "play qqq"], rng) for _ in range(200)]
    assert all(3 <= len(text.split()) <= 8 for text in salads)
    words = {word for text in salads for word in text.split()}
    assert {"zzz", "qqq"} < words
    assert len(words & set(COMMON_WORDS)) > 200
    assert all(normalise(word) == word for word in COMMON_WORDS)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import training
from corpus.edits import distance
from corpus.errors import SettingsError
from corpus.text import normalise
from tests.training.tiny import TINY, tone_examples
from training.asr.common_words import COMMON_WORDS
from training.asr.fit import AsrLoopSettings
from training.asr.loading import load_asr
from training.asr.pretrain import AsrPretrainSettings, pretrain, pretrain_on, pretrain_settings, synthetic_examples
from training.asr.pretrain_texts import lines, vocabulary, word_salad
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
    assert (
        pretrain_settings(0, size=2000, minutes=5).loop.epochs < pretrain_settings(0, size=2000, minutes=20).loop.epochs
    )
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
    assert sum(path.stat().st_size for path in files) <= 12e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    state = load_asr(BASE).model.state_dict()
    assert all(bool(np.isfinite(tensor.numpy()).all()) for tensor in state.values())


def test_salads_have_words_of_both_kinds_in_no_order():
    rng = np.random.default_rng(0)
    words = vocabulary(None, 5)
    salads = [word_salad(["turn on the zzz", "play qqq"], words, rng) for _ in range(200)]
    assert all(3 <= len(text.split()) <= 8 for text in salads)
    said = {word for text in salads for word in text.split()}
    assert {"zzz", "qqq"} < said
    assert len(said & set(COMMON_WORDS)) > 200
    assert all(normalise(word) == word for word in COMMON_WORDS)


def test_a_word_file_gives_its_first_words_and_the_first_are_the_likeliest(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("The\nlight\n42\nthe\n\nlamp\nlast\n")
    words = vocabulary(file, 3)
    assert words.words == ("the", "light", "lamp")
    np.testing.assert_allclose(words.shares, np.array([1, 2**-0.5, 3**-0.5]) / (1 + 2**-0.5 + 3**-0.5))
    (tmp_path / "none.txt").write_text("1\n\n")
    with pytest.raises(SettingsError, match=r"none.txt: no line is a word"):
        vocabulary(tmp_path / "none.txt", 3)
    with pytest.raises(SettingsError, match=r"gone.txt: cannot be read"):
        vocabulary(tmp_path / "gone.txt", 3)


def test_other_texts_are_spoken_in_normal_form_and_long_ones_are_left_out(tmp_path):
    pytest.importorskip("espeakng_loader", reason="no eSpeak NG is installed; pip install 'earmark[demo]'")
    file = tmp_path / "texts.txt"
    file.write_text("  Dim the LIGHTS, please!\n" + "far " * 60 + "\n")
    assert lines(file) == ["dim the lights please"]
    settings = AsrPretrainSettings(clips=8, salads=0.25, texts=0.25, texts_file=file, shape=TINY)
    spoken = synthetic_examples(settings)
    assert [example.utterance_id.split("-")[0] for example in spoken] == ["sentence"] * 4 + ["salad"] * 2 + ["text"] * 2
    assert {example.text for example in spoken[6:]} == {"dim the lights please"}
    assert len({example.samples.tobytes() for example in spoken}) == 8
    again = synthetic_examples(settings)
    assert all(np.array_equal(one.samples, other.samples) for one, other in zip(spoken, again, strict=True))


def test_a_base_can_be_trained_again_from_its_weights(tmp_path):
    first = pretrain_on(tone_examples(4), tmp_path / "first", QUICK)
    still = QUICK.model_copy(update={"loop": QUICK.loop.model_copy(update={"learning_rate": 1e-12})})
    again = pretrain_on(tone_examples(4), tmp_path / "again", still, start=tmp_path / "first")
    learned = pretrain_on(tone_examples(4), tmp_path / "learned", QUICK, start=tmp_path / "first")
    before, after, moved = (load_asr(tmp_path / name).model for name in ("first", "again", "learned"))
    for (name, one), other in zip(before.named_parameters(), after.parameters(), strict=True):
        np.testing.assert_allclose(one.detach(), other.detach(), atol=1e-3, err_msg=name)
    assert any(
        not np.allclose(one.detach(), other.detach(), atol=1e-3)
        for one, other in zip(before.parameters(), moved.parameters(), strict=True)
    )
    assert len({first.digest, again.digest, learned.digest}) >= 2
    assert pretrain_settings(1, again=True).loop.learning_rate < pretrain_settings(1).loop.learning_rate


def test_an_interrupted_training_goes_on_from_its_checkpoint_to_the_same_weights(tmp_path):
    settings = QUICK.model_copy(update={"loop": AsrLoopSettings(epochs=3, batch_seconds=8, checkpoint_after=0)})
    whole = pretrain_on(tone_examples(4), tmp_path / "whole", settings)

    class Stopped(Exception):
        pass

    def stop(done: int, total: int, loss: float) -> None:
        if done == total - 1:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain_on(tone_examples(4), tmp_path / "cut", settings, stop, tmp_path / "checkpoints")
    steps: list[int] = []
    cut = pretrain_on(
        tone_examples(4), tmp_path / "cut", settings, lambda done, *_: steps.append(done), tmp_path / "checkpoints"
    )
    assert cut.digest == whole.digest
    assert len(steps) < whole.loop.steps

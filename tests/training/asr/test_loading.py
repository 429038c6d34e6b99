from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from corpus.errors import Damaged, EarmarkError, SettingsError
from corpus.records.predictions import ASR_COLUMNS
from tests.training.families import family_folder
from tests.training.tiny import TEXTS, tiny_asr, tiny_asr_folder, tone_clip
from training.asr.ctc import frame_posteriors, output_frames
from training.asr.loading import load_asr, save_asr
from training.asr.model import MAX_EMBEDDING, token_text, unit_embedding
from training.asr.seq2seq_prompts import decoding_rules
from training.asr.transcribe import TranscribeSettings, best_texts, transcribe
from training.loop.model_files import replaced_folder, weights_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_asr_folder(tmp_path_factory.mktemp("model") / "asr")


@pytest.fixture(scope="module")
def asr(folder):
    return load_asr(folder)


@pytest.fixture(scope="module")
def clips():
    return [(f"u{i}", tone_clip(text, i)) for i, text in enumerate(TEXTS)]


def test_a_saved_model_loads_as_it_was_up_to_half_precision(tmp_path):
    made = tiny_asr()
    digest = save_asr(made, tmp_path / "asr")
    loaded = load_asr(tmp_path / "asr")
    for name, tensor in made.model.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.model.state_dict()[name], expected)
    assert digest == weights_digest(tmp_path / "asr")
    assert [token_text(loaded, loaded.tokenizer(text)["input_ids"]) for text in TEXTS] == list(TEXTS)
    assert save_asr(loaded, tmp_path / "asr") == digest
    assert [path.name for path in tmp_path.iterdir()] == ["asr"]


def test_words_that_were_never_seen_can_be_spelled(asr):
    for text in ("quetzal's jukebox", "zyx 90"):
        ids = asr.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert asr.tokenizer.unk_token_id not in ids
        assert token_text(asr, ids) == text


def test_the_other_clips_of_a_batch_change_nothing_but_rounding(asr, clips):
    together = frame_posteriors(asr, [samples for _, samples in clips])
    for (_, samples), batched in zip(clips, together, strict=True):
        alone = frame_posteriors(asr, [samples])[0]
        assert alone.log_probs.shape == batched.log_probs.shape == (output_frames(asr, samples), asr.vocab_size)
        assert np.abs(alone.log_probs - batched.log_probs).max() < 1e-4
        assert np.abs(alone.embedding - batched.embedding).max() < 1e-5


def test_transcripts_do_not_depend_on_order_or_batch(asr, clips):
    whole = transcribe(asr, clips, TranscribeSettings(seed=5))
    backwards = transcribe(asr, clips[::-1], TranscribeSettings(seed=5, batch_seconds=0.1))[::-1]
    for one, other in zip(whole, backwards, strict=True):
        assert (one.utterance_id, one.text, one.hypotheses) == (other.utterance_id, other.text, other.hypotheses)
        assert np.allclose(one.columns, other.columns, rtol=1e-3, atol=1e-4)
    drawn_anew = transcribe(asr, clips, TranscribeSettings(seed=6))
    assert [o.hypotheses for o in drawn_anew] != [o.hypotheses for o in whole]
    assert [o.text for o in drawn_anew] == [o.text for o in whole] == best_texts(asr, [s for _, s in clips])


def test_outputs_are_finite_and_carry_their_weights(asr, clips):
    progress = []
    for output, (name, samples) in zip(transcribe(asr, clips, on_progress=progress.append), clips, strict=True):
        assert output.utterance_id == name
        assert output.problem == ""
        assert output.hypotheses[0].text == output.text
        assert sum(h.weight for h in output.hypotheses) == pytest.approx(1.0)
        assert output.columns.shape == (len(ASR_COLUMNS),)
        assert output.columns.dtype == np.float32
        assert np.isfinite(output.columns).all()
        assert output.columns[-1] == pytest.approx(len(samples) / 16_000)
        assert np.linalg.norm(output.embedding) == pytest.approx(1.0, abs=1e-5)
    assert sum(progress) == len(clips)


def test_a_clip_that_can_not_be_transcribed_is_named_and_the_others_are_not_affected(asr, clips):
    spoilt = [("nan", np.full(4000, np.nan, dtype=np.float32)), clips[0], ("none", np.zeros(0, dtype=np.float32))]
    nan, fine, none = transcribe(asr, spoilt)
    assert (nan.problem, fine.problem, none.problem) == ("non-finite samples", "", "no samples")
    assert np.isnan(nan.columns).all()
    assert fine.text == transcribe(asr, clips[:1])[0].text


@pytest.mark.parametrize("length", [1, 160, 16_000])
def test_very_short_clips_and_silence_give_finite_numbers(asr, length):
    output = transcribe(asr, [("short", np.zeros(length, dtype=np.float32))])[0]
    assert output.problem == ""
    assert np.isfinite(output.columns).all()


def test_wide_embeddings_are_projected_and_keep_their_angles():
    rng = np.random.default_rng(0)
    one, noise = rng.standard_normal((2, 1024)).astype(np.float32)
    near, far = one + 0.1 * noise, noise
    assert len(unit_embedding(one)) == MAX_EMBEDDING
    assert unit_embedding(one) @ unit_embedding(near) > 0.97
    assert abs(unit_embedding(one) @ unit_embedding(far)) < 0.3
    assert np.linalg.norm(unit_embedding(np.zeros(8, dtype=np.float32))) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no model.safetensors"),
        ("tokenizer.json", "no tokenizer"),
        ("processor_config.json", "can't be loaded|needs a tokenizer"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused_with_its_name(folder, tmp_path, missing, message):
    shutil.copytree(folder, tmp_path / "asr")
    (tmp_path / "asr" / missing).unlink()
    with pytest.raises(SettingsError, match=message):
        load_asr(tmp_path / "asr")


def test_weights_that_are_cut_or_lack_a_part_are_damage(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(EarmarkError, match="can't be"):
        load_asr(tmp_path / "cut")
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "part")
    file = tmp_path / "part" / "model.safetensors"
    state = load_file(file)
    del state["ctc_head.weight"]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(Damaged, match=r"missing or misshapen, such as ctc_head\.weight"):
        load_asr(tmp_path / "part")


def test_a_tokenizer_of_another_model_is_damage(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "asr")
    file = tmp_path / "asr" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["zzz"] = len(content["model"]["vocab"]) + 10
    file.write_text(json.dumps(content))
    with pytest.raises(Damaged, match="more tokens"):
        load_asr(tmp_path / "asr")


def test_misshapen_weights_are_named(tmp_path):
    folder = tiny_asr_folder(tmp_path / "asr")
    config = json.loads((folder / "config.json").read_text())
    config["encoder_config"]["intermediate_size"] += 8
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(Damaged, match=r"weights are missing or misshapen, such as [\w.]+$"):
        load_asr(folder)


@pytest.mark.parametrize(
    "key",
    ["decoder_start_token_id", "eos_token_id", "no_timestamps_token_id", "lang_to_id", "task_to_id"],
)
@pytest.mark.parametrize("token", [-1, 266, 10**9, "x", 1.5])
def test_a_token_that_the_model_does_not_have_is_named(tmp_path, key, token):
    folder = family_folder("whisper", tmp_path)
    path = folder / "generation_config.json"
    general = json.loads(path.read_text())
    names = {"lang_to_id": "<|en|>", "task_to_id": "transcribe"}
    general[key] = {**general[key], names[key]: token} if key in names else token
    path.write_text(json.dumps(general))
    with pytest.raises(SettingsError, match=f"has the token {token}, and the model has the tokens 0 to 265"):
        load_asr(folder)


@pytest.mark.parametrize("key", ["suppress_tokens", "begin_suppress_tokens"])
def test_tokens_that_are_never_written_and_that_the_model_does_not_have_change_nothing(tmp_path, key):
    folder = family_folder("whisper", tmp_path)
    asr = load_asr(folder)
    clips = [tone_clip("turn it on")]
    before = best_texts(asr, clips)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: [-1, 266, 10**6]}))
    assert decoding_rules(load_asr(folder)) == decoding_rules(asr)
    assert best_texts(load_asr(folder), clips) == before


def test_a_hub_id_needs_its_revision(tmp_path):
    with pytest.raises(SettingsError, match="pinned revision"):
        load_asr("some/model")


def test_weights_that_half_precision_can_not_hold_are_not_saved(tmp_path):
    broken = tiny_asr()
    with torch.no_grad():
        broken.model.ctc_head.bias[0] = float("nan")
    with pytest.raises(Damaged, match="nothing was saved"):
        save_asr(broken, tmp_path / "asr")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "model"
    with replaced_folder(folder) as draft:
        (draft / "a").write_text("1")
    with pytest.raises(OSError, match="nowhere"), replaced_folder(folder) as draft:
        (draft / "nowhere" / "b").write_text("2")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "a"]
    with replaced_folder(folder) as draft:
        (draft / "b").write_text("2")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "b"]

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from corpus.errors import Damaged, SettingsError
from tests.training.tiny_intent import rows, taught_intent, tiny_intent
from training.intent.model import IntentModel, classify, extend_inventory, load_intent, save_intent, with_new_heads
from training.intent.pretrain import train_tokenizer
from training.intent.temperature import calibrated, fit_temperature

TEXTS = ["turn on the hall light", "play some music", "zürich ☃ xyzzy", "a", "turn on the kitchen light now please"]


@pytest.fixture(scope="module")
def taught():
    return taught_intent()


@pytest.fixture(scope="module")
def folder(taught, tmp_path_factory):
    path = tmp_path_factory.mktemp("intent") / "model"
    save_intent(taught, path)
    return path


def test_it_finds_intents_and_slots_of_texts_it_did_not_see(taught):
    output = classify(taught, ["turn on the attic light", "please play music by someone"])
    assert [taught.intents[k] for k in output.probs.argmax(axis=1)] == ["lights", "music"]
    assert [(slot.name, slot.start, slot.end) for slot in output.slots[0]] == [("room", 12, 17)]
    assert output.slots[1] == ()


def test_what_is_saved_is_what_is_loaded(taught, folder):
    loaded = load_intent(folder)
    for name in ("probs", "logits", "embeddings"):
        np.testing.assert_array_equal(getattr(classify(loaded, TEXTS), name), getattr(classify(taught, TEXTS), name))
    assert (loaded.intents, loaded.slot_names) == (("lights", "music", "other"), ("room",))
    assert not [file for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pkl", ".py")]
    assert not list(folder.parent.glob(".model-*"))


def test_half_precision_halves_the_file_and_keeps_the_answers(taught, folder, tmp_path):
    save_intent(taught, tmp_path / "half", half=True)
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, tmp_path / "half")]
    assert sizes[1] < 0.6 * sizes[0]
    loaded = load_intent(tmp_path / "half")
    assert next(loaded.network.parameters()).dtype == torch.float32
    np.testing.assert_allclose(classify(loaded, TEXTS).probs, classify(taught, TEXTS).probs, atol=5e-3)


def test_the_numbers_are_what_their_names_promise(taught):
    output = classify(taught, TEXTS)
    np.testing.assert_allclose(output.probs.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(output.embeddings, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(output.logsumexp, torch.tensor(output.logits).logsumexp(-1).numpy(), atol=1e-5)
    assert {output.probs.dtype, output.logsumexp.dtype, output.embeddings.dtype} == {np.dtype("float32")}
    assert output.pass_probs.shape == (0, len(TEXTS), 3)


def test_no_batch_and_no_order_changes_a_text(taught):
    together = classify(taught, TEXTS, passes=2, seed=3)
    alone = classify(taught, TEXTS[::-1], batch_tokens=1, passes=2, seed=3)
    np.testing.assert_allclose(alone.logits[::-1], together.logits, atol=1e-4)
    np.testing.assert_allclose(alone.pass_probs[:, ::-1], together.pass_probs, atol=1e-4)
    assert alone.slots[::-1] == together.slots


def test_no_texts_give_no_rows_and_an_empty_text_is_a_text(taught):
    nothing = classify(taught, [], passes=2)
    assert nothing.probs.shape == (0, 3)
    assert nothing.pass_probs.shape == (2, 0, 3)
    assert nothing.slots == ()
    empty = classify(taught, [""])
    assert np.isfinite(empty.probs).all()
    assert empty.slots == ((),)


def test_passes_differ_from_each_other_and_depend_on_the_seed_alone(taught):
    state = torch.random.get_rng_state()
    one, again, other = (classify(taught, TEXTS, passes=3, seed=seed).pass_probs for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0
    assert np.abs(one[0] - one[1]).max() > 0
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(classify(taught, TEXTS).logits, classify(taught, TEXTS).logits)


def test_a_text_beyond_the_longest_is_cut(taught):
    long = "turn on the hall light " * 200
    output = classify(taught, [long, long + "play some music"])
    np.testing.assert_allclose(output.probs[0], output.probs[1], atol=1e-5)


def test_extending_the_inventory_keeps_what_was_learned(taught, folder):
    model = load_intent(folder)
    assert extend_inventory(model.network, ["zoom", "music", "alarm"], ["time", "room"])
    assert model.intents == ("lights", "music", "other", "alarm", "zoom")
    assert model.slot_names == ("room", "time")
    before, after = classify(taught, TEXTS), classify(model, TEXTS)
    np.testing.assert_allclose(after.logits[:, :3], before.logits, atol=1e-5)
    assert after.probs.shape == (len(TEXTS), 5)
    assert not extend_inventory(model.network, ["alarm"], [])


def test_a_grown_model_can_be_saved_and_loaded(folder, tmp_path):
    model = load_intent(folder)
    extend_inventory(model.network, ["alarm"], ["time"])
    save_intent(model, tmp_path / "grown")
    loaded = load_intent(tmp_path / "grown")
    assert loaded.intents == ("lights", "music", "other", "alarm")
    np.testing.assert_array_equal(classify(loaded, TEXTS).logits, classify(model, TEXTS).logits)


@pytest.mark.parametrize("family", ["bert", "modernbert", "distilbert"])
def test_any_text_encoder_is_a_base(family, tmp_path):
    from transformers import AutoConfig, AutoModel

    import corpus.audio.torchaudio_guard  # noqa: F401

    tokenizer = train_tokenizer([row.text for row in rows()], 320)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), pad_token_id=0, **sizes)
    AutoModel.from_config(config).save_pretrained(tmp_path / family)
    tokenizer.save_pretrained(tmp_path / family)
    model = load_intent(tmp_path / family)
    assert (model.intents, model.slot_names) == (("other",), ())
    np.testing.assert_allclose(classify(model, TEXTS).probs, 1.0)
    extend_inventory(model.network, ["lights"], ["room"])
    save_intent(model, tmp_path / "joint")
    np.testing.assert_array_equal(
        classify(load_intent(tmp_path / "joint"), TEXTS).embeddings, classify(model, TEXTS).embeddings
    )


def test_heads_on_an_encoder_know_the_given_names():
    network = with_new_heads(tiny_intent().network.encoder, ["b", "a"], ["s"])
    assert network.config.intents == ["other", "a", "b"]
    assert network.slot_head.out_features == 3


def test_the_temperature_is_stored_beside_the_weights_and_used(taught, tmp_path):
    save_intent(IntentModel(taught.network, taught.tokenizer, 2.5), tmp_path / "warm")
    warm = load_intent(tmp_path / "warm")
    assert warm.temperature == 2.5
    output = classify(warm, TEXTS)
    np.testing.assert_allclose(output.probs, torch.tensor(output.logits / 2.5).softmax(-1).numpy(), atol=1e-6)
    np.testing.assert_array_equal(output.logits, classify(taught, TEXTS).logits)


def test_the_fitted_temperature_is_the_one_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, size=(4000, 5)).astype(np.float32)
    probs = np.exp(logits / 2.0) / np.exp(logits / 2.0).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row / row.sum()) for row in probs.astype(np.float64)])
    assert fit_temperature(logits, targets) == pytest.approx(2.0, rel=0.1)


def test_calibration_ignores_intents_that_the_model_does_not_have(taught):
    from training.intent.fit import IntentExample

    assert calibrated(taught, [IntentExample("x", "hello", "unheard_of")]) is taught


# --- what can't be loaded ---------------------------------------------------------------------------------------------


def test_a_hub_id_needs_its_revision():
    with pytest.raises(SettingsError, match="revision"):
        load_intent("somebody/some-model")


def test_a_folder_without_safetensors_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(SettingsError, match="safetensors"):
        load_intent(tmp_path / "m")


def test_cut_weights_are_damage(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(Damaged, match="restore"):
        load_intent(tmp_path / "m")


def test_weights_of_another_inventory_are_damage(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"intents": ["a", "other"]}))
    with pytest.raises((Damaged, SettingsError), match="intent model"):
        load_intent(tmp_path / "m")


@pytest.mark.parametrize("text", ["", "{}", '{"temperature": 0}', '{"temperature": NaN}'])
def test_a_damaged_temperature_is_damage(folder, tmp_path, text):
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / "calibration.json").write_text(text)
    with pytest.raises(Damaged, match="calibration"):
        load_intent(tmp_path / "m")


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = tiny_intent()
    with torch.no_grad():
        model.network.intent_head.bias[0] = float("nan")
    with pytest.raises(Damaged, match="intent_head"):
        save_intent(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_the_top_intent_has_the_greatest_probability_before_and_after_scaling(taught):
    output = classify(taught, TEXTS)
    rows = np.arange(len(TEXTS))
    assert output.confidence().tolist() == output.probs[rows, output.top()].tolist()
    plain = np.exp(output.logits - output.logits.max(axis=1, keepdims=True))
    expected = (plain / plain.sum(axis=1, keepdims=True))[rows, output.top()]
    np.testing.assert_allclose(output.raw_confidence(), expected, rtol=1e-5)


def test_misshapen_weights_are_named(tmp_path):
    save_intent(tiny_intent(), tmp_path / "intent")
    path = tmp_path / "intent" / "config.json"
    config = json.loads(path.read_text())
    config["encoder"]["hidden_dim"] += 8
    path.write_text(json.dumps(config))
    with pytest.raises(Damaged, match=r"weights are missing or misshapen, such as [\w.]+$"):
        load_intent(tmp_path / "intent")

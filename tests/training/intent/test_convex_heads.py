"""Heads at their only optimum over an encoder that stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from tests.training.intent.test_finetune import NEW
from tests.training.tiny_intent import SILENT, made_up_words, rows, taught_intent
from training.intent.convex_heads import INVERSE_PENALTY, HeadRows, chosen_penalty, held_out_logits, optimum
from training.intent.finetune import finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.fit import FitSettings, IntentExample
from training.intent.model import classify, load_intent, save_intent
from training.intent.pretrain import write_replay
from training.intent.temperature import fit_temperature
from training.loop.model_files import weights_digest

CONVEX = IntentFinetuneSettings(fit=FitSettings(head="convex", encoder_rate=None), noise=SILENT)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "intent"
    save_intent(taught_intent(), folder)
    write_replay(folder, rows())
    return folder


def head_rows(seed: int, count: int = 120, width: int = 5, outputs: int = 4) -> HeadRows:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width))
    targets = (features @ rng.normal(size=(width, outputs)) + rng.normal(size=(count, outputs))).argmax(axis=1)
    return HeadRows(features, targets, np.ones(count), np.arange(count), np.zeros((count, outputs)))


def test_new_intents_and_slots_are_learned_while_the_encoder_stays_bit_for_bit(base, tmp_path):
    epochs = []
    result = finetune_intent(base, NEW, tmp_path / "out", CONVEX, dev=NEW, on_epoch=epochs.append)
    before, after = load_intent(base), load_intent(tmp_path / "out")
    said = [after.intents[k] for k in classify(after, ["wake me at five", "turn on the hall light"]).top()]
    assert said == ["alarm", "lights"]
    assert [slot.name for slot in classify(after, ["wake me at ten"]).slots[0]] == ["time"]
    assert (result.grown, result.dev_accuracy) == (("alarm", "time"), (0.0, 1.0))
    for name, tensor in before.network.encoder.state_dict().items():
        assert torch.equal(tensor, after.network.encoder.state_dict()[name])
    assert [(epoch.number, epoch.epochs) for epoch in epochs] == [(0, 1), (1, 1)]
    assert epochs[-1].dev_error == 0.0


def test_the_order_of_the_labels_does_not_matter_and_one_that_is_left_out_leaves_no_trace(base, tmp_path):
    digests = []
    for examples in (NEW, NEW[::-1], NEW[:-1], NEW):
        finetune_intent(base, examples, tmp_path / "out", CONVEX)
        digests.append(weights_digest(tmp_path / "out"))
    assert digests[0] == digests[1] == digests[3] != digests[2]


def test_an_intent_that_nobody_labelled_stays_finite_and_unlikely(base, tmp_path):
    only = [replace(row, slots=None) for row in NEW]
    finetune_intent(base, only, tmp_path / "out", CONVEX.model_copy(update={"replay": 0}))
    model = load_intent(tmp_path / "out")
    found = classify(model, ["wake me at five"])
    assert np.isfinite(found.logits).all()
    assert found.probs[0, model.intents.index("other")] < 0.2
    assert torch.equal(load_intent(base).network.slot_head.weight[0], model.network.slot_head.weight[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from((1.0, 0.1, 0.01)))
def test_it_is_the_optimum_that_scikit_learn_finds(seed: int, penalty: float):
    rows_ = head_rows(seed)
    departure, _ = optimum(rows_, penalty)
    inputs = np.concatenate([rows_.features, np.ones((len(rows_.features), 1))], axis=1)
    peer = LogisticRegression(C=1.0 / (penalty * len(inputs)), fit_intercept=False, tol=1e-8, max_iter=2000)
    present = np.unique(rows_.targets)
    peer.fit(inputs, rows_.targets)
    if len(present) == rows_.start.shape[1] and len(present) > 2:
        assert np.allclose(departure.T, peer.coef_, atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_where_the_search_begins_does_not_matter(seed: int):
    rows_ = head_rows(seed)
    elsewhere = np.random.default_rng(seed).normal(size=(rows_.features.shape[1] + 1, rows_.start.shape[1]))
    assert np.allclose(optimum(rows_, 0.01)[0], optimum(rows_, 0.01, elsewhere)[0], atol=2e-3)


def test_noise_takes_a_stronger_penalty_than_what_is_plain_and_copies_of_an_utterance_are_in_one_fold():
    plain = head_rows(3, count=400)
    noise = replace(plain, targets=np.random.default_rng(0).integers(4, size=400))
    assert chosen_penalty(noise, 0) > chosen_penalty(plain, 0)
    twice = HeadRows(*(np.concatenate([column] * 8) for column in (noise.features, noise.targets, noise.weights)),
                     np.concatenate([noise.groups] * 8), np.concatenate([noise.start] * 8))  # fmt: skip
    assert chosen_penalty(twice, 0) == chosen_penalty(noise, 0)


def test_adapters_and_a_convex_head_are_refused_together():
    with pytest.raises(ValidationError, match="lora to null"):
        IntentFinetuneSettings(fit={"head": "convex"}, lora={"rank": 4})


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_ngrams_are_features_like_all_others(seed: int):
    dense = head_rows(seed, width=8)
    apart = replace(dense, features=dense.features[:, 3:], ngrams=sparse.csr_matrix(dense.features[:, :3]))
    together, separate = optimum(dense, 0.1)[0], optimum(apart, 0.1)[0]
    assert np.allclose(together, separate, atol=2e-3)


def test_the_temperature_is_of_held_out_utterances_whose_intents_the_others_teach():
    plain = head_rows(3, count=200)
    alone = replace(plain, targets=np.where(np.arange(200) == 7, 3, plain.targets % 3))
    logits, taught = held_out_logits(alone, 0)
    assert np.flatnonzero(~taught).tolist() == [7]
    full, _ = optimum(alone, 1.0 / (INVERSE_PENALTY * 200))
    seen = alone.features @ full[:-1] + full[-1]
    known = alone.take(taught)
    assert fit_temperature(logits[taught].astype(np.float32), known.targets) > fit_temperature(
        seen[taught].astype(np.float32), known.targets
    )


def test_the_intents_of_a_base_of_another_domain_are_forgotten_and_words_are_learned_by(base, tmp_path):
    model = load_intent(base)
    model.network.set_words(made_up_words(["account", "card", "rate"], 4))
    save_intent(model, tmp_path / "words")
    write_replay(tmp_path / "words", rows())
    bank = [
        IntentExample(f"b{number}", text, intent)
        for number, (text, intent) in enumerate(
            [("open an account", "account"), ("my card is lost", "card"), ("what is the rate", "rate")] * 4
        )
    ]
    shipped = IntentFinetuneSettings(noise=SILENT, fit=FitSettings(epochs=1, encoder_rate=None, head=None))
    finetune_intent(base, bank, tmp_path / "out", shipped)
    assert load_intent(tmp_path / "out").network.text is None
    result = finetune_intent(tmp_path / "words", bank, tmp_path / "out", shipped)
    learned = load_intent(tmp_path / "out")
    assert learned.network.config.ngrams > 0
    found = classify(learned, ["account", "a lost card", "play some music by hall band"])
    assert [learned.intents[k] for k in found.top()][:2] == ["account", "card"]
    assert found.probs[2, learned.intents.index("music")] < 0.5
    assert result.grown == ("account", "card", "rate")


def test_labels_of_one_new_intent_do_not_make_it_another_domain(base, tmp_path):
    finetune_intent(base, NEW, tmp_path / "out", CONVEX)
    learned = load_intent(tmp_path / "out")
    assert learned.intents[classify(learned, ["play some music by hall band"]).top()[0]] == "music"

"""Any text model of transformers can have the intent and slot heads: extended, trained, adapted, saved and loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers as t

from tests.training.tiny_intent import QUICK, SILENT, rows
from training.intent.finetune import IntentExample, finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.model import classify, load_intent
from training.intent.pretrain import train_tokenizer
from training.loop.lora import LoraSettings

SIZE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}

ENCODERS: dict[str, Any] = {
    "bert": lambda **known: t.BertModel(t.BertConfig(**SIZE, **known)),
    "roberta": lambda **known: t.RobertaModel(t.RobertaConfig(**SIZE, **known)),
    "distilbert": lambda **known: t.DistilBertModel(
        t.DistilBertConfig(dim=32, n_layers=1, n_heads=2, hidden_dim=32, **known)
    ),
    "modernbert": lambda **known: t.ModernBertModel(
        t.ModernBertConfig(**SIZE, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2, **known)
    ),
}
"""By name, what makes a random text model."""


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request, tmp_path_factory):
    """A folder as a hub would give it: a text model and its tokenizer, no heads."""
    folder = tmp_path_factory.mktemp(request.param) / "encoder"
    tokenizer = train_tokenizer([row.text for row in rows()], 320)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ENCODERS[request.param](
            vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, max_position_embeddings=80
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_it_learns_intents_and_slots_and_more_of_them_later(encoder, tmp_path):
    # as heard: the same commands once more with an error, whose slots nobody labelled
    heard = [replace(row, utterance_id=f"{row.utterance_id}/draft", text=row.text[1:], slots=None) for row in rows(6)]
    settings = IntentFinetuneSettings(fit=QUICK.model_copy(update={"epochs": 12}), noise=SILENT, interpolate=0.0)
    first = finetune_intent(encoder, [*rows(), *heard], tmp_path / "first", settings, dev=rows())
    assert first.grown == ("lights", "music", "room")
    assert first.dev_accuracy is not None
    assert first.dev_accuracy[1] == 1.0
    more = [IntentExample(f"n{i}", f"wake me at {hour}", "alarm") for i, hour in enumerate(("six", "nine", "noon"))]
    before = load_intent(tmp_path / "first")
    second = finetune_intent(tmp_path / "first", [*rows(), *more], tmp_path / "second", settings)
    assert second.intents == (*before.intents, "alarm")
    after = load_intent(tmp_path / "second")
    texts = ["turn on the hall light", "play some music by attic band", "wake me at nine"]
    best = classify(after, texts).probs.argmax(axis=1)
    assert [after.intents[k] for k in best] == ["lights", "music", "alarm"]
    assert [slot.name for slot in classify(after, texts).slots[0]] == ["room"]


def test_adapters_train_it_and_are_merged_when_it_is_saved(encoder, tmp_path):
    fit = QUICK.model_copy(update={"epochs": 12, "precision": "bfloat16", "encoder_rate": 2e-2, "head_rate": 2e-2})
    plain = IntentFinetuneSettings(fit=fit, noise=SILENT, interpolate=0.0)
    lora = plain.model_copy(update={"lora": LoraSettings(rank=4)})
    result = finetune_intent(encoder, rows(), tmp_path / "lora", lora, dev=rows())
    assert result.losses[-1] < 0.5 * result.losses[0]
    whole = finetune_intent(encoder, rows(), tmp_path / "whole", plain)
    assert result.digest != whole.digest
    ours, theirs = (load_intent(tmp_path / name).network.state_dict() for name in ("lora", "whole"))
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: tensor.shape for n, tensor in theirs.items()}
    kept = next(name for name in ours if "embedding" in name and ours[name].dim() == 2)
    start = load_intent(encoder).network.state_dict()
    assert torch.equal(ours[kept], start[kept])
    assert not torch.equal(theirs[kept], start[kept])
    assert any(not torch.equal(ours[name], start[name]) for name in ours if name.startswith("encoder"))

"""Weights that are mixed with those of the start, for a moment or for good, with adapters and without."""

from __future__ import annotations

import pytest
import torch

from tests.training.tiny import tiny_asr, tone_clip
from training.asr.finetune import output_layers
from training.asr.model import extract_features
from training.loop.lora import LoraSettings, add_adapters
from training.loop.mixing import mix, mixed, weights_of


def outputs(asr) -> torch.Tensor:
    with torch.no_grad():
        return asr.model.eval()(**extract_features(asr, [tone_clip("turn it off")])).logits


def stirred(network) -> None:
    """Move every weight that learns."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)


def test_after_the_block_the_weights_are_as_before():
    asr = tiny_asr()
    start = weights_of(asr.model)
    stirred(asr.model)
    own = weights_of(asr.model)
    with mixed(asr.model, start, 0.25):
        inside = weights_of(asr.model)
    after = weights_of(asr.model)
    assert all(torch.equal(after[name], own[name]) for name in own)
    floating = [name for name in own if own[name].is_floating_point()]
    assert all(torch.allclose(inside[n], 0.25 * start[n] + 0.75 * own[n], atol=1e-6) for n in floating)
    assert any(not torch.allclose(inside[n], own[n]) for n in floating)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_adapters_that_are_mixed_are_what_they_are_once_they_are_merged(share: float):
    asr = tiny_asr()
    base = weights_of(asr.model)
    merge = add_adapters(asr.model, LoraSettings(rank=2), 0, output_layers(asr))
    start = weights_of(asr.model)
    stirred(asr.model)
    with mixed(asr.model, start, share):
        while_learning = outputs(asr)
    alone = outputs(asr)
    merge()
    mix(asr.model, base, share)
    saved = outputs(asr)
    assert torch.allclose(while_learning, saved, atol=1e-4)
    assert torch.allclose(while_learning, alone, atol=1e-4) == (share == 0)

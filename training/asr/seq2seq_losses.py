"""The training loss of seq2seq speech models, and which clips they can learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from corpus.records.base import Floats
from training.asr.model import AsrModel, window_samples
from training.asr.seq2seq_prompts import decoding_rules, max_tokens

if TYPE_CHECKING:
    import torch


def fits_window(asr: AsrModel, samples: Floats, target: Sequence[int]) -> bool:
    """Return whether the whole clip fits into the model's window, and the target into its number of tokens."""
    window, rules = window_samples(asr), decoding_rules(asr)
    seconds = len(samples) / asr.sample_rate
    return (window is None or len(samples) <= window) and len(target) <= max_tokens(rules, seconds)


def seq2seq_losses(
    asr: AsrModel, inputs: Mapping[str, torch.Tensor], targets: Sequence[Sequence[int]], label_smoothing: float
) -> torch.Tensor:
    """Return (B,) the cross entropy of each clip's tokens and end token, summed, each given those before it [nats]."""
    import torch

    rules = decoding_rules(asr)
    prefix, end = list(rules.prefix), rules.ends[0]
    longest = max(len(target) for target in targets)
    given = [prefix + list(target) + [end] * (longest - len(target)) for target in targets]
    wanted = [
        [-100] * (len(prefix) - 1) + list(target) + [end] + [-100] * (longest - len(target)) for target in targets
    ]
    logits = asr.model(**inputs, decoder_input_ids=torch.tensor(given, device=asr.device), use_cache=False).logits
    each = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2),
        torch.tensor(wanted, device=asr.device),
        reduction="none",
        ignore_index=-100,
        label_smoothing=label_smoothing,
    )
    return each.sum(dim=1)

"""Cost of a given transcript under a speech model, beside the model's own best transcript of the same clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from corpus.edits import distance
from corpus.records.base import Floats
from training.asr.ctc import frame_posteriors
from training.asr.fit import AsrExample, encode_targets
from training.asr.model import AsrModel, extract_features, padded_lengths, token_text
from training.asr.posterior import collapse
from training.asr.seq2seq import decode_clips
from training.asr.seq2seq_draws import DrawSettings
from training.asr.seq2seq_losses import seq2seq_losses
from training.loop.batching import length_batches

MOST: Final = 50.0
"""Largest cost of a word [nats]: also that of a transcript with more tokens than the clip has frames."""

Clip = tuple[str, Floats, str]
"""An utterance id, its samples, (S,) float32 at the model's rate, and its normalised transcript."""


@dataclass(frozen=True, slots=True)
class ReferenceCost:
    """What a transcript costs beside the model's best one.

    Attributes:
        a_word: log probability of the best transcript given the audio, minus that of the given one, divided by the
            words of the longer one; in [0, `MOST`], 0 where both are equal [nats a word].
        edits: word edits between the two.
        words: words of the given transcript.
    """

    a_word: float
    edits: int
    words: int


def reference_costs(
    asr: AsrModel,
    clips: Sequence[Clip],
    batch_seconds: float = 60.0,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, ReferenceCost]:
    """Return the cost of each transcript by utterance id; clips without a finite result are left out.

    With a CTC model both probabilities are sums over all alignments (the forward algorithm, Graves et al. 2006); with a
    seq2seq model they are products over the tokens, the end included.

    Args:
        asr: the speech model.
        clips: utterance id, samples and transcript of each.
        batch_seconds: largest padded batch [s].
        on_progress: called with the number of clips done since the last call.
    """
    usable = [clip for clip in clips if len(clip[1]) and np.isfinite(clip[1]).all()]
    found: dict[str, ReferenceCost] = {}
    limit = max(1, int(batch_seconds * asr.sample_rate))
    for batch in length_batches(padded_lengths(asr, [samples for _, samples, _ in usable]), limit):
        chosen = [usable[row] for row in batch.tolist()]
        for (utterance_id, _, text), (best, given, own) in zip(chosen, LOSSES[asr.head](asr, chosen), strict=True):
            if np.isfinite(own):
                spoken, heard = text.split(), best.split()
                excess = (given - own) / max(1, len(spoken), len(heard)) if spoken != heard else 0.0
                found[utterance_id] = ReferenceCost(
                    a_word=float(np.clip(np.nan_to_num(excess, nan=MOST, posinf=MOST), 0.0, MOST)),
                    edits=distance(spoken, heard),
                    words=len(spoken),
                )
        if on_progress is not None:
            on_progress(len(chosen))
    return found


def _ctc_losses(asr: AsrModel, clips: Sequence[Clip]) -> list[tuple[str, float, float]]:
    """Return the best text of each clip, and the losses of the given and of the best text [nats]."""
    targets = encode_targets(asr, [AsrExample(i, samples, text) for i, samples, text in clips])
    rows = []
    for posterior, target in zip(frame_posteriors(asr, [samples for _, samples, _ in clips]), targets, strict=True):
        best = collapse(posterior.log_probs.argmax(axis=1), asr.blank)
        given, own = (_ctc_loss(posterior.log_probs, tokens, asr.blank) for tokens in (target, best))
        rows.append((token_text(asr, best), given, own))
    return rows


def _ctc_loss(log_probs: Floats, tokens: Sequence[int], blank: int) -> float:
    """Return the CTC loss of tokens under (T, V) log probabilities [nats]; infinite where T is too small."""
    import torch

    return float(
        torch.nn.functional.ctc_loss(
            torch.from_numpy(np.ascontiguousarray(log_probs, np.float32))[:, None],
            torch.tensor([list(tokens)], dtype=torch.long),
            torch.tensor([len(log_probs)]),
            torch.tensor([len(tokens)]),
            blank=blank,
            reduction="sum",
        )
    )


def _seq2seq_losses(asr: AsrModel, clips: Sequence[Clip]) -> list[tuple[str, float, float]]:
    """Return the best text of each clip, and the losses of the given and of the best text [nats]."""
    import torch

    samples = [samples for _, samples, _ in clips]
    best = [token_text(asr, one.text) for one in decode_clips(asr, samples, DrawSettings(), [None] * len(clips))]
    losses = []
    for texts in (
        [text for _, _, text in clips],
        best,
    ):  # both by their own spelling, so that equal texts cost the same
        examples = [AsrExample(i, clip, text) for (i, clip, _), text in zip(clips, texts, strict=True)]
        with torch.inference_mode():
            found = seq2seq_losses(asr, extract_features(asr, samples), encode_targets(asr, examples), 0.0)
        losses.append(found.cpu().tolist())
    return list(zip(best, *losses, strict=True))


LOSSES: Final[dict[str, Callable[[AsrModel, Sequence[Clip]], list[tuple[str, float, float]]]]] = {
    "ctc": _ctc_losses,
    "seq2seq": _seq2seq_losses,
}
"""By the head of a model: best text, loss of the given and of the best text of each clip of a batch."""

"""Speech models with a CTC head: their posterior of each frame, and their training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from corpus.records.base import Floats
from training.asr.model import AsrModel, extract_features, masks_padding, unit_embedding

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class FramePosterior:
    """The model's posterior of one clip.

    Attributes:
        log_probs: (T, V) float32 log posterior of each frame's symbol [nats], without padding.
        embedding: (D,) float32 mean encoder state, of unit length, D at most `MAX_EMBEDDING`.
    """

    log_probs: Floats
    embedding: Floats


def output_lengths(asr: AsrModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return (B,) int64: the number of output frames of each clip, without padding."""
    import torch

    mask = inputs.get("attention_mask")
    first = inputs[asr.model.main_input_name]
    lengths = mask.sum(-1) if mask is not None else torch.full((len(first),), first.shape[1], device=first.device)
    for method in ("_get_subsampling_output_length", "_get_feat_extract_output_lengths"):
        if hasattr(asr.model, method):
            return torch.as_tensor(getattr(asr.model, method)(lengths), dtype=torch.int64)
    return lengths.to(torch.int64)


def output_frames(asr: AsrModel, samples: Floats) -> int:
    """Return the number of output frames that the model has for a clip of (S,) samples."""
    return int(output_lengths(asr, extract_features(asr, [samples]))[0])


def frame_posteriors(asr: AsrModel, clips: Sequence[Floats]) -> list[FramePosterior]:
    """Return the posterior of each clip; clips are (S,) float32 at the model's sample rate.

    Padding is masked, so the other clips of a batch change a result by no more than float rounding.
    """
    import torch

    if len(clips) > 1 and not masks_padding(asr):
        return [frame_posteriors(asr, [clip])[0] for clip in clips]
    inputs = extract_features(asr, clips)
    with torch.inference_mode():
        outputs = asr.model(**inputs, output_hidden_states=True)
        log_probs = torch.log_softmax(outputs.logits.float(), dim=-1)
        states = outputs.hidden_states[-1].float()
        lengths = output_lengths(asr, inputs).clamp(1, log_probs.shape[1]).tolist()
        rows = []
        for row, length in enumerate(lengths):
            pooled = states[row, :length].mean(dim=0).cpu().numpy()
            rows.append(FramePosterior(log_probs[row, :length].cpu().numpy(), unit_embedding(pooled)))
    return rows


# --- train ------------------------------------------------------------------------------------------------------------


def frames_needed(target: Sequence[int]) -> int:
    """Return the number of frames that CTC needs for a target: one a token, and a blank between equal neighbours."""
    return len(target) + sum(left == right for left, right in pairwise(target))


def fits_frames(asr: AsrModel, samples: Floats, target: Sequence[int]) -> bool:
    """Return whether the clip has enough frames for the target."""
    return frames_needed(target) <= output_frames(asr, samples)


def ctc_losses(
    asr: AsrModel, inputs: Mapping[str, torch.Tensor], targets: Sequence[Sequence[int]], label_smoothing: float
) -> torch.Tensor:
    """Return (B,) the CTC loss of each clip's transcript [nats]; `label_smoothing` is ignored, CTC has none."""
    import torch

    log_probs = torch.log_softmax(asr.model(**inputs).logits.float(), dim=-1)
    sizes = torch.tensor([len(target) for target in targets])
    losses: torch.Tensor = torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1),
        torch.tensor([token for target in targets for token in target], dtype=torch.long, device=log_probs.device),
        output_lengths(asr, inputs).clamp(1, log_probs.shape[1]),
        sizes.to(log_probs.device),
        blank=asr.blank,
        reduction="none",
        zero_infinity=True,
    )
    return losses

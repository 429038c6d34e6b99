"""The speech model as a loaded object, and the preparation of clips for it, for every family of transformers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats
from corpus.text import normalise

if TYPE_CHECKING:
    import torch

    from training.asr.word_beam import DecoderFiles, WordBeam

Head = Literal["ctc", "seq2seq"]

MAX_EMBEDDING: Final = 256
"""Largest width of an embedding; wider encoder states are projected at random, with a fixed seed."""

MIN_SECONDS: Final = 0.1
"""Shorter clips are padded with silence to this length [s], since a feature extractor needs more than one frame."""


@dataclass(frozen=True, slots=True)
class AsrModel:
    """A speech model, ready to run.

    Attributes:
        model: transformers' model in evaluation mode, float32.
        processor: its feature extractor and tokenizer.
        blank: id of the CTC blank; -1 for seq2seq models, which have none.
        starts_word: (V,) bool, tokens that begin a word.
        delimiter: (V,) bool, tokens that separate words and belong to none.
        sample_rate: sample rate of its input [Hz].
        head: how it produces text: one symbol a frame (`ctc`), or one token after the other (`seq2seq`).
        marks: ids of special tokens, which are no part of a text. Word delimiters are not among them.
        beam: the beam search of its decoder; None where it decodes greedily.
        decoder: the files of the beam search, which are saved with the model.
    """

    model: Any
    processor: Any
    blank: int
    starts_word: npt.NDArray[np.bool_]
    delimiter: npt.NDArray[np.bool_]
    sample_rate: int
    head: Head = "ctc"
    marks: frozenset[int] = frozenset()
    beam: WordBeam | None = None
    decoder: DecoderFiles | None = None

    @property
    def tokenizer(self) -> Any:
        """Return the tokenizer of the processor."""
        return self.processor.tokenizer

    @property
    def vocab_size(self) -> int:
        """Return the number of output symbols, the blank included."""
        return len(self.starts_word)

    @property
    def device(self) -> torch.device:
        """Return the device that holds the weights."""
        first: torch.Tensor = next(self.model.parameters())
        return first.device


def extract_features(asr: AsrModel, clips: Sequence[Floats]) -> dict[str, torch.Tensor]:
    """Return the padded inputs of the model for clips of (S,) float32 at its sample rate.

    Clips shorter than `MIN_SECONDS` are padded with silence first.
    """
    shortest = int(MIN_SECONDS * asr.sample_rate)
    filled = [np.pad(clip, (0, max(0, shortest - len(clip)))).astype(np.float32, copy=False) for clip in clips]
    extractor = asr.processor.feature_extractor
    padding = "max_length" if window_samples(asr) is not None else "longest"
    inputs = extractor(filled, sampling_rate=asr.sample_rate, padding=padding, return_tensors="pt")
    return {name: tensor.to(asr.device) for name, tensor in inputs.items()}


def window_samples(asr: AsrModel, length: int = 0, shorter: float | None = None) -> int | None:
    """Return the fixed length [samples] to which a family such as Whisper pads every clip; None for other families.

    Args:
        asr: the model.
        length: of a clip [samples].
        shorter: window in place of the model's own, for a clip that fits into it [s].
    """
    samples = getattr(asr.processor.feature_extractor, "n_samples", None)
    if samples is None or asr.head != "seq2seq":
        return None
    wanted = int(samples) if shorter is None else math.ceil(shorter * asr.sample_rate)
    return wanted if length <= wanted < int(samples) else int(samples)


def padded_lengths(
    asr: AsrModel, clips: Sequence[Floats], window: float | None = None, stretch: float = 1.0
) -> list[int]:
    """Return the length of each clip as the model processes it [samples], before it is padded to its batch.

    Args:
        asr: the model.
        clips: (S,) each.
        window: as `shorter` of `window_samples`.
        stretch: how much longer a clip may become before it has to fit into the window.
    """
    return [max(1, window_samples(asr, math.ceil(len(clip) * stretch), window) or len(clip)) for clip in clips]


@contextmanager
def shorter_window(asr: AsrModel, inputs: dict[str, torch.Tensor], samples: int | None) -> Iterator[None]:
    """Let the encoder process only the first samples of its window; what follows in the inputs is cut off.

    Its positions are fixed and start at 0, so that those of a shorter window are the first ones. Nothing changes where
    `samples` is the whole window.
    """
    import torch

    whole = window_samples(asr)
    if whole is None or samples is None or samples == whole:
        yield
        return
    encoder, config = asr.model.get_encoder(), asr.model.get_encoder().config
    positions, most = encoder.embed_positions, config.max_source_positions
    kept = math.ceil(most * samples / whole)
    name = asr.model.main_input_name
    inputs[name] = inputs[name][..., : inputs[name].shape[-1] * kept // most]
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(positions.weight[:kept])
    config.max_source_positions = kept
    try:
        yield
    finally:
        encoder.embed_positions, config.max_source_positions = positions, most


def plain_text(asr: AsrModel, tokens: Sequence[int]) -> str:
    """Return the text of tokens as the model spells it, without special ones."""
    kept = [token for token in tokens if token not in asr.marks]
    if asr.tokenizer.is_fast:  # without the wrapper, which takes ten times as long as the decoding
        return str(asr.tokenizer.backend_tokenizer.decode(kept, skip_special_tokens=False))
    return str(asr.tokenizer.decode(kept, **({"group_tokens": False} if asr.head == "ctc" else {})))


def masks_padding(asr: AsrModel) -> bool:
    """Return whether padding leaves the result of a clip unchanged; if not, clips have to be run one by one.

    Some models get no mask of the padding; in others a group norm takes its mean over the whole padded clip.
    """
    import torch

    if window_samples(asr) is not None:
        return True
    if any(isinstance(module, torch.nn.GroupNorm) for module in asr.model.modules()):
        return False
    return bool(getattr(asr.processor.feature_extractor, "return_attention_mask", True))


def unit_embedding(state: Floats) -> Floats:
    """Return the state as (D,) float32 of unit length, D at most `MAX_EMBEDDING`.

    Wider states go through a random Gaussian projection, which keeps distances (Johnson & Lindenstrauss 1984).
    """
    if len(state) > MAX_EMBEDDING:
        rng = np.random.default_rng([len(state), MAX_EMBEDDING])
        state = (rng.standard_normal((MAX_EMBEDDING, len(state)), dtype=np.float32) @ state).astype(np.float32)
    norm = float(np.linalg.norm(state.astype(np.float64)))
    if norm == 0.0:
        state, norm = np.ones_like(state), float(np.sqrt(len(state)))
    return (state / norm).astype(np.float32)


def token_text(asr: AsrModel, tokens: Sequence[int]) -> str:
    """Return the normalised text of tokens; those of a CTC model have to be collapsed already."""
    return normalise(plain_text(asr, tokens))

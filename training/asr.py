"""Speech models with a CTC head: load, save and run them, whatever family of transformers they belong to.

A model is a folder in transformers' own format: config, `model.safetensors`, feature extractor and tokenizer. Nothing
here names a family, so Parakeet, Wav2Vec2, HuBERT, WavLM and Wav2Vec2-BERT load alike; code from a folder never runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import Damaged, SettingsError
from corpus.records import Floats
from training.model_files import check_model_folder, replaced_folder, weights_digest, without_bars

if TYPE_CHECKING:
    import torch

MAX_EMBEDDING: Final = 256
"""Widest embedding that leaves this package; wider encoder states are projected at random, by a fixed seed."""

MIN_SECONDS: Final = 0.1
"""Clips are filled up with silence to this length [s]: a feature extractor needs more than a frame."""

LOUD_WEIGHTS: Final = 6e4
"""Largest magnitude that float16 weights may hold."""


@dataclass(frozen=True, slots=True)
class AsrModel:
    """A speech model, ready to run.

    Attributes:
        model: transformers' CTC model in evaluation mode, float32.
        processor: its feature extractor and tokenizer.
        blank: id of the CTC blank.
        starts_word: (V,) bool, tokens that begin a word.
        delimiter: (V,) bool, tokens that stand between words and are no part of one.
        sample_rate: what the model hears [Hz].
    """

    model: Any
    processor: Any
    blank: int
    starts_word: npt.NDArray[np.bool_]
    delimiter: npt.NDArray[np.bool_]
    sample_rate: int

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the processor."""
        return self.processor.tokenizer

    @property
    def vocab_size(self) -> int:
        """Number of output symbols, blank included."""
        return len(self.starts_word)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first: torch.Tensor = next(self.model.parameters())
        return first.device


@dataclass(frozen=True, slots=True)
class FramePosterior:
    """What the model says of one clip.

    Attributes:
        log_probs: (T, V) float32 log posterior of each frame's symbol [nats]; padding is left out.
        embedding: (D,) float32 mean encoder state, of unit length, D at most `MAX_EMBEDDING`.
    """

    log_probs: Floats
    embedding: Floats


# --- load and save ----------------------------------------------------------------------------------------------------


def load_asr(folder: str | Path, revision: str | None = None, device: str = "cpu") -> AsrModel:
    """Returns the model of a local folder, or of a hub id with its pinned revision.

    Only safetensors are read and no code of the folder runs.

    Raises:
        SettingsError: no model there, no tokenizer, no safetensors, a hub id without revision, or not a CTC model.
        Damaged: the weights don't fit the configuration, or the file is cut short.
    """
    import corpus.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCTC, AutoProcessor

    where: dict[str, Any] = {"trust_remote_code": False}
    if Path(folder).is_dir():
        check_model_folder(Path(folder))
        where["local_files_only"] = True
    elif revision is None:
        raise SettingsError(f"speech model {folder}: no such folder; a hub id needs its pinned revision")
    else:
        where["revision"] = revision
    try:
        with without_bars():
            processor = AutoProcessor.from_pretrained(str(folder), **where)
            model, info = AutoModelForCTC.from_pretrained(
                str(folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **where
            )
    except SafetensorError as error:
        raise Damaged(f"speech model {folder}: model.safetensors can't be read; restore the folder") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise SettingsError(f"speech model {folder} can't be loaded as a CTC model: {reason}") from error
    # transformers would go on with random weights in place of missing ones.
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lacking:
        raise Damaged(f"speech model {folder}: {len(lacking)} weights are missing or misshapen, such as {lacking[0]}")
    return ready(model.to(device), processor, str(folder))


def ready(model: Any, processor: Any, name: str) -> AsrModel:
    """Returns the model in evaluation mode with what decoding needs to know of its vocabulary.

    Raises:
        SettingsError: the processor has no tokenizer or feature extractor, or no blank is configured.
        Damaged: the tokenizer has more tokens than the model has outputs.
    """
    tokenizer = getattr(processor, "tokenizer", None)
    extractor = getattr(processor, "feature_extractor", None)
    if tokenizer is None or extractor is None:
        raise SettingsError(f"speech model {name}: needs a tokenizer and a feature extractor beside the weights")
    blank, size = model.config.pad_token_id, int(model.config.vocab_size)
    if blank is None or not 0 <= int(blank) < size:
        raise SettingsError(f"speech model {name}: pad_token_id of its config has to be the CTC blank")
    special = set(tokenizer.all_special_tokens)  # some families keep markers of sentences beyond their outputs
    if max(place for token, place in tokenizer.get_vocab().items() if token not in special) >= size:
        raise Damaged(f"speech model {name}: the tokenizer has more tokens than the model has outputs")
    tokens = [str(token or "") for token in tokenizer.convert_ids_to_tokens(list(range(size)))]
    gap = getattr(tokenizer, "word_delimiter_token", None)
    delimiter = np.array([token == gap for token in tokens])
    starts = np.array([token.startswith(("\u2581", "\u0120")) for token in tokens])  # SentencePiece's and GPT-2's marks
    return AsrModel(model.eval(), processor, int(blank), starts, delimiter, int(extractor.sampling_rate))


def save_asr(asr: AsrModel, folder: Path) -> str:
    """The folder holds the model, as float16 safetensors, and its processor; returns the digest of the weights.

    Raises:
        Damaged: a weight is not finite or too large for float16; nothing is written.
    """
    from safetensors.torch import save

    state = {name: tensor.detach().to("cpu") for name, tensor in asr.model.state_dict().items()}
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool((tensor.abs() < LOUD_WEIGHTS).all()):
            raise Damaged(f"weight {name} is not finite or too large to be saved as float16; nothing was saved")
    halved = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous() for name, tensor in state.items()
    }
    with replaced_folder(folder) as draft:
        asr.model.config.save_pretrained(draft)
        asr.processor.save_pretrained(draft)
        (draft / "model.safetensors").write_bytes(save(halved, metadata={"format": "pt"}))
    return weights_digest(folder)


# --- run --------------------------------------------------------------------------------------------------------------


def extract_features(asr: AsrModel, clips: Sequence[Floats]) -> dict[str, torch.Tensor]:
    """Returns the padded inputs of the model for clips of (S,) float32 at its sample rate.

    Clips below `MIN_SECONDS` are filled up with silence first.
    """
    shortest = int(MIN_SECONDS * asr.sample_rate)
    filled = [np.pad(clip, (0, max(0, shortest - len(clip)))).astype(np.float32, copy=False) for clip in clips]
    extractor = asr.processor.feature_extractor
    inputs = extractor(filled, sampling_rate=asr.sample_rate, padding="longest", return_tensors="pt")
    return {name: tensor.to(asr.device) for name, tensor in inputs.items()}


def masks_padding(asr: AsrModel) -> bool:
    """Returns True where the model is told what is padding; without it clips have to be run one by one."""
    return bool(getattr(asr.processor.feature_extractor, "return_attention_mask", True))


def output_lengths(asr: AsrModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Returns (B,) int64: the number of output frames of each clip, padding left out."""
    import torch

    mask = inputs.get("attention_mask")
    first = inputs[asr.model.main_input_name]
    lengths = mask.sum(-1) if mask is not None else torch.full((len(first),), first.shape[1], device=first.device)
    for method in ("_get_subsampling_output_length", "_get_feat_extract_output_lengths"):
        if hasattr(asr.model, method):
            return torch.as_tensor(getattr(asr.model, method)(lengths), dtype=torch.int64)
    return lengths.to(torch.int64)


def output_frames(asr: AsrModel, samples: Floats) -> int:
    """Returns how many output frames the model has for a clip of (S,) samples."""
    return int(output_lengths(asr, extract_features(asr, [samples]))[0])


def frame_posteriors(asr: AsrModel, clips: Sequence[Floats]) -> list[FramePosterior]:
    """Returns what the model says of each clip; clips are (S,) float32 at the model's rate.

    Padding is masked, so the other clips of a batch change a result by float rounding only.
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


def unit_embedding(state: Floats) -> Floats:
    """Returns the state as (D,) float32 of unit length, D at most `MAX_EMBEDDING`.

    Wider states go through a random Gaussian projection, which keeps distances (Johnson & Lindenstrauss 1984).
    """
    if len(state) > MAX_EMBEDDING:
        rng = np.random.default_rng([len(state), MAX_EMBEDDING])
        state = (rng.standard_normal((MAX_EMBEDDING, len(state)), dtype=np.float32) @ state).astype(np.float32)
    norm = float(np.linalg.norm(state.astype(np.float64)))
    if norm == 0.0:
        state, norm = np.ones_like(state), float(np.sqrt(len(state)))
    return (state / norm).astype(np.float32)

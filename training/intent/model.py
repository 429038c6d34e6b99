"""Intent models with slots: loading, saving, and classification of texts.

A model is a folder in the format of transformers: config with the inventory, `model.safetensors`, tokenizer, and a JSON
file with the temperature. Its class is registered in `training.intent.network`; code from a folder never runs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoTokenizer

import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)
from corpus.errors import Damaged, SettingsError
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Floats
from training.intent.network import (
    JointIntentConfig,
    JointIntentModel,
    consistent_dropout,
    extend_inventory,
    max_input_tokens,
    one_thread_if_small,
    with_new_heads,
)
from training.intent.slot_tags import spans_of, word_spans
from training.loop.batching import length_batches
from training.loop.config_sizes import check_folder, check_weights
from training.loop.model_files import replaced_folder, without_progress_bars

__all__ = [
    "IntentModel",
    "IntentOutput",
    "JointIntentConfig",
    "JointIntentModel",
    "classify",
    "extend_inventory",
    "load_intent",
    "save_intent",
    "with_new_heads",
    "write_intent",
]

CALIBRATION = "calibration.json"
"""File beside the weights with `{"temperature": T}`; without it T is 1."""


@dataclass(frozen=True, slots=True)
class IntentModel:
    """A loaded model in evaluation mode, with its tokenizer, inventory and temperature."""

    network: JointIntentModel
    tokenizer: Any
    temperature: float = 1.0

    @property
    def intents(self) -> tuple[str, ...]:
        """Return the names of the C intents, in the order of the outputs."""
        return tuple(self.network.config.intents)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the S slot types."""
        return tuple(self.network.config.slot_names)


def load_intent(folder: str | Path, *, revision: str | None = None, device: str = "cpu") -> IntentModel:
    """Return the model of a folder, or a plain text encoder with new heads whose only intent is `other`.

    Args:
        folder: folder or hub id of a model that `save_intent` wrote, or of a text encoder of transformers.
        revision: the commit of a hub id, which is required for one.
        device: device of the model.

    Raises:
        SettingsError: there is no model that can be loaded, or a hub id comes without a revision.
        Damaged: the weights don't fit the configuration, or a file is cut short.
    """
    local = Path(folder).is_dir()
    if local:
        check_folder(Path(folder))
    elif not revision:
        raise SettingsError(f"intent model {folder}: no such folder; a hub id needs its pinned revision")
    where: dict[str, Any] = {"local_files_only": True} if local else {"revision": revision}
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, **where)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, **where)
        kind: Any = JointIntentModel if isinstance(config, JointIntentConfig) else AutoModel
        check_weights(Path(folder), AutoModel, config)
        with without_progress_bars():
            network, info = kind.from_pretrained(
                str(folder),
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, where the message names one
                **where,
            )
    except SafetensorError as error:
        raise Damaged(f"intent model {folder}: model.safetensors can't be read; restore the folder") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise SettingsError(f"intent model {folder} can't be loaded as a text model: {_first_line(error)}") from error
    # transformers would continue with random weights in place of missing ones; a plain encoder may lack a pooler
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key, *_ in info["mismatched_keys"])
    lacking = [key for key in lacking if kind is JointIntentModel or "pooler" not in key]
    if lacking:
        raise Damaged(f"intent model {folder}: {len(lacking)} weights are missing or misshapen, such as {lacking[0]}")
    if not tokenizer.is_fast:
        raise SettingsError(f"intent model {folder}: needs a tokenizer.json, which gives the characters of a token")
    joint: Any = network if kind is JointIntentModel else with_new_heads(network)
    joint.to(device).eval()
    return IntentModel(joint, tokenizer, _temperature(Path(folder)))


def _temperature(folder: Path) -> float:
    stored = folder / CALIBRATION
    if not stored.is_file():
        return 1.0
    try:
        temperature = float(json.loads(stored.read_text(encoding="utf-8"))["temperature"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"intent model {folder}: {CALIBRATION} can't be read; restore the folder") from error
    if not 0.0 < temperature < float("inf"):
        raise Damaged(f"intent model {folder}: the temperature in {CALIBRATION} is not above 0; restore the folder")
    return temperature


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def save_intent(model: IntentModel, folder: Path, *, half: bool = False) -> None:
    """Write the model to the folder: weights in safetensors (float16 if `half`), tokenizer, inventory, temperature.

    Raises:
        Damaged: a weight is not finite, or too large for float16; nothing is written.
    """
    with replaced_folder(folder) as draft:
        write_intent(model, draft, half=half)


def write_intent(model: IntentModel, draft: Path, *, half: bool = False) -> None:
    """Write the files of the model to the empty folder `draft`; see `save_intent`."""
    state = {name: tensor.detach().to("cpu") for name, tensor in model.network.state_dict().items()}
    limit = torch.finfo(torch.float16 if half else torch.float32).max
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool((tensor.abs() <= limit).all()):
            raise Damaged(f"weight {name} of the intent model is not finite or too large; nothing was saved")
        state[name] = (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
    model.network.config.save_pretrained(draft)
    model.tokenizer.save_pretrained(draft)
    save_file(state, draft / "model.safetensors", metadata={"format": "pt"})
    shutil.copymode(draft / "config.json", draft / "model.safetensors")  # whose library makes it for its owner alone
    (draft / CALIBRATION).write_text(json.dumps({"temperature": round(model.temperature, 4)}) + "\n")


@dataclass(frozen=True, slots=True)
class IntentOutput:
    """What the model predicts for N texts.

    Attributes:
        probs: (N, C) float32, softmax(logits / temperature).
        logits: (N, C) float32.
        logsumexp: (N,) float32, logarithm of the summed exponentials of the logits.
        embeddings: (N, D) float32 of unit length, the pooled output.
        slots: the slots of each text, N tuples of spans.
        pass_probs: (P, N, C) float32, probabilities of each of the P dropout passes.
    """

    probs: Floats
    logits: Floats
    logsumexp: Floats
    embeddings: Floats
    slots: tuple[tuple[SlotSpan, ...], ...]
    pass_probs: Floats

    def top(self) -> npt.NDArray[np.int64]:
        """Return the number of each text's most probable intent, (N,) int64."""
        return np.asarray(self.probs.argmax(axis=1), dtype=np.int64)

    def confidence(self) -> Floats:
        """Return the probability of each text's most probable intent, (N,) float32."""
        return np.asarray(self.probs.max(axis=1), dtype=np.float32)

    def raw_confidence(self) -> Floats:
        """Return the probability that the most probable intent had before temperature scaling, (N,) float32."""
        return np.asarray(np.exp(self.logits.max(axis=1) - self.logsumexp), dtype=np.float32)


def classify(
    model: IntentModel, texts: Sequence[str], *, batch_tokens: int = 4096, passes: int = 0, seed: int = 0
) -> IntentOutput:
    """Return intents, slots and embeddings of texts; batches change them by no more than float rounding.

    The dropout passes are consistent: each pass draws one dropout mask, seeded by (seed, pass), and uses it for every
    text (Kirsch et al. 2019, BatchBALD, section 4.2), so that neither batches nor order change the passes.

    Args:
        model: the intent model.
        texts: N normalised texts; they may be empty.
        batch_tokens: largest number of tokens of a batch, padding included.
        passes: number P of dropout passes.
        seed: seed of the passes.
    """
    n, classes = len(texts), len(model.intents)
    logits = np.zeros((n, classes), np.float32)
    pooled = np.zeros((n, model.network.intent_head.in_features), np.float32)
    pass_logits = np.zeros((passes, n, classes), np.float32)
    slots: list[tuple[SlotSpan, ...]] = [()] * n
    for rows, batch, encoding in text_batches(model, texts, batch_tokens):
        with torch.inference_mode(), one_thread_if_small(model.network):
            intent, tags, hidden = model.network(**batch)
            logits[rows], pooled[rows] = intent.float().cpu().numpy(), hidden.float().cpu().numpy()
            for p in range(passes):
                with consistent_dropout(model.network, seed, p):
                    pass_logits[p, rows] = model.network(**batch)[0].float().cpu().numpy()
        best = tags.argmax(-1).cpu().numpy()
        for at, row in enumerate(rows):
            words = word_spans(texts[row], encoding.word_ids(at), encoding[at].offsets)
            slots[row] = spans_of(words, [int(best[at, first]) for first, _ in words], model.slot_names)
    return IntentOutput(
        probs=_softmax(logits / model.temperature),
        logits=logits,
        logsumexp=_logsumexp(logits),
        embeddings=_unit(pooled),
        slots=tuple(slots),
        pass_probs=_softmax(pass_logits / model.temperature),
    )


def text_batches(
    model: IntentModel, texts: Sequence[str], batch_tokens: int
) -> Iterator[tuple[list[int], dict[str, Any], Any]]:
    """Yield the texts in padded batches of similar length: their numbers, the network's inputs, and the encoding."""
    limit = max_input_tokens(model.network)
    # a spoken text has no more tokens than letters, so a padded batch has at most `batch_tokens`
    lengths = [min(limit, 2 + len(text)) for text in texts]
    for batch in length_batches(lengths, batch_tokens):
        rows = batch.tolist()
        encoding = model.tokenizer(
            [texts[row] for row in rows], padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        yield rows, network_inputs(model, [texts[row] for row in rows], encoding), encoding


def network_inputs(model: IntentModel, texts: Sequence[str], encoding: Any) -> dict[str, Any]:
    """Return what the network takes of texts: their tokens, and what it reads of the texts themselves."""
    device = model.network.device
    tokens = {key: encoding[key].to(device) for key in ("input_ids", "attention_mask")}
    return {**tokens, "texts": model.network.text_inputs(texts)}


def _logsumexp(logits: Floats) -> Floats:
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray((np.log(np.exp(wide - top).sum(axis=-1)) + top[..., 0]), dtype=np.float32)


def _softmax(logits: Floats) -> Floats:
    wide = logits.astype(np.float64)
    wide = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray((wide / wide.sum(axis=-1, keepdims=True)), dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray((vectors / np.maximum(norms, 1e-12)), dtype=np.float32)

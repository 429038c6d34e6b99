"""Serving of an intent model's version as an MLflow pyfunc: from text to intent and slots; see `serving_text`."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model

from corpus.normal_form import normalise
from training.tracking.serving_text import LOCAL, Served, texts_of

TEXTS_AT_ONCE = 64
"""Texts of one batch."""


def intent_model(folder: Path) -> Any:
    """Return a function from a table with `text` to one with `text` (normalised), `intent`, `confidence`, `slots`."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), **LOCAL)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder, intent_head, slot_head, branch = joint_network(folder, config)
    stored = folder / "calibration.json"
    temperature = json.loads(stored.read_text(encoding="utf-8"))["temperature"] if stored.is_file() else 1.0
    intents, names = config.get("intents") or ["other"], config.get("slot_names") or []
    positions = int(getattr(encoder.config, "max_position_embeddings", 512)) - 2
    longest = min(int(config.get("max_tokens", 128)), positions)

    def classify(texts: list[str]) -> list[tuple[str, str, float, list[dict[str, Any]]]]:
        encoding = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        mask = encoding["attention_mask"]
        with torch.inference_mode():
            hidden = encoder(input_ids=encoding["input_ids"], attention_mask=mask).last_hidden_state
            wide = mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * wide).sum(1) / wide.sum(1).clamp(min=1)
            logits = intent_head(hidden[:, 0] if config.get("pooling") == "cls" else mean)
            logits = logits + text_logits(branch, texts)
            tags = slot_head(hidden).argmax(-1).tolist()
        probs = torch.softmax(logits.double() / temperature, dim=-1).numpy()
        rows = []
        for row, text in enumerate(texts):
            best = int(probs[row].argmax())
            slots = slots_of(text, encoding.word_ids(row), encoding[row].offsets, tags[row], names)
            rows.append((text, intents[best], float(probs[row, best]), slots))
        return rows

    def answer(asked: Any) -> pd.DataFrame:
        texts, rows = [normalise(text) for text in texts_of(asked)], []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            rows += classify(texts[start : start + TEXTS_AT_ONCE])
        return pd.DataFrame(rows, columns=["text", "intent", "confidence", "slots"])

    return answer


def joint_network(folder: Path, config: dict[str, Any]) -> tuple[Any, torch.nn.Linear, torch.nn.Linear, Any]:
    """Return encoder, intent head, slot head and the weights of the text branch.

    A text encoder without heads has the intent `other` and no slots.
    """
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel

    state: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        stored = load_file(file).items()
        state |= {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored}
    if not config.get("encoder"):
        encoder = AutoModel.from_pretrained(str(folder), use_safetensors=True, dtype=torch.float32, **LOCAL)
        width = encoder.config.hidden_size
        state = {"intent_head.weight": torch.zeros(1, width), "intent_head.bias": torch.zeros(1)}
        state |= {"slot_head.weight": torch.zeros(1, width), "slot_head.bias": torch.zeros(1)}
    else:
        given = {k: v for k, v in config["encoder"].items() if k not in ("dtype", "transformers_version")}
        encoder = AutoModel.from_config(AutoConfig.for_model(**given), trust_remote_code=False)
        encoder.load_state_dict({n.removeprefix("encoder."): t for n, t in state.items() if n.startswith("encoder.")})
    heads = []
    for name in ("intent_head", "slot_head"):
        weight = state[f"{name}.weight"]
        head = torch.nn.Linear(weight.shape[1], weight.shape[0])
        head.load_state_dict({"weight": weight, "bias": state[f"{name}.bias"]})
        heads.append(head.eval())
    branch = {name.removeprefix("text."): t.numpy() for name, t in state.items() if name.startswith("text.")}
    return encoder.eval(), heads[0], heads[1], branch


# --- words and n-grams of the text ------------------------------------------------------------------------------------


def text_logits(branch: Any, texts: list[str]) -> Any:
    """Return the logits (B, C) by the n-grams and words of the texts; 0 where the model has no such branch."""
    if not branch:
        return 0.0
    rows = [ngram_logits(branch, text) + word_logits(branch, text) for text in texts]
    return torch.as_tensor(np.stack(rows), dtype=torch.float32)


def ngram_logits(branch: Any, text: str) -> Any:
    """Return the logits (C,) by the known n-grams, whose sublinear TF-IDF is of unit length."""
    counts = Counter(ngram_hashes(text))
    places, known = places_of(branch["ngram_hashes"], list(counts))
    times = np.array(list(counts.values()), dtype=np.float64)[known]
    weights = (1.0 + np.log(times)) * branch["ngram_idf"][places]
    return weights / max(float(np.linalg.norm(weights)), 1e-12) @ branch["ngram_head"][places]


def word_logits(branch: Any, text: str) -> Any:
    """Return the logits (C,) by the mean vector of the known words, which is of unit length."""
    hashes = [text_hash(word, 1) for word in text.replace("'", " ").split()]
    places, _ = places_of(branch["word_hashes"], hashes)
    total = (branch["word_vectors"][places] * branch["word_weights"][places, None]).sum(axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-12) @ branch["word_head"]


def places_of(hashes: Any, own: list[int]) -> tuple[Any, Any]:
    """Return where the hashes that are known lie in those of the model, which are sorted, and which are known."""
    given = np.array(own, dtype=np.int32)
    places = np.searchsorted(hashes, given)
    known = places < len(hashes)
    known[known] = hashes[places[known]] == given[known]
    return places[known], known


def text_hash(part: str, kind: int) -> int:
    """Return the hash of a part of a text: CRC-32, which begins with 0 for n-grams of letters and 1 for words."""
    return zlib.crc32(part.encode(), kind) - 2**31


def ngram_hashes(text: str) -> Iterator[int]:
    """Yield the hashes of n-grams of 2 to 5 letters within words, of words and of pairs of words."""
    words = text.split()
    for word in words:
        spaced = f" {word} "
        for length in range(2, min(5, len(spaced)) + 1):
            yield from (text_hash(spaced[at : at + length], 0) for at in range(len(spaced) - length + 1))
    for part in [*words, *map(" ".join, pairwise(words))]:
        yield text_hash(part, 1)


# --- slots ------------------------------------------------------------------------------------------------------------


def slots_of(text: str, word_ids: Any, offsets: Any, tags: list[int], names: list[str]) -> list[dict[str, Any]]:
    """Return the slots by the tags of each word's first token: 1 + 2 s begins slot s, 2 + 2 s continues it."""
    words: list[list[int]] = []
    last = None
    for position, (word, (start, end)) in enumerate(zip(word_ids, offsets, strict=True)):
        if word is None or end <= start:
            continue
        if word == last:
            words[-1][2] = max(words[-1][2], end)
        else:
            words.append([tags[position], start, end])
            last = word
    found: list[dict[str, Any]] = []
    open_slot = None
    for tag, start, end in words:
        slot, continues = divmod(tag - 1, 2)
        if tag == 0:
            open_slot = None
        elif continues and open_slot == slot:
            found[-1] |= {"end": end, "value": text[found[-1]["start"] : end]}
        else:
            found.append({"name": names[slot], "start": start, "end": end, "value": text[start:end]})
            open_slot = slot
    return found


set_model(Served(intent_model))

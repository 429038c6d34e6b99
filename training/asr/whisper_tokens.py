"""Whisper's tokenizer from files that are not to be trusted: `tokenizer.json`, or a bare list of tokens.

Whisper's vocabulary is GPT-2's, in the order in which byte-pair encoding learned its merges. So the merges follow from
the list alone: token N is what the pair of earlier tokens became which encoding it with the earlier merges leaves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpus.errors import Damaged, SettingsError
from corpus.storage.json_lines import strict_json

LARGEST: Final = 32 * 1024 * 1024
"""Most bytes of a tokenizer or a vocabulary; those of Whisper have 2 to 4 MB."""

LONGEST_TOKEN: Final = 128
"""Most characters of a token: as many as the longest of GPT-2 has."""

END: Final = "<|endoftext|>"
START: Final = "<|startoftranscript|>"
UNTIMED: Final = "<|notimestamps|>"
TASKS: Final = ("transcribe", "translate")
LANGUAGE: Final = re.compile(r"<\|([a-z]{2,3})\|>")
BYTES: Final = 256
"""Tokens that are single bytes, in front of all merges."""


@dataclass(frozen=True, slots=True)
class WhisperTokens:
    """A tokenizer.

    Attributes:
        document: content of `tokenizer.json`.
        ids: id of each token.
    """

    document: Mapping[str, Any]
    ids: Mapping[str, int]

    def languages(self) -> dict[str, int]:
        """Return the ids of the language tokens by their tokens, such as `<|en|>`."""
        return {token: number for token, number in self.ids.items() if LANGUAGE.fullmatch(token)}

    def tasks(self) -> dict[str, int]:
        """Return the ids of the task tokens by the tasks."""
        return {task: self.ids[f"<|{task}|>"] for task in TASKS if f"<|{task}|>" in self.ids}


def language_code(given: str) -> str:
    """Return the code of a language, such as `en`, by its code, its name in English or its token, in any case.

    What is no language that Whisper knows is returned in lower case.
    """
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    name = given.strip().lower().removeprefix("<|").removesuffix("|>")
    return str(TO_LANGUAGE_CODE.get(name, name))


def read_tokens(folder: Path, vocab_size: int) -> WhisperTokens:
    """Return the tokenizer of a folder: from `tokenizer.json`, else from `vocabulary.json` or `vocabulary.txt`.

    Args:
        folder: the folder.
        vocab_size: number of the model's outputs.

    Raises:
        SettingsError: there is no such file, or it is no tokenizer of Whisper.
        Damaged: the file can't be read, or a token has no output.
    """
    if (folder / "tokenizer.json").is_file():
        name = "tokenizer.json"
        document = read_json(folder / name, LARGEST)
        ids = _ids(document, folder / name)
    else:
        name = next((name for name in ("vocabulary.json", "vocabulary.txt") if (folder / name).is_file()), "")
        if not name:
            raise SettingsError(f"{folder}: no tokenizer.json and no vocabulary; give the whole folder")
        tokens = _listed_tokens(folder / name)
        ids = {token: number for number, token in enumerate(tokens)}
        document = _document(tokens, folder / name)
    where = folder / name
    lacking = [token for token in (END, START, UNTIMED) if token not in ids]
    if lacking:
        raise SettingsError(f"{where}: no token {lacking[0]}; it is no tokenizer of Whisper")
    if not all(0 <= number < vocab_size for number in ids.values()):
        raise Damaged(f"{where}: it has more tokens than the model has outputs, {vocab_size}; give those of this model")
    return WhisperTokens(document, ids)


def read_json(path: Path, most: int) -> Any:
    """Return the value of a JSON file, of at most so many bytes.

    Raises:
        SettingsError: there is no such file.
        Damaged: it is larger, or not strict JSON.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; give the whole folder")
    if path.stat().st_size > most:
        raise Damaged(f"{path}: has {path.stat().st_size} bytes, more than {most}; fetch the file anew")
    try:
        return strict_json(path.read_bytes())
    except (ValueError, RecursionError):
        raise Damaged(f"{path}: is not JSON; fetch the file anew") from None


def _ids(document: Any, path: Path) -> dict[str, int]:
    model = document.get("model") if isinstance(document, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) else None
    added = document.get("added_tokens") if isinstance(document, dict) else None
    if not isinstance(vocab, dict) or not isinstance(added, list) or document["model"].get("type") != "BPE":
        raise SettingsError(f"{path}: no byte-pair model with its tokens; it is no tokenizer of Whisper")
    pairs = [*vocab.items(), *((row.get("content"), row.get("id")) for row in added if isinstance(row, dict))]
    if not all(isinstance(token, str) and type(number) is int for token, number in pairs):
        raise Damaged(f"{path}: a token has no text or no whole number; fetch the file anew")
    return dict(pairs)


def _listed_tokens(path: Path) -> list[str]:
    if path.suffix == ".json":
        tokens = read_json(path, LARGEST)
    else:
        if path.stat().st_size > LARGEST:
            raise Damaged(f"{path}: has more than {LARGEST} bytes; fetch the file anew")
        try:
            tokens = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            raise Damaged(f"{path}: is not UTF-8; fetch the file anew") from None
    if not isinstance(tokens, list) or not all(isinstance(t, str) and len(t) <= LONGEST_TOKEN for t in tokens):
        raise Damaged(f"{path}: is no list of tokens; fetch the file anew")
    if len(set(tokens)) != len(tokens):
        raise Damaged(f"{path}: a token comes twice; fetch the file anew")
    return tokens


def _document(tokens: Sequence[str], path: Path) -> dict[str, Any]:
    """Return the `tokenizer.json` of a list of tokens: bytes, merges, special tokens."""
    plain = tokens[: tokens.index(END)] if END in tokens else tokens
    special = tokens[len(plain) :]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": len(plain) + place, "content": token, "special": not token.startswith("<|0")}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for place, token in enumerate(special)
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": {token: number for number, token in enumerate(plain)},
            "merges": [list(pair) for pair in merges_of(plain, path)],
        },
    }


def merges_of(plain: Sequence[str], path: Path) -> list[tuple[str, str]]:
    """Return the merges of byte-pair encoding that made tokens, which are listed in the order of their merges.

    Raises:
        SettingsError: a token is not made of two earlier ones, so that the list is in another order.
    """
    ranks = {token: number for number, token in enumerate(plain)}
    merges = []
    for number, token in enumerate(plain[BYTES:], BYTES):
        if not token:  # models of several languages have a place without a token
            continue
        pieces = _pieces(token, ranks, number)
        if len(pieces) != 2:
            raise SettingsError(f"{path}: token {number} is not made of two earlier ones; give tokenizer.json as well")
        merges.append((pieces[0], pieces[1]))
    return merges


def _pieces(token: str, ranks: Mapping[str, int], below: int) -> list[str]:
    """Return the tokens of a lower rank that encoding makes of a text: always the pair of the lowest rank first."""
    pieces = list(token)
    while len(pieces) > 1:
        best = min(range(len(pieces) - 1), key=lambda at: ranks.get(pieces[at] + pieces[at + 1], below))
        if ranks.get(pieces[best] + pieces[best + 1], below) >= below:
            break
        pieces[best : best + 2] = [pieces[best] + pieces[best + 1]]
    return pieces


def to_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON, with letters as they are."""
    return json.dumps(document, ensure_ascii=False)

"""Facts on a base beside its files: where it is from, its licence and languages, and settings that are safe for it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, ValidationError

from corpus.errors import Damaged, UsageError
from corpus.records.base import Kind

S = TypeVar("S", bound=BaseModel)

FILE: Final = "earmark_base.json"
"""Name of the file in the folder of a base."""

LONGEST_HEADER: Final = 100_000_000
"""Largest header of a safetensors file [bytes], the limit of its format."""

LARGEST_NUMBER: Final = 1e9
"""What a sampling rate [Hz] or a window [s] is below; JSON files may also have numbers that are infinite."""


class BaseFacts(BaseModel):
    """What is known about a base.

    Attributes:
        name: of the base, by which the settings name it.
        kind: `asr` or `intent`.
        source: where it is from: a hub id, the name of a folder, or `embedded`.
        commit: of the hub id.
        digest: SHA-256 of its weights.
        files: digest of all its files when it was added; "" of one that an older release added.
        licence: of its weights; "" where nobody says.
        family: model type of its configuration.
        languages: that it knows; `many` for one that has to be told which.
        sampling_rate: of its clips [Hz].
        window: longest clip [s], to which every clip is padded; None where there is none.
        megabytes: size of its files [MB].
        parameters: how many weights it has, in millions.
        safe: what a fine-tuning takes where the setting is null, by key below the branch of the kind.
        made_from: name and digest of the base that `earmark lm build` made it from; "" where it was not made so.
        decoder: what its lexicon and language model are; "" where it has none.
        added: when it was added, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: Kind
    source: str
    commit: str | None = None
    digest: str = ""
    files: str = ""
    licence: str = ""
    family: str = ""
    languages: tuple[str, ...] = ()
    sampling_rate: int | None = None
    window: float | None = None
    megabytes: float | None = None
    parameters: float | None = None
    safe: Mapping[str, StrictBool | StrictInt | StrictFloat] = {}
    made_from: str = ""
    decoder: str = ""
    added: str = ""


def write_facts(facts: BaseFacts, folder: Path) -> None:
    """Write the facts into the folder of the base."""
    text = json.dumps(facts.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_facts(folder: Path) -> BaseFacts | None:
    """Return the facts in the folder of a base, None where it has none.

    Raises:
        Damaged: they can't be read; the message names the key that is wrong, where there is one.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return BaseFacts.model_validate_json(path.read_bytes())
    except OSError:
        raise Damaged(f"base {folder}: {FILE} can't be read; restore it or add the base again") from None
    except ValidationError as error:
        key = _key_of(error)
        if not key:
            raise Damaged(f"base {folder}: {FILE} can't be read; restore it or add the base again") from None
        raise Damaged(f"{path}: {key} has a value that it can't have; correct that key in the file") from None


def _key_of(error: ValidationError) -> str:
    """Return the key of a document that has a wrong value, "" where the whole document is wrong."""
    where = error.errors()[0]["loc"]
    return ".".join(str(part) for part in where[:2] if part not in ("bool", "int", "float"))


def known(key: str, value: float | None) -> float:
    """Return the value of a setting that a fine-tuning filled in.

    Raises:
        UsageError: it is null: only a fine-tuning knows the base.
    """
    if value is None:
        raise UsageError(f"{key} is null, which means by the base: give a value where no base is fine-tuned")
    return value


def filled(settings: S, values: Mapping[str, bool | float], base: Path) -> S:
    """Return settings with values in place of those that are null.

    Args:
        settings: of a fine-tuning.
        values: by dotted key.
        base: folder of the base whose facts have them.

    Raises:
        Damaged: a value is none that the setting can have, so the facts on the base are wrong; the message names file,
            key and value.
    """
    tree: dict[str, Any] = settings.model_dump()
    for key, value in values.items():
        branch = tree
        *groups, last = key.split(".")
        for name in groups:
            below = branch.get(name)
            branch = below if isinstance(below, dict) else {}
        if branch.get(last, "") is None:
            branch[last] = value
    try:
        return type(settings).model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Damaged(
            f"{base / FILE}: safe.{where} is {str(values.get(where))[:40]}, and {first['msg'].lower()}; correct that "
            "key in the file, or take it out, and the value follows from the family"
        ) from None


def family_of(folder: Path) -> str:
    """Return the model type in the configuration of a model, "" where it names none."""
    return str(_json(folder / "config.json").get("model_type") or "")


def sampling_rate_of(folder: Path) -> int | None:
    """Return the sampling rate that a speech model was trained for [Hz], None where no file says it."""
    rate = _of_extractor(folder, "sampling_rate")
    return None if rate is None else int(rate)


def window_of(folder: Path) -> float | None:
    """Return the length to which a speech model pads every clip [s], None where no file says one."""
    return _of_extractor(folder, "chunk_length")


def _of_extractor(folder: Path, key: str) -> float | None:
    """Return a number in the configuration of the feature extractor."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        found = _json(folder / name)
        extractor = found.get("feature_extractor")
        value = (extractor if isinstance(extractor, dict) else found).get(key)
        if isinstance(value, int | float) and 0 < value < LARGEST_NUMBER:
            return float(value)
    return None


def parameters_of(folder: Path) -> int:
    """Return how many weights a model has, by the headers of its safetensors files; the weights are not read.

    Raises:
        Damaged: a header can't be read.
    """
    total = 0
    for path in sorted(folder.glob("model*.safetensors")):
        for shape in shapes_of(path):
            count = 1
            for side in shape:
                count *= side
            total += count
    return total


def shapes_of(path: Path) -> Iterator[list[int]]:
    """Yield the shape of each tensor of a safetensors file, by its header; the weights are not read.

    Raises:
        Damaged: the header can't be read.
    """
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > LONGEST_HEADER:
                raise ValueError(length)
            header = json.loads(stream.read(length))
        yield from ([int(side) for side in each["shape"]] for name, each in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error):
        raise Damaged(f"{path}: the header of its weights can't be read; restore the file") from None


def _json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""The settings that a sweep tries: the values of each key, and every combination of them.

    --set intent.fit.epochs=5,10 --set intent.fit.encoder_rate=1e-4,1e-3      # four combinations

Commas separate values, except those within brackets, braces or quotes: the text behind `=` is read as the inside of a
YAML list. So `intent.lora={rank: 4},null` are two values, and a value that is itself a list keeps its brackets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, get_args

from pydantic import BaseModel, ValidationError

from corpus.errors import SettingsError
from corpus.records.base import Kind, canonical_json
from flows.runtime.close_keys import close_keys
from flows.runtime.settings import describe
from flows.runtime.yaml_text import YamlFault, load_yaml
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings

Finetune: TypeAlias = AsrFinetuneSettings | IntentFinetuneSettings

NO_INFLUENCE: Final = ("device", "threads", "checkpoint_after")
"""Settings of a training that change how long it takes and not what is learned."""

MOST: Final = 10_000
"""Most combinations of a grid; larger ones are mistakes, such as a list of values for each of ten keys."""

SEED: Final[Mapping[Kind, str]] = {"asr": "asr.loop.seed", "intent": "intent.fit.seed"}
"""The setting that draws order, dropout and noise of a training."""

MODELS: Final[Mapping[Kind, type[BaseModel]]] = {"asr": AsrFinetuneSettings, "intent": IntentFinetuneSettings}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings that are tried.

    Attributes:
        values: by dotted key, for each key that the sweep tries; the same keys for every candidate.
        finetune: the settings of the training, whole.
        present: whether they are those that a retraining has now.
    """

    values: Mapping[str, Any]
    finetune: Finetune
    present: bool


def tried_and_other(kind: Kind, given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the values of `--set` that a sweep tries, those of the kind's training, and the others.

    Raises:
        SettingsError: another setting has several values: no training of this kind differs by it.
    """
    tried = [each for each in given if each.startswith(f"{kind}.")]
    other = [each for each in given if not each.startswith(f"{kind}.")]
    for each in other:
        key, _, text = each.partition("=")
        if len(_values(key, text)) > 1:
            raise SettingsError(_no_influence(kind, key))
    return tried, other


def read_choices(kind: Kind, tried: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values to try by key; a key that is given several times has all of its values.

    Args:
        kind: `asr` or `intent`.
        tried: `key=value,value`, see the module.

    Raises:
        SettingsError: there is no key, a key is unknown or has no influence on a training of the kind, or a value is
            missing or not YAML.
    """
    known = set(keys_of(kind))
    found: dict[str, list[Any]] = {}
    for each in tried:
        key, separator, text = each.partition("=")
        if not separator:
            raise SettingsError(f"--set {each}: give it as key=value,value, such as --set {SEED[kind]}=0,1")
        if key not in known:
            raise SettingsError(_no_influence(kind, key))
        values = _values(key, text)
        if not values:
            raise SettingsError(f"--set {key}: there is no value to try; give some, separated by commas")
        found[key] = [*found.get(key, []), *(value for value in values if value not in found.get(key, []))]
    if not found:
        raise SettingsError(
            f"there is nothing to try; give values separated by commas, such as --set {SEED[kind].rpartition('.')[0]}"
            f".epochs=5,10; these have an influence, {_listed(kind, kind)}"
        )
    # what changes the examples varies slowest, so that they are opened as seldom as possible
    return {key: found[key] for key in sorted(found, key=lambda key: ".pseudo." not in key)}


def keys_of(kind: Kind) -> list[str]:
    """Return the keys that influence what a training of the kind learns, sorted."""
    return sorted(_keys(MODELS[kind], f"{kind}."))


def candidates(
    kind: Kind, present: Finetune, choices: Mapping[str, Sequence[Any]], trials: int | None = None
) -> list[Candidate]:
    """Return every combination of the values, the present settings first where no combination is the same.

    Args:
        kind: `asr` or `intent`.
        present: the settings of a retraining now.
        choices: values by key.
        trials: how many combinations are drawn at random, by the seed of the present settings; a larger number contains
            those of a smaller one. None for all.

    Raises:
        SettingsError: a value is wrong, or there are too many combinations.
    """
    import numpy as np

    count = math.prod(len(values) for values in choices.values())
    if count > MOST:
        raise SettingsError(f"{count} combinations are too many, {MOST} at most; give fewer values")
    combinations = list(itertools.product(*choices.values()))
    if trials is not None and trials < count:
        drawn = np.random.default_rng(seed_of(kind, present)).permutation(count)[:trials]
        combinations = [combinations[index] for index in sorted(drawn.tolist())]
    found: list[Candidate] = []
    known: set[str] = set()
    for combination in combinations:
        made = with_values(kind, present, dict(zip(choices, combination, strict=True)))
        if (settings := canonical_json(made.model_dump(mode="json"))) not in known:
            known.add(settings)
            found.append(Candidate(_values_at(kind, made, choices), made, made == present))
    if not any(each.present for each in found):
        found.insert(0, Candidate(_values_at(kind, present, choices), present, present=True))
    return found


def with_values(kind: Kind, present: Finetune, values: Mapping[str, Any]) -> Finetune:
    """Return the settings with other values at the dotted keys.

    Raises:
        SettingsError: a value is wrong; the message is one line that names the key.
    """
    tree: dict[str, Any] = present.model_dump(mode="json")
    for key, value in values.items():
        branch = tree
        *branches, last = key.split(".")[1:]
        for name in branches:
            branch[name] = branch.get(name) or {}
            branch = branch[name]
        branch[last] = value
    try:
        return type(present).model_validate(tree)
    except ValidationError as error:
        raise SettingsError(f"--set: {kind}.{describe(error)}") from None


def seed_of(kind: Kind, finetune: Finetune) -> int:
    """Return the seed of the settings of a training."""
    return int(_values_at(kind, finetune, [SEED[kind]])[SEED[kind]])


def _values_at(kind: Kind, finetune: Finetune, keys: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """Return the values of settings by dotted key, in the types of JSON; None where the group above is null."""
    tree = {kind: finetune.model_dump(mode="json")}
    found: dict[str, Any] = {}
    for key in keys:
        value: Any = tree
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        found[key] = value
    return found


def _values(key: str, text: str) -> list[Any]:
    """Return the values in the text: the members of the YAML list whose inside it is."""
    try:
        found: Any = load_yaml(f"[{text}]")
    except YamlFault as fault:
        raise SettingsError(f"--set {key}: {fault.of_value()}") from None
    return list(found)


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield the keys of the leaves, and of the groups that may be null."""
    for name, field in model.model_fields.items():
        if name in NO_INFLUENCE:
            continue
        types = [field.annotation, *get_args(field.annotation)]
        group = next((each for each in types if isinstance(each, type) and issubclass(each, BaseModel)), None)
        if group is not field.annotation:
            yield f"{prefix}{name}"
        if group is not None:
            yield from _keys(group, f"{prefix}{name}.")


def _no_influence(kind: Kind, key: str) -> str:
    """Return that no training of the kind differs by a key, with the one most like it and those of its branch."""
    keys = keys_of(kind)
    branch = key.rpartition(".")[0]
    while branch and not any(name.startswith(f"{branch}.") for name in keys):
        branch = branch.rpartition(".")[0]
    close = close_keys(key, keys) if key.rpartition(".")[2] not in NO_INFLUENCE else []
    meant = f"; did you mean {close[0]}?" if close else ";"
    return (
        f"--set {key}: it has no influence on a training of {kind}{meant} these have, {_listed(kind, branch or kind)}"
    )


def _listed(kind: Kind, branch: str) -> str:
    """Return which keys below a branch have an influence; a group below it is one of them."""
    names = [name.removeprefix(f"{branch}.") for name in keys_of(kind) if name.startswith(f"{branch}.")]
    first = [name.partition(".") for name in names]
    shown = dict.fromkeys(f"{name}.*" if dot else name for name, dot, _ in first)
    return f"below {branch}: {', '.join(shown)}"

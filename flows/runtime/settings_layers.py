"""Read what differs from the default settings, layer by layer: a YAML file, the environment, `--set key=value`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus.errors import SettingsError
from flows.runtime.environment import Json, from_environment, variable_of
from flows.runtime.yaml_text import YamlFault, load_yaml

CONFIGS: Final = Path(__file__).resolve().parents[2] / "configs"
"""Folder of the settings files that come with earmark."""

DEFAULT: Final = "default"
"""Origin of a setting that no layer gives."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value that a layer gives, for one setting or for a whole branch.

    Attributes:
        keys: of the branches and the setting, outermost first.
        value: in the types of YAML.
        origin: where it comes from, such as `file my.yaml`.
    """

    keys: tuple[str, ...]
    value: Json
    origin: str


def changes(config: Path | None, overrides: Sequence[str]) -> list[Change]:
    """Return the values of all layers; later ones override earlier ones.

    Args:
        config: YAML file; a bare name such as `demo` means the file of that name in `configs/`.
        overrides: `key.sub=value`, the value read as YAML.

    Raises:
        SettingsError: a file is missing or not YAML, or an override has no key or no YAML value.
    """
    return [*_of_file(config), *_of_environment(), *_of_overrides(overrides)]


def merged(found: Sequence[Change]) -> dict[str, Json]:
    """Return the tree of the settings that differ from the defaults.

    Raises:
        SettingsError: a key is below a value that is no branch.
    """
    tree: dict[str, Json] = {}
    for change in found:
        _put(tree, change.keys, change.value)
    return tree


def origins(found: Sequence[Change]) -> dict[str, str]:
    """Return where each value comes from, by dotted key; a key whose value was replaced with its branch is left out."""
    by_key: dict[str, str] = {}
    for change in found:
        key = ".".join(change.keys)
        by_key = {name: origin for name, origin in by_key.items() if name != key and not name.startswith(f"{key}.")}
        by_key |= dict.fromkeys(_leaves(key, change.value), change.origin)
    return by_key


def origin_of(key: str, by_key: dict[str, str]) -> str:
    """Return where the value of a setting comes from.

    Args:
        key: of the setting; `.*.` in it stands for the members of a list, which come from where the list does.
        by_key: see `origins`.
    """
    key = key.partition(".*.")[0]
    for name, origin in reversed(by_key.items()):
        if name == key or name.startswith(f"{key}.") or key.startswith(f"{name}."):
            return origin
    return DEFAULT


def _leaves(key: str, value: Json) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves(f"{key}.{name}", member)
    else:
        yield key


def _of_file(config: Path | None) -> list[Change]:
    if config is None:
        return []
    path = find_file(config)
    try:
        loaded = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} can't be read: {type(error).__name__}; check its rights") from None
    except YamlFault as fault:
        raise SettingsError(fault.of(path.name)) from None
    if loaded is not None and not isinstance(loaded, dict):
        raise SettingsError(f"{path.name} must have keys and values, not a {type(loaded).__name__}")
    return [Change((key,), value, f"file {path.name}") for key, value in (loaded or {}).items()]


def _of_environment() -> list[Change]:
    return [
        Change(tuple(key.split(".")), value, f"environment variable {variable_of(key)}")
        for key, value in from_environment().items()
    ]


def _of_overrides(overrides: Sequence[str]) -> Iterator[Change]:
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise SettingsError(f"--set {override}: give it as key=value, such as --set sampling.clips=40")
        try:
            yield Change(tuple(key.split(".")), load_yaml(value), "--set")
        except YamlFault as fault:
            raise SettingsError(f"--set {key}: {fault.of_value()}") from None


def find_file(config: Path) -> Path:
    """Return the file of settings that `--config` names.

    Raises:
        SettingsError: there is none; the message lists those that come with earmark.
    """
    for candidate in (config, CONFIGS / config.name, CONFIGS / f"{config.name}.yaml"):
        if candidate.is_file() and (candidate == config or len(config.parts) == 1):
            return candidate
    known = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.yaml")))
    raise SettingsError(f"--config {config}: no such file; the ones that come with earmark are {known}")


def _put(tree: dict[str, Json], keys: Sequence[str], value: Json) -> None:
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise SettingsError(f"{'.'.join(keys)}: {key} is a value, not a group of settings")
        tree = branch
    tree[keys[-1]] = value

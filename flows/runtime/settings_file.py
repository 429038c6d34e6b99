"""Change one setting in a person's file of settings; comments and all other lines stay as they are."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from corpus.errors import Refused, SettingsError
from corpus.storage.durable_write import write_file
from flows.runtime.environment import Json
from flows.runtime.settings_layers import CONFIGS, find_file
from flows.runtime.yaml_text import YamlFault, compose_yaml, dump_yaml, load_yaml

INDENT: Final = "  "


def changed_text(config: Path, branch: str, values: dict[str, str | None]) -> str:
    """Return the text of a file of settings with other values below a branch; nothing is written.

    Args:
        config: the value of `--config`.
        branch: of the settings, such as `models`.
        values: by key; None is null, for which no line is added.

    Raises:
        SettingsError: the file is missing or not YAML.
        Refused: the file comes with earmark, or has a form in which a line can't be changed; the message says what to
            write.
    """
    path = find_file(config)
    wanted = f"{branch}: " + ", ".join(f"{key}: {_scalar(value)}" for key, value in values.items())
    if path.resolve().is_relative_to(CONFIGS):
        raise Refused(f"{path.name} comes with earmark and is not changed; write {wanted} into a file of your own")
    text = path.read_text(encoding="utf-8")
    expected = _load(path, text)
    with suppress(YamlFault):  # an alias may have lost its anchor; the check below finds it
        for key, value in values.items():
            text = _with(text, branch, key, value)
    below = expected.get(branch) or {}
    known = below if isinstance(below, dict) else {}
    target = {**known, **{key: value for key, value in values.items() if value is not None or key in known}}
    if _meaning(text) != {**expected, branch: target}:
        raise Refused(f"{path.name} has a form in which no line can be changed; write {wanted} yourself")
    return text


def write_text(config: Path, text: str) -> None:
    """Replace a file of settings as a whole."""
    path = find_file(config).resolve()  # of a link, the file behind it
    mode = path.stat().st_mode
    write_file(path, [text.encode("utf-8")])
    path.chmod(mode)


def _with(text: str, branch: str, key: str, value: str | None) -> str:
    """Return the text with the value in place of the one that is there, or with a line more."""
    root = compose_yaml(text)
    below = _value_of(root, branch)
    if isinstance(below, yaml.MappingNode):
        there = _value_of(below, key)
        if there is not None:
            start, end = there.start_mark.index, there.end_mark.index
            return text[:start] + (" " if start == end else "") + _scalar(value) + text[end:]
        if value is None:
            return text
        if below.flow_style:
            start = below.start_mark.index + 1
            comma = ", " if below.value else ""
            return f"{text[:start]}{key}: {_scalar(value)}{comma}{text[start:]}"
        return _inserted(
            text, f"{' ' * below.start_mark.column}{key}: {_scalar(value)}", below.value[-1][1].end_mark.index
        )
    if value is None:
        return text
    if below is not None:  # `models:` with nothing below it
        return _inserted(text, f"{INDENT}{key}: {_scalar(value)}", below.end_mark.index)
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{end}{branch}:\n{INDENT}{key}: {_scalar(value)}\n"


def _inserted(text: str, line: str, after: int) -> str:
    """Return the text with a line more, below the line in which the character `after` is."""
    end = text.find("\n", after)
    return f"{text}\n{line}\n" if end < 0 else f"{text[: end + 1]}{line}\n{text[end + 1 :]}"


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _meaning(text: str) -> Json:
    """Return what a text means, None where it is not YAML."""
    try:
        found: Json = load_yaml(text)
    except YamlFault:
        return None
    return found


def _load(path: Path, text: str) -> dict[str, Json]:
    try:
        found = load_yaml(text)
    except YamlFault as fault:
        raise SettingsError(fault.of(path.name)) from None
    if found is not None and not isinstance(found, dict):
        raise SettingsError(f"{path.name} must have keys and values, not a {type(found).__name__}")
    return found or {}


def _scalar(value: str | None) -> str:
    """Return a value as YAML on one line."""
    return dump_yaml(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")

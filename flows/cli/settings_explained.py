"""Explain settings: what each does, its type and default, its present value, and where that comes from.

The sentences are those of the page `docs/settings.md`, from the same source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel

from corpus.errors import UsageError
from flows.cli.setting_reference import Setting
from flows.cli.setting_reference import settings as described
from flows.runtime import console
from flows.runtime.close_keys import close_keys
from flows.runtime.environment import Json, without_secrets
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from flows.runtime.settings_layers import DEFAULT, origin_of


@dataclass(frozen=True, slots=True)
class ExplainedSetting(Result):
    """One setting. Members of a list, such as `people.people.*.hours`, have no value of their own.

    Attributes:
        key: dotted.
        sentence: what it sets.
        type: in words, with its bounds.
        default, value: in the types of JSON; secrets are `***`.
        origin: where the value comes from: `default`, `file NAME`, `environment variable NAME` or `--set`.
    """

    key: str
    sentence: str
    type: str
    default: Json
    value: Json
    origin: str


def part_of(tree: Json, key: str | None) -> Json:
    """Return the part of the shown settings under a key; None where a branch above it is null, and for list members.

    Args:
        tree: the settings as JSON.
        key: dotted; None for the whole.
    """
    for name in key.split(".") if key else ():
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def shown(settings: BaseModel) -> Json:
    """Return the settings as JSON, without secrets."""
    return without_secrets(settings.model_dump(mode="json"))


def known_key(key: str) -> str:
    """Return the key of a branch or setting.

    Raises:
        UsageError: there is none of that name; the message has the close names.
    """
    keys = [setting.key for setting in described(Settings)]
    if key not in keys:
        close = close_keys(key, keys)
        remedy = f"close are {', '.join(close)}" if close else "earmark config show lists them all"
        raise UsageError(f"there is no setting {key}; {remedy}")
    return key


def explain(settings: Settings, origins: dict[str, str], key: str | None = None) -> tuple[ExplainedSetting, ...]:
    """Return the settings under a key, in the order of the settings page; groups are left out.

    Args:
        settings: as resolved.
        origins: where each value comes from, see `settings_layers.origins`.
        key: of a branch or a setting; None for all.

    Raises:
        UsageError: there is no such key.
    """
    wanted = None if key is None else known_key(key)
    now, before = shown(settings), shown(Settings())
    return tuple(
        ExplainedSetting(
            each.key,
            each.sentence,
            each.kind,
            part_of(before, each.key),
            part_of(now, each.key),
            origin_of(each.key, origins),
        )
        for each in described(Settings)
        if each.kind and _is_under(each, wanted)
    )


def show_explained(rows: Iterable[ExplainedSetting]) -> None:
    """Print each setting with its value, its sentence, its type and default, and where the value comes from."""
    for row in rows:
        console.show_line(row.key if ".*." in row.key else f"{row.key}: {_text(row.value)}")
        console.show_line(f"  {row.sentence}")
        source = "the default" if row.origin == DEFAULT else f"from {row.origin}, default {_text(row.default)}"
        console.show_line(f"  {row.type}" + ("" if ".*." in row.key else f"; {source}"))


def _is_under(setting: Setting, key: str | None) -> bool:
    return key is None or setting.key == key or setting.key.startswith(f"{key}.")


def _text(value: object) -> str:
    """Return a value as it is written in YAML, on one line."""
    return value or '""' if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

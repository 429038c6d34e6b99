"""The file of settings that `earmark init` writes: the answers it is made from, their checks, and its text."""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from annotation.assignment import Person
from corpus.errors import RecordError, UsageError
from corpus.locales import canonical_locale
from flows.cli.setting_reference import settings as described
from flows.models.base_catalog import entry_of
from flows.runtime.settings import Settings
from flows.runtime.yaml_text import dump_yaml

FILE: Final = "earmark.yaml"
"""Name of the file."""

ENGLISH: Final = "en"
"""The only language of the base that comes with earmark."""

SHORTEST_ANSWER: Final = 10.0
"""Time that the quickest answers take [s]: so many clips at most fit a budget in minutes."""

MOST: Final = 1_000_000
"""Most clips, and most minutes, of a night's budget."""

WIDTH: Final = 118
"""Longest line of a comment."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")

STARTER_NOTICE: Final = "first"
"""Version of the notice that the file names."""

INVENTORY: Final = """\
# Your own intents and slots, each with what it means; without any, those of the labels and the base.
# inventory:
#   intents:
#     book_cabin: asks to book a cabin
#   slots:
#     cabin: name or number of the cabin
"""
"""An example, commented out."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What annotators may label of a night: clips, minutes, or both caps at once.

    Raises:
        UsageError: a cap is above `MOST`, or not finite.
    """

    clips: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name, cap in (("clips", self.clips), ("minutes", self.minutes)):
            if cap is not None and not cap <= MOST:
                raise UsageError(f"a budget of so many {name} is more than {MOST:,}; give the {name} of one night")


@dataclass(frozen=True, slots=True)
class Base:
    """Base of the speech model: a folder, or a hub id with its commit."""

    name: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What the file is made from.

    Attributes:
        time_zone: IANA name.
        locales: of the utterances.
        languages: that the base of the speech model has to know.
        base: of the speech model; None for the one that comes with earmark.
        budget: of a night.
        people: the annotators; without any, tasks are open to everybody with the task folder.
    """

    time_zone: str
    locales: tuple[str, ...]
    languages: tuple[str, ...]
    base: Base | None
    budget: Budget
    people: tuple[Person, ...]

    @property
    def needs_base(self) -> bool:
        """Return whether one of the languages is unknown to the base that comes with earmark, and no other is given."""
        return self.base is None and any(language != ENGLISH for language in self.languages)


def machine_time_zone() -> str:
    """Return the IANA name of the machine's time zone, `UTC` where it is not known."""
    named = [os.environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        named.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    named.append(str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2])
    for name in filter(None, named):
        try:
            return time_zone_of(name)
        except UsageError:
            continue
    return "UTC"


def time_zone_of(text: str) -> str:
    """Return the name of a time zone.

    Raises:
        UsageError: there is no such time zone.
    """
    name = text.strip()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"time zone {name!r} is unknown; give a name such as Europe/Berlin") from None
    return name


def locales_of(text: str) -> tuple[str, ...]:
    """Return the locales of a list, such as `de-DE, en-GB`, each once and in the usual case of its letters.

    Raises:
        UsageError: one is no language tag, or there is none.
    """
    found = tuple(dict.fromkeys(_locale(tag) for tag in re.split(r"[\s,]+", text.strip()) if tag))
    if not found:
        raise UsageError("a locale is needed; give one such as en-GB")
    return found


def languages_of(text: str) -> tuple[str, ...]:
    """Return the languages of a list of languages or locales, such as `de en-GB`, each once.

    Raises:
        UsageError: one is no language tag, or there is none.
    """
    return tuple(dict.fromkeys(locale.split("-")[0] for locale in locales_of(text)))


def base_of(text: str) -> Base | None:
    """Return a base of the speech model from a name of the catalogue, `FOLDER` or `owner/name@COMMIT`; None for "".

    Raises:
        UsageError: there is no such folder, a hub id has no commit, or it is a base of the intent model.
    """
    name, _, revision = text.strip().partition("@")
    if not name:
        return None
    entry = entry_of(name) if not revision else None
    if entry is not None:
        if entry.kind != "asr":
            raise UsageError(f"base {name} is of the intent model; earmark base use {name} learns from it, once added")
        return Base(str(entry.hub_id), str(entry.commit))
    if Path(name).is_dir():
        return Base(str(Path(name).resolve()))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UsageError(
            f"base {name!r}: no such folder; give a name of earmark base list, a folder, or owner/name@COMMIT"
        )
    if not _COMMIT.fullmatch(revision):
        raise UsageError(f"base {name}: give the commit, too, 40 hex digits: {name}@COMMIT")
    return Base(name, revision)


def budget_of(text: str) -> Budget:
    """Return a budget from `40 clips` or `20 minutes`.

    Raises:
        UsageError: it is neither, or not above 0.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(clips?|min(?:ute)?s?)\s*", text)
    number = min(float(match.group(1)), MOST + 1.0) if match else 0.0  # thousands of digits are inf, refused by Budget
    if match is None or not number or (match.group(2).startswith("clip") and number != int(number)):
        raise UsageError(f"budget {text.strip()!r} is not clear; give it as 40 clips or 20 minutes")
    return Budget(clips=int(number)) if match.group(2).startswith("clip") else Budget(minutes=number)


def people_of(texts: Sequence[str]) -> tuple[Person, ...]:
    """Return annotators from texts such as `ann=de-DE,en-GB`, or `bob` for somebody who understands all locales.

    Raises:
        UsageError: a name or a locale is wrong, or a name appears twice.
    """
    found: dict[str, Person] = {}
    for text in texts:
        name, _, locales = text.strip().partition("=")
        try:
            person = Person(annotator_id=name, locales=locales_of(locales) if locales else ())
        except ValidationError:
            raise UsageError(
                f"annotator {name!r} is no name of letters, digits and . _ @ -; give one such as ann or ann=de-DE,en-GB"
            ) from None
        if name in found:
            raise UsageError(f"annotator {name} appears twice; name each once, with all locales: {name}=de-DE,en-GB")
        found[name] = person
    return tuple(found.values())


def config_text(answers: Answers, home: Path) -> str:
    """Return the text of the file, with the sentence of each setting above it.

    Args:
        answers: what it is made from.
        home: the folder of the embedded default.
    """
    budget, people = answers.budget, list(answers.people)
    branches: list[list[str]] = [
        ["corpus:", *_setting("corpus.home", str(home))],
        [
            "night:",
            *_setting("night.time_zone", answers.time_zone),
            *_setting("night.ends_at", Settings().night.ends_at),
        ],
        [
            "sampling:",
            *_setting("sampling.clips", budget.clips),
            *_setting("sampling.minutes", budget.minutes),
            *_setting("sampling.floor", _floor(budget)),
            *_quotas(answers.locales),
        ],
        [f"models:  # the base has to know: {', '.join(answers.languages)}", *_base(answers)],
    ]
    # A notice of the operator's own words takes its place; without any, nobody may listen.
    branches.append(["ingest:", *_setting("ingest.notice", STARTER_NOTICE)])
    if len(answers.locales) == 1:
        branches.append(["importing:", *_setting("importing.constants", {"locale": answers.locales[0]})])
    if people:
        branches.append(["people:", *_setting("people.people", people)])
    else:
        example = [Person(annotator_id="ann", locales=answers.locales)]
        branches.append(_commented(["people:", *_setting("people.people", example)]))
    head = "# What differs from the default settings; `earmark config show --explain` explains all of them.\n"
    return "\n".join([head, *("\n".join(lines) + "\n" for lines in branches), INVENTORY])


def _locale(tag: str) -> str:
    try:
        return canonical_locale(tag)
    except RecordError as error:
        raise UsageError(f"locale {error}") from None


def _floor(budget: Budget) -> int:
    """Return how many clips a small night may sample so that the budget, and not the cap on the share, is the limit."""
    by_minutes = 0 if budget.minutes is None else ceil(budget.minutes * 60.0 / SHORTEST_ANSWER)
    return budget.clips or by_minutes


def _quotas(locales: Sequence[str]) -> list[str]:
    """Return a quota of clips for each of several locales, commented out."""
    if len(locales) < 2:
        return []
    share = int(50 / len(locales)) / 100
    lines = _setting("sampling.slice_quotas", {"locale": dict.fromkeys(locales, share)})
    return [lines[0], *(f"  # {line.strip()}" for line in lines[1:])]


def _base(answers: Answers) -> list[str]:
    if answers.base is not None:
        lines = _setting("models.asr", answers.base.name)
        return lines + (_setting("models.asr_revision", answers.base.revision) if answers.base.revision else [])
    if not answers.needs_base:
        return _setting("models.asr", None)
    note = "  # The base that comes with earmark knows English only: name one that knows yours, see docs/models.md."
    return [note, *_setting("models.asr", None), "  # asr_revision: COMMIT"]


def _setting(key: str, value: object) -> list[str]:
    """Return the lines of one setting: its sentence, and its name with the value."""
    sentence = next(setting.sentence for setting in described(Settings) if setting.key == key)
    comment = textwrap.wrap(sentence, WIDTH - 4)
    name = key.rpartition(".")[2]
    lines = [f"{name}:", *(f"  - {_flow(member)}" for member in value)] if isinstance(value, list) else []
    return [f"  # {line}" for line in comment] + [f"  {line}" for line in lines or [f"{name}: {_flow(value)}"]]


def _flow(value: object) -> str:
    """Return a value as YAML on one line; of a person, what differs from the defaults."""
    if isinstance(value, Person):
        value = value.model_dump(mode="json", exclude_defaults=True)
    text = dump_yaml(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _commented(lines: Sequence[str]) -> list[str]:
    return [f"# {line}" for line in lines]

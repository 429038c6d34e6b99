"""The command that writes a first file of settings: init."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from corpus.user_paths import expanded
from flows.cli.options import Json, app
from flows.runtime import console

if TYPE_CHECKING:
    from flows.cli.starter_config import Answers, Budget

T = TypeVar("T")


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the file, earmark.yaml, and of the home, .earmark; default this one.")
    ] = Path(),
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", help="Time zone of the nights; default the machine's.")
    ] = None,
    locale: Annotated[
        list[str] | None, typer.Option("--locale", help="Locale of the utterances, such as de-DE; default en-US.")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="Language that the base has to know; default those of the locales."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            help="Base of the speech model: a name of earmark base list, a folder, or a hub id as owner/name@COMMIT.",
        ),
    ] = None,
    clips: Annotated[
        int | None,
        typer.Option("--clips", min=1, help="Clips that people may be given of a night, once for each answer."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.1, help="Minutes of annotators for a night.")
    ] = None,
    person: Annotated[
        list[str] | None,
        typer.Option("--person", help="An annotator, with locales: ann=de-DE,en-GB; without locales for all of them."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
    as_json: Json = False,
) -> None:
    """Write a file of settings with comments, from answers or options; on a terminal it asks for what is not given."""
    from corpus.errors import Refused, UsageError
    from corpus.storage.durable_write import write_file
    from flows.cli import starter_config as starter

    path = folder / starter.FILE
    if path.exists() and not force:
        raise Refused(f"{path} exists; --force overwrites it")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; move it away or give another folder")
    asked = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    answers = _answers(time_zone, locale, language, base, _budget(clips, minutes), person, asked=asked)
    home = folder.resolve() / ".earmark"
    override = _override(home)
    text = starter.config_text(answers, home)  # before the folder is made: a refusal leaves nothing
    try:
        write_file(path.resolve(), [text.encode()])  # of a link, the file behind it
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; give another folder") from None
    options = f"--config {shlex.quote(str(path.resolve()))}"  # a later command may be run from another folder
    following = [f"earmark ingest manifest.jsonl {options}", f"earmark score {options}"]
    wait = _promotion_budget(answers)
    if as_json:
        used = {"overridden_by": override.variable, "home_in_use": str(override.home)} if override else {}
        console.show_json({"file": str(path), "home": str(home), **used, "next": following, "promotion": wait})
        return
    console.show_line(f"wrote {path}; its home is {home}")
    if override:
        console.show_line(
            f"{override.variable} is set and overrides it: commands use {override.home} until you unset the variable"
        )
    if answers.needs_base:
        console.show_line(
            f"the base that comes with earmark knows English only: fill in models.asr in {path} before you score"
        )
    console.show_line("next:")
    for line in following:
        console.show_line(f"  {line}")
    if wait:
        console.show_line(f"know before: {wait}")


def _promotion_budget(answers: Answers) -> str | None:
    """Return what the budget of a night means for promotion."""
    from annotation.assignment import PeopleSettings
    from flows.models.promotion_budget import promotion_budget
    from sampling.budget import SamplingSettings
    from training.evaluation.gate import PromotionSettings

    people = PeopleSettings(people=answers.people)
    return promotion_budget(SamplingSettings(clips=answers.budget.clips), people, PromotionSettings())


@dataclass(frozen=True, slots=True)
class _Override:
    """The environment variable that gives another home than the file, and that home."""

    variable: str
    home: Path


def _override(home: Path) -> _Override | None:
    """Return what the environment puts in place of the file's home; None where it names no home, or the same one."""
    from flows.runtime.environment import from_environment, variable_of

    given = from_environment().get("corpus.home")
    used = expanded(given).resolve() if given else home
    return None if used == home else _Override(variable_of("corpus.home"), used)


def _budget(clips: int | None, minutes: float | None) -> Budget | None:
    from flows.cli.starter_config import Budget

    return None if clips is None and minutes is None else Budget(clips, minutes)


def _answers(
    time_zone: str | None,
    locales: list[str] | None,
    languages: list[str] | None,
    base: str | None,
    budget: Budget | None,
    people: list[str] | None,
    *,
    asked: bool,
) -> Answers:
    """Return the answers: of the options, else of the person at the terminal, else the defaults.

    Raises:
        UsageError: an option is wrong; all options are looked at before the first question.
    """
    from flows.cli import starter_config as starter

    zone = None if time_zone is None else starter.time_zone_of(time_zone)
    tags = None if locales is None else starter.locales_of(" ".join(locales))
    known = None if languages is None else starter.languages_of(" ".join(languages))
    model = None if base is None else starter.base_of(base)
    persons = None if people is None else starter.people_of(people)

    def answer(question: str, default: str, parse: Callable[[str], T]) -> T:
        return _ask(question, default, parse) if asked else parse(default)

    if zone is None:
        zone = answer("Time zone of the nights", starter.machine_time_zone(), starter.time_zone_of)
    if tags is None:
        tags = answer("Locales of the utterances, such as de-DE en-GB", "en-US", starter.locales_of)
    if known is None:
        known = answer(
            "Languages that the base has to know", " ".join(starter.languages_of(" ".join(tags))), starter.languages_of
        )
    if base is None and known != (starter.ENGLISH,):
        model = answer(
            "Base of the speech model: name, folder or owner/name@COMMIT; empty to fill it in later",
            "",
            starter.base_of,
        )
    if budget is None:
        budget = answer("Budget of a night, such as 40 clips or 20 minutes", "40 clips", starter.budget_of)
    if persons is None:
        people_question = "Annotators with their locales, such as ann=de-DE bob=de-DE,en-GB; empty for everybody"
        persons = answer(people_question, "", lambda text: starter.people_of(text.split()))
    return starter.Answers(zone, tags, known, model, budget, persons)


def _ask(question: str, default: str, parse: Callable[[str], T]) -> T:
    """Return the parsed answer of the person at the terminal, asked again until it can be read."""
    from corpus.errors import UsageError

    while True:
        try:
            return parse(typer.prompt(question, default=default, show_default=bool(default)))
        except UsageError as error:
            console.note(f"  {error}")

"""Commands on bases, from which learning starts: list, show, add, use, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.options import Config, Json, Set, base_app, open_home, options_again, settings_of, show_result
from flows.runtime import console

if TYPE_CHECKING:
    from flows.models.use_base import UsedBase

OfKind = Annotated[Literal["asr", "intent"] | None, typer.Option("--kind", help="Which model it is; default found.")]


@base_app.command("list")
def list_bases(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """List the bases that can be added, those in the home, and the ones that it learns from."""
    settings = settings_of(config, overrides)
    from flows.reports.base_list import bases_of
    from flows.reports.base_table import show_bases

    show_result(bases_of(settings), as_json, show_bases)


@base_app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a base.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show what is known about a base: source, licence, size, languages, and settings that are safe for it."""
    settings = settings_of(config, overrides)
    from flows.reports.base_list import base_named
    from flows.reports.base_table import show_base

    show_result(base_named(settings, name), as_json, show_base)


@base_app.command()
def add(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|FOLDER|HUB_ID", help="Name in the list, folder, or hub id as owner/name@COMMIT."),
    ],
    name: Annotated[str | None, typer.Option("--name", help="Its name here; default that of the source.")] = None,
    kind: OfKind = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Language that a speech model of several writes, such as en.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Fetch a base into the home and check it: it loads, scores noise and learns a step. Nothing is registered."""
    settings = settings_of(config, overrides)
    from flows.models.bring_base import add_base
    from flows.reports.base_table import show_added

    added = add_base(settings.home, source, name=name, kind=kind, language=language)
    show_result(added, as_json, show_added)
    again = options_again(config, overrides)
    console.note(f"next: earmark base use {added.facts.name}{again}    # learn from it from now on")


@base_app.command()
def use(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a base that was added, or embedded.")],
    kind: OfKind = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Learn from a base from now on, and write it into the file of --config; the champion stays until one is better."""
    from flows.models.use_base import use_named_base

    with open_home(config, overrides, lock="base use", create=True) as (corpus, settings):
        used = use_named_base(corpus, settings.home, settings.models, settings.tracking, name, kind, config)
    again = options_again(config, overrides)
    show_result(used, as_json, lambda done: _show_used(done, again))


@base_app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a base that was added.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Remove a base that was added, with its files; refused while the settings name it or a version learned from it."""
    from corpus.errors import NoHome
    from flows.models.remove_base import remove_base
    from flows.reports.base_table import show_removed

    try:
        with open_home(config, overrides, lock=None if dry_run else "base remove") as (corpus, settings):
            found = remove_base(corpus, settings.home, settings.models, name, dry_run=dry_run)
    except NoHome:  # bases can be added where there are no records yet
        settings = settings_of(config, overrides)
        found = remove_base(None, settings.home, settings.models, name, dry_run=dry_run)
    show_result(found, as_json, show_removed)


def _show_used(used: UsedBase, again: str) -> None:
    """Print what the home learns from now, and what is left to do."""
    console.show_line(f"{used.kind} learns from {used.name}, which is {used.kind}/{used.version}")
    if used.file:
        console.show_line(f"models.{used.kind} is {used.name} in {used.file}")
    elif used.settings_differ:
        console.show_line(
            f"set models.{used.kind} to {used.name} or null: the settings of this command name another base"
        )
    if used.champion == used.version:
        console.note("it is the champion, too, as nothing has learned here yet")
    else:
        console.note(
            f"{used.kind}/{used.champion} stays champion until earmark retrain {used.kind}{again} makes a better one; "
            f"or earmark promote {used.kind}/{used.version} --force --why TEXT{again}"
        )

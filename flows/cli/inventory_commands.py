"""Commands on the inventory of intents and slots: show, add, rename, merge, unmap, proposals, adopt, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Config, Json, Set, inventory_app, open_home, show_result
from flows.runtime import console

if TYPE_CHECKING:
    from annotation.inventory import InventorySettings
    from corpus.handle import Corpus
    from corpus.records.inventory import NameKind
    from flows.models.proposals import ProposalRow
    from flows.steps.inventory import InventoryChange

Slot = Annotated[bool, typer.Option("--slot", help="The names are of slots; default intents.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, in labels too; change nothing.")]
Names = Annotated[list[str], typer.Argument(help="Names of intents, or of slots with --slot.")]


def _kind(slot: bool) -> NameKind:
    return "slot" if slot else "intent"


@inventory_app.command()
def show(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Show the intents and slots in use, where each is from, and how many labels have it."""
    from flows.reports.inventory_list import list_inventory
    from flows.reports.inventory_table import show_inventory

    with open_home(config, overrides) as (corpus, settings):
        report = list_inventory(corpus, settings.home, settings.inventory)
    show_result(report, as_json, show_inventory)


@inventory_app.command()
def proposals(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """List the names outside the inventory that answers gave. They are content, and opening them is audited."""
    from flows.models.proposals import list_proposals
    from flows.reports.inventory_table import show_proposals

    with open_home(config, overrides) as (corpus, settings):
        report = list_proposals(corpus, settings.home, settings.inventory)
    show_result(report, as_json, show_proposals)


@inventory_app.command()
def add(
    names: Names,
    slot: Slot = False,
    description: Annotated[str, typer.Option("--description", help="One sentence that annotators see.")] = "",
    example: Annotated[
        list[str] | None, typer.Option("--example", help="A sentence with the intent, or a value of the slot.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Add names to the inventory, or describe names that are in it."""
    from corpus.records.annotations import NameNote
    from flows.steps.inventory import add_names

    note = NameNote(description, tuple(example or ()))
    with open_home(config, overrides, lock="inventory add", create=True) as (corpus, settings):
        change = add_names(corpus, settings.home, settings.inventory, settings.people, _kind(slot), names, note)
    _show_change("added", change, as_json)


@inventory_app.command()
def rename(
    old: Annotated[str, typer.Argument(help="Name in the inventory.")],
    new: Annotated[str, typer.Argument(help="Its new spelling.")],
    slot: Slot = False,
    dry_run: DryRun = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Rename an intent or a slot, also in all labels; answers with the old name mean the new one."""
    from flows.steps import inventory as step

    with open_home(config, overrides, lock="inventory rename", create=not dry_run) as (corpus, settings):
        change = step.rename(
            corpus, settings.home, settings.inventory, settings.people, _kind(slot), old, new, dry_run=dry_run
        )
    _show_change(_title("renamed", dry_run), change, as_json)


@inventory_app.command()
def merge(
    name: Annotated[str, typer.Argument(help="A name of the inventory, or a proposed one.")],
    into: Annotated[str, typer.Argument(help="Name in the inventory that it means from now on.")],
    slot: Slot = False,
    dry_run: DryRun = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Merge a name, or map a proposal, into a name of the inventory, also in all labels and answers."""
    from flows.steps.inventory import merge_names

    with open_home(config, overrides, lock="inventory merge", create=not dry_run) as (corpus, settings):
        change = merge_names(
            corpus, settings.home, settings.inventory, settings.people, _kind(slot), name, into, dry_run=dry_run
        )
    _show_change(_title("merged", dry_run), change, as_json)


@inventory_app.command()
def unmap(
    name: Annotated[str, typer.Argument(help="A former name, or a proposal that was merged into a name.")],
    slot: Slot = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Undo a rename or a merge for the answers that gave a name: it is an intent or a proposal of its own again."""
    from flows.steps import inventory as step

    with open_home(config, overrides, lock="inventory unmap", create=True) as (corpus, settings):
        change = step.unmap(corpus, settings.home, settings.inventory, settings.people, _kind(slot), name)
    _show_change("means itself again", change, as_json)


@inventory_app.command()
def adopt(
    names: Annotated[
        list[str] | None, typer.Argument(help="Proposed names of intents, or of slots with --slot.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="All proposed intents, or slots with --slot, but what may be misspelled."),
    ] = False,
    slot: Slot = False,
    dry_run: DryRun = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Take proposed names into the inventory; the answers that gave them become labels, without a new answer."""
    from corpus.errors import UsageError

    if bool(names) == every:
        raise UsageError("name what is adopted, or give --all")
    from flows.reports.inventory_table import left_out_lines
    from flows.steps import inventory as step

    with open_home(config, overrides, lock="inventory adopt", create=not dry_run) as (corpus, settings):
        kind = _kind(slot)
        chosen, left_out = list(names or []), []
        if every:
            rows = _proposed(corpus, settings.home, settings.inventory, kind)
            chosen, left_out = [row.name for row in rows if not row.nearly], [row for row in rows if row.nearly]
            if not chosen:
                raise UsageError("; ".join(["every proposal may be misspelled", *left_out_lines(left_out)]))
        change = step.adopt(corpus, settings.home, settings.inventory, settings.people, kind, chosen, dry_run=dry_run)
    _show_change(_title("adopted", dry_run), change, as_json)
    for line in left_out_lines(left_out):
        console.note(line)


@inventory_app.command()
def export(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default stdout.")] = None,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Export the inventory as the branch `inventory` of a configuration file (YAML), with former names in comments."""
    from flows.reports.inventory_list import as_yaml, list_inventory

    with open_home(config, overrides) as (corpus, settings):
        text = as_yaml(list_inventory(corpus, settings.home, settings.inventory))
    if out is None:
        sys.stdout.write(text)  # for a program: every character as it is
    else:
        from flows.runtime.output_files import MARK, write_output

        file = write_output(out, f"# {MARK} inventory export\n{text}".encode(), "--out", settings.home)
        console.show_line(f"inventory: {file}")


def _title(done: str, dry_run: bool) -> str:
    return f"would be {done} (dry run, nothing is changed)" if dry_run else done


def _proposed(corpus: Corpus, home: Path, inventory: InventorySettings, kind: NameKind) -> list[ProposalRow]:
    """Return all names of a kind that answers propose now.

    Raises:
        UsageError: there is none.
    """
    from corpus.errors import UsageError
    from flows.models.proposals import list_proposals

    rows = list_proposals(corpus, home, inventory).proposals
    found = [row for row in rows if row.kind == kind]
    if not found:
        raise UsageError(f"no answer names {'an' if kind == 'intent' else 'a'} {kind} outside the inventory")
    return found


def _show_change(title: str, change: InventoryChange, as_json: bool) -> None:
    from flows.reports.report_words import worded

    show_result(change, as_json, lambda change: console.show_pairs(title, worded("inventory", change.to_json())))

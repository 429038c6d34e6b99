"""The commands on the key-encryption key: move, rotate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Config, Json, Set, actor_name, key_app, open_home, show_result
from flows.runtime import console

if TYPE_CHECKING:
    from flows.steps.key import KeyMoved, KeyRotated


@key_app.command()
def move(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say from where to where; move nothing.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Move the key of an older home out of it, to `~/.config/earmark/keys`, where new homes have theirs."""
    from corpus.tables.checkpoints import key_file
    from flows.steps import key

    with open_home(config, overrides, lock="key move") as (corpus, _):
        report = key.move(corpus, dry_run=dry_run)
        audit_key = key_file(corpus)
    show_result(report, as_json, _show_moved)
    if not dry_run and not as_json:
        other = f", and of the audit key {audit_key}," if audit_key.exists() else ""
        console.note(f"keep a copy of the key at its new place{other} apart from backups of the home")


@key_app.command()
def rotate(
    to: Annotated[
        Path | None,
        typer.Option("--to", help="File of the new key, where environment, command or settings say where the key is."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="File for a copy of the old key, which backups of the vault from before need."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be wrapped; change nothing.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Change the key-encryption key: everything in the vault is wrapped by a new one, and no content is touched."""
    from flows.steps import key

    with open_home(config, overrides, lock="key rotate") as (corpus, _):
        report = key.rotate(corpus, actor_name(None), to=to, keep=keep, dry_run=dry_run)
    show_result(report, as_json, _show_rotated)


def _show_moved(report: KeyMoved) -> None:
    """Print where the key was and is."""
    console.show_pairs("would move" if report.dry_run else "moved", {"from": report.before, "to": report.after})


def _show_rotated(report: KeyRotated) -> None:
    """Print what was wrapped, where the new key is, and what is to be done now."""
    if report.rewrapped is None:
        console.show_pairs("would wrap by a new key", {"values in the vault": report.values, "key": report.place})
        return
    done = report.rewrapped
    counts = {"keys of utterances": done.keys, "accounts": done.accounts, "secrets of ids": done.secrets}
    damaged = {"damaged, left as they were": done.damaged} if done.damaged else {}
    console.show_pairs("wrapped by a new key", {**counts, **damaged, "key": report.place})
    if report.next_step:
        console.note(report.next_step)
    console.note("start earmark clips again, where it runs: it has the old key in memory, and plays nothing any more")
    console.note("back up vault and key now: backups of the vault from before open with the old key only")

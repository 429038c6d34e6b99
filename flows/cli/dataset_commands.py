"""Commands on datasets that are handed out: export, list, delete, ids."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.cli.options import By, Config, Json, Set, actor_name, dataset_app, open_home, show_result
from flows.runtime import console

Format = Annotated[
    Literal["hf", "nemo", "lhotse", "csv"],
    typer.Option("--format", help="Parquet for Hugging Face datasets, manifests of NeMo or Lhotse, or CSV."),
]


@dataset_app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A new folder outside the home.")],
    format_: Format = "hf",
    with_audio: Annotated[bool, typer.Option("--with-audio", help="Write the clips, too; needs --expires.")] = False,
    expires: Annotated[
        datetime | None,
        typer.Option("--expires", formats=["%Y-%m-%d"], help="Last day on which the folder may be kept, in UTC."),
    ] = None,
    round_: Annotated[
        str | None, typer.Option("--round", help="The clips that this round chose; default all labels.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Export labels, and clips where asked for, of customers who consent to training; labels that judge stay out."""
    from corpus.errors import UsageError
    from flows.reports.dataset_table import show_dataset
    from flows.steps.dataset import export_dataset

    if expires is not None and expires.year >= MAXYEAR:
        raise UsageError(f"--expires {expires:%Y-%m-%d} is too far away; give the last day on which it may be kept")
    until = None if expires is None else expires.replace(tzinfo=UTC) + timedelta(days=1)
    with open_home(config, overrides, lock="dataset export") as (corpus, settings):
        report = export_dataset(
            corpus, settings.home, out, format_, with_audio=with_audio, expires_at=until, round_=round_
        )
    show_result(report.to_json(), as_json, lambda made: show_dataset("handed out", made))


@dataset_app.command("list")
def list_all(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """List the datasets that were handed out; exit status 1 where one is there after its date."""
    from flows.reports.dataset_table import show_datasets
    from flows.steps.dataset import list_datasets

    with open_home(config, overrides) as (corpus, _):
        found = list_datasets(corpus)
    show_result([row.to_json() for row in found], as_json, show_datasets)
    if any(row.state == "expired" for row in found):
        raise typer.Exit(1)


@dataset_app.command()
def delete(
    dataset_id: Annotated[str, typer.Argument(help="Id of the dataset, from earmark dataset list.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Delete the folder of a dataset and forget it."""
    from corpus.errors import UsageError
    from flows.reports.dataset_table import show_dataset
    from flows.steps.dataset import delete_dataset, list_datasets

    with open_home(config, overrides, lock="dataset delete") as (corpus, _):
        if dry_run:
            found = next((row for row in list_datasets(corpus) if row.dataset_id == dataset_id), None)
            if found is None:
                raise UsageError(f"dataset {dataset_id} is unknown; earmark dataset list shows them")
        else:
            found = delete_dataset(corpus, dataset_id)
    show_result(found.to_json(), as_json, lambda row: show_dataset("would delete" if dry_run else "deleted", row))


@dataset_app.command()
def ids(
    manifest: Annotated[Path, typer.Argument(help="The manifest that was ingested; its rows need an event_id.")],
    by: By = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Print the utterance id of each line of a manifest as CSV, to join datasets and tasks with it; audited."""
    from flows.steps.dataset import look_up_ids

    with open_home(config, overrides) as (corpus, _):
        found = look_up_ids(corpus, manifest, actor_name(by))
    if as_json:
        console.show_json(found.to_json())
        return
    console.show_line("line,utterance_id")
    for row in found.ids:
        console.show_line(f"{row.line},{row.utterance_id}")
    if found.no_event_id or found.not_there:
        console.note(
            f"left out: {found.no_event_id} rows without a readable event_id, "
            f"{found.not_there} whose utterance is not in the home, was erased or has no consent left"
        )

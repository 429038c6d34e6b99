"""Commands of the pipeline: demo, ingest, import, score, sample, export, merge, retrain, nightly."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import (
    Config,
    DamagedPart,
    DryRun,
    Json,
    Kind,
    NightName,
    Set,
    SwitchBase,
    app,
    open_home,
    run_flow,
    settings_of,
    show_report,
    show_result,
)
from flows.runtime import console

if TYPE_CHECKING:
    from flows.models.proposals import ProposalsReport
    from flows.runtime.results import Result


@app.command()
def demo(
    nights: Annotated[
        int | None, typer.Option(min=0, help="How many nights; default traffic.nights or labelled.nights.")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Folder of a labelled corpus (train.jsonl, test.jsonl) in place of synthesised traffic."),
    ] = None,
    config: Config = Path("demo"),
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Run several nights on synthesised traffic or a labelled corpus, with a simulated annotator; takes minutes."""
    changes = [*(overrides or []), *([f"labelled.folder={json.dumps(str(corpus))}"] if corpus else [])]
    settings = settings_of(config, changes)
    from flows.demo import run_demo
    from flows.reports.demo_tables import show_demo

    report = run_demo(settings, nights, quiet=as_json)
    show_result(report, as_json, show_demo)


@app.command()
def ingest(
    manifest: Annotated[Path, typer.Argument(help="Manifest file: JSON Lines or Parquet.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Ingest the utterances of a manifest; received = accepted + refused by reason."""
    from corpus.errors import UsageError

    if not manifest.is_file():
        what = "is a folder; name the file in it" if manifest.is_dir() else "no such file"
        raise UsageError(f"manifest {manifest}: {what}")
    report = run_flow("ingest", config, overrides, manifest=str(manifest.resolve()))
    document = report.to_json()
    before = "ingested before" + ("" if document.get("recovered") else ": nothing changed")
    show_report("ingested", report, as_json, heading=before if document.get("already") else None)
    _fail_if_none_accepted(report)


def _fail_if_none_accepted(report: Result) -> None:
    """End a command that ingests with exit status 1 and the commonest reason where every row was refused.

    Raises:
        Refused: every row was refused.
    """
    from corpus.errors import Refused
    from flows.steps.import_corpus import ImportReport
    from flows.steps.ingest import IngestReport

    why = report.why_none_accepted() if isinstance(report, IngestReport | ImportReport) else None
    if why:
        raise Refused(why)


@app.command("import")
def import_corpus(
    source: Annotated[
        str,
        typer.Argument(
            help="A save_to_disk folder, Parquet, AudioFolder or JSON Lines; or a hub id, owner/name@revision."
        ),
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="Split of the corpus, such as test; default the only one, or train.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option("--subset", help="Configuration (subset) of the corpus on the hub.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Import only this many rows, the first.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show columns and problems; write nothing.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Import a labelled corpus; the settings under `importing` map its columns to fields."""
    settings = settings_of(config, overrides)
    from corpus.storage.work_folder import scratch
    from flows.reports.import_table import show_preview
    from flows.steps.import_corpus import check_mapping, preview_corpus, resolve_source

    source = resolve_source(source)
    if not dry_run:
        with scratch(settings.home):
            check_mapping(settings.importing, source, split, subset)
            parameters = {"source": source, "split": split, "subset": subset, "limit": limit}
            report = run_flow("import_corpus", config, overrides, **parameters)
        show_report("imported", report, as_json)
        _fail_if_none_accepted(report)
        return
    with scratch(None):
        preview = preview_corpus(settings.importing, settings.ingest, source, split, subset, limit)
    if as_json:
        console.show_json(asdict(preview))
    else:
        show_preview(preview)


@app.command()
def score(
    night: NightName = None,
    part: DamagedPart = None,
    switch_base: SwitchBase = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Score the utterances of a night, or all in the home, that the champions have not scored yet."""
    report = run_flow("score", config, overrides, night=night, switch_base=switch_base, part=part)
    show_report("scored", report, as_json)


@app.command()
def sample(
    night: NightName = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Budget in annotator minutes.")] = None,
    clips: Annotated[int | None, typer.Option(min=0, help="Budget in clips, once for each answer.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show each clip that would be chosen and why; write nothing.")
    ] = False,
    show_drafts: Annotated[
        bool,
        typer.Option(
            "--show-drafts",
            help="With --dry-run: show the transcripts that annotators would see as drafts; audited.",
        ),
    ] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Sample the few utterances of a night that an annotator should label."""
    if show_drafts and not dry_run:
        from corpus.errors import UsageError

        raise UsageError("--show-drafts shows what would be chosen: give --dry-run, too")
    changes = list(overrides or [])
    changes += [f"sampling.minutes={minutes}"] if minutes is not None else []
    changes += [f"sampling.clips={clips}"] if clips is not None else []
    from flows.nights.sampling_frame import closed_night

    of_night = closed_night(settings_of(config, changes).night, night)
    if dry_run:
        from flows.cli.sample_preview import preview_sample

        with open_home(config, changes) as (corpus, settings):
            document = preview_sample(corpus, settings, of_night, show_drafts=show_drafts).to_json()
    else:
        document = run_flow("sample", config, changes, night=of_night.name).to_json()
        if as_json:
            from flows.steps.sample import stored_rows

            with open_home(config, changes) as (corpus, _):
                document["rows"] = [asdict(row) for row in stored_rows(corpus, of_night)]
    if as_json:
        console.show_json(document)
        return
    from flows.reports.chosen_table import show_chosen
    from flows.reports.report_words import worded
    from flows.reports.sample_summary import sample_lines

    rows = document.pop("rows", None)
    document.pop("night", None)
    if document.get("skipped"):
        nothing = "would choose nothing" if dry_run else "nothing chosen"
        console.show_lines(f"night {of_night.name}: {nothing}", [document["skipped"]])
        return
    title = f"night {of_night.name}: {'would choose' if dry_run else 'chosen'}"
    if document.pop("already", None):
        given = "; --clips and --minutes changed nothing" if clips is not None or minutes is not None else ""
        title = f"night {of_night.name}: chosen before, and a night has one round{given}"
    console.show_pairs(title, worded("sample", sample_lines(document)))
    if rows:
        show_chosen(rows)


@app.command()
def export(
    night: NightName = None,
    round_: Annotated[
        str | None,
        typer.Option("--round", help="A round of earmark suspects --ask, such as again-1, in place of a night."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Export the chosen utterances as tasks for annotators."""
    from corpus.errors import UsageError
    from flows.nights.sampling_frame import closed_night
    from flows.steps.export import require_round, require_round_again

    if night is not None and round_ is not None:
        raise UsageError("--night and --round are both given; a night's round has the name of its night: give one")
    with open_home(config, overrides) as (corpus, settings):
        # refuse what has no round before the slow start of a server
        if round_ is not None:
            require_round_again(corpus, round_)
        else:
            require_round(corpus, closed_night(settings.night, night).name)
    show_report("exported", run_flow("export", config, overrides, night=night, round_=round_), as_json)


@app.command()
def merge(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Annotation files: JSON Lines or tables (.csv, .tsv); default the answers folder or Label Studio."
        ),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Merge annotations into labels; merging the same file again changes nothing."""
    from corpus.errors import UsageError

    for file in files or []:
        if not file.is_file():
            what = "is a folder; name the files in it" if file.is_dir() else "no such file; check the path"
            raise UsageError(f"annotation file {file}: {what}")
    paths = [str(file.resolve()) for file in files] if files else None
    report = run_flow("merge", config, overrides, files=paths)
    document = report.to_json()
    if as_json:
        console.show_json(document)
    else:
        from flows.reports.merge_lines import show_merged

        show_merged(document, people_listed=bool(settings_of(config, overrides).people.people))
    if document.get("proposing") and not as_json:  # the document goes into logs, and names are content
        from flows.reports.inventory_table import show_outside

        show_outside(document["proposing"], _proposals(config, overrides))
    if document.get("failed"):
        raise typer.Exit(1)
    if paths and document["rows"] and not document["annotations"]:  # perhaps these are not annotation files at all
        raise typer.Exit(2)


def _proposals(config: Path | None, overrides: list[str] | None) -> ProposalsReport:
    """Return the names outside the inventory in the answers so far; they are content, for the terminal alone."""
    from flows.models.proposals import list_proposals

    with open_home(config, overrides) as (corpus, settings):
        return list_proposals(corpus, settings.home, settings.inventory)


@app.command()
def retrain(
    kind: Kind,
    remote: Annotated[
        bool, typer.Option("--remote", help="Run on the machine of `earmark serve` or of a worker.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="With --remote: wait until the run has ended.")] = True,
    switch_base: SwitchBase = False,
    dry_run: DryRun = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Fine-tune the base on all labels, register and judge the version, and promote it or report why not."""
    if dry_run:
        from flows.models.base_models import refuse_other_base
        from flows.reports.dry_run_table import show_retrain_preview
        from flows.steps.retrain_preview import preview

        with open_home(config, overrides) as (corpus, settings):
            if not switch_base:
                refuse_other_base(corpus, settings.home, settings.models)
            planned = preview(corpus, settings, kind, only_if_due=False).to_json()
        show_result(planned, as_json, show_retrain_preview)
        return
    if remote:
        from flows.runtime.remote import retrain_remotely

        settings = settings_of(config, overrides)
        run = retrain_remotely(settings.home, settings.prefect, kind, wait=wait, switch_base=switch_base)
        show_report("retrained remotely", run, as_json)
        return
    document = run_flow("retrain", config, overrides, kind=kind, switch_base=switch_base).to_json()
    if as_json:
        console.show_json(document)
        return
    from flows.reports.label_account import account_text
    from flows.reports.report_words import worded

    text, account = document.pop("decision_text", ""), document.pop("label_account", None)
    title = f"retrained {kind}"
    pairs = {k: v for k, v in document.items() if not isinstance(v, dict)}
    console.show_pairs(title, worded(title, pairs | ({"all labels": account_text(account)} if account else {})))
    console.show_line(text, end="")
    if document.get("decision") == "indicative":
        version = f"{kind}/{document['version']}"
        use = f"earmark promote {version} --force --why TEXT"
        console.show_line(f"next: earmark compare {kind}/champion {version}; to use it now: {use}")


@app.command()
def nightly(
    night: NightName = None,
    switch_base: SwitchBase = False,
    dry_run: DryRun = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Run the main job: merge answers, retrain if enough labels are new, ingest, score, sample, export."""
    if dry_run:
        from flows.models.base_models import other_bases
        from flows.nights.sampling_frame import closed_night
        from flows.reports.dry_run_table import show_night_preview
        from flows.runtime.session import opened_or_empty
        from flows.steps.night_preview import preview_night

        settings = settings_of(config, overrides)
        with opened_or_empty(settings) as (corpus, is_home):
            if not is_home:
                console.note(f"there is no home at {settings.home} yet: the first night makes it")
            for line in [] if switch_base or not is_home else other_bases(corpus, settings.home, settings.models):
                console.note(f"WARNING  {line}")
            planned = preview_night(corpus, settings, closed_night(settings.night, night)).to_json()
        show_result(planned, as_json, show_night_preview)
        return
    report = run_flow("nightly", config, overrides, night=night, switch_base=switch_base)
    if as_json:
        console.show_json(report.to_json())
    else:
        _show_night(report.to_json(), people_listed=bool(settings_of(config, overrides).people.people))
    from flows.pipeline import NightlyReport

    if isinstance(report, NightlyReport):
        _fail_if_none_accepted(report.ingest)


def _show_night(document: dict[str, Any], *, people_listed: bool) -> None:
    """Print what a nightly run did, a block for each step."""
    from flows.reports.champion_lines import document_lines
    from flows.reports.inbox_lines import unread_lines
    from flows.reports.inventory_table import show_outside
    from flows.reports.label_account import account_text
    from flows.reports.merge_lines import OPEN_QUESTIONS, show_open_questions
    from flows.reports.report_words import worded
    from flows.reports.sample_summary import sample_lines

    for step, result in document.items():
        if isinstance(result, dict):
            refused, champions = result.pop("refused_lines", []), result.pop("champions", {})
            shown = sample_lines(result) if step == "sample" else result
            if "label_account" in result:
                shown = {**shown, "all labels": account_text(result["label_account"])}
            apart = ("decision_text", "decision", "label_account", *OPEN_QUESTIONS)
            console.show_pairs(step, worded(step, {k: v for k, v in shown.items() if k not in apart}))
            console.show_refused(refused, result.get("refused"))
            show_open_questions(result, people_listed=people_listed)
            show_outside(result.get("proposing", {}))  # without the names, which are content: this output is logged
            if champions:
                console.show_lines("champions on labelled clips", document_lines(champions))
        else:
            console.show_line(f"{step}  {result}")
    for line in unread_lines(document):
        console.show_line(line)

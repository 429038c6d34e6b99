"""Commands on models: replay, compare, estimate, rollback, register, lineage, errors, promote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.options import (
    By,
    Config,
    Json,
    Kind,
    Set,
    SwitchBase,
    actor_name,
    app,
    open_home,
    settings_of,
    show_report,
    show_result,
)
from flows.runtime import console

if TYPE_CHECKING:
    from flows.steps.register_external import RegisterReport


@app.command()
def replay(
    corpus: Annotated[Path, typer.Option(help="Folder with train.jsonl (the pool) and test.jsonl.")],
    strategy: Annotated[
        str, typer.Option(help="Names of strategies, separated by commas; random is added.")
    ] = "default",
    learner: Annotated[
        str, typer.Option(help="Learner: linear (fast), or model (earmark's own fine-tuning).")
    ] = "linear",
    seeds: Annotated[int, typer.Option(min=1, help="How many paired runs of each strategy.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="How many labels a round buys.")] = 20,
    until: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the full pool's accuracy that a run has to reach.")
    ] = 0.97,
    skew: Annotated[
        str, typer.Option(help="Skew of the pool: none, or zipf (intents as unequal as 1 / rank).")
    ] = "none",
    label_noise: Annotated[
        float, typer.Option(min=0, max=1, help="Share of labels that are given a wrong intent.")
    ] = 0.0,
    rare: Annotated[
        list[str] | None, typer.Option(help="Cut a speaker to a share of the pool, such as theo=0.05.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=0, help="How many neighbours each row is averaged with; 0: none.")
    ] = 15,
    max_labels: Annotated[int | None, typer.Option(min=1, help="End a run at this many labels at the latest.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes run at once; default one for each core.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of curves and report; default in the home.")] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Replay sampling and learning on a labelled corpus; show how many labels strategies save against random."""
    settings = settings_of(config, overrides)
    from flows.replay import run as replaying
    from flows.reports.replay_table import show_replay

    replay_settings = replaying.replay_settings(
        learner=learner,
        batch=batch,
        until=until,
        skew=skew,
        label_noise=label_noise,
        rare=rare or [],
        neighbours=neighbours,
        max_labels=max_labels,
        cold_start_labels=settings.sampling.cold_start_labels,
    )
    plan = replaying.plan_replay(settings.home, corpus, strategy, seeds, replay_settings, out, processes)
    report = replaying.run_replay(settings.home, settings.tracking, plan)
    if as_json:
        console.show_json(report.to_json())
    else:
        show_replay(report, plan.out)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="V1", help="Version, such as asr/2, asr/champion or intent/base.")],
    second: Annotated[str, typer.Argument(metavar="V2", help="Another version of the same kind.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Compare two versions on the same accumulated audit rows: a table, a page with plots, and an MLflow run."""
    from flows.reports.compare import compare_versions, pair_of
    from flows.reports.compare_html import write_page
    from flows.reports.compare_run import log_comparison
    from flows.reports.compare_table import show_comparison

    pair_of(first, second)  # a slip is named before the home is opened
    with open_home(config, overrides) as (corpus, settings):
        compared = compare_versions(corpus, settings, first, second)
    page = write_page(settings.home, compared)
    run = log_comparison(settings.tracking, settings.home, compared, page.read_text(encoding="utf-8"))
    show_result(replace(compared.document, page=str(page), run=run), as_json, show_comparison)


@app.command()
def estimate(
    first: Annotated[
        str | None, typer.Option("--from", metavar="NIGHT", help="First night; default the first with a round.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="NIGHT", help="Last night; default the last with a round.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="SLICE", help="Also by slice: locale, device or an attribute of the manifest."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Estimate WER, intent error, success and accidental activations of the whole traffic from the audit rows."""
    from flows.reports.estimate_table import show_estimate
    from flows.steps.estimate import estimate_traffic, track

    with open_home(config, overrides) as (corpus, settings):
        report = estimate_traffic(corpus, settings, first, last, by or [])
    if report.too_few is None:
        track(settings.tracking, settings.home, report)
    show_result(report, as_json, show_estimate)


@app.command()
def rollback(kind: Kind, config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Make the previous champion the champion again."""
    from flows.models.aliases import roll_back

    with open_home(config, overrides, lock="rollback") as (corpus, settings):
        report = roll_back(corpus, settings.home, settings.tracking, kind)
    if not as_json:
        console.note(f"earmark rollback {kind} again makes version {report.was} the champion again")
    show_report("rolled back", report, as_json)


@app.command()
def register(
    path: Annotated[Path, typer.Argument(help="Folder with config.json, model.safetensors and tokenizer.")],
    kind: Annotated[Literal["asr", "intent"], typer.Option(help="Which model it is.")],
    name: Annotated[str, typer.Option(help="Name shown with its run; default the folder's name.")] = "",
    switch_base: SwitchBase = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Register a model that was made elsewhere as a version and judge it; no alias changes."""
    from flows.steps.register_external import register_external

    with open_home(config, overrides, lock="register", create=True) as (corpus, settings):
        report = register_external(corpus, settings, path, kind, name, "switch" if switch_base else "keep")
    show_result(report, as_json, _show_registered)


def _show_registered(report: RegisterReport) -> None:
    """Print the version and its error rate."""
    rate, name = report.rate, f"{report.kind}/{report.version}"
    console.show_line(f"{name} {'was registered before' if report.already else 'is registered'}")
    if rate is None:
        console.show_line("no evaluation row is labelled yet; earmark compare judges the version once there are some")
    else:
        shown = console.percent(rate.value, rate.low, rate.high)
        console.show_line(f"{report.measure} {shown} on {rate.n} rows of {rate.speakers} speakers, 95 % interval")
    console.note(f"earmark compare {report.kind}/champion {name} compares it with the champion")


@app.command()
def lineage(
    item: Annotated[
        str, typer.Argument(metavar="UTTERANCE|VERSION", help="An utterance id, or a version such as asr/2.")
    ],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show the sources of a version, or the uses of an utterance, in ids and counts; no content."""
    from flows.reports.lineage import lineage_of
    from flows.reports.lineage_table import show_lineage

    with open_home(config, overrides) as (corpus, settings):
        report = lineage_of(corpus, settings.home, settings.tracking, item)
    show_result(report, as_json, show_lineage)


@app.command()
def errors(
    version: Annotated[str, typer.Argument(help="Version, such as asr/2, asr/champion or intent/base.")],
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", help="Only utterances of this slice, such as device=doorbell; of several, in all."),
    ] = None,
    worst: Annotated[int, typer.Option(min=1, help="How many utterances, worst first.")] = 10,
    by: By = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show a version's worst errors, label above transcript: content, so each clip is recorded in the audit chain."""
    from flows.reports.error_analysis import mistakes
    from flows.reports.error_table import show_mistakes

    with open_home(config, overrides) as (corpus, settings):
        report = mistakes(corpus, settings, version, slices or [], worst, actor_name(by))
    show_result(report, as_json, show_mistakes)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version, such as asr/3.")],
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate decides; needs --why.")] = False,
    why: Annotated[
        str,
        typer.Option(
            help="Reason for --force, kept in the audit chain; no name of a customer, nothing a customer said."
        ),
    ] = "",
    by: By = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Promote a version if the gate, judging on today's audit rows, allows it; --force overrules the gate."""
    from corpus.errors import PromotionRefused
    from flows.steps.promote_manually import promote_manually

    with open_home(config, overrides, lock="promote") as (corpus, settings):
        report = promote_manually(corpus, settings, version, actor_name(by), force=force, why=why)
    document, judgement = report.to_json(), report.judgement
    if as_json:
        console.show_json(document)
    else:
        console.show_line(document.pop("decision_text", ""), end="")
        for line in filter(None, (document.pop("waits", None), document.pop("lead", None))):
            console.show_line(f"  {line}")
    if judgement is not None and not report.promoted:
        raise PromotionRefused(f"{version} was not promoted ({judgement.decision}): {judgement.why}")
    if not as_json:
        from flows.reports.report_words import worded

        title = "champion already" if report.already else "promoted"
        console.show_pairs(title, worded(title, document))
    console.note(f"earmark rollback {report.kind} undoes this")

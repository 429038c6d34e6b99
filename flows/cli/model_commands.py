"""Model versions: compare, take back, register, trace; and what choosing would save before there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.options import Config, Json, Kind, Set, app, settings_of, show_report
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
        str, typer.Option(help="Learner: linear (quick), or model (earmark's own fine-tuning).")
    ] = "linear",
    seeds: Annotated[int, typer.Option(min=1, help="Paired runs of each strategy.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Labels bought in a round.")] = 20,
    until: Annotated[float, typer.Option(help="Share of the whole pool's accuracy that a run has to reach.")] = 0.97,
    skew: Annotated[
        str, typer.Option(help="Skew of the pool: none, or zipf (intents as unequal as 1 / rank).")
    ] = "none",
    label_noise: Annotated[float, typer.Option(help="Share of labels that name a wrong intent.")] = 0.0,
    rare: Annotated[
        list[str] | None, typer.Option(help="Cut a speaker to a share of the pool, such as theo=0.05.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=0, help="How many neighbours each row is averaged with; 0: none.")
    ] = 15,
    max_labels: Annotated[int | None, typer.Option(min=1, help="A run ends at this many labels at the latest.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes work at once; default all cores.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of curves and report; default in the home.")] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Replay the loop on a labelled corpus: learning curves, and how many labels sampling saves against random."""
    settings = settings_of(config, overrides)
    from flows.replay import run as replaying
    from flows.reports.replay_table import show_replay

    how = replaying.replay_settings(
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
    plan = replaying.plan_replay(settings, corpus, strategy, seeds, how, out, processes)
    report = replaying.run_replay(settings, plan)
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
    """Compare two versions on the same accumulated audit rows: a table, and a page with plots in the home."""
    settings = settings_of(config, overrides)
    from flows.reports.compare import compare_versions
    from flows.reports.compare_html import write_page
    from flows.reports.compare_table import show_comparison
    from flows.runtime.session import opened

    with opened(settings, create=False) as corpus:
        compared = compare_versions(corpus, settings, first, second)
    report = replace(compared.document, page=str(write_page(settings, compared)))
    if as_json:
        console.show_json(report.to_json())
    else:
        show_comparison(report)


@app.command()
def rollback(kind: Kind, config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Make the previous champion the champion again."""
    settings = settings_of(config, overrides)
    from flows.models.aliases import roll_back
    from flows.runtime.lock import hold_corpus
    from flows.runtime.session import opened

    with hold_corpus(settings.corpus, "rollback"), opened(settings, create=False) as corpus:
        report = roll_back(corpus, settings, kind)
    if not as_json:
        console.note(f"earmark rollback {kind} again would bring version {report.was} back")
    show_report("rolled back", report.to_json(), as_json)


@app.command()
def register(
    path: Annotated[Path, typer.Argument(help="Folder with config.json, model.safetensors and tokenizer.")],
    kind: Annotated[Literal["asr", "intent"], typer.Option(help="Which model it is.")],
    name: Annotated[str, typer.Option(help="Name shown with its run; default the folder's name.")] = "",
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Register a model that was made elsewhere as a version and judge it; no alias moves."""
    settings = settings_of(config, overrides)
    from flows.runtime.lock import hold_corpus
    from flows.runtime.session import opened
    from flows.steps.register_external import register_external

    with hold_corpus(settings.corpus, "register"), opened(settings) as corpus:
        report = register_external(corpus, settings, path, kind, name)
    if as_json:
        console.show_json(report.to_json())
    else:
        _show_registered(report)


def _show_registered(report: RegisterReport) -> None:
    """Print the version and its error rate."""
    rate, name = report.rate, f"{report.kind}/{report.version}"
    print(f"{name} {'was registered before' if report.already else 'is registered'}")
    if rate is None:
        print("no row that judges is labelled yet; earmark compare judges it once there are some")
    else:
        shown = console.percent(rate.value, rate.low, rate.high)
        print(f"{report.measure} {shown} on {rate.n} rows of {rate.speakers} speakers, 95 % interval")
    console.note(f"earmark compare {report.kind}/champion {name} sets it beside the champion")


@app.command()
def lineage(
    item: Annotated[
        str, typer.Argument(metavar="UTTERANCE|VERSION", help="An utterance id, or a version such as asr/2.")
    ],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show what a version came from, or what became of an utterance; ids and counts, no content."""
    settings = settings_of(config, overrides)
    from flows.reports.lineage import lineage_of
    from flows.reports.lineage_table import show_lineage
    from flows.runtime.session import opened

    with opened(settings, create=False) as corpus:
        report = lineage_of(corpus, settings, item)
    if as_json:
        console.show_json(report.to_json())
    else:
        show_lineage(report)


# --- judging ----------------------------------------------------------------------------------------------------------

By = Annotated[str | None, typer.Option("--by", help="Your name for the audit chain; default your login.")]


def person(given: str | None) -> str:
    """Return the name of who runs the command."""
    import getpass

    try:
        return (given or getpass.getuser()).strip() or "unknown"
    except (OSError, KeyError):  # a container's user need not have a name
        return "unknown"


@app.command()
def errors(
    version: Annotated[str, typer.Argument(help="Version, such as asr/2, asr/champion or intent/base.")],
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", help="Only this slice, such as device=doorbell; several are combined with and."),
    ] = None,
    worst: Annotated[int, typer.Option(min=1, help="How many utterances, the worst first.")] = 10,
    by: By = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show what a version gets wrong, label and transcript side by side: content, with one audit row a clip."""
    settings = settings_of(config, overrides)
    from flows.reports.error_analysis import mistakes
    from flows.reports.error_table import show_mistakes
    from flows.runtime.session import opened

    with opened(settings, create=False) as corpus:
        report = mistakes(corpus, settings, version, slices or [], worst, person(by))
    if as_json:
        console.show_json(report.to_json())
    else:
        show_mistakes(report)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version, such as asr/3.")],
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate says; needs --why.")] = False,
    why: Annotated[
        str, typer.Option(help="Reason of --force, kept on the audit chain; no customer's name or words.")
    ] = "",
    by: By = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Ask the gate about a version on today's audit rows, or overrule it; the champion moves or nothing does."""
    settings = settings_of(config, overrides)
    from corpus.errors import PromotionRefused
    from flows.runtime.lock import hold_corpus
    from flows.runtime.session import opened
    from flows.steps.promote_manually import promote_manually

    with hold_corpus(settings.corpus, "promote"), opened(settings, create=False) as corpus:
        report = promote_manually(corpus, settings, version, person(by), force=force, why=why)
    document, judgement = report.to_json(), report.judgement
    if as_json:
        console.show_json(document)
    else:
        print(document.pop("decision_text", ""), end="")
    if judgement is not None and not report.promoted:
        raise PromotionRefused(f"{version} was not promoted ({judgement.decision}): {judgement.why}")
    if not as_json:
        console.show_pairs("champion already" if report.already else "promoted", document)
    console.note(f"earmark rollback {report.kind} takes it back")

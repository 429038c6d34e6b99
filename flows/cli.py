"""The command line. Each command loads what it needs when it runs, so `earmark --help` answers at once."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows import console

app = typer.Typer(
    name="earmark",
    help="Sets aside the few utterances that are worth a person's ear, and retrains the voice assistant on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
audit_app = typer.Typer(help="Who opened what, and the proof of it.", no_args_is_help=True)
config_app = typer.Typer(help="Settings as resolved.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
app.add_typer(config_app, name="config")

Config = Annotated[Path | None, typer.Option("--config", help="YAML file, or the name of one that comes with earmark.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value over the file, such as sampling.clips=40.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
NightName = Annotated[str | None, typer.Option("--night", help="Day on which the night closes, such as 2026-11-22.")]
Kind = Annotated[Literal["asr", "intent"], typer.Argument(help="Which model.")]


INTERRUPTED = 130


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"earmark {version('earmark')}")
        raise typer.Exit


@app.callback()
def _earmark(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command; errors are one line on stderr and an exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is also stopped
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into a status without a word
            print("earmark: interrupted; nothing is lost, run the command again", file=sys.stderr)
        raise
    except Exception as error:
        from flows.session import fail

        sys.exit(fail(error))


def _settings(config: Path | None, overrides: list[str] | None) -> Any:
    from flows.settings import load_settings

    return load_settings(config, overrides or [])


def _run(flow: str, config: Path | None, overrides: list[str] | None, **parameters: Any) -> Any:
    """Runs a flow of `flows.journey` under the lock and Prefect's server; returns its report."""
    settings = _settings(config, overrides)
    if parameters.get("night"):
        from flows.frame import the_night

        the_night(settings, parameters["night"])  # a wrong name costs no start of a server
    from flows.session import running

    with running(settings, flow.replace("_", " ")):
        from flows import journey

        return getattr(journey, flow)(**parameters)


def _show(title: str, report: Any, as_json: bool) -> None:
    if as_json:
        console.show_json(report)
    else:
        refused = report.pop("refused_lines", [])
        console.show_pairs(title, report)
        console.show_refused(refused)


# --- the journey ------------------------------------------------------------------------------------------------------


@app.command()
def demo(
    nights: Annotated[int | None, typer.Option(min=0, help="How many nights; default from the config.")] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="A labelled corpus (train.jsonl, test.jsonl) in place of synthesised traffic.")
    ] = None,
    config: Config = Path("demo"),
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Several nights on synthesised traffic, or on a labelled corpus, with a simulated annotator; in minutes."""
    changes = [*(overrides or []), *([f"labelled.folder={json.dumps(str(corpus))}"] if corpus else [])]
    settings = _settings(config, changes)
    from flows.demo import run_demo, show_demo

    report = run_demo(settings, nights, quiet=as_json)
    if as_json:
        console.show_json(report)
    else:
        show_demo(report)


@app.command()
def ingest(
    manifest: Annotated[Path, typer.Argument(help="JSON Lines or Parquet.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Takes in the utterances of a manifest; received = accepted + refused by reason."""
    from corpus.errors import UsageError

    if not manifest.is_file():
        what = "is a folder; name the file in it" if manifest.is_dir() else "no such file"
        raise UsageError(f"manifest {manifest}: {what}")
    _show("ingested", _run("ingest", config, overrides, manifest=str(manifest.resolve())), as_json)


@app.command("import")
def import_corpus(
    source: Annotated[
        str,
        typer.Argument(help="save_to_disk, Parquet, AudioFolder or JSON Lines; or a hub id, owner/name@revision."),
    ],
    split: Annotated[str | None, typer.Option("--split", help="Such as test; default the only one, or train.")] = None,
    subset: Annotated[str | None, typer.Option("--subset", help="Which configuration of a hub id.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first so many rows only.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show columns and problems, write nothing.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Takes in a labelled corpus; its columns are mapped by the settings under importing."""
    settings = _settings(config, overrides)
    from corpus.scratch import scratch
    from flows.bring import look, named, show_look

    source = named(source)
    with scratch(None if dry_run else settings.home):
        report = look(settings, source, split, subset, limit, only_schema=not dry_run)
        if not dry_run:
            parameters = {"source": source, "split": split, "subset": subset, "limit": limit}
            report = _run("import_corpus", config, overrides, **parameters)
    if not dry_run:
        _show("imported", report, as_json)
    elif as_json:
        console.show_json(report)
    else:
        show_look(report)


@app.command()
def score(night: NightName = None, config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Scores what has not been scored by the champions: one night, or all that is there."""
    _show("scored", _run("score", config, overrides, night=night), as_json)


@app.command()
def sample(
    night: NightName = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Budget in annotator minutes.")] = None,
    clips: Annotated[int | None, typer.Option(min=0, help="Budget in clips.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the choice, write nothing.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Chooses the few utterances of a night that are worth a person's time."""
    changes = list(overrides or [])
    changes += [f"sampling.minutes={minutes}"] if minutes is not None else []
    changes += [f"sampling.clips={clips}"] if clips is not None else []
    if dry_run:
        from flows.choose import dry_run as choose_dry
        from flows.frame import the_night
        from flows.session import opened

        settings = _settings(config, changes)
        with opened(settings, create=False) as corpus:
            report = choose_dry(corpus, settings, the_night(settings, night))
    else:
        report = _run("sample", config, changes, night=night)
    if as_json:
        console.show_json(report)
        return
    from flows.told import sample_lines

    rows = report.pop("rows", None)
    console.show_pairs("would choose" if dry_run else "chosen", sample_lines(report))
    if rows:
        headers = list(rows[0])
        console.show_table("", headers, [list(row.values()) for row in rows])


@app.command()
def export(night: NightName = None, config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Writes the chosen utterances as tasks for annotators."""
    _show("exported", _run("export", config, overrides, night=night), as_json)


@app.command()
def merge(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="JSON Lines or tables (.csv, .tsv) of annotations; by default what came back by itself."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Takes annotations in and makes labels of them; the same file again changes nothing."""
    from corpus.errors import UsageError

    for file in files or []:
        if not file.is_file():
            raise UsageError(f"annotation file {file}: no such file")
    named = [str(file.resolve()) for file in files] if files else None
    report = _run("merge", config, overrides, files=named)
    _show("merged", dict(report), as_json)
    if report.get("failed"):
        raise typer.Exit(1)
    if (
        named and report["rows"] and not report["annotations"]
    ):  # nothing could be used: perhaps they are not annotations at all
        raise typer.Exit(2)


@app.command()
def retrain(
    kind: Kind,
    remote: Annotated[bool, typer.Option("--remote", help="As a run of what `earmark serve` serves.")] = False,
    wait: Annotated[bool, typer.Option(help="With --remote: wait until the run has ended.")] = True,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Fine-tunes from the base on all labels, judges on the audit rows, registers, promotes or says why not."""
    if remote:
        from flows.remote import retrain_remotely

        _show("retrained there", retrain_remotely(_settings(config, overrides), kind, wait=wait), as_json)
        return
    report = _run("retrain", config, overrides, kind=kind)
    if as_json:
        console.show_json(report)
        return
    text = report.pop("decision_text", "")
    console.show_pairs(f"retrained {kind}", {k: v for k, v in report.items() if not isinstance(v, dict)})
    print(text, end="")


@app.command()
def nightly(night: NightName = None, config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """The main job: merge what came back, retrain if enough is new, ingest, score, sample, export."""
    report = _run("nightly", config, overrides, night=night)
    if as_json:
        console.show_json(report)
        return
    from flows.told import sample_lines

    for step, result in report.items():
        if isinstance(result, dict):
            refused = result.pop("refused_lines", [])
            shown = sample_lines(result) if step == "sample" else result
            console.show_pairs(step, {k: v for k, v in shown.items() if k not in ("decision_text", "decision")})
            console.show_refused(refused)
        else:
            print(f"{step}  {result}")


# --- looking ----------------------------------------------------------------------------------------------------------


@app.command()
def status(
    late_after: Annotated[
        float | None,
        typer.Option("--late-after", min=0, help="Exit status 1 where a night is not through so many hours later."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """What is in the home: utterances by state, rounds, open tasks, labels, model versions."""
    settings = _settings(config, overrides)
    from flows.inspect import refuse_late_night, show_status, status_of

    report = status_of(settings)
    if as_json:
        console.show_json(report)
    else:
        show_status(report)
    if late_after is not None:
        refuse_late_night(settings, late_after)


@app.command()
def report(
    weeks: Annotated[int, typer.Option(min=1, help="How many weeks back.")] = 8,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page and its pictures; default <home>/report.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """The week of the annotators: throughput, agreement, minutes per point of WER, accidental activations."""
    settings = _settings(config, overrides)
    from flows.session import opened
    from flows.weekly import write_report

    with opened(settings, create=False) as corpus:
        found = write_report(corpus, settings, out or settings.home / "report", weeks)
    if as_json:
        console.show_json(found)
    else:
        for name in ("weeks", "people", "locales"):
            if found[name]:
                headers = list(found[name][0])
                console.show_table(name, headers, [[row[h] for h in headers] for row in found[name]])
        console.show_pairs("cost", found["cost"])
        print(f"page  {found['page']}")


@app.command()
def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Sweep orphans and make aliases agree.")] = False,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Checks the home: both audit chains, packs, parts, models, tasks; exit status 1 where something is wrong."""
    settings = _settings(config, overrides)
    from flows.inspect import examine, show_findings

    report = examine(settings, repair=repair)
    if as_json:
        console.show_json(report)
    else:
        show_findings(report)
    if report["problems"]:
        raise typer.Exit(1)


@app.command()
def replay(
    corpus: Annotated[Path, typer.Option(help="Folder with train.jsonl (the pool) and test.jsonl.")],
    strategy: Annotated[str, typer.Option(help="Names, separated by commas; random is added.")] = "default",
    learner: Annotated[str, typer.Option(help="linear (quick), or model (earmark's own fine-tuning).")] = "linear",
    seeds: Annotated[int, typer.Option(min=1, help="Paired runs of each strategy.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Labels bought in a round.")] = 20,
    until: Annotated[float, typer.Option(help="Share of the whole pool's accuracy at which a run has arrived.")] = 0.97,
    skew: Annotated[str, typer.Option(help="none, or zipf: intents as unequal as 1 / rank.")] = "none",
    label_noise: Annotated[float, typer.Option(help="Share of labels that are wrong.")] = 0.0,
    rare: Annotated[list[str] | None, typer.Option(help="speaker=share of the pool, such as theo=0.05.")] = None,
    neighbours: Annotated[int, typer.Option(min=0, help="Rows that each row is averaged with; 0: none.")] = 15,
    max_labels: Annotated[int | None, typer.Option(min=1, help="A run ends there at the latest.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="At work at once; default all cores.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where curves go; default in the home.")] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Simulate the loop on a labelled corpus: learning curves, and what choosing saves against random."""
    settings = _settings(config, overrides)
    from flows import replay as replaying

    how = replaying.settings_of(
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
        console.show_json(report)
    else:
        replaying.show(report, plan.out)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="V1", help="Such as asr/2, asr/champion or intent/base.")],
    second: Annotated[str, typer.Argument(metavar="V2", help="Another version of the same kind.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Judges two versions on the same accumulated audit rows."""
    settings = _settings(config, overrides)
    from flows.judge import compare_versions, show_comparison
    from flows.session import opened

    with opened(settings, create=False) as corpus:
        report = compare_versions(corpus, settings, first, second)
    if as_json:
        console.show_json(report)
    else:
        show_comparison(report)


@app.command()
def rollback(kind: Kind, config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Makes the previous champion the champion again."""
    settings = _settings(config, overrides)
    from flows.judge import roll_back
    from flows.lock import hold_corpus
    from flows.session import opened

    with hold_corpus(settings.corpus, "rollback"), opened(settings, create=False) as corpus:
        report = roll_back(corpus, settings, kind)
    if not as_json:
        console.note(f"earmark rollback {kind} again would bring version {report['was']} back")
    _show("rolled back", report, as_json)


@audit_app.command("verify")
def audit_verify(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Both audit chains verify, or the first broken row is named."""
    settings = _settings(config, overrides)
    from flows.inspect import verify_audit

    _show("audit chains verify", verify_audit(settings), as_json)


@audit_app.command("show")
def audit_show(
    last: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """The last acts, with ids and counts."""
    settings = _settings(config, overrides)
    from flows.inspect import audit_rows

    rows = audit_rows(settings, last)
    if as_json:
        console.show_json(rows)
    else:
        headers = ("chain", "seq", "at", "actor", "act", "detail")
        console.show_table("audit", headers, [[row[h] for h in headers] for row in rows], last_wide=True)


@config_app.command("show")
def config_show(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Every setting as resolved; users and passwords in URLs are blanked."""
    settings = _settings(config, overrides)
    from flows.environment import without_secrets

    tree = without_secrets(settings.model_dump(mode="json"))
    if as_json:
        console.show_json(tree)
    else:
        import yaml

        print(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), end="")


@app.command()
def upgrade(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Brings records, vault and MLflow's store to the newest schema; back them up first."""
    settings = _settings(config, overrides)
    from flows.upgrade import show_upgrade, upgrade_all

    report = upgrade_all(settings)
    if as_json:
        console.show_json(report)
    else:
        show_upgrade(report)


@app.command()
def clips(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="As in label_studio.clips_url.")] = 8077,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Serves clips to the browsers of annotators in Label Studio until stopped; each hearing is audited."""
    settings = _settings(config, overrides)
    from flows.clips import serve_clips

    serve_clips(settings, host, port)


# --- running all the time ---------------------------------------------------------------------------------------------


@app.command()
def serve(config: Config = None, overrides: Set = None) -> None:
    """Serves the schedules with Prefect until stopped."""
    settings = _settings(config, overrides)
    from flows.serve import serve_schedules

    serve_schedules(settings, config, overrides or [])


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="MLflow's port; Prefect's pages stand one above.")] = 5000,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Opens MLflow's and Prefect's pages on this home's stores."""
    settings = _settings(config, overrides)
    from flows.serve import serve_pages

    serve_pages(settings, port)


if __name__ == "__main__":
    main()

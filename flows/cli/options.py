"""Shared parts of all commands: the application, common options, settings, opening the home, running flows, results."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypeVar

import typer

from flows.runtime import console

if TYPE_CHECKING:
    from corpus.handle import Corpus
    from flows.runtime.results import Result
    from flows.runtime.settings import Settings

app = typer.Typer(
    name="earmark",
    help="Sample the few utterances that an annotator should label, and retrain the voice assistant on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
audit_app = typer.Typer(
    help="Show, verify or prove the audit logs: who opened which content, who withdrew, what was erased.",
    no_args_is_help=True,
)
config_app = typer.Typer(help="Show the settings.", no_args_is_help=True)
inventory_app = typer.Typer(
    help="Show or change the intents and slots that annotators choose from and models learn.", no_args_is_help=True
)
dataset_app = typer.Typer(
    help="Hand out labelled utterances as a dataset for other tools, list and delete datasets.", no_args_is_help=True
)
base_app = typer.Typer(help="List, add, use or remove bases, from which learning starts.", no_args_is_help=True)
consent_app = typer.Typer(
    help="Show, withdraw or state what an account allows: use of its speech to score, to annotate, to train.",
    no_args_is_help=True,
)
erase_app = typer.Typer(
    help="Erase utterances, accounts or devices for ever: keys, rows, files, tasks; list what no erasure reaches.",
    no_args_is_help=True,
)
key_app = typer.Typer(
    help="Move or change the key-encryption key, without which no content can be read.", no_args_is_help=True
)
lm_app = typer.Typer(help="Build a speech base that decodes with a lexicon and a language model.", no_args_is_help=True)
report_app = typer.Typer(help="Report annotation by week, or one night.", invoke_without_command=True)
app.add_typer(report_app, name="report")
app.add_typer(audit_app, name="audit")
app.add_typer(config_app, name="config")
app.add_typer(base_app, name="base")
app.add_typer(inventory_app, name="inventory")
app.add_typer(dataset_app, name="dataset")
app.add_typer(lm_app, name="lm")
app.add_typer(consent_app, name="consent")
app.add_typer(erase_app, name="erase")
app.add_typer(key_app, name="key")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file with settings, or the name of one that comes with earmark (demo, fsdd, production)."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, key=value, such as sampling.clips=40; it overrides the file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
SwitchBase = Annotated[
    bool,
    typer.Option("--switch-base", help="Learn from the base of the settings from now on, where it is another one."),
]
NightName = Annotated[str | None, typer.Option("--night", help="Day on which the night closes, such as 2026-11-22.")]
DamagedPart = Annotated[
    str | None,
    typer.Option("--part", help="Score the clips of this damaged part again, by the versions that scored them."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what is due and why, on how many labels, and how long it takes.")
]
By = Annotated[str | None, typer.Option("--by", help="Your name for the audit chain; default your login name.")]
Kind = Annotated[Literal["asr", "intent"], typer.Argument(help="Which model: speech or intent.")]

FlowName: TypeAlias = Literal[
    "ingest", "import_corpus", "score", "sample", "export", "merge", "retrain", "sweep", "nightly"
]
FlowParameter: TypeAlias = str | int | list[str] | None

T = TypeVar("T")


def settings_of(config: Path | None, overrides: list[str] | None) -> Settings:
    """Return the settings of a command.

    Args:
        config: the value of `--config`.
        overrides: the values of `--set`.

    Raises:
        SettingsError: the file or a setting is wrong.
    """
    from flows.runtime.settings import load_settings

    return load_settings(config, overrides or [])


@contextmanager
def open_home(
    config: Path | None, overrides: list[str] | None, *, lock: str | None = None, create: bool = False
) -> Iterator[tuple[Corpus, Settings]]:
    """Open the home of a command until the block ends; give it with the command's settings.

    Args:
        config: the value of `--config`.
        overrides: the values of `--set`.
        lock: name of a command that changes the home, which is locked until the block ends; None for one that reads.
        create: make the home where there is none.

    Raises:
        EarmarkError: the settings are wrong, the home is in use or can't be opened, or there is none.
    """
    settings = settings_of(config, overrides)
    from flows.runtime.lock import hold_corpus
    from flows.runtime.session import opened

    with ExitStack() as stack:
        corpus = stack.enter_context(opened(settings, create=create))  # first: a lock makes the folder that it lies in
        if lock is not None:
            stack.enter_context(hold_corpus(settings.corpus, lock))
        yield corpus, settings


def options_again(config: Path | None, overrides: list[str] | None) -> str:
    """Return the options with which another command works on the same home, to be pasted after its name; "" for none.

    A file that comes with earmark is left out: a command that changes settings does not take it. What is set is shown
    where it says which home it is.

    Args:
        config: the value of `--config`.
        overrides: the values of `--set`.
    """
    from flows.runtime.settings_layers import CONFIGS, find_file

    given: list[str] = []
    homes = [f"--set {shlex.quote(each)}" for each in overrides or [] if each.startswith("corpus.home=")]
    if config is not None and not find_file(config).resolve().is_relative_to(CONFIGS):
        given = [f"--config {shlex.quote(str(config))}"]
    elif config is not None and not homes:
        homes = [f"--set {shlex.quote(f'corpus.home={settings_of(config, overrides).home}')}"]
    return "".join(f" {each}" for each in given + homes)


MAKES_HOME: Final = frozenset[FlowName](("ingest", "import_corpus", "nightly"))
"""Flows that can be the first command on a home."""


def run_flow(flow: FlowName, config: Path | None, overrides: list[str] | None, **parameters: FlowParameter) -> Result:
    """Run a flow of `flows.pipeline` under the lock of the home and with Prefect's server; return its report.

    Args:
        flow: name of the function in `flows.pipeline`.
        config: the value of `--config`.
        overrides: the values of `--set`.
        parameters: of the flow.

    Raises:
        EarmarkError: the settings are wrong, the home is in use, or the flow failed.
    """
    settings = settings_of(config, overrides)
    night = parameters.get("night")
    if isinstance(night, str):
        from flows.nights.sampling_frame import closed_night

        closed_night(settings.night, night)  # refuse a wrong name before the slow start of a server
    from flows.runtime.session import opened, running

    if flow not in MAKES_HOME:
        with opened(settings, create=False):  # else a command that lacks its --config would leave an empty home
            pass
    with running(settings, flow.replace("_", " ")):
        from flows import pipeline

        report: Result = getattr(pipeline, flow)(**parameters)
        return report


def show_report(title: str, report: Result, as_json: bool, *, heading: str | None = None) -> None:
    """Print the report on stdout, as pairs of names and values under the heading, by default the title, or as JSON."""
    document = report.to_json()
    if as_json:
        console.show_json(document)
    else:
        from flows.reports.champion_lines import document_lines
        from flows.reports.report_words import worded

        refused, champions = document.pop("refused_lines", []), document.pop("champions", {})
        notes = document.pop("notes", [])
        console.show_pairs(heading or title, worded(title, document))
        console.show_refused(refused, report.to_json().get("refused"))
        if notes:
            console.show_lines("notes", notes)
        if champions:
            console.show_lines("champions on labelled clips", document_lines(champions))


def show_result(result: T, as_json: bool, show: Callable[[T], None]) -> None:
    """Print a result, or a list of results, on stdout: as JSON, or as `show` does it for people."""
    if as_json:
        from flows.runtime.results import as_json as document_of

        console.show_json(document_of(result))
    else:
        show(result)


def actor_name(by: str | None) -> str:
    """Return the name of the person who runs the command: the value of `--by`, else the login name."""
    import getpass

    try:
        return (by or getpass.getuser()).strip() or "unknown"
    except (OSError, KeyError):  # the user of a container may have no name
        return "unknown"

"""What every command shares: the application, the options, and the way into settings and flows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.runtime import console

if TYPE_CHECKING:
    from flows.runtime.results import Result
    from flows.runtime.settings import Settings

app = typer.Typer(
    name="earmark",
    help="Sample the few utterances that are worth an annotator's time, and retrain the voice assistant on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
audit_app = typer.Typer(help="Show who opened what, and prove it.", no_args_is_help=True)
config_app = typer.Typer(help="Show the settings.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
app.add_typer(config_app, name="config")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file with settings, or the name of one that comes with earmark (demo, fsdd, production)."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A single setting over the file, key=value, such as sampling.clips=40."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NightName = Annotated[str | None, typer.Option("--night", help="Day on which the night closes, such as 2026-11-22.")]
Kind = Annotated[Literal["asr", "intent"], typer.Argument(help="Which model: speech or intent.")]


def settings_of(config: Path | None, overrides: list[str] | None) -> Settings:
    """Return the settings of a command."""
    from flows.runtime.settings import load_settings

    return load_settings(config, overrides or [])


def run_flow(flow: str, config: Path | None, overrides: list[str] | None, **parameters: Any) -> Result:
    """Run a flow of `flows.pipeline` under the lock and Prefect's server; return its report."""
    settings = settings_of(config, overrides)
    if parameters.get("night"):
        from flows.nights.sampling_frame import closed_night

        closed_night(settings.night, parameters["night"])  # a wrong name costs no start of a server
    from flows.runtime.session import running

    with running(settings, flow.replace("_", " ")):
        from flows import pipeline

        report: Result = getattr(pipeline, flow)(**parameters)
        return report


def show_report(title: str, report: Result | Mapping[str, Any], as_json: bool) -> None:
    """Print the report on stdout, as a table of pairs or as JSON."""
    document = dict(report) if isinstance(report, Mapping) else report.to_json()
    if as_json:
        console.show_json(document)
    else:
        refused = document.pop("refused_lines", [])
        console.show_pairs(title, document)
        console.show_refused(refused)

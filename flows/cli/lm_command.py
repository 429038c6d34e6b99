"""The command on language models: lm build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Config, Json, Set, lm_app, open_home, show_report


@lm_app.command()
def build(
    out: Annotated[Path, typer.Argument(help="A new folder, for models.asr.")],
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Copy the speech base and add a lexicon and a language model, from the files of asr.beam and the inventory."""
    from flows.steps.lm import build_base

    with open_home(config, overrides, create=True) as (corpus, settings):
        report = build_base(corpus, settings, out)
    show_report("lm", report, as_json, heading="base with a decoder")
    if not as_json:
        use = f"earmark base use {Path(report.folder).name}"
        print(f"next: earmark base add {report.folder}, then {use} (each with your --config)")


@lm_app.callback()
def _lm() -> None:
    """Keep `build` a command of the group, although it is the only one."""

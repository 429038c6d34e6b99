"""The command on language models: lm build."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Config, Json, Set, lm_app, open_home, options_again, show_report
from flows.runtime import console


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
        again = options_again(config, overrides)
        named = re.sub(r"[^\w.-]+", "-", Path(report.folder).name).strip("-._") or "with-decoder"
        name = "" if named == Path(report.folder).name else f" --name {named}"
        console.show_line(f"next: earmark base add {shlex.quote(report.folder)}{name}{again}")
        console.show_line(f"then: earmark base use {named}{again}")


@lm_app.callback()
def _lm() -> None:
    """Keep `build` a command of the group, although it is the only one."""

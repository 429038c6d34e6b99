"""The command for customers who ask what is held about them: access.

It starts no flow, so that no account is in Prefect's records.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Config, Json, Set, app, open_home
from flows.runtime import console


@app.command()
def access(
    account: Annotated[
        str | None, typer.Argument(help="The account, as manifests have it; with --stdin no other program sees it.")
    ] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the account from standard input, in one line.")] = False,
    content: Annotated[
        bool,
        typer.Option("--content", help="Also what was said: transcripts, clips, device serials; with --out or --json."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="HTML file of the page, which only you can read.")] = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show what is held about a customer: by whom heard, what learned from it, consents; for privacy officers."""
    from corpus.errors import UsageError
    from flows.reports import access as found
    from flows.reports.access_page import show_access, write_access_page
    from flows.runtime.output_files import output_place

    lines = [line for line in sys.stdin.read().splitlines() if line.strip()] if stdin else []
    named = [*([account] if account else []), *lines]
    if len(named) != 1:
        raise UsageError("name one account, as argument or with --stdin: earmark access --stdin")
    if content and out is None and not as_json:
        raise UsageError("--content would show what was said in the terminal: give --out FILE, or --json")
    for each in overrides or []:
        if each.startswith(("people", "corpus.access_set_aside")):
            raise UsageError("--set can't name privacy officers or open what is set aside: write it in the file")
    with open_home(config, overrides) as (corpus, settings):
        if out is not None:
            output_place(out, "--out", settings.home)  # before anything is read
        report = found.access(corpus, settings.people, named[0], content=content)
        page = None if out is None else write_access_page(report, out, settings.home)
    if as_json:
        console.show_json(report.to_json() | ({} if page is None else {"page": str(page)}))
    else:
        show_access(report, page)

"""The command on labels that may be wrong: suspects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.options import Config, Json, Set, app, open_home
from flows.runtime import console

if TYPE_CHECKING:
    from corpus.handle import Corpus
    from flows.runtime.settings import Settings
    from flows.steps.suspects import SuspectsReport


@app.command()
def suspects(
    kind: Annotated[
        Literal["asr", "intent"] | None, typer.Option("--kind", help="Only intents, or only transcripts; default both.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many labels, the most suspect.")] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="List also labels that are hardly suspect; --json always does.")
    ] = False,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask other people about these again, in a round of blind tasks.")
    ] = False,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0, help="With --ask: annotator minutes.")] = None,
    audit: Annotated[
        int, typer.Option("--audit", min=0, help="With --ask: also this many audit rows, drawn at random.")
    ] = 0,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Rank the labels that models of other utterances, neighbours and other people contradict; ask about them again."""
    from corpus.errors import UsageError

    if not ask and (minutes is not None or audit):
        raise UsageError("--minutes and --audit say what is asked again: give --ask, too")
    changes = [*(overrides or []), *([f"sampling.minutes={minutes}"] if minutes is not None else [])]
    from flows.steps.suspects import find_suspects

    with open_home(config, changes, lock="suspects" if ask else None) as (corpus, settings):
        report = find_suspects(corpus, settings.home, settings.inventory, [kind] if kind else ["intent", "asr"])
        found, report = len(report.rows), replace(report, rows=report.rows[:top])
        if ask:
            report = _asked(corpus, settings, report, audit)
    if as_json:
        console.show_json(report.to_json())
        return
    from flows.reports.suspects_table import show_suspects

    show_suspects(report.to_json(), found, everything)


def _asked(corpus: Corpus, settings: Settings, report: SuspectsReport, audit: int) -> SuspectsReport:
    """Ask about the labels of the report again, and send the tasks where an annotation backend has them."""
    from flows.steps.annotation_backends import is_external, push
    from flows.steps.suspects import ask_again, finish_asking

    finished = finish_asking(corpus, settings)
    asked = ask_again(corpus, settings, report.rows, audit)
    if (finished or asked.export is not None) and is_external(settings.export):
        sent = push(corpus, settings)
        if asked.export is not None:
            export = replace(asked.export, sent=sent.sent, removed=sent.removed, open_there=sent.open_there)
            asked = replace(asked, export=export)
    return replace(report, asked=asked)

"""A person looks at versions and decides: what they get wrong, and which is to be champion."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import console
from flows.commands.options import Config, Json, Set, app, settings_of

By = Annotated[str | None, typer.Option("--by", help="Your name for the audit chain; default your login.")]


def person(given: str | None) -> str:
    """Returns the name of who runs the command."""
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
    from flows.mistakes import mistakes
    from flows.session import opened
    from flows.side_by_side import show_mistakes

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
    from flows.by_hand import promote_by_hand
    from flows.lock import hold_corpus
    from flows.session import opened

    with hold_corpus(settings.corpus, "promote"), opened(settings, create=False) as corpus:
        report = promote_by_hand(corpus, settings, version, person(by), force=force, why=why)
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

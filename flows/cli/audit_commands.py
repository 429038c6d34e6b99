"""The commands on the audit logs: verify, show, prove, key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Config, Json, Set, audit_app, open_home, settings_of, show_result
from flows.runtime import console

if TYPE_CHECKING:
    from corpus.storage.signed_note import Verifier

Key = Annotated[
    str | None,
    typer.Option(
        "--key", help="Public key as earmark audit key prints it, or a file with it; default that of the home."
    ),
]


@audit_app.command("verify")
def audit_verify(
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor", help="File or folder of a store with copies of the checkpoints; default audit.anchor."
        ),
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", help="Verify this receipt of an erasure instead; with --key it needs no home."),
    ] = None,
    key: Key = None,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Verify both audit logs, their checkpoints and the state that they recount; exit status 1 where it is wrong."""
    from flows.reports.audit_verify import verify_audit
    from flows.reports.audit_verify_table import show_receipt, show_verification

    verifier = _verifier(key)
    if receipt is not None:
        from corpus.tables.checkpoints import own_verifier
        from flows.steps.erase_receipt import read_receipt

        if verifier is None:
            with open_home(config, overrides) as (corpus, _):
                verifier = own_verifier(corpus)
        show_result(read_receipt(receipt, verifier).to_json(), as_json, show_receipt)
        return
    report = verify_audit(settings_of(config, overrides), anchor, verifier)
    show_result(report, as_json, show_verification)
    if report.problems:
        raise typer.Exit(1)


@audit_app.command("show")
def audit_show(
    last: Annotated[int, typer.Option(min=1, help="How many rows, the newest.")] = 20,
    config: Config = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show the newest rows of the audit logs: who did what when, in ids and counts."""
    settings = settings_of(config, overrides)
    from flows.reports.audit_log import audit_rows
    from flows.reports.audit_table import show_audit

    rows = audit_rows(settings, last)
    show_result(rows, as_json, show_audit)


@audit_app.command("prove")
def audit_prove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A row such as records/12 or vault/7, the id of an operation, or that of an utterance."
        ),
    ],
    since: Annotated[
        Path | None,
        typer.Option("--from", help="Checkpoint that you kept, from which on the logs only grew; default the first."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Print, as JSON, proofs that rows are in a signed checkpoint and that the logs only grew, for other programs."""
    from flows.reports.audit_proof import prove

    with open_home(config, overrides) as (corpus, settings):
        found = prove(corpus, settings.audit, name, since)
    console.show_json(found.to_json())


@audit_app.command("key")
def audit_key(config: Config = None, overrides: Set = None, as_json: Json = False) -> None:
    """Print the public key of the checkpoints and receipts; give it to those who verify them."""
    from corpus.tables.checkpoints import own_verifier
    from flows.runtime.sealing import seal_or_note

    with open_home(config, overrides) as (corpus, settings):
        text = own_verifier(corpus).text()
        seal_or_note(corpus, settings.audit)  # so that a home with a key has a checkpoint
    if as_json:
        console.show_json({"key": text})
    else:
        print(text)


def _verifier(key: str | None) -> Verifier | None:
    """Return the public key of `--key`.

    Raises:
        UsageError: it is none.
    """
    if key is None:
        return None
    from corpus.errors import UsageError
    from corpus.storage.signed_note import read_verifier

    file = Path(key)
    try:
        text = file.read_text(encoding="utf-8") if "+" not in key or file.is_file() else key
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"--key {key} is no public key and no file with one; see earmark audit key") from None
    return read_verifier(text)

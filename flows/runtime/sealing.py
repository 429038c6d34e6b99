"""Sign a checkpoint of the audit logs at the end of each command that added to them, and copy it to the anchor.

It fails no command: what was done is done and recorded. What stands in the way is said, and `earmark audit verify` and
`earmark doctor` look at it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict

from corpus.errors import EarmarkError, SettingsError
from corpus.handle import Corpus
from corpus.storage import anchor, audit_chain
from corpus.storage.signed_note import Signer
from corpus.tables import checkpoints
from flows.runtime import progress

PERIOD: Final = 60.0
"""How long a server that opens content goes on without a checkpoint of it [s]."""


class AuditSettings(BaseModel):
    """Where a copy of each signed checkpoint of the audit logs goes.

    Attributes:
        anchor: A file outside the home, best on another machine, or a folder of a store such as `s3://bucket/folder`,
            best with object lock; null for none: then a log that was rewritten as a whole can't be told from an honest
            one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    anchor: str | None = None


def seal_if_grown(corpus: Corpus, settings: AuditSettings) -> None:
    """Seal the logs where this process added to one of them."""
    if any(audit_chain.has_appended(engine) for engine in (corpus.records, corpus.vault.engine)):
        seal_or_note(corpus, settings)


def seal_or_note(corpus: Corpus, settings: AuditSettings) -> None:
    """Seal the logs, unless the home can only be read; what stands in the way is noted."""
    if corpus.read_only:
        return
    try:
        seal(corpus, settings)
    except EarmarkError as error:
        progress.note(f"no checkpoint of the audit logs was signed or copied: {error}")


@contextlib.contextmanager
def sealing_meanwhile(corpus: Corpus, settings: AuditSettings, period: float = PERIOD) -> Iterator[None]:
    """Seal the logs every `period` seconds [s] while the block runs, for a server that ends after weeks."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(period):
            seal_if_grown(corpus, settings)

    thread = threading.Thread(target=work, name="sealing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def seal(corpus: Corpus, settings: AuditSettings) -> bool:
    """Sign a checkpoint if the logs have grown, and add it to the anchor; return whether one was signed.

    Raises:
        ChainBroken: a log has not grown from its last checkpoint.
        Refused: the anchor has a checkpoint that the home does not know.
        Unreachable: the anchor does not answer.
        HostFault: the key or the anchor can't be written.
    """

    def signer() -> Signer:
        key = checkpoints.audit_signer(corpus)
        if key is None:
            raise SettingsError("the home is read-only, so no checkpoint is signed; make it writable")
        return key

    signed = checkpoints.seal(corpus, signer)
    if settings.anchor is not None:
        stored = functools.partial(checkpoints.stored_notes, corpus, "records")
        anchor.add_notes(settings.anchor, stored, corpus.settings.store_timeout)
    return signed

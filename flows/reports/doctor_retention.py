"""The doctor's checks of what is to be gone: what has expired, weights of tainted versions, and late retrainings."""

from __future__ import annotations

from corpus.handle import Corpus
from corpus.tables import models, retention
from corpus.vault import vault
from flows.models import expired
from flows.models.retention_due import find_due
from flows.reports.doctor_content import Found
from flows.runtime.settings import RetentionSettings


def check_retention(corpus: Corpus, settings: RetentionSettings) -> Found:
    """Check that what has expired has no key, that no expiry is unfinished, and that no retraining without it is late.

    Also that nothing that is gone has a key, and that no tainted version that does not serve has its weights.
    """
    now = corpus.clock()
    with corpus.read() as conn:
        unfinished = retention.unfinished(conn)
        weights = models.to_destroy(conn)
        problems = expired.overdue(conn, settings, now)
        gone = retention.gone(conn)
    due = find_due(corpus, unbounded=True).ids
    refused = find_due(corpus, unbounded=False).refused
    over = sorted({i for ids in due.values() for i in ids} - set(unfinished))
    with_key = vault.ids_with_key(corpus.vault, gone)
    if over:
        counts = ", ".join(f"{len(ids)} {name}" for name, ids in due.items())
        remedy = refused or "run earmark retain, as the next earmark nightly does"
        problems.append(f"{len(over)} utterances have expired and still have their keys ({counts}); {remedy}")
    if unfinished:
        problems.append(
            f"retention has not finished with {len(unfinished)} utterances; run earmark doctor --repair, as the next"
            " earmark retain or nightly does"
        )
    if with_key:
        problems.append(
            f"{len(with_key)} utterances that expired or were erased have a key again; the vault is older than the"
            " records: restore it from a newer backup"
        )
    if weights:
        names = ", ".join(f"{kind}/{version}" for kind, version in weights)
        problems.append(
            f"the weights of {names} are still there, and what they learned from was erased or withdrawn; run earmark"
            " doctor --repair, as the next earmark erase or nightly does"
        )
    return {"expired": len(over), "unfinished": len(unfinished), "gone": len(gone)}, problems

"""Expiry: end what retention marked, its key first, then its rows, its statistics and the files that contain them.

It does to an utterance what an erasure does, with two differences. It taints no version that learned from it. And what
was learned from which row is kept by its id, so that an erasure that is asked for later finds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, cast

from corpus.records.base import digest
from corpus.storage import operation_ids
from corpus.storage.operations import Operation
from corpus.tables import erasure, models, retention
from corpus.tables.erasure import Copies
from corpus.vault import vault

if TYPE_CHECKING:
    from corpus.handle import Corpus

REASON = "retention"
"""Why the state of an utterance is what it is, as it is stored with its row."""


class ExpiryResult(TypedDict):
    """Result of an expiry, as it is stored with its operation.

    Attributes:
        expired: number of utterances by class.
        digest: digest of their ids.
        parts_rewritten: number of parts that contained their statistics.
        learned: `kind/version` of the versions that learned from one of the utterances.
    """

    expired: dict[str, int]
    digest: str
    parts_rewritten: int
    learned: list[str]


def expire_marked(corpus: Corpus, actor: str = "earmark") -> ExpiryResult | None:
    """End the utterances that `retention.mark` marked; None where none is marked."""
    with corpus.read() as conn:
        ids = retention.unfinished(conn)
    if not ids:
        return None
    vault.destroy(corpus.vault, ids, actor, "expire")

    def rows(op: Operation, copies: Copies) -> dict[str, Any]:
        return dict(_expire_rows(op, ids, copies, corpus.clock()))

    done = erasure.commit_rows(corpus, ids, operation_ids.expire(digest(ids)), "expire", rows, actor)
    return cast(ExpiryResult, done)


def _expire_rows(op: Operation, ids: Sequence[str], copies: Copies, at: datetime) -> ExpiryResult:
    live, rewritten = erasure.blank_rows(op, ids, REASON, copies)
    learned = models.mark_expired(op.conn, live, at)
    return {
        "expired": dict(sorted(Counter(retention.ended_as(op.conn, live).values()).items())),
        "digest": digest(live),
        "parts_rewritten": rewritten,
        "learned": [f"{kind}/{version}" for kind, version in learned],
    }

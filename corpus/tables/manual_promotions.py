"""Manual promotions: versions that a person made champion, with the reason, as the audit chain has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage.records_schema import audit


@dataclass(frozen=True, slots=True)
class ManualPromotion:
    """A version that a person made champion; who it was is on the audit chain.

    Attributes:
        kind: of the model.
        version: the new champion.
        was: the champion before.
        how: `forced`, or `gate` where the gate had allowed it before; `erased` where no person decided, but the
            champion before learned from an utterance that was erased or withdrawn since.
        why: the person's reason, or the rule; "" where none was given.
        at: when it was done.
    """

    kind: Kind
    version: str
    was: str
    how: str
    why: str
    at: datetime


def manual_promotions(conn: sa.Connection) -> list[ManualPromotion]:
    """Return the manual promotions of all kinds, oldest first."""
    rows = conn.execute(sa.select(audit.c.at, audit.c.detail).where(audit.c.act == "promote").order_by(audit.c.seq))
    found = []
    for row in rows:
        moved = json.loads(row.detail)["result"]
        found.append(
            ManualPromotion(
                kind=moved["kind"],
                version=moved["champion"],
                was=moved["was"],
                how=moved.get("how") or "forced",
                why=moved.get("why") or "",
                at=row.at,
            )
        )
    return found

"""Check for tainted champions, which learned from an utterance that was erased since."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.tables import models as store
from flows.models.registry import KINDS


def tainted_champions(conn: sa.Connection) -> list[str]:
    """Return one line for each tainted champion, with the commands that replace it."""
    problems = []
    for kind in KINDS:
        champion, previous = (store.alias(conn, kind, name) for name in ("champion", "previous"))
        clean = {version.version for version in store.versions(conn, kind) if not version.tainted}
        if champion is None or champion in clean:
            continue
        base = min(clean, key=int, default="1")
        back = f"rollback {kind}" if previous in clean else f"promote {kind}/{base} --force --why TEXT"
        problems.append(
            f"{kind}/{champion} is champion and learned from an utterance that was erased since; run earmark {back},"
            f" then earmark retrain {kind} for a version without it"
        )
    return problems

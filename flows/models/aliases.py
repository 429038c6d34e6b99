"""Aliases: which version is the champion, in the records and in MLflow, and changes of it without the gate.

In the records a challenger that was promoted stays the challenger until the next is judged. In MLflow, and wherever a
person reads or names an alias, a version has one at most, which says where it stands: `registry.standing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.errors import PromotionRefused
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage import operation_ids
from corpus.tables import erased
from corpus.tables import models as store
from corpus.tables.people import holder
from flows.models.registry import KINDS, standing
from flows.models.version_description import descriptions
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.tracking.store import Tracking, TrackingSettings


@dataclass(frozen=True, slots=True)
class ChampionMoved(Result):
    """The result of a change of the champion.

    Attributes:
        kind: kind of the model.
        champion: version that is now the champion.
        was: version that was the champion before.
        how: `forced` by a person, `gate`, or `erased` where the champion before learned from an erased utterance; None
            after a rollback.
        why: reason given by the person, or the rule; None after a rollback.
    """

    kind: Kind
    champion: str
    was: str
    how: str | None = None
    why: str | None = None


def mirror_registry(corpus: Corpus, tracking: Tracking) -> None:
    """Set the aliases in MLflow, and what it says of versions, to what the records say."""
    from training.tracking.aliases import set_aliases

    for kind in KINDS:
        with corpus.read() as conn:
            aliases = standing(conn, kind)
        set_aliases(tracking, kind, aliases)
    mirror_versions(corpus, tracking)


def mirror_versions(corpus: Corpus, tracking: Tracking) -> None:
    """Set the descriptions of versions in MLflow, and the tags of marked ones, to what the records say.

    Where an erasure or a withdrawal noted that MLflow is to be told, it is told now.
    """
    from training.tracking.aliases import set_descriptions, set_marks

    with corpus.read() as conn:
        noted = erased.not_reached(conn).get("model registry")
    for kind in KINDS:
        with corpus.read() as conn:
            texts, marks = descriptions(conn, kind), marks_of(conn, kind)
        set_descriptions(tracking, kind, texts)
        for tag, values in marks.items():
            set_marks(tracking, kind, tag, values)
    if noted is not None:
        erased.reached(corpus, "model registry", noted)


def marks_of(conn: sa.Connection, kind: Kind) -> dict[str, dict[str, str]]:
    """Return the tags of marked versions in MLflow: by tag and version the value."""
    from training.tracking.aliases import DESTROYED_TAG, EXPIRED_TAG, TAINTED_TAG

    def times(found: Mapping[str, datetime]) -> dict[str, str]:
        return {version: f"{at:%Y-%m-%dT%H:%M:%SZ}" for version, at in found.items()}

    return {
        TAINTED_TAG: {version.version: "true" for version in store.versions(conn, kind) if version.tainted},
        EXPIRED_TAG: times(store.learned_from_expired(conn, kind)),
        DESTROYED_TAG: times(store.destroyed(conn, kind)),
    }


def roll_back(corpus: Corpus, home: Path, tracking: TrackingSettings, kind: Kind) -> ChampionMoved:
    """Make the previous champion the champion again, and the present champion the previous one.

    Raises:
        PromotionRefused: there is no previous champion, or it learned from an utterance that was erased or withdrawn
            since.
    """
    from training.tracking.store import open_tracking

    with corpus.read() as conn:
        champion, previous = store.alias(conn, kind, "champion"), store.alias(conn, kind, "previous")
    if champion is None or previous is None:
        raise PromotionRefused(f"{kind} has no previous champion to go back to")
    with corpus.read() as conn:
        if store.version(conn, kind, previous).tainted:
            raise PromotionRefused(
                f"{kind} {previous} learned from an utterance that was erased or withdrawn since; it can't be used"
            )
    moved = ChampionMoved(kind, previous, champion)
    with corpus.operation(operation_ids.roll_back(kind), "rollback") as op:
        store.move_alias(op.conn, kind, "champion", champion, previous)
        store.move_alias(op.conn, kind, "previous", previous, champion)
        op.result = moved.to_json()
    mirror_registry(corpus, open_tracking(tracking, home))
    return moved


def move_champion(
    corpus: Corpus, kind: Kind, expected: str, number: str, *, how: str, why: str, actor: str
) -> ChampionMoved:
    """Make a version the champion and the present champion the previous one, in one transaction with the audit row.

    Args:
        corpus: handle of the home.
        kind: kind of the model.
        expected: version that is the champion now.
        number: version to become the champion.
        how: `forced` or `gate`.
        why: the person's reason, for the audit row.
        actor: the person who does it.

    Raises:
        PromotionRefused: `expected` is not the champion any more.
    """
    moved = ChampionMoved(kind, number, expected, how, why)
    with corpus.operation(operation_ids.promote_by_hand(kind), "promote", holder(actor)) as op:
        store.move_alias(op.conn, kind, "champion", expected, number)
        store.move_alias(op.conn, kind, "previous", store.alias(op.conn, kind, "previous"), expected)
        op.result = moved.to_json()
    return moved

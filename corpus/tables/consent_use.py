"""Use by consent: which labels and clips may still be used, and what a withdrawal of consent takes out of use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.storage import operation_ids
from corpus.storage.database import fetch_among
from corpus.storage.records_schema import utterances
from corpus.tables import erased, labels, models
from corpus.tables.labels import LabelRow
from corpus.tables.utterances import last_order
from corpus.vault import consent

if TYPE_CHECKING:
    from corpus.handle import Corpus


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What withdrawals of consent took out of use.

    Attributes:
        accounts: customers that took a consent back from clips that they had given it for.
        labels: current labels that are used no more: they trained or checked a training and may not be trained on, or
            judged and may not be annotated.
        clips: other clips that may be used for less than before, such as no longer for annotation.
    """

    accounts: int
    labels: int
    clips: int


@dataclass(frozen=True, slots=True)
class Before:
    """The state before an ingest, for `narrowed_since`.

    Attributes:
        withdrawn: utterances with withdrawn consents.
        last_order: order of the newest arrival; a clip that comes later was in no use.
    """

    withdrawn: dict[str, consent.Withdrawn]
    last_order: int


@dataclass(frozen=True, slots=True)
class ClipUses:
    """How many of the available clips their customers allow each use; scoring comes before the others."""

    score: int
    annotate: int
    train: int


def before(corpus: Corpus) -> Before:
    """Return the state before an ingest."""
    with corpus.read() as conn:
        return Before(consent.withdrawn(corpus.vault), last_order(conn))


def narrowed_since(corpus: Corpus, earlier: Before) -> Narrowed | None:
    """Return what withdrawals took out of use since then; None where they took nothing."""
    now = consent.withdrawn(corpus.vault)
    reduced = {i: each for i, each in now.items() if earlier.withdrawn.get(i) != each}
    with corpus.read() as conn:
        statement = sa.select(utterances.c.utterance_id, utterances.c.speaker_id).where(
            utterances.c.state == "accepted", utterances.c.event_order <= earlier.last_order
        )
        speakers = {
            row.utterance_id: row.speaker_id
            for row in fetch_among(conn, statement, utterances.c.utterance_id, list(reduced))
        }
        rows = labels.current(conn, sorted(speakers))
    unused = {
        row.utterance_id
        for row in rows
        if needed(row) not in reduced[row.utterance_id].left
        and (row.utterance_id not in earlier.withdrawn or needed(row) in earlier.withdrawn[row.utterance_id].left)
    }
    if not speakers:
        return None
    return Narrowed(len(set(speakers.values())), len(unused), len(set(speakers) - unused))


def total(first: Narrowed | None, then: Narrowed | None) -> Narrowed | None:
    """Return what two rounds of withdrawals took out of use; a customer or clip that both narrowed counts in both."""
    if first is None or then is None:
        return first or then
    return Narrowed(first.accounts + then.accounts, first.labels + then.labels, first.clips + then.clips)


def needed(row: LabelRow) -> str:
    """Return the consent that the use of a label needs."""
    return "annotate" if row.judges else "train"


def usable(corpus: Corpus, rows: Iterable[LabelRow]) -> list[LabelRow]:
    """Return the labels whose customers consent to their use: to train, or to judge."""
    rows = list(rows)
    allowed = consent.consents(corpus.vault, [row.utterance_id for row in rows])
    return [row for row in rows if needed(row) in allowed[row.utterance_id]]


def clip_uses(corpus: Corpus) -> ClipUses:
    """Return how many of the available clips their customers allow each use."""
    with corpus.read() as conn:
        statement = sa.select(utterances.c.utterance_id).where(utterances.c.state == "accepted")
        ids = list(conn.execute(statement).scalars())
    found: Collection[frozenset[str]] = consent.consents(corpus.vault, ids).values()
    return ClipUses(*(sum(use in each for each in found) for use in consent.CONSENTS))


def mark_learners(corpus: Corpus) -> list[str]:
    """Mark the versions that learned from what may no longer be trained on as tainted; return the new ones, sorted.

    They are given as `kind/version`. That MLflow has to be told is noted with the marks. A version keeps its mark: what
    its customer allows later is for later clips.
    """
    withdrawn = [i for i, each in consent.withdrawn(corpus.vault).items() if "train" not in each.left]
    with corpus.read() as conn:
        due = [each for each in models.learners(conn, withdrawn) if not models.version(conn, *each).tainted]
    if not due:
        return []
    with corpus.operation(operation_ids.withdraw(), "withdraw") as op:
        models.taint(op.conn, withdrawn, corpus.clock())
        erased.note_withdrawal(op.conn, ["model registry"], corpus.clock())  # it is told after this
        op.result = {"tainted": [f"{kind}/{version}" for kind, version in due]}
    return list(op.result["tainted"])


def trainable(corpus: Corpus, utterance_ids: Sequence[str]) -> bool:
    """Return whether all of these utterances may be trained on, by their customers' consent."""
    return bool(consent.consenting(corpus.vault, utterance_ids, "train").all())

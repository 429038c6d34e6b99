"""Merge answers anew where the inventory reads them otherwise than before, and rename the labels without answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa

from annotation.consensus import Merged
from annotation.proposals import renamed, resolved
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.inventory import Inventory, NameKind
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from corpus.tables import labels
from corpus.tables.inventory import StoredNames
from corpus.tables.labels import LabelRow, Source
from flows.models.label_reliability import stored_crowd
from flows.models.stored_answers import labels_anew, stored_answers
from flows.tasks.task_needs import needs_more_answers


def concerned(
    conn: sa.Connection,
    before: Inventory,
    after: Inventory,
    stored: Mapping[NameKind, StoredNames],
    *,
    agree: bool,
) -> list[str]:
    """Return the ids of the utterances whose labels a change of the names may change, sorted.

    These are also utterances without a label: answers that disagreed may agree now.

    Args:
        conn: a connection on the records.
        before: the inventory so far.
        after: the inventory from now on.
        stored: the names that labels brought, before the change.
        agree: whether all labels have the names of the inventory so far.
    """
    ids = set(annotations_table.proposing(conn))
    old, new = before.intents, after.intents
    names = inventory_table.intents_in_use(conn)
    moved = [
        name for name in names if new.resolve(name) != old.resolve(name) or (not agree and new.resolve(name) != name)
    ]
    ids |= set(inventory_table.with_intents(conn, moved))
    if _slots_move(before, after, () if agree else stored["slot"].sources):
        ids |= set(inventory_table.with_transcripts(conn))
    return sorted(ids)


def _slots_move(before: Inventory, after: Inventory, given: Iterable[str]) -> bool:
    """Return whether a name of a slot means another now; which ones the labels have is encrypted."""
    old, new = before.slots, after.slots
    return any(new.resolve(name) != name for name in given) or any(
        new.resolve(name) != old.resolve(name) for name in {*old.names, *old.spellings, *new.spellings}
    )


def names_given(corpus: Corpus, kind: NameKind, ids: Iterable[str]) -> set[str]:
    """Return the names of a kind that the answers about the utterances gave, proposals among them."""
    found: set[str] = set()
    for content in door.open(corpus, sorted(ids), "annotate", parts=("annotations",), strict=False):
        for row in content.annotations:
            intents = (row.intent, row.proposal)
            found |= {name for name in intents if name} if kind == "intent" else {slot.name for slot in row.slots}
    return found


@dataclass(frozen=True, slots=True)
class Relabelled:
    """New labels by source, utterances whose label is withdrawn, and how many utterances were opened.

    Attributes:
        unsettled: utterances among these that need an answer of one more person.
        proposes: whether any answer has a proposal, by utterance with answers.
        merged: the answers that were merged anew.
    """

    labels: dict[Source, list[Label]]
    withdrawn: list[str]
    opened: int
    unsettled: frozenset[str]
    proposes: dict[str, bool]
    merged: list[Merged]


def relabelled(
    corpus: Corpus, ids: Sequence[str], inventory: Inventory, before: Inventory | None, most_answers: int
) -> Relabelled:
    """Merge the answers to the utterances anew with the names in use, and rename the labels without answers.

    Args:
        corpus: the handle.
        ids: the utterances.
        inventory: the names in use from now on.
        before: the inventory that all labels agree with so far, so that only what it reads otherwise is merged anew;
            None where some may not agree.
        most_answers: how many people are asked at most where the answers disagree.
    """
    with corpus.read() as conn:
        rows: dict[str, LabelRow] = {row.utterance_id: row for row in labels.current(conn, ids)}
        crowd = stored_crowd(conn, inventory)
    stored = stored_answers(corpus, ids, "reading answers to name anew")
    given, current = stored.annotations, stored.current
    read_anew = {i: rows for i, rows in given.items() if _is_read_anew(rows, current.get(i), before, inventory)}
    merged = stored.merged(read_anew, crowd, inventory)
    found: dict[Source, list[Label]] = {"annotators": labels_anew(merged), "manifest": [], "held_out": []}
    for utterance_id, label in current.items():
        if not given[utterance_id] and utterance_id in rows:
            new = renamed(label, inventory)
            if new != label:
                found[cast(Source, rows[utterance_id].source)].append(new)
    proposes = {i: any(answer.proposal is not None for answer in rows) for i, rows in given.items() if rows}
    gone = [row for row in merged if row.withdraws]
    unsettled = frozenset(row.utterance_id for row in gone if needs_more_answers(row, 1, most_answers))
    return Relabelled(found, [row.utterance_id for row in gone], len(given), unsettled, proposes, merged)


def _is_read_anew(rows: Sequence[Annotation], label: Label | None, before: Inventory | None, after: Inventory) -> bool:
    """Return whether there are answers, and the inventory reads them, or the label beside them, otherwise now."""
    if before is None or (label is not None and renamed(label, after) != label):
        return bool(rows)
    return any(resolved(row, before) != resolved(row, after) for row in rows)

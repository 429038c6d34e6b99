"""Change the inventory: add, adopt, rename, merge and map names, and merge anew the answers that said them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import sqlalchemy as sa

from annotation.consensus import Merged, merge_annotations
from annotation.inventory import InventorySettings
from annotation.proposals import renamed
from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.names import clean_name, name_key
from corpus.records.annotations import Annotation, Label, NameNote
from corpus.records.inventory import NAME_KINDS, Inventory, NameKind
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from corpus.tables import labels
from corpus.tables.inventory import StoredNames, with_mapping, with_names
from corpus.tables.labels import LabelRow, Source
from flows.models.inventory import NamesInUse, inventory_of, names_in_use
from flows.models.label_reliability import stored_crowd
from flows.models.proposals import list_proposals
from flows.runtime.results import Result
from flows.steps.merge import merge_basis


@dataclass(frozen=True, slots=True)
class InventoryChange(Result):
    """What a change of the inventory did.

    Attributes:
        names: names that are in use now.
        labels: how many labels have a new revision.
        withdrawn: how many labels are withdrawn, because the answers disagree now.
        closed: how many affected utterances may not be opened; their labels stay as they are.
    """

    names: tuple[str, ...]
    labels: int = 0
    withdrawn: int = 0
    closed: int = 0


Change = Callable[[StoredNames], StoredNames]


def add_names(
    corpus: Corpus, home: Path, settings: InventorySettings, kind: NameKind, names: Sequence[str], note: NameNote
) -> InventoryChange:
    """Add names to the inventory, or give names that are in it a new note."""
    for name in names:
        require_name(name)
    given = note if note != NameNote() else None
    return _change(
        corpus,
        names_in_use(corpus, home, settings),
        kind,
        names,
        lambda stored: with_names(stored, names, "added", given),
    )


def adopt(
    corpus: Corpus, home: Path, settings: InventorySettings, kind: NameKind, names: Sequence[str]
) -> InventoryChange:
    """Take proposed names into the inventory; the answers that named them become labels.

    Raises:
        UsageError: no answer proposes a name.
    """
    known = {
        name_key(row.name, settings.fold_case)
        for row in list_proposals(corpus, home, settings).proposals
        if row.kind == kind
    }
    for name in names:
        require_name(name)
        if name_key(name, settings.fold_case) not in known:
            raise UsageError(
                f"no answer names the {kind} {clean_name(name)}; earmark inventory add adds it all the same"
            )
    return _change(
        corpus,
        names_in_use(corpus, home, settings),
        kind,
        names,
        lambda stored: with_names(stored, names, "adopted", None),
    )


def rename(
    corpus: Corpus, home: Path, settings: InventorySettings, kind: NameKind, old: str, new: str
) -> InventoryChange:
    """Give a name of the inventory a new spelling, also in all labels.

    Raises:
        UsageError: the old name is not in the inventory, or the new one is another name in it.
    """
    require_name(new)
    names = inventory_of(corpus, home, settings).of(kind)
    known = _require_known(names.resolve(old), kind, old)
    if names.resolve(new) not in (None, known):
        raise UsageError(f"{kind} {clean_name(new)} is in the inventory already; earmark inventory merge joins the two")
    note = names.notes.get(known)

    def change(stored: StoredNames) -> StoredNames:
        return with_mapping(with_names(stored, [new], stored.sources.get(known, "added"), note), known, new)

    return _change(corpus, names_in_use(corpus, home, settings), kind, [new], change)


def merge_names(
    corpus: Corpus, home: Path, settings: InventorySettings, kind: NameKind, old: str, into: str
) -> InventoryChange:
    """Make a name of the inventory, or a proposed one, mean another, also in all labels.

    Raises:
        UsageError: the name to merge into is not in the inventory, or both are one name.
    """
    names = inventory_of(corpus, home, settings).of(kind)
    target = _require_known(names.resolve(into), kind, into)
    source = names.resolve(old) or clean_name(old)
    if source == target:
        raise UsageError(f"{kind} {target}: both names mean the same already")
    require_name(source)
    return _change(
        corpus,
        names_in_use(corpus, home, settings),
        kind,
        [target],
        lambda stored: with_mapping(stored, source, target),
    )


def settle(corpus: Corpus, names: NamesInUse) -> InventoryChange | None:
    """Bring the labels to the inventory of now, where a configuration or a new champion changed it; else return None.

    Answers that named what is in the inventory now become labels, and other spellings of a name become the name.
    """
    with corpus.read() as conn:
        if inventory_table.settled(conn) == names.at(conn).digest():
            return None

    def change(kind: NameKind) -> Change:
        def without_spellings(stored: StoredNames) -> StoredNames:
            with corpus.read() as conn:
                known = names.at(conn).of(kind)
            return replace(stored, sources={n: s for n, s in stored.sources.items() if known.resolve(n) == n})

        return without_spellings

    changes = [_change(corpus, names, kind, [], change(kind)) for kind in NAME_KINDS]
    return InventoryChange(
        names=(),
        labels=sum(each.labels for each in changes),
        withdrawn=sum(each.withdrawn for each in changes),
        closed=max(each.closed for each in changes),
    )


def require_name(name: str) -> None:
    """Check that a text can be the name of an intent or a slot.

    Raises:
        UsageError: it is empty, longer than 128 characters, or holds a control character.
    """
    clean = clean_name(name)
    if not clean or len(clean) > 128 or not clean.isprintable():
        raise UsageError("a name has 1 to 128 characters, none of them a control character")


def _require_known(known: str | None, kind: NameKind, given: str) -> str:
    if known is None:
        raise UsageError(f"{kind} {clean_name(given)} is not in the inventory; earmark inventory show lists the names")
    return known


class _Overtaken(Exception):
    """Another process changed what this change was computed from."""


def _change(
    corpus: Corpus, in_use: NamesInUse, kind: NameKind, names: Sequence[str], change: Change
) -> InventoryChange:
    """Write a change of the stored names and of every label that it concerns, in one transaction."""
    while True:
        try:
            return _try_change(corpus, in_use, kind, names, change)
        except _Overtaken:
            continue


def _try_change(
    corpus: Corpus, in_use: NamesInUse, kind: NameKind, names: Sequence[str], change: Change
) -> InventoryChange:
    with corpus.read() as conn:
        stored = inventory_table.stored_names(conn)
        changed = change(stored[kind])
        before, after = in_use.joined(stored), in_use.joined({**stored, kind: changed})
        ids = _concerned(conn, kind, before, after, stored[kind].sources)
        basis = merge_basis(corpus, conn, ids)
    plan = _relabelled(corpus, ids, after)
    with corpus.operation(operation_ids.inventory(), "inventory") as op:
        if inventory_table.stored_names(op.conn) != stored or merge_basis(corpus, op.conn, ids) != basis:
            raise _Overtaken
        inventory_table.put_names(op.conn, kind, changed, corpus.clock())
        inventory_table.put_settled(op.conn, after.digest())
        counts = [labels.put_labels(corpus, op, rows, source) for source, rows in plan.labels.items() if rows]
        labels.withdraw(op.conn, plan.withdrawn)
        report = InventoryChange(
            names=tuple(dict.fromkeys(after.of(kind).resolve(name) or name for name in names)),
            labels=sum(count["new"] + count["superseded"] for count in counts),
            withdrawn=len(plan.withdrawn),
            closed=len(ids) - plan.opened,
        )
        op.result = {"kind": kind, "names": len(names), "labels": report.labels, "withdrawn": report.withdrawn}
    return report


def _concerned(
    conn: sa.Connection, kind: NameKind, before: Inventory, after: Inventory, given: Iterable[str]
) -> list[str]:
    """Return the ids of the utterances whose labels a change of the names may change, sorted.

    Args:
        conn: a connection on the records.
        kind: what the names are of.
        before: the inventory so far.
        after: the inventory from now on.
        given: the names that labels brought.
    """
    old, new = before.of(kind), after.of(kind)
    ids = set(annotations_table.proposing(conn))
    if kind == "intent":
        moved = [name for name in inventory_table.intents_in_use(conn) if (new.resolve(name) or name) != name]
        ids |= set(inventory_table.with_intents(conn, moved))
    elif any(new.resolve(name) != name for name in given) or any(
        new.spellings.get(key) != name for key, name in old.spellings.items()
    ):
        ids |= set(inventory_table.with_transcripts(conn))
    return sorted(ids)


@dataclass(frozen=True, slots=True)
class _Plan:
    """New labels by source, utterances whose label is withdrawn, and how many utterances were opened."""

    labels: dict[Source, list[Label]]
    withdrawn: list[str]
    opened: int


def _relabelled(corpus: Corpus, ids: Sequence[str], inventory: Inventory) -> _Plan:
    """Merge the answers to the utterances anew with the names in use, and rename the labels without answers."""
    with corpus.read() as conn:
        withdrawn, others = labels.withdrawn(conn, ids), labels.other_revisions(conn, ids)
        rows: dict[str, LabelRow] = {row.utterance_id: row for row in labels.current(conn, ids)}
        crowd = stored_crowd(conn)
    given: dict[str, list[Annotation]] = {}
    current: dict[str, Label] = {}
    opened = door.open(corpus, ids, "annotate", parts=("annotations", "label"), strict=False, label_revisions=withdrawn)
    count = 0
    for content in opened:
        count += 1
        given[content.utterance.utterance_id] = list(content.annotations)
        if content.label is not None:
            current[content.utterance.utterance_id] = content.label
    merged = merge_annotations(
        {i: rows for i, rows in given.items() if rows},
        current,
        withdrawn=withdrawn,
        crowd=crowd,
        others=others,
        inventory=inventory,
    )
    found: dict[Source, list[Label]] = {"annotators": _new_labels(merged), "manifest": [], "held_out": []}
    for utterance_id, label in current.items():
        if not given[utterance_id] and utterance_id in rows:
            new = renamed(label, inventory)
            if new != label:
                found[cast(Source, rows[utterance_id].source)].append(new)
    return _Plan(found, [row.utterance_id for row in merged if row.withdraws], count)


def _new_labels(merged: Iterable[Merged]) -> list[Label]:
    return [row.label for row in merged if row.is_new and row.label is not None]

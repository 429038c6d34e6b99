"""Change the inventory: add, adopt, rename, merge and map names, and merge anew the answers that said them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from annotation.consensus import Merged, merge_annotations
from annotation.inventory import InventorySettings
from annotation.proposals import renamed, resolved
from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.names import clean_name, name_key
from corpus.records.annotations import Annotation, Label, NameNote
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import Inventory, NameKind, Names
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from corpus.tables import labels, rounds
from corpus.tables.inventory import NameSource, StoredNames, with_mapping, with_names
from corpus.tables.labels import LabelRow, Source
from flows.models.ingested_labels import ingested_labels
from flows.models.inventory import NamesInUse, inventory_of, names_in_use
from flows.models.label_reliability import stored_crowd
from flows.models.proposals import list_proposals
from flows.runtime.results import Result
from flows.steps.merge import merge_basis
from flows.tasks.task_needs import needs_more_answers, reopen_tasks, settle_tasks


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


Change = Callable[[StoredNames, Names], StoredNames]
"""Returns the stored names of a kind after a change; it is given those before, and the names in use."""


def add_names(
    corpus: Corpus,
    home: Path,
    settings: InventorySettings,
    people: PeopleSettings,
    kind: NameKind,
    names: Sequence[str],
    note: NameNote,
) -> InventoryChange:
    """Add names to the inventory, or give names that are in it a new note."""
    for name in names:
        require_name(name)
    given = note if note != NameNote() else None
    return _change(
        corpus,
        names_in_use(corpus, home, settings),
        people,
        {kind: lambda stored, _: with_names(stored, names, "added", given)},
        names,
    )


def adopt(
    corpus: Corpus,
    home: Path,
    settings: InventorySettings,
    people: PeopleSettings,
    kind: NameKind,
    names: Sequence[str],
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
        people,
        {kind: lambda stored, _: with_names(stored, names, "adopted", None)},
        names,
    )


def rename(
    corpus: Corpus, home: Path, settings: InventorySettings, people: PeopleSettings, kind: NameKind, old: str, new: str
) -> InventoryChange:
    """Give a name of the inventory a new spelling, also in all labels.

    Raises:
        UsageError: the old name is not in the inventory, or is `other`, or the new one is another name in it.
    """
    require_name(new)
    names = inventory_of(corpus, home, settings).of(kind)
    known = _require_known(names.resolve(old), kind, old)
    _require_free(known, kind)
    if names.resolve(new) not in (None, known):
        raise UsageError(f"{kind} {clean_name(new)} is in the inventory already; earmark inventory merge joins the two")
    note = names.notes.get(known)

    def change(stored: StoredNames, _: Names) -> StoredNames:
        return with_mapping(with_names(stored, [new], stored.sources.get(known, "added"), note), known, new)

    return _change(corpus, names_in_use(corpus, home, settings), people, {kind: change}, [new])


def merge_names(
    corpus: Corpus, home: Path, settings: InventorySettings, people: PeopleSettings, kind: NameKind, old: str, into: str
) -> InventoryChange:
    """Make a name of the inventory, or a proposed one, mean another, also in all labels.

    Raises:
        UsageError: the name to merge into is not in the inventory, both are one name, or the first is `other`.
    """
    names = inventory_of(corpus, home, settings).of(kind)
    target = _require_known(names.resolve(into), kind, into)
    source = names.resolve(old) or clean_name(old)
    if source == target:
        raise UsageError(f"{kind} {target}: both names mean the same already")
    if not source or not source.isprintable():
        raise UsageError("a name has at least 1 character and no control character")
    _require_free(source, kind)
    return _change(
        corpus,
        names_in_use(corpus, home, settings),
        people,
        {kind: lambda stored, _: with_mapping(stored, source, target)},
        [target],
    )


def settle(corpus: Corpus, names: NamesInUse, people: PeopleSettings) -> InventoryChange | None:
    """Bring the labels to the inventory of now, where a configuration or a new champion changed it; else return None.

    Answers that named what is in the inventory now become labels, and other spellings of a name become the name.
    """
    with corpus.read() as conn:
        settled = inventory_table.settled(conn)
        if settled == names.at(conn).digest() and inventory_table.folds_case(conn) == names.settings.fold_case:
            return None
        ids = inventory_table.with_transcripts(conn) if settled == inventory_table.OLDER else []
    slots = _slot_names(corpus, ids)

    def with_slots(stored: StoredNames, known: Names) -> StoredNames:
        return _in_use(with_names(stored, slots, "labels", None), known)

    return _change(corpus, names, people, {"intent": _in_use, "slot": with_slots}, settles=True)


def _slot_names(corpus: Corpus, ids: Sequence[str]) -> list[str]:
    """Return the names of slots in current labels; older versions stored them nowhere else."""
    opened = door.open(corpus, ids, "annotate", parts=("label",), strict=False)
    return sorted({slot.name for content in opened if content.label is not None for slot in content.label.slots})


def _in_use(stored: StoredNames, known: Names) -> StoredNames:
    """Return the stored names, each as the name in use that it means."""
    sources: dict[str, NameSource] = {}
    notes: dict[str, NameNote] = {}
    for name, source in stored.sources.items():
        kept = known.resolve(name) or name
        sources.setdefault(kept, source)
        if kept not in notes or notes[kept] == NameNote():
            notes[kept] = stored.notes.get(name, NameNote())
    return replace(stored, sources=sources, notes=notes)


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


def _require_free(known: str, kind: NameKind) -> None:
    if kind == "intent" and known == OTHER_INTENT:
        raise UsageError(f"intent {OTHER_INTENT} is always in the inventory and keeps its name; adopt what was meant")


class _Overtaken(Exception):
    """Another process changed what this change was computed from."""


def _change(
    corpus: Corpus,
    in_use: NamesInUse,
    people: PeopleSettings,
    changes: Mapping[NameKind, Change],
    names: Sequence[str] = (),
    *,
    settles: bool = False,
) -> InventoryChange:
    """Write a change of the stored names and of every label that it concerns, in one transaction.

    Args:
        corpus: the handle.
        in_use: what the inventory is joined from.
        people: how many people are asked at most where the answers disagree.
        changes: by kind of name.
        names: names that are in use afterwards, all of one kind.
        settles: whether all labels agree with the inventory afterwards, and not only if they did so before.
    """
    while True:
        try:
            return _try_change(corpus, in_use, people, changes, names, settles)
        except _Overtaken:
            continue


def _try_change(
    corpus: Corpus,
    in_use: NamesInUse,
    people: PeopleSettings,
    changes: Mapping[NameKind, Change],
    names: Sequence[str],
    settles: bool,
) -> InventoryChange:
    with corpus.read() as conn:
        stored = inventory_table.stored_names(conn)
        before = in_use.joined(stored)
        changed = {kind: change(stored[kind], before.of(kind)) for kind, change in changes.items()}
        after = in_use.joined(stored | changed)
        ids = sorted({i for kind in changes for i in _concerned(conn, kind, before, after, stored[kind].sources)})
        basis = merge_basis(corpus, conn, ids)
        agree = inventory_table.settled(conn) == before.digest()
    plan = _relabelled(corpus, ids, after, before if agree and not settles else None, people.most_answers)
    with corpus.operation(operation_ids.inventory(), "inventory") as op:
        if inventory_table.stored_names(op.conn) != stored or merge_basis(corpus, op.conn, ids) != basis:
            raise _Overtaken
        for kind, of_kind in changed.items():
            inventory_table.put_names(op.conn, kind, of_kind, corpus.clock())
        counts = [labels.put_labels(corpus, op, rows, source) for source, rows in plan.labels.items() if rows]
        labels.withdraw(op.conn, plan.withdrawn)
        annotations_table.put_proposes(op.conn, plan.proposes)
        answered = {row.task_id: row.utterance_id for row in rounds.tasks(op.conn, states=["answered"])}
        reopen_tasks(corpus, op, {i: u for i, u in answered.items() if u in plan.unsettled})
        settle_tasks(op, plan.merged, people)
        inventory_table.put_fold_case(op.conn, in_use.settings.fold_case)
        if agree or settles:
            inventory_table.put_settled(op.conn, after.digest())
        report = InventoryChange(
            names=tuple(dict.fromkeys(after.of(kind).resolve(name) or name for kind in changes for name in names)),
            labels=sum(count["new"] + count["superseded"] for count in counts),
            withdrawn=len(plan.withdrawn),
            closed=len(ids) - plan.opened,
        )
        op.result = {"kind": ", ".join(changes), "names": len(names)}
        op.result |= {"labels": report.labels, "withdrawn": report.withdrawn}
    return report


def _concerned(
    conn: sa.Connection, kind: NameKind, before: Inventory, after: Inventory, given: Iterable[str]
) -> set[str]:
    """Return the ids of the utterances whose labels a change of the names may change.

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
        moved = [name for name in inventory_table.intents_in_use(conn) if new.resolve(name) != name]
        ids |= set(inventory_table.with_intents(conn, moved))
    elif any(new.resolve(name) != name for name in given) or any(
        new.spellings.get(key) != name for key, name in old.spellings.items()
    ):
        ids |= set(inventory_table.with_transcripts(conn))
    return ids


@dataclass(frozen=True, slots=True)
class _Plan:
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


def _relabelled(
    corpus: Corpus, ids: Sequence[str], inventory: Inventory, before: Inventory | None, most_answers: int
) -> _Plan:
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
        withdrawn, others = labels.withdrawn(conn, ids), labels.other_revisions(conn, ids)
        rows: dict[str, LabelRow] = {row.utterance_id: row for row in labels.current(conn, ids)}
        crowd, again = stored_crowd(conn), rounds.tasks_again(conn, ids)
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
        {i: rows for i, rows in given.items() if _is_read_anew(rows, current.get(i), before, inventory)},
        current,
        withdrawn=withdrawn,
        crowd=crowd,
        others=others,
        inventory=inventory,
        ingested=ingested_labels(corpus, current),
        again=again,
    )
    found: dict[Source, list[Label]] = {"annotators": _new_labels(merged), "manifest": [], "held_out": []}
    for utterance_id, label in current.items():
        if not given[utterance_id] and utterance_id in rows:
            new = renamed(label, inventory)
            if new != label:
                found[cast(Source, rows[utterance_id].source)].append(new)
    proposes = {i: any(answer.proposal is not None for answer in rows) for i, rows in given.items() if rows}
    gone = [row for row in merged if row.withdraws]
    unsettled = frozenset(row.utterance_id for row in gone if needs_more_answers(row, 1, most_answers))
    return _Plan(found, [row.utterance_id for row in gone], count, unsettled, proposes, merged)


def _is_read_anew(rows: Sequence[Annotation], label: Label | None, before: Inventory | None, after: Inventory) -> bool:
    """Return whether there are answers, and the inventory reads them, or the label beside them, otherwise now."""
    if before is None or (label is not None and renamed(label, after) != label):
        return bool(rows)
    return any(resolved(row, before) != resolved(row, after) for row in rows)


def _new_labels(merged: Iterable[Merged]) -> list[Label]:
    """Return the new labels; this revision counts beside those of the answers, see `labels.other_revisions`."""
    found = [row.label for row in merged if row.is_new and row.label is not None]
    return [replace(label, revision=label.revision + 1) for label in found]

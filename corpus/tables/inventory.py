"""Inventory: names of intents and slots that came with labels or from people, and what former names mean now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from corpus.names import clean_name, name_key
from corpus.records.annotations import NameNote
from corpus.records.base import canonical_json
from corpus.records.inventory import NAME_KINDS, Inventory, NameKind, Names, make_names, names_of
from corpus.storage.database import insert_new
from corpus.storage.records_schema import (
    answers,
    inventory_mappings,
    inventory_names,
    inventory_settled,
    labels,
    utterances,
)

NameSource = Literal["labels", "added", "adopted"]
"""Where a stored name is from: a label that was ingested, a person, or an answer of an annotator."""


OLDER: Final = "older"
"""Stands for the digest of the inventory in a home whose labels were stored by a version without one."""


@dataclass(frozen=True, slots=True)
class StoredNames:
    """What the records know of one kind of name.

    Attributes:
        sources: source by name, oldest name first.
        notes: description and examples by name.
        mapped: former names and mapped proposals, and the names that they mean.
    """

    sources: dict[str, NameSource] = field(default_factory=dict)
    notes: dict[str, NameNote] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)


def stored_names(conn: sa.Connection) -> dict[NameKind, StoredNames]:
    """Return the stored names of both kinds."""
    found: dict[NameKind, StoredNames] = {kind: StoredNames() for kind in NAME_KINDS}
    rows = conn.execute(sa.select(inventory_names).order_by(inventory_names.c.at, inventory_names.c.name))
    for row in rows:
        found[row.kind].sources[row.name] = row.source
        found[row.kind].notes[row.name] = NameNote(row.description, tuple(json.loads(row.examples)))
    for row in conn.execute(sa.select(inventory_mappings).order_by(inventory_mappings.c.name)):
        found[row.kind].mapped[row.name] = row.means
    return found


def names_now(conn: sa.Connection) -> Inventory:
    """Return what former names and mapped proposals mean; every other name means itself.

    What a model predicts is read through it before it meets labels or people: a model knows the names of when it
    learned, and labels have those of today. Where names compare without regard to case, it has the stored names, too:
    another spelling of one means that name.
    """
    stored, fold_case = stored_names(conn), folds_case(conn)
    return Inventory(*(_names_now(kind, stored[kind], fold_case) for kind in NAME_KINDS))


def _names_now(kind: NameKind, stored: StoredNames, fold_case: bool) -> Names:
    if not fold_case or not (stored.sources or stored.mapped):
        return make_names((), stored.mapped)
    return names_of(kind, stored.sources, stored.mapped, fold_case=True)


def meaning_digest(conn: sa.Connection) -> str:
    """Return a digest of what former names mean now, for what depends on it; "" in a home without any."""
    names = names_now(conn)
    return "" if names == Inventory(Names(), Names()) else names.digest()


def add_names(
    conn: sa.Connection,
    kind: NameKind,
    names: Iterable[str],
    source: NameSource,
    now: datetime,
    note: NameNote | None = None,
) -> None:
    """Store names that are not stored yet; a note replaces the earlier one of its name.

    Args:
        conn: transaction on the records.
        kind: what the names are of.
        names: the names.
        source: where they are from.
        now: the time (UTC).
        note: description and examples of all these names.
    """
    clean = sorted({clean_name(name) for name in names} - {""})
    texts = _texts(note or NameNote())
    insert_new(
        conn, inventory_names, [{"kind": kind, "name": name, "source": source, "at": now, **texts} for name in clean]
    )
    if note is not None:
        same = (inventory_names.c.kind == kind, inventory_names.c.name.in_(clean))
        conn.execute(sa.update(inventory_names).where(*same).values(**texts))


def _texts(note: NameNote) -> dict[str, str]:
    return {"description": note.description, "examples": canonical_json(list(note.examples))}


def with_names(stored: StoredNames, names: Iterable[str], source: NameSource, note: NameNote | None) -> StoredNames:
    """Return the stored names with further ones; a note replaces the earlier one of its name.

    Args:
        stored: the names so far.
        names: names that are in use from now on.
        source: where they are from; a name that is stored keeps its source.
        note: description and examples of all these names.
    """
    clean = [clean_name(name) for name in names]
    notes = stored.notes | (dict.fromkeys(clean, note) if note is not None else {})
    new = {name: source for name in clean if name not in stored.sources}
    return StoredNames(stored.sources | new, notes, stored.mapped)


def with_mapping(stored: StoredNames, name: str, means: str) -> StoredNames:
    """Return the stored names after one name, and all that meant it, means another.

    Args:
        stored: the names so far.
        name: the former or foreign name; it is no stored name any more.
        means: the name in use. It is stored or configured, or the champion has it.
    """
    name, means = clean_name(name), clean_name(means)
    keys = {name_key(name), name_key(means)}
    mapped = {
        old: means if target == name else target for old, target in stored.mapped.items() if name_key(old) not in keys
    }
    sources = {each: source for each, source in stored.sources.items() if each != name}
    return StoredNames(sources, stored.notes, mapped | {name: means})


def without_mapping(stored: StoredNames, name: str, fold_case: bool = False) -> StoredNames:
    """Return the stored names after a former or foreign name means nothing any more.

    Args:
        stored: the names so far.
        name: the former or foreign name, in any spelling.
        fold_case: whether names compare without regard to case.
    """
    key = name_key(name, fold_case)
    mapped = {old: means for old, means in stored.mapped.items() if name_key(old, fold_case) != key}
    return StoredNames(stored.sources, stored.notes, mapped)


def put_names(conn: sa.Connection, kind: NameKind, stored: StoredNames, now: datetime) -> None:
    """Write the names of a kind; those that are not given are deleted.

    Args:
        conn: transaction on the records.
        kind: what the names are of.
        stored: the names, by `with_names` and `with_mapping`.
        now: the time (UTC) of what is new.
    """
    before = stored_names(conn)[kind]
    one = sa.and_(inventory_names.c.kind == kind, inventory_names.c.name == sa.bindparam("id"))
    gone = [{"id": name} for name in before.sources if name not in stored.sources]
    if gone:
        conn.execute(sa.delete(inventory_names).where(one), gone)
    new = {name: source for name, source in stored.sources.items() if name not in before.sources}
    for source in sorted(set(new.values())):
        add_names(conn, kind, [name for name in new if new[name] == source], source, now)
    noted = [
        {"id": name, "text": texts["description"], "list": texts["examples"]}
        for name in stored.sources
        if stored.notes.get(name, NameNote()) != before.notes.get(name, NameNote())
        for texts in [_texts(stored.notes.get(name, NameNote()))]
    ]
    if noted:
        update = sa.update(inventory_names).where(one)
        conn.execute(update.values(description=sa.bindparam("text"), examples=sa.bindparam("list")), noted)
    conn.execute(sa.delete(inventory_mappings).where(inventory_mappings.c.kind == kind))
    rows = [{"kind": kind, "name": old, "means": means, "at": now} for old, means in sorted(stored.mapped.items())]
    insert_new(conn, inventory_mappings, rows)


def settled(conn: sa.Connection) -> str:
    """Return the digest of the inventory that all labels agree with; "" before the first one."""
    return str(conn.execute(sa.select(inventory_settled.c.digest)).scalar() or "")


def unsettle(conn: sa.Connection) -> None:
    """Forget that all labels agree with the inventory: some came with names that it may know by others."""
    conn.execute(sa.update(inventory_settled).where(inventory_settled.c.digest != OLDER).values(digest=""))


def put_settled(conn: sa.Connection, inventory_digest: str) -> None:
    """Store the digest of the inventory that all labels agree with now."""
    _put(conn, digest=inventory_digest)


def folds_case(conn: sa.Connection) -> bool:
    """Return whether names compare without regard to case, by the settings of the last change of the inventory."""
    return bool(conn.execute(sa.select(inventory_settled.c.fold_case)).scalar())


def put_fold_case(conn: sa.Connection, fold_case: bool) -> None:
    """Store whether names compare without regard to case, for what reads names without the settings."""
    if fold_case != folds_case(conn):
        _put(conn, fold_case=fold_case)


def _put(conn: sa.Connection, **values: str | bool) -> None:
    insert_new(conn, inventory_settled, [{"id": 1, "digest": "", "fold_case": False}])
    conn.execute(sa.update(inventory_settled).values(**values))


def labels_by_intent(conn: sa.Connection) -> dict[str, int]:
    """Return how many current labels of accepted utterances have each intent, by intent."""
    statement = (
        sa.select(labels.c.intent, sa.func.count())
        .join(utterances, utterances.c.utterance_id == labels.c.utterance_id)
        .where(labels.c.current, labels.c.intent.is_not(None), utterances.c.state == "accepted")
    )
    rows = conn.execute(statement.group_by(labels.c.intent).order_by(labels.c.intent))
    return {str(intent): int(count) for intent, count in rows}


def intents_in_use(conn: sa.Connection) -> list[str]:
    """Return the intents that current labels and answers have, sorted."""
    labelled = sa.select(labels.c.intent).where(labels.c.current, labels.c.intent.is_not(None)).distinct()
    answered = sa.select(answers.c.intent).where(answers.c.intent.is_not(None)).distinct()
    return sorted(set(conn.execute(labelled).scalars()) | set(conn.execute(answered).scalars()))


def with_intents(conn: sa.Connection, intents: Iterable[str]) -> list[str]:
    """Return the ids of the utterances with a current label or an answer of one of these intents, sorted."""
    given = sorted(set(intents))
    labelled = sa.select(labels.c.utterance_id).where(labels.c.current, labels.c.intent.in_(given))
    answered = sa.select(answers.c.utterance_id).where(answers.c.intent.in_(given))
    return sorted(set(conn.execute(labelled).scalars()) | set(conn.execute(answered).scalars()))


def with_transcripts(conn: sa.Connection) -> list[str]:
    """Return the ids of the utterances with a label or an answer that has a transcript, and so may have slots; sorted.

    Answers count also where the utterance has no label yet: a later answer may settle it.
    """
    labelled = sa.select(labels.c.utterance_id).where(labels.c.current, labels.c.has_transcript)
    answered = sa.select(answers.c.utterance_id).where(answers.c.ask == "transcribe", answers.c.verdict == "labelled")
    return sorted(set(conn.execute(labelled).scalars()) | set(conn.execute(answered.distinct()).scalars()))

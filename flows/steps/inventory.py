"""Change the inventory: add, adopt, rename, merge and map names, and merge anew the answers that said them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annotation.assignment import PeopleSettings
from annotation.inventory import InventorySettings
from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.names import clean_name, name_key
from corpus.records.annotations import NameNote
from corpus.records.inventory import NameKind, Names, make_names
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from corpus.tables import labels, rounds
from corpus.tables.inventory import NameSource, StoredNames, with_mapping, with_names, without_mapping
from flows.models.inventory import NamesInUse, inventory_of, names_in_use
from flows.models.name_checks import is_former, require_free, require_known, require_name, require_no_former
from flows.models.proposals import list_proposals
from flows.runtime.results import Result
from flows.steps.merge import merge_basis
from flows.steps.relabel import concerned, names_given, relabelled
from flows.tasks.task_needs import reopen_tasks, settle_tasks


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
    """Add names to the inventory, or give names that are in it a new note.

    Raises:
        UsageError: a name can't be one, or is a former name of another.
    """
    known = inventory_of(corpus, home, settings).of(kind)
    for name in names:
        require_name(name)
        require_no_former(known, kind, name)
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
    *,
    dry_run: bool = False,
) -> InventoryChange:
    """Take proposed names into the inventory; the answers that named them become labels.

    With `dry_run` the change is undone before it is committed, as in the other two functions that take it.

    Raises:
        UsageError: no answer proposes a name, or it is a former name of another.
    """
    known = inventory_of(corpus, home, settings).of(kind)
    proposed = {
        name_key(row.name, settings.fold_case)
        for row in list_proposals(corpus, home, settings).proposals
        if row.kind == kind
    }
    for name in names:
        require_name(name)
        require_no_former(known, kind, name)
        if name_key(name, settings.fold_case) not in proposed:
            raise UsageError(
                f"no answer names the {kind} {clean_name(name)}; earmark inventory add adds it all the same"
            )
    return _change(
        corpus,
        names_in_use(corpus, home, settings),
        people,
        {kind: lambda stored, _: with_names(stored, names, "adopted", None)},
        names,
        dry_run=dry_run,
    )


def rename(
    corpus: Corpus,
    home: Path,
    settings: InventorySettings,
    people: PeopleSettings,
    kind: NameKind,
    old: str,
    new: str,
    *,
    dry_run: bool = False,
) -> InventoryChange:
    """Give a name of the inventory a new spelling, also in all labels.

    A former name of another that no answer gave and no champion knows may be given anew; it means the other no more.

    Raises:
        UsageError: the old name is not in the inventory, or is `other`, or the new one is another name in it, or is
            a former name that an answer gave.
    """
    require_name(new)
    in_use = names_in_use(corpus, home, settings)
    names = inventory_of(corpus, home, settings).of(kind)
    require_no_former(names, kind, old)
    known = require_known(names.resolve(old), kind, old)
    require_free(known, kind)
    other = names.resolve(new)
    if other not in (None, known):
        if not is_former(names, new):
            raise UsageError(
                f"{kind} {clean_name(new)} is in the inventory already; earmark inventory merge joins the two"
            )
        _require_unsaid(corpus, in_use, kind, new, f"{kind} {clean_name(new)} is a former name of {other}")
    note = names.notes.get(known)

    def change(stored: StoredNames, _: Names) -> StoredNames:
        free = without_mapping(stored, new, settings.fold_case) if other != known else stored
        named = with_names(free, [new], stored.sources.get(known, "added"), note)
        return _with_mappings(named, in_use.spelled_like(stored, kind, known), known, new)

    return _change(corpus, in_use, people, {kind: change}, [new], dry_run=dry_run)


def merge_names(
    corpus: Corpus,
    home: Path,
    settings: InventorySettings,
    people: PeopleSettings,
    kind: NameKind,
    old: str,
    into: str,
    *,
    dry_run: bool = False,
) -> InventoryChange:
    """Make a name of the inventory, or a proposed one, mean another, also in all labels.

    Raises:
        UsageError: the name to merge into is not in the inventory, both are one name, or the first is `other`, or a
            former name of another.
    """
    in_use = names_in_use(corpus, home, settings)
    names = inventory_of(corpus, home, settings).of(kind)
    target = names.resolve(into)
    if target is None:
        slot, one, other = " --slot" if kind == "slot" else "", clean_name(old), clean_name(into)
        raise UsageError(
            f"{kind} {other} is not in the inventory; earmark inventory show lists the names; a proposed one: "
            f"earmark inventory adopt{slot} {shlex.quote(other)}, then earmark inventory merge{slot} "
            f"{shlex.quote(one)} {shlex.quote(other)}"
        )
    source = names.resolve(old) or clean_name(old)
    if source == target:
        raise UsageError(f"{kind} {target}: both names mean the same already")
    if not source or not source.isprintable():
        raise UsageError("a name has at least 1 character and no control character")
    require_no_former(names, kind, old)
    require_free(source, kind)
    return _change(
        corpus,
        in_use,
        people,
        {kind: lambda stored, _: _with_mappings(stored, in_use.spelled_like(stored, kind, source), source, target)},
        [target],
        dry_run=dry_run,
    )


def unmap(
    corpus: Corpus, home: Path, settings: InventorySettings, people: PeopleSettings, kind: NameKind, name: str
) -> InventoryChange:
    """Make a former name, or a proposal that was mapped, mean itself again, also in the labels of the answers.

    A name that answers gave while it was in the inventory is in it again; another name is a proposal again. Labels that
    came without answers keep the name that they have.

    Raises:
        UsageError: it is no former name.
    """
    with corpus.read() as conn:
        mapped = inventory_table.stored_names(conn)[kind].mapped
        given = set(inventory_table.intents_in_use(conn)) if kind == "intent" else set()
        ids = set(inventory_table.with_transcripts(conn)) - set(annotations_table.proposing(conn))
    found: list[str] = []
    for fold_case in (False, settings.fold_case):  # the same spelling comes first
        found = found or [each for each in mapped if name_key(each, fold_case) == name_key(name, fold_case)]
    if not found:
        raise UsageError(f"{kind} {clean_name(name)} is no former name; earmark inventory show lists them")
    if kind == "slot":
        given = names_given(corpus, kind, ids)
    own = [each for each in found if name_key(each) in set(map(name_key, given))]

    def change(stored: StoredNames, _: Names) -> StoredNames:
        for each in found:
            stored = without_mapping(stored, each)
        return with_names(stored, own, "added", None)

    return _change(corpus, names_in_use(corpus, home, settings), people, {kind: change}, found)


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


def _in_use(stored: StoredNames, _: Names) -> StoredNames:
    """Return the stored names, a former one as the name that it means; spellings in other case stay."""
    known = make_names((), stored.mapped)
    sources: dict[str, NameSource] = {}
    notes: dict[str, NameNote] = {}
    for name, source in stored.sources.items():
        kept = known.current(name)
        sources.setdefault(kept, source)
        if kept not in notes or notes[kept] == NameNote():
            notes[kept] = stored.notes.get(name, NameNote())
    return replace(stored, sources=sources, notes=notes)


def _with_mappings(stored: StoredNames, spellings: Iterable[str], name: str, means: str) -> StoredNames:
    """Return the stored names after a name means another, in all given spellings but that of the other."""
    for each in (*spellings, name):
        if name_key(each) != name_key(means) or each == name:
            stored = with_mapping(stored, each, means)
    return stored


def _require_unsaid(corpus: Corpus, in_use: NamesInUse, kind: NameKind, name: str, what: str) -> None:
    """Check that no answer and no champion has a name: what they say would mean something else than before."""
    key = name_key(name, in_use.settings.fold_case)

    def same(given: str) -> bool:
        return name_key(given, in_use.settings.fold_case) == key

    if any(same(each) for each in in_use.champion[kind]):
        raise UsageError(f"{what}, and the champion predicts it; choose another name")
    with corpus.read() as conn:
        ids = set(annotations_table.proposing(conn))
        if kind == "intent":
            ids |= set(inventory_table.with_intents(conn, filter(same, inventory_table.intents_in_use(conn))))
        else:
            ids |= set(inventory_table.with_transcripts(conn))
    if any(same(each) for each in names_given(corpus, kind, ids)):
        raise UsageError(
            f"{what}, and answers gave it, which would mean something else; choose a name that "
            "no answer gave: two names that answers gave can't be swapped"
        )


class _Overtaken(Exception):
    """Another process changed what this change was computed from."""


class _Undone(Exception):
    """A dry run ends its transaction, which undoes it."""

    def __init__(self, change: InventoryChange) -> None:
        super().__init__()
        self.change = change


def _change(
    corpus: Corpus,
    in_use: NamesInUse,
    people: PeopleSettings,
    changes: Mapping[NameKind, Change],
    names: Sequence[str] = (),
    *,
    settles: bool = False,
    dry_run: bool = False,
) -> InventoryChange:
    """Write a change of the stored names and of every label that it concerns, in one transaction.

    Args:
        corpus: the handle.
        in_use: what the inventory is joined from.
        people: how many people are asked at most where the answers disagree.
        changes: by kind of name.
        names: names that are in use afterwards, all of one kind.
        settles: whether all labels agree with the inventory afterwards, and not only if they did so before.
        dry_run: whether the transaction is undone, so that only what it would do is known.
    """
    while True:
        try:
            return _try_change(corpus, in_use, people, changes, names, settles, dry_run)
        except _Undone as undone:
            return undone.change
        except _Overtaken:
            continue


def _try_change(
    corpus: Corpus,
    in_use: NamesInUse,
    people: PeopleSettings,
    changes: Mapping[NameKind, Change],
    names: Sequence[str],
    settles: bool,
    dry_run: bool,
) -> InventoryChange:
    with corpus.read() as conn:
        stored = inventory_table.stored_names(conn)
        folded = inventory_table.folds_case(conn)
        before = in_use.by_case(folded).joined(stored)
        now = in_use.joined(stored)
        changed = {kind: change(stored[kind], now.of(kind)) for kind, change in changes.items()}
        if not folded:
            in_use.check_case(stored | changed)
        after = in_use.joined(stored | changed)
        agree = inventory_table.settled(conn) == before.digest()
        ids = concerned(conn, before, after, stored, agree=agree)
        basis = merge_basis(corpus, conn, ids)
    plan = relabelled(corpus, ids, after, before if agree and not settles else None, people.most_answers)
    with corpus.operation(operation_ids.inventory(), "inventory") as op:
        if inventory_table.stored_names(op.conn) != stored or merge_basis(corpus, op.conn, ids) != basis:
            raise _Overtaken
        if concerned(op.conn, before, after, stored, agree=agree) != ids:  # answers came to other utterances
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
        if dry_run:
            raise _Undone(report)
        op.result = {"kind": ", ".join(changes), "names": len(names)}
        op.result |= {"labels": report.labels, "withdrawn": report.withdrawn}
    return report

"""Inventory: the intents and slots in use, with other spellings and former names of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from corpus.names import clean_name, name_key
from corpus.records.annotations import Annotation, NameNote
from corpus.records.arrivals import Hypothesis
from corpus.records.base import OTHER_INTENT, digest

NameKind = Literal["intent", "slot"]
"""What a name is of."""

NAME_KINDS: Final[tuple[NameKind, ...]] = ("intent", "slot")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one kind.

    Attributes:
        names: each name once, in the order in which annotators see them.
        spellings: the name that each key means (`corpus.names.name_key`): those of `names`, of former names and of
            names that were mapped onto another.
        notes: description and examples by name; names without any are missing.
        fold_case: whether names compare without regard to case.
    """

    names: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, NameNote] = field(default_factory=dict)
    fold_case: bool = False

    def resolve(self, name: str) -> str | None:
        """Return the name in use that a given spelling means, None where it is outside the inventory."""
        return self.spellings.get(name_key(name, self.fold_case))

    def current(self, name: str) -> str:
        """Return the name in use that a given spelling means; a name that is not known stays as it is."""
        return self.resolve(name) or name


def make_names(
    given: Iterable[str],
    mapped: Mapping[str, str] | None = None,
    notes: Mapping[str, NameNote] | None = None,
    *,
    fold_case: bool = False,
) -> Names:
    """Return the names in their order, each once; of several spellings of one name the first stays.

    Args:
        given: names, most important source first.
        mapped: former or foreign names and the names that they mean; a mapping of a mapped name is followed.
        notes: description and examples by name.
        fold_case: whether names compare without regard to case.
    """
    target = {name_key(old, fold_case): clean_name(new) for old, new in (mapped or {}).items()}
    names: dict[str, str] = {}

    def final(name: str) -> str:
        seen: set[str] = set()
        key = name_key(name, fold_case)
        while key in target and key not in seen:
            seen.add(key)
            name, key = target[key], name_key(target[key], fold_case)
        return names.setdefault(key, clean_name(name))

    ordered = [final(name) for name in given]
    former = {key: final(new) for key, new in target.items()}
    spellings = names | former  # a name in use means itself
    kept = {final(name): note for name, note in reversed(list((notes or {}).items())) if note != NameNote()}
    return Names(tuple(dict.fromkeys([*ordered, *spellings.values()])), spellings, kept, fold_case)


def fold_collisions(names: Names) -> list[tuple[str, str]]:
    """Return former names that would mean another name if case did not count, and that name, sorted.

    Args:
        names: the names while case counts.
    """
    spelled: dict[str, dict[str, str]] = {}
    for key in sorted(names.spellings, key=lambda key: (name_key(names.spellings[key]) != key, key)):
        spelled.setdefault(name_key(key, True), {})[key] = names.spellings[key]  # names in use first
    found = []
    for meanings in spelled.values():
        (_, first), *others = meanings.items()
        found += [(key, first) for key, means in others if name_key(means, True) != name_key(first, True)]
    return sorted(found)


def names_of(
    kind: NameKind,
    given: Iterable[str],
    mapped: Mapping[str, str],
    notes: Mapping[str, NameNote] | None = None,
    *,
    fold_case: bool = False,
) -> Names:
    """Return the names of a kind, as `make_names` does; of intents, `other` is always the last one and means itself."""
    always = (OTHER_INTENT,) if kind == "intent" else ()
    kept = {name_key(name, fold_case) for name in always}  # `OTHER` is another spelling, and `other` stays
    names = [name for name in given if name_key(name, fold_case) not in kept]
    former = {old: new for old, new in mapped.items() if name_key(old, fold_case) not in kept}
    return make_names([*names, *always], former, notes, fold_case=fold_case)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The intents and slots that tasks offer and models learn; the intent `other` is always among them."""

    intents: Names
    slots: Names

    def of(self, kind: NameKind) -> Names:
        """Return the names of a kind."""
        return self.intents if kind == "intent" else self.slots

    def digest(self) -> str:
        """Return a digest that changes when a name means something else than before."""
        return digest([sorted(self.intents.spellings.items()), sorted(self.slots.spellings.items())])


def named_now(hypothesis: Hypothesis, names: Inventory) -> Hypothesis:
    """Return what a model predicted, with the names in use: models know the names of when they learned."""
    slots = tuple(replace(slot, name=names.slots.current(slot.name)) for slot in hypothesis.slots)
    return replace(hypothesis, intent=names.intents.current(hypothesis.intent), slots=slots)


def plain_inventory(intents: Iterable[str], slots: Iterable[str]) -> Inventory:
    """Return the inventory of the given names and `other`."""
    return Inventory(make_names([*intents, OTHER_INTENT]), make_names(slots))


def names_outside(annotation: Annotation, inventory: Inventory) -> list[tuple[NameKind, str]]:
    """Return the names of an answer that are outside the inventory, each with its kind; intents come first."""
    found: list[tuple[NameKind, str]] = [
        ("intent", clean_name(name))
        for name in (annotation.intent, annotation.proposal)
        if name is not None and inventory.intents.resolve(name) is None
    ]
    names = [clean_name(slot.name) for slot in annotation.slots]
    found += [("slot", name) for name in dict.fromkeys(names) if inventory.slots.resolve(name) is None]
    return found

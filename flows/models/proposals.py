"""Proposals: names of intents and slots outside the inventory that answers gave."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from annotation.inventory import InventorySettings
from annotation.latest_answers import latest_answers
from corpus import door
from corpus.handle import Corpus
from corpus.names import name_key
from corpus.records.inventory import Inventory, NameKind, names_outside
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from flows.models.inventory import inventory_of
from flows.runtime.results import Result

MOST_COMPARED: Final = 200
"""Proposals that are compared with all names in use, which takes some 5 ms each."""

CLOSE: Final = 0.6
"""Similarity, 1 for the same spelling, from which a name in use is named beside a proposal."""

NEARLY: Final = 0.85
"""Similarity from which one of two names may be a misspelling of the other: one wrong letter in seven, or two swapped
in fourteen."""


@dataclass(frozen=True, slots=True)
class ProposalRow(Result):
    """A name outside the inventory that answers gave.

    Attributes:
        kind: `intent` or `slot`.
        name: the name in its commonest spelling.
        answers: how many latest answers name it.
        utterances: on how many utterances.
        people: by how many annotators.
        like: the name that is spelled most like it: one in use or, where one is nearly the same, a proposal that more
            answers name; None where none is close but for its digits, and for the rarest of very many.
        nearly: whether the two are nearly the same, so that one may be a misspelling of the other.
        like_proposed: whether `like` is a proposal itself, to be adopted before another is mapped onto it.
    """

    kind: NameKind
    name: str
    answers: int
    utterances: int
    people: int
    like: str | None
    nearly: bool = False
    like_proposed: bool = False


@dataclass(frozen=True, slots=True)
class ProposalsReport(Result):
    """The names that answers propose.

    Attributes:
        proposals: most answers first.
        closed: how many utterances with proposals may not be opened any more.
    """

    proposals: tuple[ProposalRow, ...]
    closed: int


def list_proposals(corpus: Corpus, home: Path, settings: InventorySettings) -> ProposalsReport:
    """Return the names outside the inventory in the latest answers. They are content: this opens the door.

    The report must not reach a log.
    """
    inventory = inventory_of(corpus, home, settings)
    with corpus.read() as conn:
        outside = [name for name in inventory_table.intents_in_use(conn) if inventory.intents.resolve(name) is None]
        ids = sorted({*annotations_table.proposing(conn), *inventory_table.with_intents(conn, outside)})
    opened = 0
    said: dict[tuple[NameKind, str], list[tuple[str, str, str]]] = {}
    for content in door.open(corpus, ids, "annotate", parts=("annotations",), strict=False):
        opened += 1
        for answer in latest_answers(content.annotations).latest:
            for kind, name in names_outside(answer, inventory):
                key = (kind, name_key(name, settings.fold_case))
                said.setdefault(key, []).append((name, content.utterance.utterance_id, answer.annotator_id))
    rows = [_proposal(kind, answers) for (kind, _), answers in said.items()]
    rows.sort(key=lambda row: (row.kind, -row.answers, row.name))
    compared = [_compared(row, inventory, rows[:place]) for place, row in enumerate(rows[:MOST_COMPARED])]
    return ProposalsReport((*compared, *rows[MOST_COMPARED:]), len(ids) - opened)


def _proposal(kind: NameKind, answers: Sequence[tuple[str, str, str]]) -> ProposalRow:
    spellings: Mapping[str, int] = Counter(name for name, _, _ in answers)
    name = min(spellings, key=lambda each: (-spellings[each], each))
    return ProposalRow(
        kind=kind,
        name=name,
        answers=len(answers),
        utterances=len({utterance_id for _, utterance_id, _ in answers}),
        people=len({annotator for _, _, annotator in answers}),
        like=None,
    )


def _compared(row: ProposalRow, inventory: Inventory, commoner: Sequence[ProposalRow]) -> ProposalRow:
    """Return a proposal with the name that is spelled most like it.

    Args:
        row: the proposal.
        inventory: the names in use.
        commoner: proposals that come before it.
    """
    used = list(inventory.of(row.kind).names)
    proposed = [each.name for each in commoner if each.kind == row.kind]
    for names, cutoff, is_proposed in ((used, NEARLY, False), (proposed, NEARLY, True), (used, CLOSE, False)):
        like = _closest(row.name, names, cutoff)
        if like is not None:
            return replace(row, like=like, nearly=cutoff == NEARLY, like_proposed=is_proposed)
    return row


def _closest(name: str, names: Sequence[str], cutoff: float) -> str | None:
    """Return the name that is spelled most like it; names that differ in digits only number different things."""
    bare = _without_digits(name)
    close = difflib.get_close_matches(name, [each for each in names if _without_digits(each) != bare], 1, cutoff)
    return close[0] if close else None


def _without_digits(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit())

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


@dataclass(frozen=True, slots=True)
class ProposalRow(Result):
    """A name outside the inventory that answers gave.

    Attributes:
        kind: `intent` or `slot`.
        name: the name in its commonest spelling.
        answers: how many latest answers name it.
        utterances: on how many utterances.
        people: by how many annotators.
        like: the name in use that is spelled most like it; None where none is close but for its digits, and for the
            rarest of very many.
    """

    kind: NameKind
    name: str
    answers: int
    utterances: int
    people: int
    like: str | None


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
    compared = [replace(row, like=_like(row, inventory)) for row in rows[:MOST_COMPARED]]
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


def _like(row: ProposalRow, inventory: Inventory) -> str | None:
    """Return the name in use that is spelled most like it; names that differ in digits only number different things."""
    name = _without_digits(row.name)
    names = [each for each in inventory.of(row.kind).names if _without_digits(each) != name]
    close = difflib.get_close_matches(row.name, names, n=1)
    return close[0] if close else None


def _without_digits(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit())

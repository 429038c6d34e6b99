"""Open questions: answers that no label can be made of yet, in the whole home."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from annotation.assignment import PeopleSettings
from corpus import door
from corpus.handle import Corpus
from corpus.tables import annotations as annotations_table
from corpus.tables import utterances
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class Contradicted(Result):
    """Two different answers of one person to one task with the same revision; neither counts, and nobody else answered.

    Attributes:
        task_id, round, annotator_id: the task, its round and the person.
        revision: of both answers; one with a higher revision settles it, or another person's answer.
    """

    task_id: str
    round: str
    annotator_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class OpenQuestions:
    """What no label can be made of yet, in the whole home.

    Attributes:
        contradicted: answers that await a higher revision, or another person's answer.
        undecided: how many other answered tasks need one more answer, by round.
        nobody_left: of how many of these every listed person who understands the clip has answered, by round.
    """

    contradicted: tuple[Contradicted, ...] = ()
    undecided: Mapping[str, int] = field(default_factory=dict)
    nobody_left: Mapping[str, int] = field(default_factory=dict)


def open_questions(corpus: Corpus, people: PeopleSettings) -> OpenQuestions:
    """Return what no label can be made of yet: it depends on all answers so far, not on the files of one merge."""
    with corpus.read() as conn:
        found = annotations_table.contradicted(conn)
        waiting = annotations_table.undecided(conn)
        ids = sorted({row[0] for row in found} | {row[0] for row in waiting})
        closed = door.closures(corpus, conn, ids, "annotate")
        answered = annotations_table.answered_by(conn, ids)
        locales = utterances.locales(conn, ids)
    contradicted = tuple(Contradicted(*row[1:]) for row in found if row[0] not in closed)
    listed = {each.task_id for each in contradicted}
    undecided = [(i, round_) for i, task_id, round_ in waiting if task_id not in listed and i not in closed]
    counts = Counter(round_ for _, round_ in undecided)
    alone = Counter(
        round_
        for i, round_ in undecided
        if people.people and not people.left_for(locales[i], answered.get(i, frozenset()))
    )
    return OpenQuestions(contradicted, dict(sorted(counts.items())), dict(sorted(alone.items())))

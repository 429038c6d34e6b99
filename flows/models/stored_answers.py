"""The stored answers to utterances, with the labels that they are merged beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from annotation.consensus import Merged, merge_annotations
from annotation.crowd import Crowd
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.inventory import Inventory
from corpus.storage.content_codec import Part
from corpus.tables import labels, rounds
from flows.runtime import progress

PARTS: Final[tuple[Part, ...]] = ("annotations", "label")


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """What is stored of the utterances that may be opened; see `annotation.consensus.merge_annotations`.

    Attributes:
        annotations: all of them by utterance id, superseded ones included; an utterance may have none.
        current: the label of the highest revision by utterance id, even if it is withdrawn.
        ingested: the newest label that was ingested by utterance id.
        withdrawn: the last revision by the id of utterances whose label is withdrawn.
        others: number of the label's revisions that do not come from answers by utterance id.
        again: ids of the tasks that ask about labelled utterances again.
    """

    annotations: dict[str, list[Annotation]]
    current: dict[str, Label]
    ingested: dict[str, Label]
    withdrawn: Mapping[str, int]
    others: Mapping[str, int]
    again: frozenset[str]

    def merged(
        self,
        given: Mapping[str, Iterable[Annotation]],
        crowd: Crowd,
        inventory: Inventory,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Merged]:
        """Return the consensus on each utterance that has annotations.

        Args:
            given: the annotations by utterance id, of some of these utterances, with new ones where there are any.
            crowd: reliability of the annotators.
            inventory: the names in use.
            on_progress: called after every utterance with the number of utterances so far.
        """
        return merge_annotations(
            given,
            self.current,
            withdrawn=self.withdrawn,
            crowd=crowd,
            others=self.others,
            inventory=inventory,
            ingested=self.ingested,
            again=self.again,
            on_progress=on_progress,
        )


def stored_answers(corpus: Corpus, ids: Sequence[str], title: str) -> StoredAnswers:
    """Open the annotations and labels of utterances; those that may not be opened are left out.

    Args:
        corpus: the handle.
        ids: the utterances.
        title: what progress calls it.
    """
    with corpus.read() as conn:
        withdrawn, others = labels.withdrawn(conn, ids), labels.other_revisions(conn, ids)
        again = frozenset(rounds.tasks_again(conn, ids))
    annotations: dict[str, list[Annotation]] = {}
    current: dict[str, Label] = {}
    contents = door.open(corpus, ids, "annotate", parts=PARTS, strict=False, label_revisions=withdrawn)
    for content in progress.over(contents, title, len(ids), "utterances"):
        annotations[content.utterance.utterance_id] = list(content.annotations)
        if content.label is not None:
            current[content.utterance.utterance_id] = content.label
    return StoredAnswers(annotations, current, _ingested(corpus, current), withdrawn, others, again)


def labels_anew(merged: Iterable[Merged]) -> list[Label]:
    """Return the new labels of a merge without new answers, in a revision that counts beside those of the answers.

    See `labels.other_revisions`.
    """
    new = (row.label for row in merged if row.is_new and row.label is not None)
    return [replace(label, revision=label.revision + 1) for label in new]


def _ingested(corpus: Corpus, current: Mapping[str, Label]) -> dict[str, Label]:
    """Return the newest ingested labels; what is ingested among the current ones is not opened again."""
    with corpus.read() as conn:
        revisions = labels.newest_ingested(conn, sorted(current))
    found = {i: current[i] for i, revision in revisions.items() if current[i].revision == revision}
    earlier = {i: revision for i, revision in revisions.items() if i not in found}
    opened = door.open(corpus, sorted(earlier), "annotate", parts=("label",), strict=False, label_revisions=earlier)
    found |= {content.utterance.utterance_id: content.label for content in opened if content.label is not None}
    return dict(sorted(found.items()))

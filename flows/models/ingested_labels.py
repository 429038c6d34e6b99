"""Labels that were ingested, beside the current ones, which may be of answers by now."""

from __future__ import annotations

from collections.abc import Mapping

from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.tables import labels


def ingested_labels(corpus: Corpus, current: Mapping[str, Label]) -> dict[str, Label]:
    """Return the newest ingested label of each utterance that has one and may be opened.

    Args:
        corpus: the handle.
        current: the label of the highest revision by utterance id; what is ingested among them is not opened again.
    """
    with corpus.read() as conn:
        revisions = labels.newest_ingested(conn, sorted(current))
    found = {i: current[i] for i, revision in revisions.items() if current[i].revision == revision}
    earlier = {i: revision for i, revision in revisions.items() if i not in found}
    opened = door.open(corpus, sorted(earlier), "annotate", parts=("label",), strict=False, label_revisions=earlier)
    found |= {content.utterance.utterance_id: content.label for content in opened if content.label is not None}
    return dict(sorted(found.items()))

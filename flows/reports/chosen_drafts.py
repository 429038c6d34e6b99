"""Read the drafts of clips that a round would choose, for a person who looks at the choice before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from corpus import door
from corpus.handle import Corpus

ACTOR: Final = "earmark sample --show-drafts"
"""Who opened the drafts, on the audit chain."""


def drafts_of(corpus: Corpus, ids: Sequence[str]) -> dict[str, str]:
    """Return the transcripts that annotators would see as drafts, by utterance id; content, never stored or logged.

    The door opens them for annotation, with one row on the audit chain. Utterances that may not be opened, or were
    scored without a transcript, are left out.

    Args:
        corpus: the handle.
        ids: of utterances that are not audit rows: those are always labelled without a draft.
    """
    drafts = {}
    for content in door.open(corpus, ids, "annotate", actor=ACTOR, parts=("hypotheses",), strict=False):
        if content.hypotheses:
            drafts[content.utterance.utterance_id] = content.hypotheses[0].text
    return drafts

"""What a retraining learns from: labelled utterances, drafts of them, and what the champion is sure of by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from corpus import door
from corpus.handle import Corpus
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Kind, digest
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.content_codec import Content, Part
from corpus.tables import labels, rounds, scores, utterances
from corpus.vault import consent
from flows.models import registry
from flows.nights.sampling_frame import past_sampling
from flows.runtime.settings import Settings

if TYPE_CHECKING:
    from training.asr.fit import AsrExample
    from training.intent.fit import IntentExample


@dataclass(frozen=True, slots=True)
class Pseudo:
    """The utterances whose hypotheses are learned as if a person had written them.

    Attributes:
        ids: sorted; none of them ever had a label, was chosen in a round, or may not train.
        weight: of each, a label's being 1.
        heard_by: versions of speech and intent model whose hypotheses they are.
    """

    ids: tuple[str, ...] = ()
    weight: float = 0.0
    heard_by: tuple[str, str] = ("", "")

    def digest(self) -> str:
        """Return one digest of all; "" where there are none."""
        return digest([list(self.ids), self.weight, list(self.heard_by)]) if self.ids else ""


NOTHING_PSEUDO: Final = Pseudo()


def choose_pseudo(corpus: Corpus, settings: Settings, kind: Kind, snapshot: Snapshot) -> Pseudo:
    """Return the surest utterances of the train split that nobody labelled; none where the settings ask for none.

    What a round chose is left out, labelled or not: audit rows judge, and the others wait for a person. So is what a
    round may still choose, and what ever had a label: held-out rows judge, and what was withdrawn was wrong.
    """
    from training.pseudo_labels import pseudo_weight, surest

    how = settings.asr.pseudo if kind == "asr" else settings.intent.pseudo
    weight = pseudo_weight(how, len(snapshot.of("train")))
    if not weight or not how.most:
        return NOTHING_PSEUDO
    asr, intent = registry.champion(corpus, "asr"), registry.champion(corpus, "intent")
    ids = _unlabelled(corpus, settings, asr, intent)
    if not ids:
        return NOTHING_PSEUDO
    found = scores.predictions(corpus, ids, asr.version, intent.version)
    doubt = found.column("expected_wer") if kind == "asr" else 1.0 - found.intent_probs.max(axis=1)
    sure = surest(dict(zip(ids, np.clip(doubt, 0.0, 1.0).astype(float).tolist(), strict=True)), how)
    return Pseudo(tuple(sure), weight, (asr.version, intent.version)) if sure else NOTHING_PSEUDO


def _unlabelled(corpus: Corpus, settings: Settings, asr: ModelVersion, intent: ModelVersion) -> list[str]:
    with corpus.read() as conn:
        ids = utterances.in_window(conn)
        taken = rounds.selected_ids(conn) | labels.ever_labelled(conn)
        taken |= set(scores.unscored(conn, ids, asr.version, intent.version))
        over = past_sampling(conn, settings.night)
        ids = [i for i in ids if i in over and i not in taken]
        splits = utterances.pool_columns(conn, ids).splits
    allowed = consent.consenting(corpus.vault, ids, "train")
    return [
        i for i, split, allow in zip(ids, splits.tolist(), allowed.tolist(), strict=True) if split == "train" and allow
    ]


def asr_examples(corpus: Corpus, chosen: Sequence[SnapshotRow], pseudo: Pseudo = NOTHING_PSEUDO) -> list[AsrExample]:
    """Return clips with what people wrote, and those of the pseudo-labels with what the champion heard."""
    from training.asr.fit import AsrExample

    rows = {row.utterance_id: row for row in chosen}
    revisions = {i: row.revision for i, row in rows.items()}
    opened = door.open(corpus, sorted(rows), "train", parts=("audio", "label"), strict=False, label_revisions=revisions)
    examples = [
        AsrExample(c.utterance.utterance_id, c.audio, c.label.transcript, rows[c.utterance.utterance_id].weight)
        for c in opened
        if c.audio is not None and c.label is not None and c.label.transcript
    ]
    for content, best in _hypothesis_texts(corpus, pseudo, ("audio", "hypotheses")):
        utterance_id = content.utterance.utterance_id
        if content.audio is not None and best.text:
            examples.append(AsrExample(utterance_id, content.audio, best.text, pseudo.weight))
    return examples


def intent_examples(
    corpus: Corpus, chosen: Sequence[SnapshotRow], pseudo: Pseudo = NOTHING_PSEUDO
) -> list[IntentExample]:
    """Return transcripts with their slots and, as the model hears errors at work, drafts with the intent alone.

    Those of the pseudo-labels are drafts with the champion's intent.
    """
    from training.intent.fit import DRAFT, IntentExample

    rows = {row.utterance_id: row for row in chosen}
    revisions = {i: row.revision for i, row in rows.items()}
    opened = door.open(
        corpus, sorted(rows), "train", parts=("hypotheses", "label"), strict=False, label_revisions=revisions
    )
    examples = []
    for content in opened:
        label, utterance_id = content.label, content.utterance.utterance_id
        if label is None or label.intent is None:
            continue
        weight = rows[utterance_id].weight
        draft = content.hypotheses[0].text if content.hypotheses else ""
        if label.transcript:
            examples.append(IntentExample(utterance_id, label.transcript, label.intent, label.slots, weight))
        if draft and draft != label.transcript:
            examples.append(IntentExample(utterance_id + DRAFT, draft, label.intent, None, weight))
    for content, best in _hypothesis_texts(corpus, pseudo, ("hypotheses",)):
        utterance_id = content.utterance.utterance_id
        if best.text and best.intent:
            example = IntentExample(utterance_id + DRAFT, best.text, best.intent, None, pseudo.weight, pseudo=True)
            examples.append(example)
    return examples


def _hypothesis_texts(corpus: Corpus, pseudo: Pseudo, parts: Sequence[Part]) -> list[tuple[Content, Hypothesis]]:
    """Return the utterances of the pseudo-labels, each with the best hypothesis of the champion."""
    if not pseudo.ids:
        return []
    opened = door.open(corpus, list(pseudo.ids), "train", parts=parts, strict=False, versions=pseudo.heard_by)
    return [(content, content.hypotheses[0]) for content in opened if content.hypotheses]

"""Training examples of a retraining: labelled utterances, their drafts, and pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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
from flows.runtime import progress
from flows.runtime.settings import NightSettings

if TYPE_CHECKING:
    from training.asr.fit import AsrExample
    from training.intent.fit import IntentExample
    from training.pseudo_labels import PseudoSettings


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Utterances whose hypotheses are used as training labels.

    Attributes:
        ids: sorted; all consent to training, and none ever had a label or was chosen in a round.
        weight: weight of each in training, where a label has 1.
        versions: speech and intent model that made the hypotheses.
    """

    ids: tuple[str, ...] = ()
    weight: float = 0.0
    versions: tuple[str, str] = ("", "")

    def digest(self) -> str:
        """Return one digest of all fields; "" where there are no pseudo-labels."""
        return digest([list(self.ids), self.weight, list(self.versions)]) if self.ids else ""


NO_PSEUDO_LABELS: Final = PseudoLabels()


def choose_pseudo_labels(
    corpus: Corpus, night: NightSettings, how: PseudoSettings, kind: Kind, snapshot: Snapshot
) -> PseudoLabels:
    """Return the utterances of the train split, without a label, of which the champions are surest.

    None are returned where the settings ask for none. Utterances that a round chose are left out, labelled or not:
    audit rows are for evaluation, and the others wait for an annotator. Left out too are utterances that a round may
    still choose, and those that ever had a label: held-out rows are for evaluation, and withdrawn labels were wrong.
    """
    from training.pseudo_labels import doubt_by_id, pseudo_weight, surest

    weight = pseudo_weight(how, len(snapshot.of("train")))
    if not weight or not how.most:
        return NO_PSEUDO_LABELS
    asr, intent = registry.champion(corpus, "asr"), registry.champion(corpus, "intent")
    ids = _unlabelled(corpus, night, asr, intent)
    if not ids:
        return NO_PSEUDO_LABELS
    with progress.track(f"looking for pseudo-labels among {len(ids)} utterances", None, "utterances"):
        predictions = scores.sound_predictions(corpus, ids, asr.version, intent.version)
    if predictions is None:
        return NO_PSEUDO_LABELS
    sure = surest(doubt_by_id(predictions, kind), how)
    return PseudoLabels(tuple(sure), weight, (asr.version, intent.version)) if sure else NO_PSEUDO_LABELS


def _unlabelled(corpus: Corpus, night: NightSettings, asr: ModelVersion, intent: ModelVersion) -> list[str]:
    """Return the scored utterances of the train split that may train and that no round chose or can choose any more."""
    with corpus.read() as conn:
        ids = utterances.in_window(conn)
        taken = rounds.selected_ids(conn) | labels.ever_labelled(conn)
        taken |= set(scores.unscored(conn, ids, asr.version, intent.version))
        past = past_sampling(conn, night)
        ids = [i for i in ids if i in past and i not in taken]
        splits = utterances.pool_columns(conn, ids).splits
    allowed = consent.consenting(corpus.vault, ids, "train")
    rows = zip(ids, splits.tolist(), allowed.tolist(), strict=True)
    return [utterance_id for utterance_id, split, consents in rows if split == "train" and consents]


def asr_examples(
    corpus: Corpus, labelled: Sequence[SnapshotRow], pseudo: PseudoLabels = NO_PSEUDO_LABELS
) -> list[AsrExample]:
    """Return clips with their labelled transcripts, and clips of pseudo-labels with the champion's transcripts."""
    from training.asr.fit import AsrExample

    rows = {row.utterance_id: row for row in labelled}
    revisions = {i: row.revision for i, row in rows.items()}
    opened = door.open(corpus, sorted(rows), "train", parts=("audio", "label"), strict=False, label_revisions=revisions)
    examples = [
        AsrExample(
            c.utterance.utterance_id,
            c.audio,
            c.label.transcript,
            rows[c.utterance.utterance_id].weight,
            c.utterance.locale,
        )
        for c in progress.over(opened, "reading labelled clips", len(rows), "clips")
        if c.audio is not None and c.label is not None and c.label.transcript
    ]
    for content, best in _hypothesis_texts(corpus, pseudo, ("audio", "hypotheses")):
        utterance_id = content.utterance.utterance_id
        if content.audio is not None and best.text:
            examples.append(AsrExample(utterance_id, content.audio, best.text, pseudo.weight, content.utterance.locale))
    return examples


def intent_examples(
    corpus: Corpus, labelled: Sequence[SnapshotRow], pseudo: PseudoLabels = NO_PSEUDO_LABELS
) -> list[IntentExample]:
    """Return labelled transcripts with intent and slots, and drafts with the intent only.

    Drafts are examples because in production the intent model reads transcripts with recognition errors. The example of
    a pseudo-label is a draft with the champion's intent.
    """
    from training.intent.fit import DRAFT, IntentExample

    rows = {row.utterance_id: row for row in labelled}
    revisions = {i: row.revision for i, row in rows.items()}
    opened = door.open(
        corpus, sorted(rows), "train", parts=("hypotheses", "label"), strict=False, label_revisions=revisions
    )
    examples = []
    for content in progress.over(opened, "reading labelled texts", len(rows), "utterances"):
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


def _hypothesis_texts(corpus: Corpus, pseudo: PseudoLabels, parts: Sequence[Part]) -> list[tuple[Content, Hypothesis]]:
    """Return the utterances of the pseudo-labels, each with the champions' best hypothesis."""
    if not pseudo.ids:
        return []
    opened = door.open(corpus, list(pseudo.ids), "train", parts=parts, strict=False, versions=pseudo.versions)
    read = progress.over(opened, "reading pseudo-labels", len(pseudo.ids), "utterances")
    return [(content, content.hypotheses[0]) for content in read if content.hypotheses]

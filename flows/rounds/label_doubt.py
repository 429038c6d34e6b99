"""Doubt about labels: what contradicts the current label of each utterance, in numbers and without content.

Labels that judge models are never looked at: to correct only those that a model doubts would favour the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from annotation.proposals import resolved
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.base import Kind
from corpus.records.inventory import Inventory
from corpus.records.models import ModelVersion
from corpus.tables import labels, snapshots
from corpus.tables import models as store
from corpus.tables.labels import LabelRow
from flows.models import registry
from flows.runtime import progress
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.asr.reference_cost import Clip, ReferenceCost

FEWEST: Final = 20
"""With fewer labels of a kind nothing is judged: neither folds nor a typical cost can be had of them."""

ASK_FROM: Final[Mapping[Kind, float]] = {"intent": 0.1, "asr": 0.5}
"""Least score from which a label is worth another person's time, by kind; see `sampling.label_noise`."""

MOST_DIFFERENT: Final = 0.75
"""A version that writes more than this share of the labels' words differently knows too little of this speech to judge
it: its order of the labels is then that of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect(Result):
    """A label that may be wrong, and why; ids and numbers only.

    Attributes:
        utterance: id of the utterance.
        kind: `intent` or `asr`, for a transcript.
        score: in [0, 1]. Of an intent the estimated chance that it is wrong; of a transcript a rank score.
        reason: what contradicts it most, in a few words.
        annotators: ids of the people who gave the label; none where it came with a manifest.
        confidence: of an intent, its probability by a model that did not see this label.
        neighbours: of an intent, the share of the most similar utterances that have it.
        dissenting: how many people's answers contradict it.
        cost: of a transcript, what it costs the speech model beside the model's own text [nats a word].
        edits, words: of a transcript, word edits to the model's own text, and its words.
        judge: version that judged a transcript, such as `asr/2`; it did not learn from the utterance.
    """

    utterance: str
    kind: Kind
    score: float
    reason: str
    annotators: tuple[str, ...]
    confidence: float | None = None
    neighbours: float | None = None
    dissenting: int | None = None
    cost: float | None = None
    edits: int | None = None
    words: int | None = None
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """What was judged of one kind of label.

    Attributes:
        suspects: every judged label, most suspect first.
        unjudged: how many labels could not be judged, by reason.
        share: estimated share of wrong intents; None for transcripts, and where too few intents were judged to say.
        skipped: why nothing was judged; "" where something was.
    """

    suspects: tuple[Suspect, ...] = ()
    unjudged: Mapping[str, int] = field(default_factory=dict)
    share: float | None = None
    skipped: str = ""


def training_rows(corpus: Corpus, kind: Kind) -> list[LabelRow]:
    """Return the current labels of a kind that do not judge models."""
    with corpus.read() as conn:
        rows = [row for row in labels.current(conn) if not row.judges]
    return [row for row in rows if (row.has_transcript if kind == "asr" else row.has_intent)]


# --- intents ----------------------------------------------------------------------------------------------------------


def doubt_of_intents(corpus: Corpus, inventory: Inventory) -> Doubt:
    """Return the intents that models of other utterances, neighbours and other people's answers contradict.

    A label is judged by its transcript and by the transcript that a model gave before it learned from the utterance.
    Texts are read through the door for the purpose `judge`.
    """
    from sampling.label_noise import LEAST_OTHERS, NOISE_ROWS, intent_doubt, text_features

    rows = {row.utterance_id: row for row in training_rows(corpus, "intent")}
    if len(rows) < FEWEST:
        return Doubt(skipped=f"{len(rows)} intents are labelled; from {FEWEST} on they are judged")
    ids, intents, columns, given = _intents(corpus, inventory, sorted(rows))
    if len(set(intents)) < 2:
        return Doubt(skipped="all labels have the same intent, so none contradicts another")
    answered = [_people(answers, intent) for answers, intent in zip(given, intents, strict=True)]
    with progress.track(f"judging {len(ids)} intents by models of the others", None, "labels"):
        found = intent_doubt(
            ids,
            text_features(columns),
            intents,
            [rows[i].speaker_id for i in ids],
            [max(0, len(agreeing) - 1) for agreeing, _ in answered],
            [len(dissenting) for _, dissenting in answered],
        )
    suspects = []
    for k in np.argsort(found.rank).tolist():
        agreeing, dissenting = answered[k]
        if found.judged[k]:
            suspects.append(
                Suspect(
                    utterance=ids[k],
                    kind="intent",
                    score=round(float(found.scores[k]), 4),
                    reason=_why(len(dissenting), bool(found.confident[k]), float(found.neighbours[k])),
                    annotators=tuple(sorted(agreeing)),
                    confidence=round(float(found.confidence[k]), 4),
                    neighbours=round(float(found.neighbours[k]), 4),
                    dissenting=len(dissenting),
                )
            )
    unjudged = Counter({"may not be opened": len(rows) - len(ids)})
    unjudged[f"others have fewer than {LEAST_OTHERS} labels of this intent"] = int((~found.judged).sum())
    share = round(found.noise, 4) if len(suspects) >= NOISE_ROWS else None
    return Doubt(tuple(suspects), {name: n for name, n in unjudged.items() if n}, share)


def _intents(
    corpus: Corpus, inventory: Inventory, ids: Sequence[str]
) -> tuple[list[str], list[str], tuple[list[str], list[str]], list[list[Annotation]]]:
    """Return ids, intents, texts (of labels, of models) and answers, of the utterances that may be opened."""
    found: list[str] = []
    intents: list[str] = []
    texts: tuple[list[str], list[str]] = ([], [])
    answers: list[list[Annotation]] = []
    opened = door.open(corpus, ids, "judge", parts=("label", "hypotheses", "annotations"), strict=False)
    for content in progress.over(opened, "reading labels and answers", len(ids), "labels"):
        label = content.label
        if label is None or label.intent is None:
            continue
        found.append(content.utterance.utterance_id)
        intents.append(inventory.intents.resolve(label.intent) or label.intent)
        texts[0].append(label.transcript or "")
        texts[1].append(content.hypotheses[0].text if content.hypotheses else "")
        answers.append([resolved(answer, inventory) for answer in content.annotations])
    return found, intents, texts, answers


def _people(answers: Sequence[Annotation], intent: str) -> tuple[set[str], set[str]]:
    """Return who gave the intent last, and who gave another one or said that there is none."""
    from annotation.latest_answers import latest_answers

    latest = [answer for answer in latest_answers(answers).latest if answer.verdict != "help"]
    agreeing = {a.annotator_id for a in latest if a.verdict == "labelled" and a.intent == intent}
    named = {a.annotator_id for a in latest if a.verdict != "labelled" or a.intent is not None}
    return agreeing, named - agreeing


def _why(dissenting: int, confident: bool, neighbours: float) -> str:
    """Return what contradicts an intent most."""
    if dissenting:
        return f"{dissenting} other {'answer' if dissenting == 1 else 'answers'}"
    if confident:
        return "another intent is sure"
    return "similar ones differ" if neighbours < 0.5 else "improbable"


# --- transcripts ------------------------------------------------------------------------------------------------------


def doubt_of_transcripts(corpus: Corpus, home: Path) -> Doubt:
    """Return the transcripts that cost a speech model most beside its own text, each judged by a version that is fair.

    The champion judges what it did not learn from, and the newest other version that did not learn from it the rest;
    the base learned from no label. Audio and texts are read through the door for the purpose `judge`.
    """
    from sampling.label_noise import ranked, transcript_scores

    rows = {row.utterance_id: row for row in training_rows(corpus, "asr")}
    if len(rows) < FEWEST:
        return Doubt(skipped=f"{len(rows)} transcripts are labelled; from {FEWEST} on they are judged")
    with corpus.read() as conn:
        if not store.versions(conn, "asr"):
            return Doubt(skipped="asr has no version yet; earmark score registers its base")
    judges = _judges(corpus, sorted(rows))
    costs: dict[str, tuple[ReferenceCost, str]] = {}
    people: dict[str, tuple[str, ...]] = {}
    unjudged = Counter({"every version learned from it": len(rows) - sum(len(ids) for _, ids in judges)})
    for version, ids in judges:
        judged, name = _costs(corpus, home, version, ids, people), f"asr/{version.version}"
        unjudged["may not be opened, or the model has no result"] += len(ids) - len(judged)
        different = _different(judged.values())
        if different > MOST_DIFFERENT:
            most = f"above {100 * MOST_DIFFERENT:.0f} % a model knows too little to judge"
            unjudged[f"{name} writes {100 * different:.0f} % of their words differently, and {most}"] += len(judged)
        else:
            costs |= {i: (cost, name) for i, cost in judged.items()}
    unjudged = +unjudged
    if not costs:
        why = "; ".join(f"{count} labels: {reason}" for reason, count in unjudged.items())
        return Doubt((), unjudged, skipped=f"no transcript can be judged: {why}")
    found = sorted(costs)
    scores = transcript_scores(np.array([costs[i][0].a_word for i in found]), [costs[i][1] for i in found])
    suspects = []
    for k in ranked(np.array(found, np.str_), scores).tolist():
        cost, judge = costs[found[k]]
        suspects.append(
            Suspect(
                utterance=found[k],
                kind="asr",
                score=round(float(scores[k]), 4),
                reason=f"{judge} writes another" if cost.edits else f"{judge} agrees",
                annotators=people[found[k]],
                cost=round(cost.a_word, 3),
                edits=cost.edits,
                words=cost.words,
                judge=judge,
            )
        )
    return Doubt(tuple(suspects), unjudged)


def _different(costs: Iterable[ReferenceCost]) -> float:
    """Return the word edits between labels and a version's texts, as a share of the words; silence counts as one."""
    counts = [(cost.edits, max(1, cost.words)) for cost in costs]
    return sum(edits for edits, _ in counts) / max(1, sum(words for _, words in counts))


def _judges(corpus: Corpus, ids: Sequence[str]) -> list[tuple[ModelVersion, list[str]]]:
    """Return versions, each with the utterances that it judges: the champion first, then the newest, the base last.

    Each utterance is judged by the first of them that did not learn from it. Tainted versions judge nothing.

    Raises:
        UsageError: there is no version yet.
    """
    champion = registry.champion(corpus, "asr")
    with corpus.read() as conn:
        versions = [each for each in store.versions(conn, "asr") if not each.tainted]
        learned = {
            each.version: {
                row.utterance_id for row in snapshots.snapshot(conn, each.snapshot_id).rows if row.role != "audit"
            }
            for each in versions
            if each.snapshot_id
        }
    versions.sort(key=lambda each: (each != champion, each.origin == "base", -int(each.version)))
    left, judges = list(ids), []
    for each in versions:
        unseen = [i for i in left if i not in learned.get(each.version, ())]
        if unseen:
            judges.append((each, unseen))
            left = [i for i in left if i in learned.get(each.version, ())]
    return judges


def _costs(
    corpus: Corpus, home: Path, version: ModelVersion, ids: Sequence[str], people: dict[str, tuple[str, ...]]
) -> Mapping[str, ReferenceCost]:
    """Return the costs of the transcripts by utterance, and note in `people` who gave each."""
    from training.asr.reference_cost import reference_costs

    model = registry.load_asr(home, version)
    costs: dict[str, ReferenceCost] = {}
    with progress.track(f"judging transcripts by asr/{version.version}", len(ids), "clips") as advance:
        more = progress.counting(advance)
        for chunk in _clips(corpus, ids, people):
            costs |= reference_costs(model, chunk, on_progress=more)
    return costs


def _clips(corpus: Corpus, ids: Sequence[str], people: dict[str, tuple[str, ...]]) -> Iterator[list[Clip]]:
    """Yield id, samples and transcript of the utterances that may be opened, some at a time."""
    chunk: list[Clip] = []
    for content in door.open(corpus, ids, "judge", parts=("audio", "label", "annotations"), strict=False):
        label: Label | None = content.label
        if label is None or label.transcript is None or content.audio is None:
            continue
        utterance_id = content.utterance.utterance_id
        said = {a.annotator_id for a in content.annotations if a.verdict == "labelled" and a.transcript is not None}
        people[utterance_id] = tuple(sorted(said)) if label.annotators else ()
        chunk.append((utterance_id, content.audio, label.transcript))
        if len(chunk) == door.BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

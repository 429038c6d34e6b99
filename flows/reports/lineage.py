"""Trace a version back to labels, rounds, flow run and commit, or an utterance to the versions that learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import lineage, pseudo_labels, reports
from corpus.tables.pseudo_labels import PseudoLabels
from flows.models import registry
from flows.runtime.results import Result
from flows.runtime.settings import Settings

# --- a version --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelSource(Result):
    """How many labels of one revision came from one source."""

    source: str
    revision: int
    labels: int


@dataclass(frozen=True, slots=True)
class RoundReason(Result):
    """How many rows one round chose for one reason."""

    round: str
    night: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class PseudoSource(Result):
    """How many pseudo-labels a version learned from, the weight of each, and the versions whose hypotheses they are."""

    count: int
    weight: float
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionLineage(Result):
    """What a version came from; ids and counts alone.

    Attributes:
        version: such as `asr/2`.
        origin: `base`, where it was retrained, or where it came from.
        aliases: that name it.
        tainted: whether it learned from an utterance that was erased since.
        base, parent: the base that it was fine-tuned from, and the champion then.
        snapshot_id: of the labels that it learned from; "" where it learned from none.
        rows: rows of that snapshot by role.
        labels, rounds: where its labels came from, and the rounds that chose its utterances.
        pseudo: its pseudo-labels; None where it has none.
        annotators: answers by annotator's pseudonym.
        judged_on: ids of the evaluation sets that judged it.
        run_id, cycle, flow_run_id, git_sha, eval_set_id: of the run that made it, as the tracking store has them.
    """

    version: str
    origin: str
    aliases: tuple[str, ...]
    tainted: bool
    base: str
    parent: str
    snapshot_id: str
    rows: Mapping[str, int]
    labels: tuple[LabelSource, ...]
    pseudo: PseudoSource | None
    annotators: Mapping[str, int]
    rounds: tuple[RoundReason, ...]
    judged_on: tuple[str, ...]
    run_id: str
    cycle: str
    flow_run_id: str
    git_sha: str
    eval_set_id: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document, in which no pseudo-labels are an empty mapping."""
        document = Result.to_json(self)  # super() does not work in a dataclass with slots
        return document | {"pseudo": document["pseudo"] or {}}


def version_lineage(corpus: Corpus, settings: Settings, version: ModelVersion) -> VersionLineage:
    """Return what a version came from: run, commit, snapshot, labels and who gave them, rounds."""
    held = version.snapshot_id
    with corpus.read() as conn:
        pseudo = pseudo_labels.of_version(conn, version.kind, version.version)
        return VersionLineage(
            version=f"{version.kind}/{version.version}",
            origin=version.origin,
            aliases=tuple(lineage.aliases_of(conn, version.kind, version.version)),
            tainted=version.tainted,
            base=version.base,
            parent=version.parent,
            snapshot_id=held,
            rows=lineage.rows_by_role(conn, held) if held else {},
            labels=tuple(LabelSource(**row) for row in (lineage.labels_by_source(conn, held) if held else ())),
            pseudo=_pseudo_source(pseudo) if pseudo else None,
            annotators=lineage.annotators(conn, held) if held else {},
            rounds=tuple(RoundReason(**row) for row in (lineage.rounds_by_reason(conn, held) if held else ())),
            judged_on=tuple(reports.judged_sets(conn, version.kind).get(version.version, ())),
            **_run_of(settings, version),
        )


def _pseudo_source(held: PseudoLabels) -> PseudoSource:
    by = tuple(f"{kind}/{version}" for kind, version in zip(("asr", "intent"), held.by, strict=True))
    return PseudoSource(held.count, held.weight, by)


def _run_of(settings: Settings, version: ModelVersion) -> dict[str, str]:
    """Return what the tracking store knows of the run that made a version."""
    from training.tracking.runs import run_tags
    from training.tracking.store import open_tracking

    tags = run_tags(open_tracking(settings.tracking, settings.home), version.run_id)
    named = {
        "cycle": "earmark.cycle",
        "flow_run_id": "earmark.flow_run_id",
        "git_sha": "mlflow.source.git.commit",
        "eval_set_id": "earmark.eval_set_id",
    }
    return {"run_id": version.run_id} | {name: tags.get(tag, "") for name, tag in named.items()}


# --- an utterance -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UtteranceFacts(Result):
    """What is known of an utterance, without what was said."""

    utterance_id: str
    state: str
    state_reason: str
    arrived_at: datetime
    split: str
    speaker_id: str
    locale: str
    device_type: str


@dataclass(frozen=True, slots=True)
class VersionPair(Result):
    """The two models that scored an utterance."""

    asr_version: str
    intent_version: str


@dataclass(frozen=True, slots=True)
class ChoiceOf(Result):
    """A round's choice of an utterance, and the task that it became; None where it became none."""

    round: str
    reason: str
    inclusion_prob: float
    ask: str
    score: float
    night: str
    task_id: str | None
    state: str | None


@dataclass(frozen=True, slots=True)
class AnswerTo(Result):
    """One annotator's answer, without its texts; `lead_time` in [s]."""

    task_id: str
    annotator_id: str
    revision: int
    verdict: str
    lead_time: float
    at: datetime | None


@dataclass(frozen=True, slots=True)
class LabelRevision(Result):
    """One revision of an utterance's label, without its texts."""

    revision: int
    current: bool
    source: str
    agreement: float
    annotators: int
    operation_id: str


@dataclass(frozen=True, slots=True)
class LearnedBy(Result):
    """A version in whose snapshot an utterance is; `revision` is None for a pseudo-label."""

    kind: Kind
    version: str
    tainted: bool
    snapshot_id: str
    role: str
    revision: int | None


@dataclass(frozen=True, slots=True)
class JudgedVersion(Result):
    """A version with a report that counts an utterance."""

    kind: Kind
    version: str


@dataclass(frozen=True, slots=True)
class UtteranceLineage(Result):
    """What became of an utterance; ids and counts alone.

    Attributes:
        utterance: what is known of it.
        scored_by: pairs of versions that scored it.
        chosen, answers, labels: rounds that chose it, answers to its tasks, revisions of its label.
        learned_by, judges: versions that learned from it, and versions for which it is an audit row.
        judged: versions with a report that counts it.
    """

    utterance: UtteranceFacts
    scored_by: tuple[VersionPair, ...]
    chosen: tuple[ChoiceOf, ...]
    answers: tuple[AnswerTo, ...]
    labels: tuple[LabelRevision, ...]
    learned_by: tuple[LearnedBy, ...]
    judges: tuple[LearnedBy, ...]
    judged: tuple[JudgedVersion, ...]


def utterance_lineage(corpus: Corpus, utterance_id: str) -> UtteranceLineage:
    """Return what became of an utterance: choices, questions, answers, label revisions, versions.

    Raises:
        UsageError: there is no such utterance.
    """
    with corpus.read() as conn:
        known = lineage.utterance(conn, utterance_id)
        if known is None:
            raise UsageError(f"utterance {utterance_id} is unknown; give its id, or a version such as asr/2")
        held = [LearnedBy(**row) for row in lineage.learners(conn, utterance_id)]
        return UtteranceLineage(
            utterance=UtteranceFacts(**known),
            scored_by=tuple(VersionPair(**row) for row in lineage.scored_by(conn, utterance_id)),
            chosen=tuple(ChoiceOf(**row) for row in lineage.choices(conn, utterance_id)),
            answers=tuple(AnswerTo(**row) for row in lineage.answers_to(conn, utterance_id)),
            labels=tuple(LabelRevision(**row) for row in lineage.label_revisions(conn, utterance_id)),
            learned_by=tuple(row for row in held if row.role != "audit"),
            judges=tuple(row for row in held if row.role == "audit"),
            judged=tuple(JudgedVersion(**row) for row in lineage.judges_of(conn, utterance_id)),
        )


def lineage_of(corpus: Corpus, settings: Settings, name: str) -> VersionLineage | UtteranceLineage:
    """Return the lineage of a version such as `asr/2`, or of an utterance by its id; no content.

    Raises:
        UsageError: there is no such version or utterance.
    """
    if "/" in name or ":" in name:
        kind, number = registry.parse(name)
        return version_lineage(corpus, settings, registry.by_name(corpus, kind, number))
    return utterance_lineage(corpus, name)

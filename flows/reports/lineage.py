"""Trace a version back to labels, rounds, flow run and commit, or an utterance to the versions trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import left_out, lineage, pseudo_labels, reports
from corpus.tables import models as store
from flows.models import registry
from flows.models.built_base import base_text
from flows.runtime.results import Result
from training.tracking.store import TrackingSettings
from training.tracking.version_files import local_path

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
    """The pseudo-labels of a version.

    Attributes:
        count: how many.
        weight: of each in training; a label has weight 1.
        by: versions whose hypotheses they are, such as `asr/1`.
        left_out: how many of them could not be learned, by reason.
    """

    count: int
    weight: float
    by: tuple[str, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class VersionLineage(Result):
    """The sources of a version, in ids and counts alone.

    Attributes:
        version: such as `asr/2`.
        origin: how the version was made: `base`, retrained, or registered from elsewhere.
        aliases: aliases that it has.
        tainted: whether it learned from an utterance that was erased or withdrawn since.
        base, parent: the base that it was fine-tuned from, and the version that was champion then.
        snapshot_id: of the labels that it learned from; "" where it learned from none.
        rows: rows of that snapshot by role.
        left_out: how many labels of that snapshot it could not learn, by reason.
        labels, rounds: the sources of its labels, and the rounds that chose its utterances.
        pseudo: its pseudo-labels; None where it has none.
        annotators: answers by annotator's pseudonym.
        judged_on: ids of the evaluation sets that it was judged on.
        run_id, cycle, flow_run_id, git_sha, eval_set_id: of the run that made it, from the tracking store.
        label_account: where all labels were when it learned, from the tracking store; None for bases and old versions.
        language_model: SHA-256 of the language model and phrases of its beam, which is built from the train rows of its
            snapshot, from the tracking store; None for bases, and for versions that decode greedily.
        base_facts: name, source and decoder of the base, from the facts beside its files; None where there are none.
    """

    version: str
    origin: str
    aliases: tuple[str, ...]
    tainted: bool
    base: str
    parent: str
    snapshot_id: str
    rows: Mapping[str, int]
    left_out: Mapping[str, int]
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
    label_account: Mapping[str, int] | None = None
    language_model: str | None = None
    base_facts: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document; without pseudo-labels `pseudo` is an empty mapping."""
        document = Result.to_json(self)  # super() does not work in a dataclass with slots
        return document | {"pseudo": document["pseudo"] or {}}


def version_lineage(corpus: Corpus, home: Path, tracking: TrackingSettings, version: ModelVersion) -> VersionLineage:
    """Return the sources of a version: run, commit, snapshot, labels, annotators and rounds."""
    snapshot_id = version.snapshot_id
    params = _params_of(home, tracking, version)
    with corpus.read() as conn:
        return VersionLineage(
            version=f"{version.kind}/{version.version}",
            origin=version.origin,
            aliases=tuple(lineage.aliases_of(conn, version.kind, version.version)),
            tainted=version.tainted,
            base=version.base,
            parent=version.parent,
            snapshot_id=snapshot_id,
            rows=lineage.rows_by_role(conn, snapshot_id) if snapshot_id else {},
            left_out=left_out.labels_by_reason(conn, version.kind, version.version),
            labels=_label_sources(conn, snapshot_id),
            pseudo=_pseudo_source(conn, version),
            annotators=lineage.annotators(conn, snapshot_id) if snapshot_id else {},
            rounds=_round_reasons(conn, snapshot_id),
            judged_on=tuple(reports.judged_sets(conn, version.kind).get(version.version, ())),
            **_run_of(home, tracking, version),
            label_account=_account_of(params),
            language_model=params.get("language_model"),
            base_facts=_base_facts(conn, home, version),
        )


def _base_facts(conn: sa.Connection, home: Path, version: ModelVersion) -> str | None:
    """Return what the base of a version is, None where its files are elsewhere or nothing says so."""
    bases = [each for each in store.versions(conn, version.kind) if each.origin == "base" and each.base == version.base]
    place = local_path(registry.located(home, bases[-1].model_uri)) if bases else None
    return None if place is None else base_text(place)


def _label_sources(conn: sa.Connection, snapshot_id: str) -> tuple[LabelSource, ...]:
    rows = lineage.labels_by_source(conn, snapshot_id) if snapshot_id else ()
    return tuple(LabelSource(**row) for row in rows)


def _round_reasons(conn: sa.Connection, snapshot_id: str) -> tuple[RoundReason, ...]:
    rows = lineage.rounds_by_reason(conn, snapshot_id) if snapshot_id else ()
    return tuple(RoundReason(**row) for row in rows)


def _pseudo_source(conn: sa.Connection, version: ModelVersion) -> PseudoSource | None:
    found = pseudo_labels.of_version(conn, version.kind, version.version)
    if found is None:
        return None
    by = tuple(f"{kind}/{number}" for kind, number in zip(("asr", "intent"), found.by, strict=True))
    unlearned = left_out.pseudo_labels_by_reason(conn, version.kind, version.version)
    return PseudoSource(found.count, found.weight, by, unlearned)


def _run_of(home: Path, tracking: TrackingSettings, version: ModelVersion) -> dict[str, str]:
    """Return the tags that the tracking store has of the run that made a version; "" where it has none."""
    from training.tracking.runs import run_tags
    from training.tracking.store import open_tracking

    tags = run_tags(open_tracking(tracking, home), version.run_id)
    tag_names = {
        "cycle": "earmark.cycle",
        "flow_run_id": "earmark.flow_run_id",
        "git_sha": "mlflow.source.git.commit",
        "eval_set_id": "earmark.eval_set_id",
    }
    return {"run_id": version.run_id} | {name: tags.get(tag, "") for name, tag in tag_names.items()}


def _params_of(home: Path, tracking: TrackingSettings, version: ModelVersion) -> dict[str, str]:
    """Return the parameters that the tracking store has of the run that made a version."""
    from training.tracking.runs import run_params
    from training.tracking.store import open_tracking

    return run_params(open_tracking(tracking, home), version.run_id)


def _account_of(params: Mapping[str, str]) -> dict[str, int] | None:
    """Return where all labels were when a version learned, see `LabelAccount.as_counts`; None if not known."""
    prefix = "labels."
    found = {name.removeprefix(prefix): int(value) for name, value in params.items() if name.startswith(prefix)}
    return found or None


# --- an utterance -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UtteranceFacts(Result):
    """The record of an utterance, without its content."""

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
    """A round that chose an utterance, and the task that was exported for it; None where none was."""

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
    """A version whose snapshot contains an utterance, or that had it as a pseudo-label.

    Attributes:
        role: role of the utterance in the snapshot, or `pseudo`.
        revision: revision of its label; None for a pseudo-label.
        left_out: why the version could not learn it, such as `too_long`; None where it did, or was judged on it.
    """

    kind: Kind
    version: str
    tainted: bool
    snapshot_id: str
    role: str
    revision: int | None
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedVersion(Result):
    """A version with an evaluation report that includes an utterance."""

    kind: Kind
    version: str


@dataclass(frozen=True, slots=True)
class UtteranceLineage(Result):
    """The uses of an utterance, in ids and counts alone.

    Attributes:
        utterance: its record.
        scored_by: pairs of versions that scored it.
        chosen, answers, labels: rounds that chose it, answers to its tasks, revisions of its label.
        learned_by, left_out_by: versions that learned from it, and versions that were to learn from it and could not.
        judges: versions whose snapshot has it as an audit row.
        judged: versions with an evaluation report that includes it.
    """

    utterance: UtteranceFacts
    scored_by: tuple[VersionPair, ...]
    chosen: tuple[ChoiceOf, ...]
    answers: tuple[AnswerTo, ...]
    labels: tuple[LabelRevision, ...]
    learned_by: tuple[LearnedBy, ...]
    left_out_by: tuple[LearnedBy, ...]
    judges: tuple[LearnedBy, ...]
    judged: tuple[JudgedVersion, ...]


def utterance_lineage(corpus: Corpus, utterance_id: str) -> UtteranceLineage:
    """Return the uses of an utterance: choices, answers, label revisions, versions.

    Raises:
        UsageError: there is no such utterance.
    """
    with corpus.read() as conn:
        record = lineage.utterance(conn, utterance_id)
        if record is None:
            raise UsageError(f"utterance {utterance_id} is unknown; give its id, or a version such as asr/2")
        snapshots = [LearnedBy(**row) for row in lineage.learners(conn, utterance_id)]
        to_learn = [row for row in snapshots if row.role != "audit"]
        return UtteranceLineage(
            utterance=UtteranceFacts(**record),
            scored_by=tuple(VersionPair(**row) for row in lineage.scored_by(conn, utterance_id)),
            chosen=tuple(ChoiceOf(**row) for row in lineage.choices(conn, utterance_id)),
            answers=tuple(AnswerTo(**row) for row in lineage.answers_to(conn, utterance_id)),
            labels=tuple(LabelRevision(**row) for row in lineage.label_revisions(conn, utterance_id)),
            learned_by=tuple(row for row in to_learn if row.left_out is None),
            left_out_by=tuple(row for row in to_learn if row.left_out is not None),
            judges=tuple(row for row in snapshots if row.role == "audit"),
            judged=tuple(JudgedVersion(**row) for row in lineage.judges_of(conn, utterance_id)),
        )


def lineage_of(corpus: Corpus, home: Path, tracking: TrackingSettings, name: str) -> VersionLineage | UtteranceLineage:
    """Return the lineage of a version such as `asr/2`, or of an utterance by its id, without content.

    Raises:
        UsageError: there is no such version or utterance.
    """
    if "/" in name or ":" in name:
        kind, number = registry.parse(name)
        return version_lineage(corpus, home, tracking, registry.by_name(corpus, kind, number))
    return utterance_lineage(corpus, name)

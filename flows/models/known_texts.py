"""The champions on clips whose text or intent is known, from their stored hypotheses: no model runs for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from corpus import door
from corpus.edits import edit_counts
from corpus.errors import EarmarkError
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis
from corpus.records.base import OTHER_INTENT, Kind, digest
from corpus.records.inventory import Names
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import labels, scores, snapshots
from corpus.tables import models as store
from corpus.tables.inventory import names_now
from corpus.tables.labels import LabelRow
from corpus.text import NORMALISER, words
from corpus.vault import consent
from flows.models import registry
from flows.models.champion_lead import WaitingVersion, waiting_version
from flows.models.registry import KINDS
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings
    from training.evaluation.number_forms import NumberForm

MIN_CLIPS: Final = 20
"""Fewest clips for a figure."""

MOST_CLIPS: Final = 2_000
"""Most clips for a figure, the first by id. Ids are random, so these are a fair sample."""

NOT_CHOSEN_AS_HARD: Final = ("", "audit", "held_out")
"""Reasons of clips that are not harder than others: never chosen, drawn by chance, or brought to judge."""


@dataclass(frozen=True, slots=True)
class ChampionOnLabels(Result):
    """A champion on labelled clips that it did not learn from.

    Attributes:
        kind: `asr` or `intent`.
        version: of the champion.
        labelled: clips with a known text (asr) or a known intent (intent).
        learned: those of them that one of the champions learned from.
        unscored: those of the others of which the champions have no transcript.
        clips: number of clips behind the figures.
        hard: whether some of these were chosen because they are hard, as there are too few others.
        error: WER or intent error; None where clips are too few, or no word is in the known texts.
        error_numbers: WER in which "8" and "eight" agree; None for `intent`, and where it is not counted.
        right: share of the words, or of the intents, that are right.
        named: share of the labelled intents, by name and without `other`, that the champion can predict; None for
            `asr`, and where it is not known.
        waiting: version that learned from labels and waits for the gate to decide; None where none does.
        waiting_leads: whether that one is clearly better than the champion on the rows so far.
        waiting_errors: error of the champion and of that one on the rows so far; None where no rows judged both.
        waiting_errors_numbers: the same of the WER in which "8" and "eight" agree; None where it is not counted.
        base: the base that versions learn from, where the champion is another base, from before that one was used.
    """

    kind: Kind
    version: str
    labelled: int
    learned: int
    unscored: int
    clips: int
    hard: bool
    error: float | None
    right: float | None
    named: float | None = None
    waiting: str | None = None
    waiting_leads: bool = False
    waiting_errors: Sequence[float] | None = None
    waiting_errors_numbers: Sequence[float] | None = None
    error_numbers: float | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class _Counts:
    """What was counted on some clips: errors and right ones of so many words or intents.

    `named` and `error_numbers` are as in the champion.
    """

    clips: int
    units: int
    errors: int
    right: int
    named: float | None = None
    error_numbers: float | None = None


@dataclass(frozen=True, slots=True)
class _Clips:
    """The labelled clips of one kind.

    Attributes:
        labelled, learned, unscored: see `ChampionOnLabels`.
        rows: the clips behind the figures; none where there are too few.
        usable: how many clips could be behind them.
        hard: see `ChampionOnLabels`.
    """

    labelled: int
    learned: int
    unscored: int
    rows: tuple[LabelRow, ...]
    usable: int
    hard: bool


def champions_on_labels(corpus: Corpus, home: Path, gate: PromotionSettings) -> dict[Kind, ChampionOnLabels]:
    """Return how the champions do on labelled clips, by kind; nothing before there are champions.

    The figures of the same labels, champions and consents are computed once: reading the texts is one audit row.

    Args:
        corpus: the handle.
        home: folder with the models.
        gate: by which a version that waits for it is clearly better.
    """
    champions = _champions(corpus)
    if len(champions) < len(KINDS):
        return {}
    clips = _labelled_clips(corpus, champions)
    any_rows = any(found.rows for found in clips.values())
    counts = _counted(corpus, home, champions, clips, gate.numbers) if any_rows else {}
    waiting = {kind: waiting_version(corpus, gate, kind) for kind in KINDS}
    bases = _bases_beside(corpus, champions)
    return {
        kind: replace(_figures(champions[kind], clips[kind], counts.get(kind), waiting[kind]), base=bases.get(kind))
        for kind in KINDS
    }


def _champions(corpus: Corpus) -> dict[Kind, ModelVersion]:
    with corpus.read() as conn:
        numbers = {kind: store.alias(conn, kind, "champion") for kind in KINDS}
        return {kind: store.version(conn, kind, number) for kind, number in numbers.items() if number is not None}


def _bases_beside(corpus: Corpus, champions: Mapping[Kind, ModelVersion]) -> dict[Kind, str]:
    """Return the base in use of each kind whose champion is another base, which learned from nobody."""
    with corpus.read() as conn:
        bases = {kind: store.base_of_home(conn, kind) for kind, each in champions.items() if each.origin == "base"}
    return {kind: base for kind, base in bases.items() if base is not None and base != champions[kind].version}


def _labelled_clips(corpus: Corpus, champions: Mapping[Kind, ModelVersion]) -> dict[Kind, _Clips]:
    with corpus.read() as conn:
        rows = labels.current(conn)
        ids = [row.utterance_id for row in rows]
        transcribed = scores.transcribed(conn, ids, champions["asr"].version, champions["intent"].version)
        learned_from = {
            row.utterance_id
            for version in champions.values()
            if version.snapshot_id
            for row in snapshots.snapshot(conn, version.snapshot_id).rows
            if row.role != "audit"
        }
    allowed = consent.consenting(corpus.vault, ids, "annotate").tolist()
    rows = [row for row, may_judge in zip(rows, allowed, strict=True) if may_judge]
    return {
        "asr": _usable([row for row in rows if row.has_transcript], learned_from, transcribed),
        "intent": _usable([row for row in rows if row.has_intent], learned_from, transcribed),
    }


def _usable(rows: Sequence[LabelRow], learned_from: set[str], transcribed: set[str]) -> _Clips:
    unseen = [row for row in rows if row.utterance_id not in learned_from]
    usable = [row for row in unseen if row.utterance_id in transcribed]
    fair = [row for row in usable if row.reason in NOT_CHOSEN_AS_HARD]
    hard = len(fair) < MIN_CLIPS
    taken = (usable if hard else fair)[:MOST_CLIPS]
    return _Clips(
        labelled=len(rows),
        learned=len(rows) - len(unseen),
        unscored=len(unseen) - len(usable),
        rows=tuple(taken) if len(taken) >= MIN_CLIPS else (),
        usable=len(taken),
        hard=hard and len(fair) < len(usable),
    )


def _counted(
    corpus: Corpus,
    home: Path,
    champions: Mapping[Kind, ModelVersion],
    clips: Mapping[Kind, _Clips],
    form: NumberForm | None,
) -> dict[Kind, _Counts]:
    """Return what is counted on the clips, by kind; it is counted once and stored."""
    pair = champions["asr"].version, champions["intent"].version
    ids_of: dict[Kind, list[str]] = {kind: [row.utterance_id for row in found.rows] for kind, found in clips.items()}
    revisions = {row.utterance_id: row.revision for found in clips.values() for row in found.rows}
    with corpus.read() as conn:
        names = names_now(conn)  # a name that means another is right or wrong on other clips than before
        counted = [*pair, NORMALISER, form or "", ids_of, revisions, names.digest()]
        operation_id = operation_ids.check_champions(digest(counted))
        stored = result_of(conn, operation_id)
    if stored is None:
        opened = door.open(
            corpus,
            sorted(revisions),
            "judge",
            parts=("hypotheses", "label"),
            strict=False,
            versions=pair,
            label_revisions=revisions,
        )
        known = {
            content.utterance.utterance_id: (content.label, content.hypotheses[0], content.utterance.locale)
            for content in opened
            if content.label is not None and content.hypotheses
        }
        intents = _intents(known, ids_of["intent"], _can_predict(home, champions["intent"], names.intents))
        found: dict[Kind, _Counts] = {"asr": _words(known, ids_of["asr"], form), "intent": intents}
        with corpus.operation(operation_id, "check") as op:
            op.result = op.result or {kind: asdict(counts) for kind, counts in found.items()}
            stored = op.result
    return {kind: _Counts(**stored[kind]) for kind in KINDS}


def _words(known: Mapping[str, tuple[Label, Hypothesis, str]], ids: Sequence[str], form: NumberForm | None) -> _Counts:
    """Count words: right are those that are neither substituted nor deleted; an inserted word is an error, too."""
    from training.evaluation.number_forms import in_number_form
    from training.evaluation.report import word_edits

    rows = {i: known[i] for i in ids if i in known}
    texts = {i: label.transcript for i, (label, _, _) in rows.items() if label.transcript is not None}
    best = {i: hypothesis.text for i, (_, hypothesis, _) in rows.items()}
    edits = word_edits(texts, best)
    total = sum(len(words(text)) for text in texts.values())
    alike = None
    if form is not None:
        said, heard = ([in_number_form(of[i], form, rows[i][2]).split() for i in texts] for of in (texts, best))
        spoken = sum(map(len, said))
        alike = int(edit_counts(said, heard).sum()) / spoken if spoken else None
    return _Counts(len(texts), total, int(edits.sum()), total - int(edits[:, :2].sum()), error_numbers=alike)


def _intents(
    known: Mapping[str, tuple[Label, Hypothesis, str]], ids: Sequence[str], can_predict: frozenset[str] | None
) -> _Counts:
    pairs = [(label.intent, best.intent) for i in ids if i in known for label, best, _ in [known[i]]]
    right = sum(intent == best for intent, best in pairs)
    labelled = {intent for intent, _ in pairs} - {OTHER_INTENT}
    named = len(labelled & can_predict) / len(labelled) if labelled and can_predict is not None else None
    return _Counts(len(pairs), len(pairs), len(pairs) - right, right, named)


def _can_predict(home: Path, champion: ModelVersion, names: Names) -> frozenset[str] | None:
    """Return the intents that the champion can predict, by the names in use; None where its files can't be read."""
    try:
        return frozenset(names.current(name) for name in registry.inventory(home, champion).intents)
    except EarmarkError:  # the files of a version are examined by the doctor, and the figures don't need them
        return None


def _figures(
    champion: ModelVersion, clips: _Clips, counts: _Counts | None, waiting: WaitingVersion | None
) -> ChampionOnLabels:
    enough = counts is not None and counts.clips >= MIN_CLIPS and counts.units > 0
    return ChampionOnLabels(
        kind=champion.kind,
        version=champion.version,
        labelled=clips.labelled,
        learned=clips.learned,
        unscored=clips.unscored,
        clips=counts.clips if counts is not None and clips.rows else clips.usable,
        hard=clips.hard,
        error=counts.errors / counts.units if counts is not None and enough else None,
        right=counts.right / counts.units if counts is not None and enough else None,
        named=counts.named if counts is not None and enough else None,
        error_numbers=counts.error_numbers if counts is not None and enough else None,
        waiting=None if waiting is None else waiting.version,
        waiting_leads=waiting is not None and waiting.lead,
        waiting_errors=None if waiting is None else waiting.errors,
        waiting_errors_numbers=None if waiting is None else waiting.errors_numbers,
    )

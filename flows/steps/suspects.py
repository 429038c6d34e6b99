"""Suspects: rank labels that may be wrong, and ask other people about the most suspect ones again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from annotation.assignment import PeopleSettings
from annotation.inventory import InventorySettings
from corpus.handle import Corpus
from corpus.records.annotations import Selection
from corpus.records.base import Ask, Kind
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people, rounds, scores, utterances
from corpus.tables.labels import LabelRow
from corpus.vault import consent
from flows.models.inventory import inventory_of
from flows.rounds.annotation_costs import fitted_costs
from flows.rounds.label_doubt import ASK_FROM, Suspect, doubt_of_intents, doubt_of_transcripts
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasCost, HasLearned
from flows.steps.export import ExportReport, SettingsOfExport, export_round
from flows.tasks.task_status import OPEN
from sampling.budget import SamplingSettings
from sampling.cost import CostModel
from sampling.recheck import Candidate, Recheck, choose_again, random_order


class SettingsOfAskingAgain(SettingsOfExport, HasCost, HasLearned, Protocol):
    """The settings that asking again reads: those of an export, and what questions cost."""


@dataclass(frozen=True, slots=True)
class AskedAgain(Result):
    """The round of questions that were asked again.

    Attributes:
        round: its name; "" where nothing was asked.
        asked: how many utterances are in it.
        audit: how many of these are audit rows, drawn at random.
        minutes_expected: time of annotators [min].
        left: how many labels that would be asked about were left out, by reason.
        export: what was exported; None where nothing was asked.
        utterances: ids of those in it, audit rows included.
    """

    round: str
    asked: int
    audit: int
    minutes_expected: float
    left: Mapping[str, int] = field(default_factory=dict)
    export: ExportReport | None = None
    utterances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SuspectsReport(Result):
    """Labels that may be wrong, and what was judged.

    Attributes:
        judged: how many labels were judged, by kind.
        unjudged: how many labels could not be judged, by kind and reason.
        share: estimated share of wrong intents; None where too few were judged to say.
        asked_before: how many labels of the list were left out, since somebody was asked about them again.
        rows: the most suspect labels, most suspect first.
        skipped: why a kind was not judged, by kind.
        asked: what was asked again; None where only the list was wanted.
    """

    judged: Mapping[str, int]
    unjudged: Mapping[str, Mapping[str, int]]
    share: float | None
    asked_before: int
    rows: tuple[Suspect, ...]
    skipped: Mapping[str, str]
    asked: AskedAgain | None = None


def find_suspects(
    corpus: Corpus, home: Path, inventory: InventorySettings, kinds: Sequence[Kind] = ("intent", "asr")
) -> SuspectsReport:
    """Return all judged labels, most suspect first; nothing is stored but the entries of the audit chain.

    Labels that judge models are left out, and those that somebody was asked about again.
    """
    found = {}
    if "intent" in kinds:
        found["intent"] = doubt_of_intents(corpus, inventory_of(corpus, home, inventory))
    if "asr" in kinds:
        found["asr"] = doubt_of_transcripts(corpus, home)
    with corpus.read() as conn:
        before = rounds.asked_again(conn)
    judged = [row for doubt in found.values() for row in doubt.suspects]
    # stable: rows of one kind with the same rounded score keep their order
    rows = sorted((row for row in judged if row.utterance not in before), key=lambda row: -row.score)
    return SuspectsReport(
        judged={kind: len(doubt.suspects) for kind, doubt in found.items()},
        unjudged={kind: doubt.unjudged for kind, doubt in found.items() if doubt.unjudged},
        share=found["intent"].share if "intent" in found else None,
        asked_before=len(judged) - len(rows),
        rows=tuple(rows),
        skipped={kind: doubt.skipped for kind, doubt in found.items() if doubt.skipped},
    )


def finish_asking(corpus: Corpus, settings: SettingsOfExport) -> list[str]:
    """Export the rounds that ask again and are not answered, once more: a killed run may not have written their files.

    Returns:
        The names of these rounds.
    """
    with corpus.read() as conn:
        tasks = {row.round: rounds.tasks(conn, row.round) for row in rounds.rounds_again(conn)}
        unfinished = [name for name, rows in tasks.items() if not rows or any(row.state in OPEN for row in rows)]
    for name in unfinished:
        export_round(corpus, settings, name)
    return unfinished


def ask_again(
    corpus: Corpus, settings: SettingsOfAskingAgain, suspects: Sequence[Suspect], audit: int = 0
) -> AskedAgain:
    """Ask other people about the suspects, and about audit rows drawn at random; store and export the round.

    Tasks are blind: they show neither a draft nor the label. The answers are merged like all others.

    Args:
        corpus: the handle.
        settings: the caps, what questions cost, and how tasks are exported.
        suspects: labels that may be wrong, most suspect first.
        audit: how many audit rows are asked about, too; no model has a say in which.
    """
    wanted = [row for row in suspects if row.score >= ASK_FROM[row.kind]]
    asks: dict[str, Ask] = {}
    for row in wanted:  # whose transcript is suspect is asked for everything, once
        asks[row.utterance] = "transcribe" if row.kind == "asr" else asks.get(row.utterance, "label_intent")
    drawn = _audit_rows(corpus, settings.sampling.seed) if audit else []
    asks |= {row.utterance_id: "transcribe" if row.has_transcript else "label_intent" for row in drawn}
    order = [*(row.utterance_id for row in drawn), *dict.fromkeys(row.utterance for row in wanted)]
    free, left = _free(corpus, settings.people, order)
    judging = {row.utterance_id for row in drawn}
    audit_ids = [i for i in free if i in judging]
    candidates = _candidates(
        corpus,
        {i: asks[i] for i in [*audit_ids[:audit], *(i for i in free if i not in judging)]},
        fitted_costs(corpus, settings.learned, settings.cost)[0],
    )
    recheck = _within_caps(corpus, settings.sampling, candidates)
    left.update(recheck.left)
    chosen = [each.utterance_id for each in recheck.chosen]
    asked_audit = sum(i in judging for i in chosen)
    minutes = round(recheck.seconds / 60.0, 1)
    if not chosen:
        return AskedAgain("", 0, 0, 0.0, dict(sorted(left.items())))
    score = {row.utterance: row.score for row in reversed(wanted)}
    chance = {i: min(1.0, asked_audit / max(1, len(audit_ids))) for i in judging}
    round_ = _store(corpus, settings.sampling, recheck, asks, score, chance)
    exported = export_round(corpus, settings, round_)
    return AskedAgain(round_, len(chosen), asked_audit, minutes, dict(sorted(left.items())), exported, tuple(chosen))


def _audit_rows(corpus: Corpus, seed: int) -> list[LabelRow]:
    """Return the labelled audit rows, in random order."""
    with corpus.read() as conn:
        rows = {row.utterance_id: row for row in labels.current(conn, reasons=["audit"])}
    return [rows[i] for i in random_order(sorted(rows), seed)]


def _free(corpus: Corpus, settings: PeopleSettings, ids: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """Return the utterances that another person can be asked about now, in order, and why the others can't be."""
    now = corpus.clock()
    with corpus.read() as conn:
        before = rounds.asked_again(conn)
        waiting = {row.utterance_id for row in rounds.tasks(conn, states=["open", "exported"])}
        waiting |= {each.utterance_id for each in people.assigned(conn, now) if each.waits}
        answers = annotations_table.answers_by_utterance(conn, ids)
        locales = utterances.locales(conn, ids)
    allowed = dict(zip(ids, consent.consenting(corpus.vault, ids, "annotate").tolist(), strict=True))
    left: Counter[str] = Counter()
    free = []
    for i in ids:
        answered = {annotator_id for annotator_id, *_ in answers.get(i, [])}
        if i in before or i in waiting:
            left["somebody is or was asked"] += 1
        elif not allowed[i]:
            left["its customer does not allow it"] += 1
        elif len(answered) >= settings.most_answers:
            left["people.most_answers"] += 1
        elif settings.people and not any(
            person.annotator_id not in answered and person.understands(locales[i]) for person in settings.people
        ):
            left["no other person is listed"] += 1
        else:
            free.append(i)
    return free, left


def _candidates(corpus: Corpus, asks: Mapping[str, Ask], costs: CostModel) -> list[Candidate]:
    """Return the utterances with speaker and expected time, in order."""
    ids = list(asks)
    if not ids:
        return []
    tokens = scores.column(corpus, ids, "num_tokens")
    with corpus.read() as conn:
        columns = utterances.pool_columns(conn, ids)
    return [
        Candidate(i, str(speaker), float(costs.of(asks[i]).seconds(duration, tokens.get(i, 0.0))))
        for i, speaker, duration in zip(ids, columns.speaker_ids, columns.durations, strict=True)
    ]


def _within_caps(corpus: Corpus, settings: SamplingSettings, candidates: Sequence[Candidate]) -> Recheck:
    """Return what the caps allow beside the questions that were asked again since the newest night."""
    with corpus.read() as conn:
        nights = rounds.rounds(conn)
        asked = sorted(rounds.asked_again(conn, nights[-1].round if nights else None))
        speakers = [str(name) for name in utterances.pool_columns(conn, asked).speaker_ids]
        pool = nights[-1].pool_size if nights else utterances.counts(conn)["available"]
    return choose_again(candidates, settings, pool, speakers)


def _store(
    corpus: Corpus,
    settings: SamplingSettings,
    recheck: Recheck,
    asks: Mapping[str, Ask],
    score: Mapping[str, float],
    chance: Mapping[str, float],
) -> str:
    """Store the round with what it asks about; return its name."""
    chosen = [each.utterance_id for each in recheck.chosen]
    with corpus.read() as conn:
        name = f"again-{len(rounds.rounds_again(conn)) + 1}"
    selection = Selection(
        round=name,
        utterance_ids=np.array(chosen, dtype=np.str_),
        reasons=np.array(["again"] * len(chosen), dtype=np.str_),
        asks=np.array([asks[i] for i in chosen], dtype=np.str_),
        scores=np.array([score.get(i, 0.0) for i in chosen], dtype=np.float64),
        inclusion_probs=np.array([chance.get(i, 1.0) for i in chosen], dtype=np.float64),
        costs=np.array([each.seconds for each in recheck.chosen], dtype=np.float64),
    )
    with corpus.operation(operation_ids.ask_again(name), "suspects") as op:
        if not op.done:
            rounds.put_selection(op.conn, selection, rounds.NO_NIGHT, settings.model_dump(mode="json"), pool_size=0)
            op.result = {"round": name, "asked": len(chosen)}
    return name

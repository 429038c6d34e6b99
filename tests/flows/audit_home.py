"""A home whose audit rows, answers, labels and evaluation reports are all known; no model is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, Selection, task_id
from corpus.records.arrivals import Hypothesis
from corpus.records.models import ModelVersion
from corpus.storage.database import writing
from corpus.tables import annotations, labels, models, reports, rounds
from corpus.tables.labels import Source
from flows.models.eval_set import audit_set
from flows.runtime.settings import Settings
from tests.corpus.stored import arrive
from tests.flows.homes import small_settings
from training.evaluation.report import evaluate_asr, evaluate_intent

NIGHTS = ("2026-11-02", "2026-11-03")
PROBS = (0.25, 0.5, 0.125, 1.0)
"""Inclusion probabilities of the rows, in turn."""

POOL = 60
"""Scored utterances of each night."""


@dataclass
class AuditHome:
    """Two nights with 12 audit rows each, of 6 speakers; `ids` in the order of arrival."""

    settings: Settings
    corpus: Corpus
    ids: list[str]

    def prob(self, utterance_id: str) -> float:
        return PROBS[self.ids.index(utterance_id) % len(PROBS)]

    def night(self, number: int) -> list[str]:
        return self.ids[12 * number : 12 * number + 12]

    def label(self, ids: Sequence[str], source: Source = "annotators", transcript: str = "play some jazz") -> None:
        with self.corpus.operation(f"merge/{ids[0]}/{source}", "merge") as op:
            given = [Label(i, transcript, "play_music", (), 1.0, 1, 1) for i in ids]
            labels.put_labels(self.corpus, op, given, source)

    def answer(self, utterance_id: str, **verdicts: str) -> None:
        """Store the verdict of each annotator on an utterance."""
        night = NIGHTS[self.ids.index(utterance_id) // 12]
        task = task_id(night, utterance_id, "transcribe")
        given = [
            Annotation(task, person, "transcribe", verdict)  # type: ignore[arg-type]
            for person, verdict in verdicts.items()
        ]
        with self.corpus.operation(f"answer/{utterance_id}", "merge") as op:
            annotations.put_annotations(self.corpus, op, given)

    def judge(self, errors: Mapping[str, int], wrong: Sequence[str]) -> None:
        """Store reports of both champions on all audit rows: words that are missing, and rows with a wrong intent."""
        asr, intent = (audit_set(self.corpus, self.settings.promotion, kind) for kind in ("asr", "intent"))
        texts = {i: ["play", "some", "jazz"][errors.get(i, 0) :] for i in asr.labels}
        spoken = {i: label.transcript or "" for i, label in asr.labels.items()}
        certain = dict.fromkeys(asr.labels, 0.9)
        transcripts = {i: " ".join(words) for i, words in texts.items()}
        made = [evaluate_asr("1", asr.eval_set_id, spoken, transcripts, asr.speaker_ids, certain)]
        found = {i: "stop" if i in wrong else "play_music" for i in intent.labels}
        readings = {i: Hypothesis(" ".join(texts.get(i, [])), 1.0, found[i]) for i in found}
        made.append(
            evaluate_intent(
                "1",
                intent.eval_set_id,
                intent.labels,
                found,
                dict.fromkeys(found, 0.9),
                intent.speaker_ids,
                readings,
                beside="1",
            )
        )
        with writing(self.corpus.records) as conn:
            for report in made:
                reports.put_report(conn, report)


def audit_home(home: Path, age: float = 1.0) -> AuditHome:
    """Return a home with two nights of audit rows that nobody has answered yet; the caller closes its corpus.

    Args:
        home: its folder.
        age: how long ago the rows of the first night arrived [days].
    """
    settings, now = small_settings(home, "corpus.retention_days=90"), datetime.now(UTC)
    corpus = open_corpus(settings.corpus)
    ids = arrive(corpus, 12, arrived_at=now - timedelta(days=age), speakers=6)
    last = now - timedelta(hours=9)
    ids += arrive(corpus, 12, start=12, arrived_at=last, speakers=6, operation_id="ingest/1")
    made = AuditHome(settings, corpus, ids)
    for number, night in enumerate(NIGHTS):
        draw_audit_rows(corpus, night, {i: made.prob(i) for i in made.night(number)})
    with writing(corpus.records) as conn:
        for kind in ("asr", "intent"):
            models.put_version(conn, ModelVersion(kind, "1", f"run-{kind}", "", "base", "", f"models/{kind}"))
            models.move_alias(conn, kind, "champion", None, "1")
    return made


def draw_audit_rows(corpus: Corpus, night: str, probs: Mapping[str, float]) -> None:
    """Store a round of audit rows with their tasks; `probs` has the inclusion probability of each utterance."""
    ids = list(probs)
    count = len(ids)
    selection = Selection(
        round=night,
        utterance_ids=np.array(ids, np.str_),
        reasons=np.array(["audit"] * count),
        asks=np.array(["transcribe"] * count),
        scores=np.linspace(1, 0.5, count),
        inclusion_probs=np.array(list(probs.values())),
        costs=np.full(count, 12.5),
    )
    tasks = [
        AnnotationTask(task_id(night, i, "transcribe"), night, i, "transcribe", f"{i}.wav", 1.0, (), ()) for i in ids
    ]
    with corpus.operation(f"sample/{night}", "sample") as op:
        rounds.put_selection(op.conn, selection, night, {"clips": 20}, POOL)
        rounds.put_tasks(op.conn, tasks)

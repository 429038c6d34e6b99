"""A home of three nights whose models were judged: the records that a night's report reads, and no model at all.

In each night 40 utterances arrive and 20 are chosen, of which 10 judge. On night 2 the gate refuses version 2, on night
3 it promotes version 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from corpus.handle import Corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, Selection, task_id
from corpus.records.evaluation import EvaluationReport
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import annotations, ingest_batches, labels, reports, rounds, snapshots, utterances
from corpus.tables import models as store
from corpus.text import NORMALISER
from flows.runtime.settings import Settings
from tests.corpus.stored import NOON, arrive, corpus_at, score
from tests.flows.homes import small_settings

NIGHTS = ("2026-03-02", "2026-03-03", "2026-03-04")
AUDIT = 10
WORDS = 10
ERRORS = {"1": 5, "2": 4, "3": 3}
"""Word errors of each row by version."""


def settings_at(home: Path, *overrides: str) -> Settings:
    """Return settings under which the nights of the home are those of `NIGHTS`."""
    return small_settings(home, "night.ends_at=0", *overrides)


def home_of(home: Path, *, judged: bool = True) -> Corpus:
    """Return a home of three nights; with `judged` the speech models were judged on the audit rows."""
    corpus = corpus_at(home, NOON + timedelta(days=9))
    audit: list[str] = []
    learned = ""
    for number, night in enumerate(NIGHTS):
        moment, first = NOON + timedelta(days=number), f"ingest/{number}"
        ids = arrive(corpus, 40, start=40 * number, speakers=60, arrived_at=moment, operation_id=first)
        with writing(corpus.records) as conn:
            utterances.refuse_lines(conn, first, {41: "no_consent", 42: "no_consent", 43: "bad_row"})
            ingest_batches.put(conn, first, 43, 40)
        score(corpus, ids[:38], f"score/{number}")
        label_night(corpus, night, ids[:20])
        audit += ids[:AUDIT]
        learned = learned or ids[AUDIT]
        if judged:
            _judge(corpus, number, audit, learned)
    return corpus


def report_of(version: str, ids: Sequence[str], set_id: str, speaker: str = "speaker") -> EvaluationReport:
    """Return a report with the version's errors in each row, rows in the order of their ids."""
    rows = sorted(ids)
    n = len(rows)
    zeros, ones = np.zeros(n, np.int64), np.ones(n, np.float32)
    errors = np.full(n, ERRORS[version])
    return EvaluationReport(
        kind="asr", version=version, eval_set_id=set_id, utterance_ids=np.array(rows, np.str_),
        speaker_ids=np.array([f"{speaker}-{k % 7}" for k in range(n)], np.str_), errors=errors,
        words=np.full(n, WORDS), char_errors=zeros, chars=zeros, correct=zeros == 1, confidence=ones,
        slot_counts=np.zeros((n, 3), np.int64), word_edits=np.stack([errors, zeros, zeros], axis=1),
        duration=1.5 * ones, snr=25 * ones, truth=zeros - 1, predicted=zeros - 1, raw_confidence=ones, success=zeros,
        normaliser=NORMALISER,
    )  # fmt: skip


def label_night(corpus: Corpus, night: str, ids: Sequence[str]) -> None:
    """Choose, ask and answer: two tasks stay open, one answer is an accidental activation, the others are labels."""
    reasons = ["audit"] * AUDIT + ["uncertain"] * (len(ids) - AUDIT)
    chances = [0.5 if reason == "audit" else 1.0 for reason in reasons]
    selection = Selection(
        night, np.array(ids, np.str_), np.array(reasons, np.str_), np.array(["transcribe"] * len(ids), np.str_),
        np.linspace(1, 0.5, len(ids)), np.array(chances), np.full(len(ids), 30.0),
    )  # fmt: skip
    tasks = [
        AnnotationTask(task_id(night, i, "transcribe"), night, i, "transcribe", f"{i}.wav", 1.0, ("other",), ())
        for i in ids
    ]
    answered = [
        Annotation(task.task_id, "ann", "transcribe", "labelled", "play jazz", "other", lead_time=60.0)
        for task in tasks[: len(ids) - 3]
    ]
    answered.append(Annotation(tasks[-3].task_id, "ann", "transcribe", "accidental", lead_time=60.0))
    found = [Label(i, "play jazz", "other", (), 1.0, 1, 1) for i in ids[: len(ids) - 3]]
    with corpus.operation(f"sample/{night}", "sample") as op:
        rounds.put_selection(op.conn, selection, night, {"clips": 20}, 38)
        rounds.put_tasks(op.conn, tasks)
        rounds.set_task_state(op.conn, [task.task_id for task in tasks], "exported")
        annotations.put_annotations(corpus, op, answered)
        labels.put_labels(corpus, op, found)


def _judge(corpus: Corpus, number: int, audit: Sequence[str], learned: str) -> None:
    """Register and judge the version of a night on all audit rows so far; the first night has the base alone.

    Every version learned from one utterance, of the first night.
    """
    set_id, version = f"set-{number}", str(number + 1)
    with writing(corpus.records) as conn:
        row = SnapshotRow(learned, 1, "train", 1.0)
        snapshot_id = snapshots.put_snapshot(conn, Snapshot((row,)), "asr") if number else ""
        store.put_version(
            conn, ModelVersion("asr", version, "run", snapshot_id, "base", "1" if number else "", "somewhere")
        )
        for each in {"1", version}:
            reports.put_report(conn, report_of(each, audit, set_id))
        if not number:
            store.move_alias(conn, "asr", "champion", None, "1")
            return
        decision = "promote" if number == 2 else "refuse"
        by = -0.1 * number
        difference = {"n": len(audit), "speakers": 7, "value": by, "low": by - 0.02, "high": by + 0.01}
        numbers = {
            "reasons": [f"reason {number}"],
            "difference": difference,
            "alpha_used": 0.05 / number / (number + 1),
        }
        store.put_promotion(conn, "asr", version, "1", set_id, number, decision, numbers)
        if decision == "promote":
            store.move_alias(conn, "asr", "champion", "1", version)

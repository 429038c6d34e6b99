"""A home with one round of a few clips, a clock that a test can turn, and answers to its tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Annotation, AnnotationTask
from corpus.records.models import ModelVersion
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import rounds
from corpus.tables.leases import leased
from flows.models import registry
from flows.reports.doctor import _task_folder
from flows.runtime.settings import Settings
from flows.steps.export import ExportReport, export_round
from flows.steps.merge import merge_file
from flows.steps.merge_report import MergeReport
from flows.tasks.task_status import SweepReport, sweep
from tests.corpus.stored import arrive, choose, score
from tests.flows.homes import small_settings
from training.tracking.version_files import folder_digest

ROUND = "2026-11-03"


@dataclass
class World:
    """A home with a round of four clips, and a clock that a test can turn."""

    settings: Settings
    corpus: Corpus
    ids: list[str]
    now: list[datetime]

    @property
    def folder(self) -> Path:
        return self.settings.task_folder / ROUND

    def export(self, **kw: Any) -> ExportReport:
        return export_round(self.corpus, self.settings, ROUND, **kw)

    def sweep(self) -> SweepReport:
        settings = self.settings
        return sweep(self.corpus, settings.task_folder, settings.answers, settings.export.due_days)

    def after(self, days: float) -> None:
        self.now[0] += timedelta(days=days)

    def tasks(self) -> list[AnnotationTask]:
        return read_tasks(self.folder / TASK_FILE)

    def states(self) -> list[str]:
        with self.corpus.read() as conn:
            return [row.state for row in rounds.tasks(conn)]

    def leased(self) -> set[str]:
        with self.corpus.read() as conn:
            return leased(conn, self.corpus.clock())

    def merge(self, *answers: Annotation) -> MergeReport:
        file = write_annotations(self.settings.home / "answers.jsonl", answers)
        return merge_file(self.corpus, self.settings, file, from_inbox=False)

    def problems(self) -> list[str]:
        settings = self.settings
        return _task_folder(self.corpus, settings.task_folder, settings.answers, settings.export.due_days)[1]

    def clips(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.wav"))


@contextmanager
def round_of(home: Path, clips: int, *overrides: str) -> Iterator[World]:
    """Give a home in which a round chose so many clips of as many speakers."""
    settings = small_settings(home, "export.due_days=3", *overrides)
    now = [datetime.now(UTC)]
    corpus = open_corpus(settings.corpus, clock=lambda: now[0])
    ids = arrive(corpus, clips, arrived_at=now[0] - timedelta(hours=9), speakers=clips)
    score(corpus, ids)
    choose(corpus, ids, ROUND)
    folder = registry.base_folder(settings.home, settings.models, "intent")
    base = ModelVersion("intent", "1", "run", "", folder_digest(folder), "", str(folder))
    with writing(corpus.records) as conn:
        store.put_version(conn, base)
        store.move_alias(conn, "intent", "champion", None, "1")
    yield World(settings, corpus, ids, now)
    corpus.close()


def answer(task: AnnotationTask, who: str = "ann", verdict: str = "labelled", **texts: Any) -> Annotation:
    texts = {"transcript": "play some jazz", "intent": "other"} | texts if verdict == "labelled" else texts
    return Annotation(task.task_id, who, task.ask, verdict, **texts)  # type: ignore[arg-type]

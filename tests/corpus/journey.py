"""One journey through the corpus as a program, and what is left of it as one JSON text.

`python -m tests.corpus.journey TEMPLATE DATABASES SPEAKER WORK [] [3,30]` walks it twice, each time in a copy of the
template, and prints what a reader sees at the end: first undisturbed, then dying of SIGKILL at the 3rd event (a
statement, a commit, a rename, a removal), beginning again, and dying at the 30th. Copies of one home give the same ids.
DATABASES is `{}` where they lie in the home, else the folder of a PostgreSQL server and their names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import AnnotationTask, Label, task_id
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import audit_chain
from corpus.storage import records_schema as schema
from corpus.tables import erasure, labels, models, orphans, rounds, scores, snapshots, utterances
from corpus.vault import vault, vault_schema
from tests.corpus.stored import arrive, choose, corpus_at, score
from tests.postgres import Server


def walk(corpus: Corpus, speaker_id: str) -> None:
    """Arrive, score, choose, ask, label, learn, erase, compact: each step may have been done before."""
    arrive(corpus, 6, operation_id="ingest/0")
    ids = arrive(corpus, 6, start=6, operation_id="ingest/1")
    score(corpus, ids, "score/0")
    choose(corpus, ids[:4])
    tasks = [_task(i) for i in ids[:4]]
    with corpus.operation("ask", "ask") as op:
        if not op.done:
            rounds.put_tasks(op.conn, tasks)
    with corpus.operation("merge", "merge") as op:
        if not op.done:
            op.result = labels.put_labels(corpus, op, [Label(i, "play jazz", "music", (), 1.0, 1, 1) for i in ids[:4]])
    with corpus.operation("register", "register") as op:
        if not op.done:
            snapshot = Snapshot(tuple(SnapshotRow(i, 1, "train", 1.0) for i in sorted(ids[:4])))
            snapshots.put_snapshot(op.conn, snapshot, "asr")
            models.put_version(op.conn, ModelVersion("asr", "1", "r", snapshot.snapshot_id, "d", "", "m"))
            models.move_alias(op.conn, "asr", "champion", None, "1")
    erasure.erase_utterances(corpus, ids[4:5])
    erasure.erase_speaker(corpus, speaker_id)
    erasure.compact(corpus)
    # Without a limit: of so few files and keys a kill leaves a large share.
    orphans.sweep(corpus, timedelta(seconds=-60), unbounded=True)


def state(corpus: Corpus) -> dict[str, object]:
    """Return everything that a reader can see, as ids, counts and digests."""
    with corpus.read() as conn:
        ids = utterances.in_window(conn)
        scored = [i for i in ids if i not in scores.unscored(conn, ids, "1", "1")]
        seen: dict[str, object] = {
            "ids": ids,
            "speakers": [u.speaker_id for u in utterances.get(conn, ids)],
            "counts": utterances.counts(conn),
            "tasks": [[row.task_id, row.state] for row in rounds.tasks(conn)],
            "labels": [[row.utterance_id, row.revision, row.round] for row in labels.current(conn)],
            "tainted": [model.tainted for model in models.versions(conn, "asr")],
            "champion": models.alias(conn, "asr", "champion"),
            "operations": sorted(conn.execute(sa.select(schema.operations.c.act)).scalars()),
        }
    opened = door.open(corpus, ids, "train", parts=("audio", "hypotheses", "label"))
    seen["content"] = [
        [None if c.audio is None else hashlib.sha256(c.audio.tobytes()).hexdigest(), str(c.hypotheses), str(c.label)]
        for c in opened
    ]
    found = scores.predictions(corpus, scored, "1", "1")
    seen["statistics"] = hashlib.sha256(found.embeddings.tobytes() + found.asr.tobytes()).hexdigest()
    seen["orphans"] = [str(orphan) for orphan in orphans.orphans(corpus, timedelta(seconds=-60))]
    seen["missing"] = orphans.missing(corpus)
    len([*audit_chain.verified_leaves(corpus.records, schema.audit)])
    len([*audit_chain.verified_leaves(corpus.vault.engine, vault_schema.audit)])
    return seen


def _task(utterance_id: str) -> AnnotationTask:
    id_ = task_id("night-1", utterance_id, "transcribe")
    return AnnotationTask(id_, "night-1", utterance_id, "transcribe", "a.wav", 1.0, ("other",), ())


class Doom:
    """Counts events and ends the process, as a power cut would, at the one that it was given."""

    def __init__(self, at: int) -> None:
        self.left, self.seen = at, 0
        sa.event.listen(sa.Engine, "before_cursor_execute", lambda *_: self.count())
        sa.event.listen(sa.Engine, "commit", lambda *_: self.count())
        sys.addaudithook(lambda name, _: self.count() if name in ("os.rename", "os.remove") else None)

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def main(template: Path, databases: dict[str, str], speaker_id: str, work: Path, walks: list[list[int]]) -> None:
    """Walks once for each list of events, in a home of its own, dying at each event in turn and then not at all."""
    for number, kills in enumerate(walks):
        home = work / str(number)
        shutil.copytree(template, home)
        with _copied(databases) as settings:
            for at in kills:
                _in_child(home, settings, speaker_id, at)
            _in_child(home, settings, speaker_id, 0)


@contextlib.contextmanager
def _copied(databases: dict[str, str]) -> Iterator[dict[str, str]]:
    """Give the settings of copies of the two databases, where they are not files that the home carries."""
    if not databases:
        yield {}
        return
    server = Server(databases["folder"])
    names = {which: server.new(databases[which]) for which in ("records", "vault")}
    try:
        yield {f"{which}_url": server.url(name) for which, name in names.items()}
    finally:
        server.drop(list(names.values()))


def _in_child(home: Path, settings: dict[str, str], speaker_id: str, at: int) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    doom = Doom(at)
    corpus = corpus_at(home, **settings)
    walk(corpus, speaker_id)
    if not at:
        events = doom.seen
        print(json.dumps({"state": state(corpus), "events": events}), flush=True)
    os._exit(0)


def first_speaker(home: Path, **settings: str) -> str:
    """Return the speaker that the journey will erase, who is in the home before it begins."""
    corpus = corpus_at(home, **settings)
    arrive(corpus, 1, operation_id="ingest/before")
    speaker_id = vault.speaker_of(corpus.vault, "account-0")
    corpus.close()
    return str(speaker_id)


if __name__ == "__main__":
    template, databases, speaker, work, *walks = sys.argv[1:]
    main(Path(template), json.loads(databases), speaker, Path(work), [json.loads(walk) for walk in walks])

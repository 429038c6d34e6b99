"""Erasure: destroy the keys of utterances first, then their rows, their statistics and the files that contain them.

There are three steps, and each can be killed and run again: the vault (`destroy`, `forget`); the records, in one
operation; the files that this operation replaced, with those of unfinished trainings. A training that runs meanwhile
may fail and must be run again. `compact` rewrites packs, whose erased clips can't be decrypted any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.records.base import canonical_json, digest
from corpus.settings import places
from corpus.storage import files, operation_ids, packs, prediction_parts, work_folder
from corpus.storage import records_schema as schema
from corpus.storage.database import fetch_among, insert_new, reading, scrub, writing
from corpus.storage.operations import Operation
from corpus.tables import datasets, erased, left_out, models, pseudo_labels, reports, trials
from corpus.tables.utterances import as_location
from corpus.vault import vault

if TYPE_CHECKING:
    from corpus.handle import Corpus

BLANK: dict[str, Any] = {
    "speaker_id": "",
    "locale": "",
    "device_type": "",
    "wake": canonical_json({"word": None, "score": None, "button": True}),
    "attributes": "{}",
    "pack": None,
    "pack_offset": None,
    "pack_length": None,
    "state": "erased",
}
"""Values that overwrite the columns of an erased row; its id, time and length remain, so that counts stay right."""


class ErasureResult(TypedDict):
    """Result of an erasure, as it is stored with its operation.

    Attributes:
        erased: number of utterances that were not erased before.
        digest: digest of their ids.
        parts_rewritten: number of parts that contained their statistics.
        tainted: `kind/version` of the versions that learned from one of the utterances.
        datasets: folders of datasets that were handed out and hold one of the utterances.
    """

    erased: int
    digest: str
    parts_rewritten: int
    tainted: list[str]
    datasets: list[str]


class CompactionResult(TypedDict):
    """Number of packs that were rewritten or removed, and of clips that were moved."""

    packs: int
    clips_moved: int


def erase_utterances(
    corpus: Corpus, utterance_ids: Sequence[str], *, reason: str = "request", actor: str = "earmark"
) -> ErasureResult:
    """Erase utterances, so that nobody can read them; return counts and the model versions that are now tainted.

    Args:
        corpus: the handle.
        utterance_ids: in any order; unknown ones and those erased before are allowed.
        reason: stored with each row, in one or two words.
        actor: who erases, for the audit chain.
    """
    ids = sorted(set(utterance_ids))
    vault.destroy(corpus.vault, ids, actor)
    return _erase(corpus, ids, operation_ids.erase_utterances(reason, digest(ids)), reason, actor)


def erase_speaker(corpus: Corpus, speaker_id: str, *, reason: str = "request", actor: str = "earmark") -> ErasureResult:
    """Erase all utterances of a speaker and the account of the speaker id; return as `erase_utterances` does."""
    ids = vault.forget(corpus.vault, speaker_id, actor, corpus.clock())
    with corpus.read() as conn:
        # A speaker has rows without keys if an earlier erasure of single utterances was killed after its first step.
        statement = sa.select(schema.utterances.c.utterance_id).where(schema.utterances.c.speaker_id == speaker_id)
        ids = sorted(set(ids) | set(conn.execute(statement).scalars()))
    return _erase(corpus, ids, operation_ids.erase_speaker(digest([speaker_id, ids])), reason, actor)


def _erase(corpus: Corpus, ids: Sequence[str], operation_id: str, reason: str, actor: str) -> ErasureResult:
    with corpus.operation(operation_id, "erase", actor) as op:
        if not op.done:
            op.result = dict(_erase_rows(corpus, op, ids, reason))
        result = cast(ErasureResult, dict(op.result))
    purge(corpus)
    if ids:
        work_folder.clear(places(corpus.settings).home)
    scrub(corpus.records)
    return result


def _erase_rows(corpus: Corpus, op: Operation, ids: Sequence[str], reason: str) -> ErasureResult:
    rows = schema.utterances
    statement = sa.select(rows.c.utterance_id).where(rows.c.state != "erased")
    live = sorted(row.utterance_id for row in fetch_among(op.conn, statement, rows.c.utterance_id, ids))
    rewritten = _drop_statistics(corpus, op, frozenset(ids))
    reports.drop_from_reports(op.conn, ids)
    each = [{"id": i} for i in ids]
    if each:
        one: sa.BindParameter[str] = sa.bindparam("id")
        op.conn.execute(sa.delete(schema.labels).where(schema.labels.c.utterance_id == one), each)
        op.conn.execute(sa.delete(schema.leases).where(schema.leases.c.utterance_id == one), each)
        blank = {"content": None, "content_mac": "", "intent": None, "proposes": None}
        op.conn.execute(sa.update(schema.answers).where(schema.answers.c.utterance_id == one).values(**blank), each)
        closing = sa.update(schema.tasks).where(schema.tasks.c.utterance_id == one).values(state="closed")
        op.conn.execute(closing, each)
        blanking = sa.update(rows).where(rows.c.utterance_id == one, rows.c.state != "erased")
        op.conn.execute(blanking.values(**BLANK, state_reason=reason), each)
    tainted = models.taint(op.conn, ids, corpus.clock())
    pseudo_labels.erase(op.conn, ids)  # after `taint`, which reads these rows
    left_out.erase(op.conn, ids)
    trials.erase(op.conn, ids)
    handed_out = datasets.holding(op.conn, ids)
    datasets.erase(op.conn, ids)
    return {
        "erased": len(live),
        "digest": digest(live),
        "parts_rewritten": rewritten,
        "tainted": [f"{kind}/{version}" for kind, version in tainted],
        "datasets": handed_out,
    }


def _drop_statistics(corpus: Corpus, op: Operation, ids: frozenset[str]) -> int:
    """Remove the scores of the utterances and rewrite the parts that contain some; return how many parts."""
    scores = schema.scores
    statement = sa.select(scores.c.part).distinct()
    paths = sorted({row.part for row in fetch_among(op.conn, statement, scores.c.utterance_id, sorted(ids))})
    for path in paths:
        old = op.conn.execute(sa.select(schema.parts).where(schema.parts.c.path == path)).one()
        try:
            part, kept = prediction_parts.without(corpus.fs, corpus.root, path, ids)
        except Damaged:
            part, kept = _lost_part(op.conn, path, ids)
        if part is not None:
            row = dict(old._mapping) | {"path": part.path, "rows": part.rows, "sha256": part.sha256}
            row["seconds"] = None if old.seconds is None else old.seconds * part.rows / old.rows
            insert_new(op.conn, schema.parts, [row])
            moved = sa.update(scores).where(scores.c.utterance_id == sa.bindparam("id"), scores.c.part == path)
            op.conn.execute(
                moved.values(part=part.path, row=sa.bindparam("position")),
                [{"id": i, "position": position} for position, i in enumerate(kept)],
            )
        op.conn.execute(sa.delete(scores).where(scores.c.part == path))
        op.conn.execute(sa.delete(schema.parts).where(schema.parts.c.path == path))
        insert_new(op.conn, schema.doomed, [{"path": path}])
    return len(paths)


def _lost_part(conn: sa.Connection, path: str, ids: frozenset[str]) -> tuple[prediction_parts.Part | None, list[str]]:
    """Return the part, without a file, that stands for a damaged one without the utterances; and its ids in order.

    Its other utterances keep their transcripts and count as scored, and scoring the part again makes its file. It has a
    name of its own, as the damaged part may be in a backup, with the statistics that are erased.
    """
    at = schema.scores.c
    found = conn.execute(sa.select(at.utterance_id).where(at.part == path).order_by(at.row)).scalars()
    kept = [utterance_id for utterance_id in found if utterance_id not in ids]
    return (prediction_parts.lost(path, kept) if kept else None), kept


# --- files ------------------------------------------------------------------------------------------------------------


def purge(corpus: Corpus) -> int:
    """Remove the files that erasures replaced; return how many."""
    with reading(corpus.records) as conn:
        paths = sorted(conn.execute(sa.select(schema.doomed.c.path)).scalars())
    for path in paths:
        files.remove(corpus.fs, corpus.root, path)
    if paths:
        with writing(corpus.records) as conn:
            statement = sa.delete(schema.doomed).where(schema.doomed.c.path == sa.bindparam("removed"))
            conn.execute(statement, [{"removed": path} for path in paths])
    return len(paths)


def compact(corpus: Corpus, *, actor: str = "earmark") -> CompactionResult:
    """Rewrite or remove the packs that contain erased audio; return how many packs and clips.

    Each pack is an operation of its own, so that memory is bounded and a kill loses the work on one pack at most.
    """
    with corpus.read() as conn:
        names = erased.packs_with_gaps(conn)
    moved = 0
    for name in names:
        with corpus.operation(operation_ids.compact(name), "compact", actor) as op:
            if not op.done:
                op.result = {"pack": name, "clips": _rewrite_pack(corpus, op, name)}
                moved += op.result["clips"]
    purge(corpus)
    return {"packs": len(names), "clips_moved": moved}


def _rewrite_pack(corpus: Corpus, op: Operation, name: str) -> int:
    rows = schema.utterances
    wanted = [
        (row.utterance_id, location)
        for row in op.conn.execute(sa.select(rows).where(rows.c.pack == name))
        if (location := as_location(row)) is not None
    ]
    size = sum(location.length for _, location in wanted)
    writer = packs.PackWriter(corpus.fs, corpus.root, pack_bytes=size + 1)
    for utterance_id, ciphertext in packs.read(corpus.fs, corpus.root, wanted):
        writer.append(utterance_id, ciphertext)
    locations, sizes = writer.close()
    insert_new(
        op.conn,
        schema.packs,
        [{"pack": new, "size": length, "operation_id": op.operation_id} for new, length in sizes.items()],
    )
    if locations:
        update = sa.update(rows).where(rows.c.utterance_id == sa.bindparam("id"))
        op.conn.execute(
            update.values(pack=sa.bindparam("new_pack"), pack_offset=sa.bindparam("new_offset")),
            [{"id": i, "new_pack": new.pack, "new_offset": new.offset} for i, new in locations.items()],
        )
    op.conn.execute(sa.delete(schema.packs).where(schema.packs.c.pack == name))
    insert_new(op.conn, schema.doomed, [{"path": name}])
    return len(locations)

"""Erasure: destroy the keys of utterances first, then their rows, their statistics and the files that contain them.

There are four steps, and each can be killed and run again: the vault (`destroy`, `forget`); copies of files without
what is erased; the records, in one operation; the files that this operation replaced, with those of unfinished
trainings. So no database is locked while the content store is slow. A training that runs meanwhile may fail and must be
run again. `compact` rewrites packs, whose erased clips can't be decrypted any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict, cast

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.records.base import canonical_json, digest
from corpus.settings import places
from corpus.storage import files, operation_ids, packs, prediction_parts, work_folder
from corpus.storage import records_schema as schema
from corpus.storage.database import fetch_among, insert_new, reading, scrub, writing
from corpus.storage.operations import Operation, Overtaken, committed
from corpus.tables import datasets, erased, left_out, models, pseudo_labels, reports, retention, trials, utterances
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

Act: TypeAlias = Literal["erase", "expire"]

Copies: TypeAlias = "Mapping[str, _Copy]"
"""The parts without what is erased, by the paths of the old ones."""


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
    def rows(op: Operation, copies: Copies) -> dict[str, Any]:
        return dict(_erase_rows(op, ids, reason, copies, corpus.clock()))

    return cast(ErasureResult, commit_rows(corpus, ids, operation_id, "erase", rows, actor))


def commit_rows(
    corpus: Corpus,
    ids: Sequence[str],
    operation_id: str,
    act: Act,
    change: Callable[[Operation, Copies], dict[str, Any]],
    actor: str,
) -> dict[str, Any]:
    """Change the rows of utterances in one operation, with copies of their parts; then remove what it replaced."""
    while True:
        copies = _write_copies(corpus, frozenset(ids))
        try:
            with corpus.operation(operation_id, act, actor) as op:
                if not op.done:
                    op.result = change(op, copies)
                    op.state |= utterances.set_aside_digest(op.conn)
                result = dict(op.result)
            break
        except Overtaken:
            continue
    purge(corpus)
    if ids:
        work_folder.clear(places(corpus.settings).home)
    scrub(corpus.records)
    return result


def _erase_rows(op: Operation, ids: Sequence[str], reason: str, copies: Copies, at: datetime) -> ErasureResult:
    retention.unmark(op.conn, ids)
    live, rewritten = blank_rows(op, ids, reason, copies)
    tainted = models.taint(op.conn, ids, at)
    pseudo_labels.erase(op.conn, ids)  # after `taint`, which reads these rows
    left_out.erase(op.conn, ids)
    handed_out = datasets.holding(op.conn, ids)
    datasets.erase(op.conn, ids)
    return {
        "erased": len(live),
        "digest": digest(live),
        "parts_rewritten": rewritten,
        "tainted": [f"{kind}/{version}" for kind, version in tainted],
        "datasets": handed_out,
    }


def blank_rows(op: Operation, ids: Sequence[str], reason: str, copies: Copies) -> tuple[list[str], int]:
    """Take what is stored of utterances out of the records; return those that were not blank before, and part counts.

    Answers keep their verdict and task, so that counts stay right.
    """
    rows = schema.utterances
    statement = sa.select(rows.c.utterance_id).where(rows.c.state != "erased")
    live = sorted(row.utterance_id for row in fetch_among(op.conn, statement, rows.c.utterance_id, ids))
    rewritten = _drop_statistics(op, ids, copies)
    reports.drop_from_reports(op.conn, ids)
    trials.erase(op.conn, ids)
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
    op.state |= utterances.set_aside_digest(op.conn)
    return live, rewritten


class _Copy(NamedTuple):
    """A part without the erased utterances, None where none remains, and the ids of the others in their order."""

    part: prediction_parts.Part | None
    kept: list[str]


def _write_copies(corpus: Corpus, ids: frozenset[str]) -> dict[str, _Copy]:
    """Write the parts that contain statistics of the utterances anew, without these; return them by the old paths."""
    with corpus.read() as conn:
        paths = _parts_of(conn, ids)
    copies: dict[str, _Copy] = {}
    for path in paths:
        try:
            copies[path] = _Copy(*prediction_parts.without(corpus.fs, corpus.root, path, ids))
        except Damaged:
            with corpus.read() as conn:
                copies[path] = _lost_part(conn, path, ids)
    return copies


def _parts_of(conn: sa.Connection, ids: Collection[str]) -> list[str]:
    scores = schema.scores
    statement = sa.select(scores.c.part).distinct()
    return sorted({row.part for row in fetch_among(conn, statement, scores.c.utterance_id, sorted(ids))})


def _lost_part(conn: sa.Connection, path: str, ids: frozenset[str]) -> _Copy:
    """Return the part, without a file, that stands for a damaged one without the utterances; and its ids in order.

    Its other utterances keep their transcripts and count as scored, and scoring the part again makes its file. It has a
    name of its own, as the damaged part may be in a backup, with the statistics that are erased.
    """
    at = schema.scores.c
    found = conn.execute(sa.select(at.utterance_id).where(at.part == path).order_by(at.row)).scalars()
    kept = [utterance_id for utterance_id in found if utterance_id not in ids]
    return _Copy(prediction_parts.lost(path, kept) if kept else None, kept)


def _drop_statistics(op: Operation, ids: Sequence[str], copies: Copies) -> int:
    """Remove the scores of the utterances and put the copies in place of their parts; return how many parts.

    Raises:
        Overtaken: a part has no copy, as it was scored or replaced since the copies were written.
    """
    scores = schema.scores
    paths = _parts_of(op.conn, ids)
    if not copies.keys() >= set(paths):
        raise Overtaken
    for path in paths:
        old = op.conn.execute(sa.select(schema.parts).where(schema.parts.c.path == path)).one()
        part, kept = copies[path]
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


# --- files ------------------------------------------------------------------------------------------------------------


def purge(corpus: Corpus) -> int:
    """Remove the files that erasures replaced; return how many.

    A file that a row names again stays: paths are named by their content, so the same one may be written anew.
    """
    with reading(corpus.records) as conn:
        paths = sorted(conn.execute(sa.select(schema.doomed.c.path)).scalars())
        live = _named(conn, paths)
    for path in paths:
        if path not in live:
            files.remove(corpus.fs, corpus.root, path)
    if paths:
        with writing(corpus.records) as conn:
            statement = sa.delete(schema.doomed).where(schema.doomed.c.path == sa.bindparam("removed"))
            conn.execute(statement, [{"removed": path} for path in paths])
    return len(paths) - len(live)


def _named(conn: sa.Connection, paths: Sequence[str]) -> set[str]:
    """Return those of the paths that are a part or a pack of the records."""
    columns = (schema.parts.c.path, schema.packs.c.pack)
    return {row[0] for column in columns for row in fetch_among(conn, sa.select(column), column, paths)}


def compact(corpus: Corpus, *, actor: str = "earmark") -> CompactionResult:
    """Rewrite or remove the packs that contain erased audio; return how many packs and clips.

    Each pack is an operation of its own, so that memory is bounded and a kill loses the work on one pack at most.
    """
    with corpus.read() as conn:
        names = erased.packs_with_gaps(conn)
    moved = [clips for name in names if (clips := _compact_pack(corpus, name, actor)) is not None]
    purge(corpus)
    return {"packs": len(moved), "clips_moved": sum(moved)}


def _compact_pack(corpus: Corpus, name: str, actor: str) -> int | None:
    """Write the clips of a pack to a new one; return how many, None where the pack stays or another process did it.

    Raises:
        Damaged: the pack is missing or too short, and the handle tells nobody; such a pack stays as it is.
    """
    operation_id = operation_ids.compact(name)
    while True:
        with corpus.read() as conn:
            clips = _clips_of(conn, name)
        try:
            locations, sizes = _write_clips(corpus, clips)
            with corpus.operation(operation_id, "compact", actor) as op:
                if op.done:
                    return None
                if _clips_of(op.conn, name) != clips:
                    raise Overtaken
                _replace_pack(op, name, locations, sizes)
                op.result = {"pack": name, "clips": len(locations)}
            return len(locations)
        except Overtaken:  # a clip was erased meanwhile, which the new pack must not contain
            continue
        except (FileNotFoundError, Damaged) as error:
            with corpus.read() as conn:
                if committed(conn, operation_id):  # by another process, so the pack is replaced and not lost
                    return None
            damage = Damaged(f"the pack {name} is missing or too short; restore it from a backup")
            if corpus.on_damaged is None:
                raise damage from error
            corpus.on_damaged(damage)
            return None


def _clips_of(conn: sa.Connection, pack: str) -> list[tuple[str, packs.Location]]:
    """Return id and place of the clips in a pack that are not erased, in their order."""
    statement = sa.select(schema.utterances).where(schema.utterances.c.pack == pack)
    found = [(row.utterance_id, place) for row in conn.execute(statement) if (place := as_location(row)) is not None]
    return sorted(found, key=lambda each: each[1])


def _write_clips(
    corpus: Corpus, clips: Sequence[tuple[str, packs.Location]]
) -> tuple[dict[str, packs.Location], dict[str, int]]:
    """Write the clips to one new pack; return where each of them is, and the size of the pack [bytes]."""
    size = sum(location.length for _, location in clips)
    with packs.PackWriter(corpus.fs, corpus.root, pack_bytes=size + 1) as writer:
        for utterance_id, ciphertext in packs.read(corpus.fs, corpus.root, clips):
            writer.append(utterance_id, ciphertext)
        return writer.placed()


def _replace_pack(op: Operation, name: str, locations: Mapping[str, packs.Location], sizes: Mapping[str, int]) -> None:
    rows = schema.utterances
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

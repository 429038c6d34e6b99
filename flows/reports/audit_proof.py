"""Proofs for outsiders: that rows of the audit logs are in a signed checkpoint, and that the logs only grew.

The hashes are those of RFC 6962, the checkpoint is a note in C2SP's format: other programs check them, by the public
key alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from corpus.errors import ChainBroken, Damaged, SettingsError, UsageError
from corpus.handle import Corpus
from corpus.storage import audit_chain
from corpus.storage.database import reading
from corpus.storage.merkle import Tree, extends, includes, leaf_hash
from corpus.storage.signed_note import Verifier, notes_of
from corpus.tables import checkpoints
from corpus.tables.checkpoints import LOGS, TABLES, Checkpoint, Log, read_checkpoint
from flows.runtime.results import Result
from flows.runtime.sealing import AuditSettings, seal


@dataclass(frozen=True, slots=True)
class RowProof(Result):
    """Proof that a row is in a checkpoint.

    Attributes:
        log: `records` or `vault`.
        index: of the leaf, from 0; the row's number less one.
        size, root: of the tree, as the checkpoint says them; the root in base64.
        leaf: the row as a leaf, in text; its hash is SHA-256 of a zero byte and the text.
        leaf_hash: in base64.
        inclusion: hashes of the proof in base64, the lowest first.
    """

    log: Log
    index: int
    size: int
    root: str
    leaf: str
    leaf_hash: str
    inclusion: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrowthProof(Result):
    """Proof that the tree of a newer checkpoint begins with that of an older one; roots and hashes in base64."""

    log: Log
    old_size: int
    old_root: str
    new_size: int
    new_root: str
    consistency: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditProof(Result):
    """Proofs on the newest checkpoint.

    Attributes:
        key: public key.
        checkpoint: the newest one, a signed note.
        older: the one from which on the logs only grew, a signed note.
        rows: a proof for each row.
        growth: a proof for each log.
    """

    key: str
    checkpoint: str
    older: str
    rows: tuple[RowProof, ...]
    growth: tuple[GrowthProof, ...]


def prove(corpus: Corpus, settings: AuditSettings, name: str, since: Path | None = None) -> AuditProof:
    """Return proofs for the rows of a name; rows that are in no checkpoint yet are sealed first.

    Args:
        corpus: the handle.
        settings: where copies of checkpoints go.
        name: `records/12`, `vault/7`, id of an operation, or id of an utterance.
        since: file with the older checkpoint; None for the first of the home.

    Raises:
        UsageError: no row has that name, or the file holds no checkpoint of this home.
        ChainBroken: a log does not verify, so nothing is proved.
    """
    if not corpus.read_only:
        seal(corpus, settings)
    verifier = checkpoints.own_verifier(corpus)
    notes = checkpoints.stored_notes(corpus, "records")
    if not notes:
        raise SettingsError("no checkpoint was signed yet, and the home is read-only; make it writable once")
    newest = notes[max(notes)]
    older = notes[min(notes)] if since is None else _kept(since, verifier)
    new, old = read_checkpoint(newest, verifier), read_checkpoint(older, verifier)
    trees = {log: Tree(audit_chain.verified_leaves(checkpoints.engine_of(corpus, log), TABLES[log])) for log in LOGS}
    rows = tuple(_row(corpus, log, seq, new, trees[log]) for log, seq in _rows_of(corpus, name))
    if not rows:
        raise UsageError(f"no row of the audit logs is or names {name}; see earmark audit show")
    growth = tuple(_growth(log, old, new, trees[log]) for log in LOGS)
    return AuditProof(verifier.text(), newest, older, rows, growth)


def _kept(file: Path, verifier: Verifier) -> str:
    try:
        note = next(iter(notes_of(file.read_text(encoding="utf-8"))), "")
        read_checkpoint(note, verifier)
    except (OSError, UnicodeDecodeError, Damaged):
        raise UsageError(f"--from {file}: this is no file with a checkpoint of this home") from None
    return note


def _rows_of(corpus: Corpus, name: str) -> Iterator[tuple[Log, int]]:
    """Yield log and number of the rows that a name stands for."""
    log, _, seq = name.partition("/")
    if log in LOGS and seq.isdecimal():
        yield log, int(seq)
        return
    for each in LOGS:
        table = TABLES[each].c
        with reading(checkpoints.engine_of(corpus, each)) as conn:
            quoted = sa.literal(f'"{name}"')
            statement = sa.select(table.seq).where(sa.func.instr(table.detail, quoted) > 0)
            if conn.dialect.name == "postgresql":
                statement = sa.select(table.seq).where(sa.func.strpos(table.detail, quoted) > 0)
            yield from [(each, number) for number in conn.execute(statement.order_by(table.seq)).scalars()]


def _row(corpus: Corpus, log: Log, seq: int, checkpoint: Checkpoint, tree: Tree) -> RowProof:
    head = checkpoint.heads[log]
    with reading(checkpoints.engine_of(corpus, log)) as conn:
        leaf = audit_chain.leaf_at(conn, TABLES[log], seq)
    if leaf is None or not 1 <= seq <= head.size:
        raise UsageError(
            f"the log of the {log} has no row {seq} in checkpoint {checkpoint.counter}; it has {head.size}"
        )
    if head.size > len(tree.levels[0]):
        raise _not_proved(log, checkpoint)
    hashed, proof = leaf_hash(leaf), tree.inclusion(seq - 1, head.size)
    if not includes(hashed, seq - 1, head.size, proof, head.root):
        raise _not_proved(log, checkpoint)
    hashes = tuple(map(_base64, proof))
    return RowProof(log, seq - 1, head.size, _base64(head.root), leaf.decode(), _base64(hashed), hashes)


def _growth(log: Log, old: Checkpoint, new: Checkpoint, tree: Tree) -> GrowthProof:
    before, after = old.heads[log], new.heads[log]
    if before.size > after.size:
        raise UsageError(f"checkpoint {old.counter} is newer than those of the home; see earmark audit verify --anchor")
    if after.size > len(tree.levels[0]):
        raise _not_proved(log, new)
    proof = tree.consistency(before.size, after.size)
    if not extends(before.size, before.root, after.size, after.root, proof):
        raise _not_proved(log, old)
    hashes = tuple(map(_base64, proof))
    return GrowthProof(log, before.size, _base64(before.root), after.size, _base64(after.root), hashes)


def _not_proved(log: Log, checkpoint: Checkpoint) -> ChainBroken:
    return ChainBroken(
        f"the log of the {log} is not what checkpoint {checkpoint.counter} says, so nothing of it can be proved; run"
        " earmark audit verify"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

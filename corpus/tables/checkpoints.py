"""Checkpoints of the audit logs: signed sizes and roots of both, so that who has a copy finds what was changed since.

A checkpoint is a signed note in C2SP's format (tlog-checkpoint): the name of the log, size and root of the records'
tree, and below them those of the vault's, a counter and the time. Records and vault both store it, so that a database
that is older than the other one is found.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

import sqlalchemy as sa

from corpus import home_id, key_encryption
from corpus.errors import ChainBroken, Damaged, Refused, SettingsError
from corpus.handle import Corpus
from corpus.records.base import canonical_json
from corpus.settings import places
from corpus.storage import audit_chain
from corpus.storage import records_schema as records
from corpus.storage.database import insert_new, reading, writing
from corpus.storage.durable_write import write_new_file
from corpus.storage.merkle import Peaks
from corpus.storage.signed_note import Signer, Verifier, open_note, signer_at
from corpus.storage.store_faults import fault_of
from corpus.vault import vault_schema as vault

Log: TypeAlias = Literal["records", "vault"]

LOGS: Final[tuple[Log, ...]] = ("records", "vault")

TABLES: Final[Mapping[Log, sa.Table]] = {"records": records.audit, "vault": vault.audit}

SUFFIX: Final = ".audit"
"""What the name of the file of the private key ends with."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Size and root of a tree."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Both logs at one moment.

    Attributes:
        origin: name of the log and of its key, `earmark/` and the id of the home.
        counter: 1 for the first checkpoint of a home.
        at: when it was signed.
        heads: by log.
    """

    origin: str
    counter: int
    at: datetime
    heads: Mapping[Log, TreeHead]

    def text(self) -> str:
        """Return the text that is signed."""
        own, other = self.heads["records"], self.heads["vault"]
        return (
            f"{self.origin}\n{own.size}\n{_base64(own.root)}\nvault {other.size} {_base64(other.root)}\n"
            f"checkpoint {self.counter}\ntime {self.at.astimezone(UTC).isoformat(timespec='seconds')}\n"
        )


def read_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint of a note.

    Raises:
        Damaged: the note is not signed by the key, or is no checkpoint.
    """
    text = open_note(note, verifier)
    try:
        origin, size, root, other, counter, at = text.splitlines()
        _, vault_size, vault_root = other.split(" ")
        heads: dict[Log, TreeHead] = {
            "records": TreeHead(int(size), base64.b64decode(root, validate=True)),
            "vault": TreeHead(int(vault_size), base64.b64decode(vault_root, validate=True)),
        }
        found = Checkpoint(origin, int(counter.split(" ")[1]), datetime.fromisoformat(at.removeprefix("time ")), heads)
    except (ValueError, IndexError, binascii.Error):
        found = None
    if found is None or found.text() != text:
        raise Damaged("a signed note is no checkpoint of the audit logs")
    return found


def audit_signer(corpus: Corpus, *, make: bool = True) -> Signer | None:
    """Return the key that signs the checkpoints of this home; a new one where there is none, unless `make` is False.

    Raises:
        SettingsError: its file holds no key, or is missing although checkpoints were signed with it.
        HostFault: its file can't be read or written.
    """
    file = key_file(corpus)
    found = signer_at(file, "", make=False)
    if found is not None or not make or corpus.read_only:
        return found
    if any(stored_notes(corpus, log) for log in LOGS):
        raise SettingsError(
            f"the audit key {file} is missing, and checkpoints of this home were signed with one: put it back from a"
            " backup, or copy it from the other machine"
        )
    return signer_at(file, f"earmark/{home_id.of_records(corpus.records)}", make=True)


def own_verifier(corpus: Corpus) -> Verifier:
    """Return the public key of this home; its key is made where there is none.

    Raises:
        SettingsError: there is none, and the home is read-only.
    """
    signer = audit_signer(corpus)
    if signer is None:
        raise SettingsError(f"the audit key {key_file(corpus)} is missing, and the home is read-only; put it back")
    return signer.verifier


def key_file(corpus: Corpus) -> Path:
    """Return the file of the private key: beside that of the key-encryption key that the settings name, or outside.

    Settings that name another file than before leave it where it was: where it is not beside the named file, the one
    outside, or the one inside the home, is that of this home.
    """
    paths = places(corpus.settings)
    outside = key_encryption.outside(home_id.of_records(corpus.records))
    beside = [*([] if paths.key_file is None else [paths.key_file]), outside, paths.home / "keys" / "kek"]
    files = [_beside(file) for file in beside]
    return next((file for file in files if file.exists()), files[0])


def copy_key(corpus: Corpus, to: Path) -> Path | None:
    """Copy the private key to beside a key-encryption key that the settings will name; return where, None if no need.

    Raises:
        Refused: another key is there.
        HostFault: it can't be read or written.
    """
    named, file, copy = places(corpus.settings).key_file, key_file(corpus), _beside(to)
    if named is None or file != _beside(named) or not file.exists():
        return None
    try:
        text = file.read_bytes()
        if not write_new_file(copy, [text]) and copy.read_bytes() != text:
            raise Refused(f"{copy} is another audit key than {file}; name another file by --to")
    except OSError as error:
        raise fault_of(error, f"the audit key {copy}") from error
    return copy


def _beside(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


def engine_of(corpus: Corpus, log: Log) -> sa.Engine:
    """Return the database of a log."""
    return corpus.records if log == "records" else corpus.vault.engine


def stored_notes(corpus: Corpus, log: Log, after: int = 0) -> dict[int, str]:
    """Return the notes that the database of a log stores, by counter in order, those after a counter."""
    table = _checkpoints(log)
    statement = sa.select(table.c.counter, table.c.note).where(table.c.counter > after).order_by(table.c.counter)
    with reading(engine_of(corpus, log)) as conn:
        return {row.counter: row.note for row in conn.execute(statement)}


# --- signing ----------------------------------------------------------------------------------------------------------


def seal(corpus: Corpus, signer: Callable[[], Signer]) -> bool:
    """Sign a checkpoint of both logs as they are now and store it in both databases; return whether there was need.

    The trees grow from where the last checkpoint left them, so rows from before it that were changed since are not
    signed again as they are now.

    Args:
        corpus: the handle.
        signer: returns the private key; called only if something is to be signed.

    Raises:
        ChainBroken: a log has not grown from what the last checkpoint says of it; nothing is signed.
    """
    with writing(corpus.records) as conn:
        audit_chain.lock(conn, records.audit)
        last = _last(corpus, conn)
        with reading(corpus.vault.engine) as in_vault:
            by_log: tuple[tuple[Log, sa.Connection], ...] = (("records", conn), ("vault", in_vault))
            grown = {log: _grown(log, at, last.trees[log]) for log, at in by_log}
        if grown == last.trees:
            return False
        key = signer()
        heads = {log: TreeHead(tree.peaks.size, tree.peaks.root()) for log, tree in grown.items()}
        checkpoint = Checkpoint(key.name, last.counter + 1, datetime.now(UTC), heads)
        note = key.sign(checkpoint.text())
        trees = canonical_json({log: tree.to_json() for log, tree in grown.items()})
        row = {"counter": checkpoint.counter, "note": note, "trees": trees}
        with writing(corpus.vault.engine) as in_vault:  # first: after a kill it has one more, which is harmless
            insert_new(in_vault, _checkpoints("vault"), [row])
        insert_new(conn, _checkpoints("records"), [row])
    return True


@dataclass(frozen=True, slots=True)
class _Tree:
    """A tree that can grow, and the hash of the last row in it, which the next row contains."""

    peaks: Peaks = field(default_factory=Peaks)
    hash: str = audit_chain.FIRST_HASH

    def to_json(self) -> dict[str, object]:
        return {"size": self.peaks.size, "peaks": [each.hex() for each in self.peaks.hashes], "hash": self.hash}

    @staticmethod
    def from_json(stored: Mapping[str, object]) -> _Tree:
        hashes = stored["peaks"]
        assert isinstance(hashes, list)
        return _Tree(Peaks(int(str(stored["size"])), tuple(map(bytes.fromhex, hashes))), str(stored["hash"]))


@dataclass(frozen=True, slots=True)
class _Last:
    counter: int
    trees: Mapping[Log, _Tree]


def _last(corpus: Corpus, conn: sa.Connection) -> _Last:
    """Return the newest checkpoint of the two databases; one that a kill left in the vault alone counts, too."""
    found = _Last(0, {log: _Tree() for log in LOGS})
    with reading(corpus.vault.engine) as in_vault:
        for log, at in (("records", conn), ("vault", in_vault)):
            table = _checkpoints(log)  # type: ignore[arg-type]
            row = at.execute(sa.select(table).order_by(table.c.counter.desc()).limit(1)).one_or_none()
            if row is not None and row.counter > found.counter:
                trees = json.loads(row.trees)
                found = _Last(row.counter, {each: _Tree.from_json(trees[each]) for each in LOGS})
    return found


def _grown(log: Log, conn: sa.Connection, before: _Tree) -> _Tree:
    """Return the tree of a log with the rows that came since.

    Raises:
        ChainBroken: it has fewer rows, or others.
    """
    table, size = TABLES[log], before.peaks.size
    seq, hashed = audit_chain.tip(conn, table)
    if seq == size and hashed == before.hash:
        return before
    if seq < size or (size and audit_chain.hash_at(conn, table, size) != before.hash):
        raise ChainBroken(
            f"the audit log of the {log} is not what its last checkpoint says: it had {size} rows and has {seq}, or"
            " others; see earmark audit verify"
        )
    rows = list(audit_chain.following(conn, table, size, before.hash))
    return _Tree(before.peaks.grown(leaf for _, _, leaf in rows), rows[-1][1] if rows else before.hash)


def _checkpoints(log: Log) -> sa.Table:
    return TABLES[log].metadata.tables["audit_checkpoints"]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""The vault: accounts of speakers, and the data keys without which their utterances can't be decrypted.

It is written before the records, so a kill leaves at most a key without a row, which `sweep_orphans` removes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from corpus.errors import Damaged, RecordError, Refused
from corpus.records.base import digest, utc
from corpus.storage import audit_chain, cipher
from corpus.storage.content_codec import seal_name
from corpus.storage.database import fetch_among, insert_new, reading, scrub, writing
from corpus.vault import row_sums
from corpus.vault.consent import (
    CONSENTS,
    AccountRow,
    mask_of,
    new_account,
    update_accounts,
    withdraw,
)
from corpus.vault.identity import (
    Vault,
    account_key,
    opens,
)
from corpus.vault.vault_schema import accounts, keys
from corpus.vault.vault_schema import audit as audit_table


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the vault stores of an utterance; the account and the device's serial number are stored nowhere else.

    Attributes:
        utterance_id, account, consent, device_serial: of the utterance.
        arrived_at: by the clock of the device.
        received_at: when its row was first received, by the clock of the machine; None for now.
        unnoticed: its consent to annotation does not count, as no notice is named; that withdraws nothing.
    """

    utterance_id: str
    account: str
    consent: frozenset[str]
    arrived_at: datetime
    device_serial: str | None = None
    received_at: datetime | None = None
    unnoticed: bool = False

    def __post_init__(self) -> None:
        unknown = self.consent - set(CONSENTS)
        if unknown:
            names = ", ".join(CONSENTS)
            raise RecordError(
                f"utterance {self.utterance_id}: consent to {min(unknown)!r} is unknown; known are {names}"
            )
        if not self.account:
            raise RecordError(f"utterance {self.utterance_id}: the account is empty")
        utc(self.arrived_at)


# --- ingest -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """Speaker id and data key of an utterance that may be ingested."""

    speaker_id: str
    key: bytes = field(repr=False)


@contextmanager
def admitting(vault: Vault, rows: Sequence[Arrival], operation_id: str) -> Iterator[dict[str, Admitted]]:
    """Yield speaker and key by utterance id; they are committed with the consent at the end of the block.

    An utterance that has a key keeps it, so that a killed step can be run again. Utterances that must stay erased are
    left out: those whose key was destroyed, and those that arrived before their account was forgotten.
    """
    now = datetime.now(UTC)
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit_table)
        key_of = {account: account_key(vault, account) for account in {row.account for row in rows}}
        by_key = _store_accounts(vault, conn, rows, key_of, now)
        ids = [row.utterance_id for row in rows]
        statement = sa.select(keys.c.utterance_id, keys.c.speaker_id, keys.c.wrapped, keys.c.destroyed_at)
        stored = {row.utterance_id: row for row in fetch_among(conn, statement, keys.c.utterance_id, ids)}
        admitted: dict[str, Admitted] = {}
        fresh: list[dict[str, Any]] = []
        for row in rows:
            account = by_key[key_of[row.account]]
            old = stored.get(row.utterance_id)
            if old is not None:
                if old.destroyed_at is None:
                    admitted[row.utterance_id] = Admitted(old.speaker_id, _unwrapped(vault, old))
            elif not _before_forgetting(account, row) and row.utterance_id not in admitted:
                admitted[row.utterance_id] = Admitted(account.speaker_id, cipher.new_key())
                fresh.append(_key_row(vault, row, admitted[row.utterance_id], operation_id, now))
        insert_new(conn, keys, fresh)
        again = [i for i in admitted if i in stored]
        if again:  # a key in use is no orphan, however old it is
            touching = sa.update(keys).where(keys.c.utterance_id == sa.bindparam("id")).values(touched_at=now)
            conn.execute(touching, [{"id": i} for i in again])
        if fresh:
            detail = {"operation_id": operation_id, **_count_and_digest([row["utterance_id"] for row in fresh])}
            detail["sum"] = row_sums.to_text(row_sums.sums_of_keys(fresh)[operation_id])
            audit_chain.append(conn, audit_table, "admit", "earmark", detail)
        yield admitted


def _store_accounts(
    vault: Vault, conn: sa.Connection, rows: Sequence[Arrival], key_of: Mapping[str, str], now: datetime
) -> dict[str, AccountRow]:
    """Store the accounts of the rows with the consents that they withdraw; return the accounts by account key."""
    found = fetch_among(conn, sa.select(accounts), accounts.c.account_key, list(key_of.values()))
    before = {row.account_key: AccountRow(*row) for row in found}
    by_key = dict(before)
    for row in rows:
        key = key_of[row.account]
        account = by_key.get(key) or new_account(vault, key)
        if _before_forgetting(account, row):
            continue
        if account.account is None:
            plain = row.account.encode("utf-8", "surrogatepass")
            account = replace(account, account=cipher.encrypt(vault.kek, plain, f"account/{key}"))
        stated = row.consent | {"annotate"} if row.unnoticed else row.consent
        by_key[key] = withdraw(account, mask_of(stated), utc(row.received_at or now))
    changed = [account for key, account in by_key.items() if account != before.get(key)]
    insert_new(conn, accounts, [asdict(account) for account in changed if account.account_key not in before])
    update_accounts(conn, [account for account in changed if account.account_key in before])
    return by_key


def _before_forgetting(account: AccountRow, row: Arrival) -> bool:
    """Return whether a row arrived, or was first received, by the time at which its account was forgotten."""
    if account.forgotten_at is None:
        return False
    first = min(utc(row.arrived_at), utc(row.received_at)) if row.received_at else utc(row.arrived_at)
    return first <= account.forgotten_at


def _key_row(vault: Vault, row: Arrival, admitted: Admitted, operation_id: str, now: datetime) -> dict[str, Any]:
    key, serial = admitted.key, row.device_serial
    return {
        "utterance_id": row.utterance_id,
        "speaker_id": admitted.speaker_id,
        "wrapped": cipher.wrap(vault.kek, key, seal_name(row.utterance_id, "key")),
        "device": serial
        and cipher.encrypt(key, serial.encode("utf-8", "surrogatepass"), seal_name(row.utterance_id, "device")),
        "consent": mask_of(row.consent),
        "arrived_at": utc(row.arrived_at),
        "received_at": utc(row.received_at or now),
        "operation_id": operation_id,
        "touched_at": now,
        "destroyed_at": None,
    }


# --- keys and speakers ------------------------------------------------------------------------------------------------


def data_keys(
    vault: Vault, utterance_ids: Sequence[str], damaged: dict[str, Damaged] | None = None
) -> dict[str, bytes]:
    """Return the data keys by utterance id; ids without a key, or whose key was destroyed, are left out.

    Args:
        vault: the vault.
        utterance_ids: whose keys are wanted.
        damaged: takes the keys that can't be unwrapped, by id; None to raise for the first.

    Raises:
        Damaged: a key can't be unwrapped, and `damaged` is None.
        Refused: the key-encryption key was changed since the vault was opened.
    """
    with reading(vault.engine) as conn:
        statement = sa.select(keys.c.utterance_id, keys.c.wrapped).where(keys.c.wrapped.is_not(None))
        found = list(fetch_among(conn, statement, keys.c.utterance_id, utterance_ids))
    unwrapped: dict[str, bytes] = {}
    for row in found:
        try:
            unwrapped[row.utterance_id] = _unwrapped(vault, row)
        except Damaged as error:
            if not damaged and not opens(vault.engine, vault.kek):
                raise Refused(
                    "the key-encryption key was changed since this command opened the home, and nothing is damaged:"
                    " start the command again, such as earmark clips"
                ) from None
            if damaged is None:
                raise
            damaged[row.utterance_id] = error
    return unwrapped


def _unwrapped(vault: Vault, row: sa.Row[Any]) -> bytes:
    return cipher.unwrap(vault.kek, row.wrapped, seal_name(row.utterance_id, "key"))


def speaker_of(vault: Vault, account: str) -> str | None:
    """Return the current speaker id of an account; None where it has no utterance yet or was forgotten."""
    with reading(vault.engine) as conn:
        statement = sa.select(accounts.c.speaker_id).where(
            accounts.c.account_key == account_key(vault, account), accounts.c.account.is_not(None)
        )
        return conn.execute(statement).scalar()


def record_lookup(vault: Vault, utterance_ids: Sequence[str], actor: str) -> None:
    """Append to the audit chain that somebody linked source events to these utterances."""
    with writing(vault.engine) as conn:
        audit_chain.append(conn, audit_table, "look up", actor, _count_and_digest(utterance_ids))


# --- erase ------------------------------------------------------------------------------------------------------------


def destroy(
    vault: Vault, utterance_ids: Sequence[str], actor: str, act: Literal["destroy", "expire"] = "destroy"
) -> int:
    """Destroy the keys of utterances, so that their content can never be decrypted; return how many had one.

    The vault keeps a row that the key was destroyed, so that the same event is not ingested again. The audit chain says
    by `act` whether somebody erased them or their time was over.
    """
    with writing(vault.engine) as conn:
        count = _destroy_keys(conn, utterance_ids)
        if count:
            detail = {"destroyed": count, **_count_and_digest(utterance_ids)}
            audit_chain.append(conn, audit_table, act, actor, detail)
    scrub(vault.engine, (keys, accounts))
    return count


def forget(vault: Vault, speaker_id: str, actor: str, at: datetime | None = None) -> list[str]:
    """Destroy the keys of a speaker and the account of the speaker id; return the ids of all their utterances.

    The account's hash stays with the next generation, so that a customer who returns becomes another speaker. An
    utterance of the account from before `at` (now where None) that is ingested later is left out, also where the
    account had none yet, or was forgotten before: a row of it may have been received since, and wait for its clip.
    """
    with writing(vault.engine) as conn:
        ids = utterances_of(conn, speaker_id)
        count = _destroy_keys(conn, ids)
        found = conn.execute(sa.select(accounts).where(accounts.c.speaker_id == speaker_id)).one_or_none()
        if found is not None:
            before = AccountRow(*found)
            moment = utc(at) if at else datetime.now(UTC)
            forgotten_at = moment if before.forgotten_at is None else max(moment, before.forgotten_at)
            renewed = _renewed(vault, before)
            update_accounts(conn, [replace(renewed, forgotten_at=forgotten_at)])
            detail = {"speaker_id": speaker_id, "destroyed": count, **_count_and_digest(ids)}
            detail["forgotten_at"] = forgotten_at.isoformat()
            detail["again"] = renewed.generation == before.generation  # nothing had come since it was forgotten
            audit_chain.append(conn, audit_table, "forget", actor, detail)
    scrub(vault.engine, (keys, accounts))
    return ids


def _renewed(vault: Vault, account: AccountRow) -> AccountRow:
    """Return the account without anything of its own; one that has nothing since it was forgotten is that already."""
    bare = new_account(vault, account.account_key, account.generation)
    is_bare = account.forgotten_at is not None and replace(account, forgotten_at=None) == bare
    return bare if is_bare else new_account(vault, account.account_key, account.generation + 1)


def ids_with_key(vault: Vault, among: Sequence[str] | None = None) -> set[str]:
    """Return the ids of all utterances that have a key, or of those among the given ones."""
    statement = sa.select(keys.c.utterance_id).where(keys.c.wrapped.is_not(None))
    with reading(vault.engine) as conn:
        if among is not None:
            return {row.utterance_id for row in fetch_among(conn, statement, keys.c.utterance_id, among)}
        return set(conn.execute(statement).scalars())


def ids_destroyed(vault: Vault) -> set[str]:
    """Return the ids of all utterances whose key was destroyed, whether or not they have a row."""
    with reading(vault.engine) as conn:
        return set(conn.execute(sa.select(keys.c.utterance_id).where(keys.c.destroyed_at.is_not(None))).scalars())


def orphans(vault: Vault, known_ids: Collection[str], older_than: datetime) -> list[str]:
    """Return the sorted ids of keys that no row uses and no step has used since `older_than`."""
    in_use = known_ids if isinstance(known_ids, set | frozenset) else set(known_ids)
    statement = sa.select(keys.c.utterance_id).where(keys.c.touched_at < older_than, keys.c.wrapped.is_not(None))
    with reading(vault.engine) as conn:
        return sorted(i for i in conn.execute(statement).scalars() if i not in in_use)


def sweep_orphans(vault: Vault, known_ids: Collection[str], older_than: datetime, actor: str = "earmark") -> int:
    """Remove orphaned keys; return how many. Unlike after `destroy`, the same event may be ingested again.

    Args:
        vault: vault whose keys are swept.
        known_ids: utterances with a row or a lease.
        older_than: keys that were used since then may belong to a running step.
        actor: who sweeps, for the audit chain.
    """
    ids = orphans(vault, known_ids, older_than)
    if ids:
        with writing(vault.engine) as conn:
            audit_chain.lock(conn, audit_table)
            found = sa.select(keys).where(keys.c.touched_at < older_than)
            going = [dict(row._mapping) for row in fetch_among(conn, found, keys.c.utterance_id, ids)]
            statement = sa.delete(keys).where(keys.c.utterance_id == sa.bindparam("id"), keys.c.touched_at < older_than)
            conn.execute(statement, [{"id": i} for i in ids])
            sums = {name: row_sums.to_text(each) for name, each in row_sums.sums_of_keys(going).items()}
            detail = {"sums": sums, "counts": Counter(row["operation_id"] for row in going)}
            audit_chain.append(conn, audit_table, "sweep", actor, {**_count_and_digest(ids), **detail})
        scrub(vault.engine, (keys, accounts))
    return len(ids)


def utterances_of(conn: sa.Connection, speaker_id: str) -> list[str]:
    """Return the sorted ids of all utterances of a speaker, with those whose key was destroyed."""
    statement = sa.select(keys.c.utterance_id).where(keys.c.speaker_id == speaker_id)
    return sorted(conn.execute(statement).scalars())


def _destroy_keys(conn: sa.Connection, utterance_ids: Sequence[str]) -> int:
    audit_chain.lock(conn, audit_table)
    statement = sa.select(keys.c.utterance_id).where(keys.c.wrapped.is_not(None))
    live = [row.utterance_id for row in fetch_among(conn, statement, keys.c.utterance_id, utterance_ids)]
    if live:
        update = sa.update(keys).where(keys.c.utterance_id == sa.bindparam("id"))
        values: dict[str, Any] = {"wrapped": None, "device": None, "destroyed_at": datetime.now(UTC)}
        conn.execute(update.values(**values), [{"id": i} for i in live])
    return len(live)


def _count_and_digest(ids: Sequence[str]) -> dict[str, Any]:
    return {"count": len(ids), "digest": digest(sorted(ids))}

"""The vault: who a speaker is, what they consented to, and the keys without which nothing of theirs can be read.

It is written before the records, so what a kill leaves behind is a key without a row, which `sweep_orphans` removes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.base import digest, utc
from corpus.storage import audit_chain, cipher
from corpus.storage.content_codec import seal_name
from corpus.storage.database import fetch_among, insert_new, reading, scrub, writing
from corpus.vault.identity import (
    SECRETS,
    Vault,
    account_key,
    has_secrets,
    open_vault,
    pseudonym,
    split_of,
    utterance_id,
)
from corpus.vault.vault_schema import accounts, keys
from corpus.vault.vault_schema import audit as audit_table

__all__ = (
    "ALL",
    "CONSENTS",
    "SECRETS",
    "Admitted",
    "Arrival",
    "Vault",
    "Words",
    "account_key",
    "admitting",
    "consenting",
    "consents",
    "count_keys",
    "data_keys",
    "destroy",
    "forget",
    "has_secrets",
    "open_vault",
    "orphans",
    "set_consent",
    "speaker_of",
    "split_of",
    "sweep_orphans",
    "take_words",
    "utterance_id",
    "utterances_of",
)

CONSENTS: Final = ("score", "annotate", "train")
"""What a customer can consent to; judging a model needs `annotate`."""

ALL: Final = frozenset(CONSENTS)

Words = dict[str, dict[frozenset[str], datetime]]
"""By account what it consents to, and when it last said so."""

_ENDED: Final = tuple(f"{consent}_ended_at" for consent in CONSENTS)

_SETS: Final = tuple(frozenset(c for bit, c in enumerate(CONSENTS) if mask >> bit & 1) for mask in range(8))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the vault must know of an utterance; the account and the device's serial number go nowhere else."""

    utterance_id: str
    account: str
    consent: frozenset[str]
    arrived_at: datetime
    device_serial: str | None = None

    def __post_init__(self) -> None:
        unknown = self.consent - set(CONSENTS)
        if unknown:
            known = ", ".join(CONSENTS)
            raise RecordError(
                f"utterance {self.utterance_id}: consent to {min(unknown)!r} is unknown; known are {known}"
            )
        if not self.account:
            raise RecordError(f"utterance {self.utterance_id}: the account is empty")
        utc(self.arrived_at)


# --- arrive -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the vault says of an utterance that may come in."""

    speaker_id: str
    key: bytes = field(repr=False)


@contextmanager
def admitting(vault: Vault, rows: Sequence[Arrival], operation_id: str) -> Iterator[dict[str, Admitted]]:
    """Gives speaker and key by utterance id; with the consent they are in the vault for good once the block has ended.

    An utterance that has a key keeps it, so a step that was killed can run again. Left out of the answer is what was
    erased and must stay so: utterances whose key was destroyed, and those spoken before their account was forgotten.
    """
    now = datetime.now(UTC)
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit_table)
        filed_as = {account: account_key(vault, account) for account in {row.account for row in rows}}
        by_account = _welcome(vault, conn, rows, filed_as)
        ids = [row.utterance_id for row in rows]
        statement = sa.select(keys.c.utterance_id, keys.c.speaker_id, keys.c.wrapped, keys.c.destroyed_at)
        known = {row.utterance_id: row for row in fetch_among(conn, statement, keys.c.utterance_id, ids)}
        admitted: dict[str, Admitted] = {}
        fresh: list[dict[str, Any]] = []
        for row in rows:
            account = by_account[filed_as[row.account]]
            old = known.get(row.utterance_id)
            if old is not None:
                if old.destroyed_at is None:
                    admitted[row.utterance_id] = Admitted(old.speaker_id, _unwrapped(vault, old))
            elif not _forgotten(account, row) and row.utterance_id not in admitted:
                admitted[row.utterance_id] = Admitted(account["speaker_id"], cipher.new_key())
                fresh.append(_key_row(vault, row, admitted[row.utterance_id], operation_id, now))
        insert_new(conn, keys, fresh)
        again = [i for i in admitted if i in known]
        if again:  # in use again: not an orphan, however old
            statement_ = sa.update(keys).where(keys.c.utterance_id == sa.bindparam("id")).values(touched_at=now)
            conn.execute(statement_, [{"id": i} for i in again])
        if fresh:
            detail = {"operation_id": operation_id, **_tally([row["utterance_id"] for row in fresh])}
            audit_chain.append(conn, audit_table, "admit", "earmark", detail)
        yield admitted


def _welcome(
    vault: Vault, conn: sa.Connection, rows: Sequence[Arrival], filed_as: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Leave every account of the rows filed with what they withdraw; return the filed rows by account key."""
    found = fetch_among(conn, sa.select(accounts), accounts.c.account_key, list(filed_as.values()))
    filed = {row.account_key: dict(row._mapping) for row in found}
    before = {key: dict(row) for key, row in filed.items()}
    for row in sorted(rows, key=lambda r: r.arrived_at):
        key = filed_as[row.account]
        account = filed.setdefault(key, _new_account(vault, key, generation=1))
        if _forgotten(account, row):
            continue
        if account["account"] is None:
            account["account"] = cipher.encrypt(
                vault.kek, row.account.encode("utf-8", "surrogatepass"), f"account/{key}"
            )
        _narrow(account, _mask(row.consent), utc(row.arrived_at))
    changed = [account for key, account in filed.items() if account != before.get(key)]
    insert_new(conn, accounts, [account for account in changed if account["account_key"] not in before])
    _update_accounts(conn, [account for account in changed if account["account_key"] in before])
    return filed


def _narrow(account: dict[str, Any], mask: int, at: datetime) -> bool:
    """Leave withdrawn, for all that the account said until then, what a word leaves out; return whether it is news.

    A word that allows more changes nothing: an utterance keeps the consent that it came with, and this only narrows it.
    """
    news = False
    for bit, name in enumerate(_ENDED):
        if not mask >> bit & 1 and (account[name] is None or at > account[name]):
            account[name], news = at, True
    return news


def _new_account(vault: Vault, key: str, generation: int) -> dict[str, Any]:
    return {
        "account_key": key,
        "generation": generation,
        "speaker_id": pseudonym(vault, key, generation),
        "account": None,
        **dict.fromkeys(_ENDED),
        "forgotten_at": None,
    }


def _forgotten(account: Mapping[str, Any], row: Arrival) -> bool:
    forgotten_at = account["forgotten_at"]
    return forgotten_at is not None and utc(row.arrived_at) <= forgotten_at


def _key_row(vault: Vault, row: Arrival, admitted: Admitted, operation_id: str, now: datetime) -> dict[str, Any]:
    key, serial = admitted.key, row.device_serial
    return {
        "utterance_id": row.utterance_id,
        "speaker_id": admitted.speaker_id,
        "wrapped": cipher.wrap(vault.kek, key, seal_name(row.utterance_id, "key")),
        "device": serial
        and cipher.encrypt(key, serial.encode("utf-8", "surrogatepass"), seal_name(row.utterance_id, "device")),
        "consent": _mask(row.consent),
        "arrived_at": utc(row.arrived_at),
        "operation_id": operation_id,
        "touched_at": now,
        "destroyed_at": None,
    }


# --- keys and consent -------------------------------------------------------------------------------------------------


def data_keys(vault: Vault, utterance_ids: Sequence[str]) -> dict[str, bytes]:
    """Returns the keys by utterance id; an id that is missing has none, or has lost it for good."""
    with reading(vault.engine) as conn:
        statement = sa.select(keys.c.utterance_id, keys.c.wrapped).where(keys.c.wrapped.is_not(None))
        found = list(fetch_among(conn, statement, keys.c.utterance_id, utterance_ids))
    return {row.utterance_id: _unwrapped(vault, row) for row in found}


def _unwrapped(vault: Vault, row: sa.Row[Any]) -> bytes:
    return cipher.unwrap(vault.kek, row.wrapped, seal_name(row.utterance_id, "key"))


def consents(vault: Vault, utterance_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Returns what each utterance may be used for: what was allowed when it was spoken and was never withdrawn since.

    Unknown, destroyed and forgotten utterances have the empty set.
    """
    masks = dict.fromkeys(utterance_ids, 0)
    statement = (
        sa.select(keys.c.utterance_id, _allowed())
        .join(accounts, accounts.c.speaker_id == keys.c.speaker_id)
        .where(keys.c.wrapped.is_not(None))
    )
    with reading(vault.engine) as conn:
        for row in fetch_among(conn, statement, keys.c.utterance_id, utterance_ids):
            masks[row[0]] = row[1]
    return {utterance_id: _SETS[mask] for utterance_id, mask in masks.items()}


def _allowed() -> sa.ColumnElement[int]:
    """Return an utterance's consent without what its account withdrew at the same time or later."""
    bits: list[sa.ColumnElement[int]] = []
    for bit, name in enumerate(_ENDED):
        # what older versions stored has no time of arrival: every withdrawal that is known means it, too
        before = sa.or_(keys.c.arrived_at.is_(None), keys.c.arrived_at <= accounts.c[name])
        over = sa.and_(accounts.c[name].is_not(None), before)
        bits.append(sa.case((over, 0), else_=keys.c.consent.bitwise_and(1 << bit)))
    return bits[0] + bits[1] + bits[2]


def consenting(vault: Vault, utterance_ids: Sequence[str], consent: str) -> npt.NDArray[np.bool_]:
    """Returns (N,) bool, True where the utterance may be used for `consent` (`score`, `annotate` or `train`)."""
    _mask([consent])
    found = consents(vault, utterance_ids)
    return np.fromiter((consent in found[i] for i in utterance_ids), np.bool_, len(utterance_ids))


def set_consent(vault: Vault, account: str, consent: Collection[str], at: datetime, actor: str) -> str:
    """Leave withdrawn what an account does not consent to any more; return its speaker id.

    It narrows at once what was spoken until `at`; nothing ever widens that again.

    Raises:
        RecordError: the account or the consent is unknown.
    """
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit_table)
        statement = sa.select(accounts).where(accounts.c.account_key == account_key(vault, account))
        found = conn.execute(statement).one_or_none()
        if found is None or found.account is None:
            raise RecordError("the vault knows no such account; check its spelling")
        row = dict(found._mapping)
        _narrow(row, _mask(consent), utc(at))
        _update_accounts(conn, [row])
        detail = {"speaker_id": row["speaker_id"], "consent": sorted(consent)}
        audit_chain.append(conn, audit_table, "consent", actor, detail)
    return str(row["speaker_id"])


def take_words(vault: Vault, words: Words, actor: str = "earmark") -> Words:
    """Leave withdrawn what the words leave out; return those on accounts that the vault does not know (yet).

    Each that changes something is an audit row.
    """
    unknown: Words = {}
    if not words:
        return unknown
    filed_as = {account: account_key(vault, account) for account in words}
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit_table)
        found = fetch_among(conn, sa.select(accounts), accounts.c.account_key, list(filed_as.values()))
        filed = {row.account_key: dict(row._mapping) for row in found}
        changed: dict[str, dict[str, Any]] = {}
        news: list[Mapping[str, Any]] = []
        for account, said in words.items():
            key = filed_as[account]
            row = filed.get(key)
            if row is None or row["account"] is None:
                forgotten_at = None if row is None else row["forgotten_at"]
                left = {consent: at for consent, at in said.items() if forgotten_at is None or at > forgotten_at}
                if left:
                    unknown[account] = left
                continue
            for consent, at in sorted(said.items(), key=lambda each: (each[1], sorted(each[0]))):
                if _narrow(row, _mask(consent), utc(at)):
                    changed[key] = row
                    news.append({"speaker_id": row["speaker_id"], "consent": sorted(consent)})
        _update_accounts(conn, list(changed.values()))
        audit_chain.append_many(conn, audit_table, "consent", actor, news)
    return unknown


def speaker_of(vault: Vault, account: str) -> str | None:
    """Returns the speaker id that stands for an account today, None where the account is unknown or forgotten."""
    with reading(vault.engine) as conn:
        statement = sa.select(accounts.c.speaker_id).where(
            accounts.c.account_key == account_key(vault, account), accounts.c.account.is_not(None)
        )
        return conn.execute(statement).scalar()


# --- forget -----------------------------------------------------------------------------------------------------------


def utterances_of(vault: Vault, speaker_id: str) -> list[str]:
    """Returns the ids of everything that a speaker ever said, sorted, destroyed ones included."""
    with reading(vault.engine) as conn:
        return _utterances_of(conn, speaker_id)


def destroy(vault: Vault, utterance_ids: Sequence[str], actor: str) -> int:
    """Leaves no key of these utterances, so that nothing of theirs can ever be read; returns how many had one.

    That a key was destroyed stays known: the same event does not arrive again.
    """
    with writing(vault.engine) as conn:
        count = _destroy(conn, utterance_ids)
        if count:
            audit_chain.append(conn, audit_table, "destroy", actor, {"destroyed": count, **_tally(utterance_ids)})
    scrub(vault.engine, (keys, accounts))
    return count


def forget(vault: Vault, speaker_id: str, actor: str, at: datetime | None = None) -> list[str]:
    """Leaves no key of the speaker and no account behind the id; returns the ids of all that they said.

    The account's hash stays with its generation: should the customer return, they are another speaker. What they said
    until `at` (now, where None) and has not arrived yet is refused when it does.
    """
    with writing(vault.engine) as conn:
        ids = _utterances_of(conn, speaker_id)
        count = _destroy(conn, ids)
        found = conn.execute(sa.select(accounts).where(accounts.c.speaker_id == speaker_id)).one_or_none()
        if found is not None and found.account is not None:
            renewed = _new_account(vault, found.account_key, found.generation + 1)
            renewed["forgotten_at"] = utc(at) if at else datetime.now(UTC)
            _update_accounts(conn, [renewed])
            detail = {"speaker_id": speaker_id, "destroyed": count, **_tally(ids)}
            audit_chain.append(conn, audit_table, "forget", actor, detail)
    scrub(vault.engine, (keys, accounts))
    return ids


def count_keys(vault: Vault) -> int:
    """Return how many utterances have a key."""
    with reading(vault.engine) as conn:
        statement = sa.select(sa.func.count()).select_from(keys).where(keys.c.wrapped.is_not(None))
        return int(conn.execute(statement).scalar_one())


def orphans(vault: Vault, known_ids: Collection[str], older_than: datetime) -> list[str]:
    """Returns the ids of keys that no row uses and no step touched since `older_than`, sorted."""
    known = known_ids if isinstance(known_ids, set | frozenset) else set(known_ids)
    statement = sa.select(keys.c.utterance_id).where(keys.c.touched_at < older_than, keys.c.wrapped.is_not(None))
    with reading(vault.engine) as conn:
        return sorted(i for i in conn.execute(statement).scalars() if i not in known)


def sweep_orphans(vault: Vault, known_ids: Collection[str], older_than: datetime, actor: str = "earmark") -> int:
    """Leaves no orphaned key; returns how many went. Unlike a destroyed one, a swept event may arrive again.

    Args:
        vault: its keys are swept.
        known_ids: utterances with a row or a lease.
        older_than: keys touched since then may belong to a step that is still running.
        actor: who sweeps.
    """
    ids = orphans(vault, known_ids, older_than)
    if ids:
        with writing(vault.engine) as conn:
            statement = sa.delete(keys).where(keys.c.utterance_id == sa.bindparam("id"), keys.c.touched_at < older_than)
            conn.execute(statement, [{"id": i} for i in ids])
            audit_chain.append(conn, audit_table, "sweep", actor, _tally(ids))
        scrub(vault.engine, (keys, accounts))
    return len(ids)


def _utterances_of(conn: sa.Connection, speaker_id: str) -> list[str]:
    statement = sa.select(keys.c.utterance_id).where(keys.c.speaker_id == speaker_id)
    return sorted(conn.execute(statement).scalars())


def _destroy(conn: sa.Connection, utterance_ids: Sequence[str]) -> int:
    audit_chain.lock(conn, audit_table)
    statement = sa.select(keys.c.utterance_id).where(keys.c.wrapped.is_not(None))
    live = [row.utterance_id for row in fetch_among(conn, statement, keys.c.utterance_id, utterance_ids)]
    if live:
        update = sa.update(keys).where(keys.c.utterance_id == sa.bindparam("id"))
        values: dict[str, Any] = {"wrapped": None, "device": None, "destroyed_at": datetime.now(UTC)}
        conn.execute(update.values(**values), [{"id": i} for i in live])
    return len(live)


def _update_accounts(conn: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    names = [column.name for column in accounts.columns if column.name != "account_key"]
    update = sa.update(accounts).where(accounts.c.account_key == sa.bindparam("key"))
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    conn.execute(
        update.values(**values),
        [{"key": row["account_key"], **{f"new_{name}": row[name] for name in names}} for row in rows],
    )


def _mask(consent: Iterable[str]) -> int:
    try:
        return sum(1 << CONSENTS.index(c) for c in set(consent))
    except ValueError as error:
        raise RecordError(f"a consent is unknown; known are {', '.join(CONSENTS)}") from error


def _tally(ids: Sequence[str]) -> dict[str, Any]:
    return {"count": len(ids), "digest": digest(sorted(ids))}

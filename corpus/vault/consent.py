"""Consent: what each account allowed, and what it withdrew since.

An utterance keeps the consent that it arrived with. Every later withdrawal narrows it, and nothing widens it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.base import utc
from corpus.storage import audit_chain
from corpus.storage.database import fetch_among, reading, writing
from corpus.vault.identity import Vault, account_key
from corpus.vault.vault_schema import accounts, keys
from corpus.vault.vault_schema import audit as audit_table

CONSENTS: Final = ("score", "annotate", "train")
"""What a customer can consent to; judging a model needs `annotate`."""


ALL: Final = frozenset(CONSENTS)
"""Consent to everything."""


ConsentStatements = dict[str, dict[frozenset[str], datetime]]
"""By account what it consents to, and when it last said so."""


ENDED: Final = tuple(f"{consent}_ended_at" for consent in CONSENTS)
"""Columns of an account: when each consent was last withheld."""


_SETS: Final = tuple(frozenset(c for bit, c in enumerate(CONSENTS) if mask >> bit & 1) for mask in range(8))
"""The set that each value of the bits stands for."""


def narrow(account: dict[str, Any], mask: int, at: datetime) -> bool:
    """Leave withdrawn, for all that the account said until then, what a word leaves out; return whether it is news.

    A word that allows more changes nothing: an utterance keeps the consent that it came with, and this only narrows it.
    """
    news = False
    for bit, name in enumerate(ENDED):
        if not mask >> bit & 1 and (account[name] is None or at > account[name]):
            account[name], news = at, True
    return news


def consents(vault: Vault, utterance_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return what each utterance may be used for: what was allowed when it was spoken and was never withdrawn since.

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
    for bit, name in enumerate(ENDED):
        # what older versions stored has no time of arrival: every withdrawal that is known means it, too
        before = sa.or_(keys.c.arrived_at.is_(None), keys.c.arrived_at <= accounts.c[name])
        over = sa.and_(accounts.c[name].is_not(None), before)
        bits.append(sa.case((over, 0), else_=keys.c.consent.bitwise_and(1 << bit)))
    return bits[0] + bits[1] + bits[2]


def consenting(vault: Vault, utterance_ids: Sequence[str], consent: str) -> npt.NDArray[np.bool_]:
    """Return (N,) bool, True where the utterance may be used for `consent` (`score`, `annotate` or `train`)."""
    mask_of([consent])
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
        narrow(row, mask_of(consent), utc(at))
        update_accounts(conn, [row])
        detail = {"speaker_id": row["speaker_id"], "consent": sorted(consent)}
        audit_chain.append(conn, audit_table, "consent", actor, detail)
    return str(row["speaker_id"])


def apply_statements(vault: Vault, words: ConsentStatements, actor: str = "earmark") -> ConsentStatements:
    """Leave withdrawn what the words leave out; return those on accounts that the vault does not know (yet).

    Each that changes something is an audit row.
    """
    unknown: ConsentStatements = {}
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
                if narrow(row, mask_of(consent), utc(at)):
                    changed[key] = row
                    news.append({"speaker_id": row["speaker_id"], "consent": sorted(consent)})
        update_accounts(conn, list(changed.values()))
        audit_chain.append_many(conn, audit_table, "consent", actor, news)
    return unknown


def update_accounts(conn: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all columns of these accounts, each identified by its `account_key`."""
    if not rows:
        return
    names = [column.name for column in accounts.columns if column.name != "account_key"]
    update = sa.update(accounts).where(accounts.c.account_key == sa.bindparam("key"))
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    conn.execute(
        update.values(**values),
        [{"key": row["account_key"], **{f"new_{name}": row[name] for name in names}} for row in rows],
    )


def mask_of(consent: Iterable[str]) -> int:
    """Return the consents as bits, in the order of `CONSENTS`.

    Raises:
        RecordError: one is unknown.
    """
    try:
        return sum(1 << CONSENTS.index(c) for c in set(consent))
    except ValueError as error:
        raise RecordError(f"a consent is unknown; known are {', '.join(CONSENTS)}") from error

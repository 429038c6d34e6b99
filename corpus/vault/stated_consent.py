"""Consent that an account states apart from its rows: what it allows from now on, and what it may be used for now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.base import utc
from corpus.storage import audit_chain
from corpus.storage.database import fetch_among, insert_new, reading, writing
from corpus.vault.consent import (
    CONSENTS,
    ENDED,
    AccountRow,
    allowed_bits,
    mask_of,
    new_account,
    update_accounts,
    uses_of,
)
from corpus.vault.identity import Vault, account_key
from corpus.vault.vault_schema import accounts, keys
from corpus.vault.vault_schema import audit as audit_table


@dataclass(frozen=True, slots=True)
class Use:
    """Whether an account may be used for something now.

    Attributes:
        allowed: for its newest utterances, or for what arrives next.
        since: since when; None where it never stated anything.
        utterances: of how many utterances.
    """

    allowed: bool
    since: datetime | None
    utterances: int


@dataclass(frozen=True, slots=True)
class AccountConsent:
    """What an account may be used for now.

    Attributes:
        speaker_id: its pseudonym.
        uses: by use.
        utterances: how many of its utterances may be used for which uses together, such as `score, annotate`.
        notice: version of the notice that the customer saw, where it was stated apart from rows.
    """

    speaker_id: str
    uses: Mapping[str, Use]
    utterances: Mapping[str, int]
    notice: str | None


class Notice(NamedTuple):
    """The version of a notice, and when it was stated; it counts for what arrives and is received after that."""

    version: str
    at: datetime


def account_consent(vault: Vault, account: str) -> AccountConsent:
    """Return what an account may be used for now.

    Raises:
        RecordError: the vault does not know the account.
    """
    with reading(vault.engine) as conn:
        row = _account(conn, vault, account)
        if row is None or not _is_known(row):
            raise RecordError("there is no such account in the vault; check its spelling")
        statement = (
            sa.select(allowed_bits(), keys.c.received_at)
            .join(accounts, accounts.c.speaker_id == keys.c.speaker_id)
            .where(keys.c.wrapped.is_not(None), keys.c.speaker_id == row.speaker_id)
        )
        found = [(uses_of(mask), received) for mask, received in conn.execute(statement)]
    uses = {}
    for bit, use in enumerate(CONSENTS):
        since = [received for allowed, received in found if use in allowed]
        ended_at = getattr(row, ENDED[bit])
        agreed = row.agreed is not None and row.agreed >> bit & 1
        if since:
            uses[use] = Use(True, min((each for each in since if each is not None), default=None), len(since))
        elif agreed and row.agreed_at is not None and (ended_at is None or row.agreed_at > ended_at):
            uses[use] = Use(True, row.agreed_at, 0)
        else:
            uses[use] = Use(False, ended_at, 0)
    counts = Counter(", ".join(use for use in CONSENTS if use in allowed) or "nothing" for allowed, _ in found)
    return AccountConsent(row.speaker_id, uses, dict(sorted(counts.items())), row.notice)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an account gives from now on.

    Attributes:
        account: it need not have an utterance.
        consent: what it gives.
        given_at: when the customer gave it; None for now.
        notice: version of the notice that the customer saw.
    """

    account: str
    consent: frozenset[str]
    given_at: datetime | None = None
    notice: str | None = None


def agree(vault: Vault, agreements: Sequence[Agreement], at: datetime, actor: str) -> list[frozenset[str]]:
    """Keep what accounts give from now on, with the notices that their customers saw; return what counts of each.

    No utterance that is there is used for more: each keeps what it was ingested with, and what is left of that. A
    consent from before the last withdrawal, or of the same time, does not count. All are kept in one transaction.

    Args:
        vault: the vault.
        agreements: in their order.
        at: receipt of the statements.
        actor: who states them, for the audit chain.
    """
    for each in agreements:
        mask_of(each.consent)
    if not agreements:
        return []
    key_of = {account: account_key(vault, account) for account in {each.account for each in agreements}}
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit_table)
        found = fetch_among(conn, sa.select(accounts), accounts.c.account_key, list(key_of.values()))
        stored = {row.account_key: AccountRow(*row) for row in found}
        now = dict(stored)
        counted: list[frozenset[str]] = []
        details: list[Mapping[str, Any]] = []
        for each in agreements:
            key = key_of[each.account]
            row = now.get(key) or new_account(vault, key)
            counts = _counts(row, each, utc(at))
            counted.append(counts)
            if counts:
                seen = row.notice if each.notice is None or "annotate" not in counts else each.notice
                agreed = (row.agreed or 0) | mask_of(counts)
                now[key] = replace(row, agreed=agreed, agreed_at=utc(at), notice=seen)
                detail = {"speaker_id": row.speaker_id, "agreed": sorted(counts)}
                details.append(detail | ({"notice": each.notice} if each.notice else {}))
        insert_new(conn, accounts, [asdict(row) for key, row in now.items() if key not in stored])
        update_accounts(conn, [row for key, row in now.items() if key in stored and row != stored[key]])
        audit_chain.append_many(conn, audit_table, "consent", actor, details)
    return counted


def _counts(row: AccountRow, agreement: Agreement, at: datetime) -> frozenset[str]:
    given = at if agreement.given_at is None else min(at, utc(agreement.given_at))
    ended = {use: getattr(row, name) for use, name in zip(CONSENTS, ENDED, strict=True)}
    return frozenset(use for use in agreement.consent if ended[use] is None or given > ended[use])


def notices(vault: Vault, of: Sequence[str]) -> dict[str, Notice]:
    """Return the notice that each account's customer saw when it last agreed to annotation, where it did."""
    account_of = {account_key(vault, account): account for account in of}
    statement = sa.select(accounts.c.account_key, accounts.c.notice, accounts.c.agreed_at).where(
        accounts.c.notice.is_not(None), accounts.c.agreed.bitwise_and(mask_of(["annotate"])) != 0
    )
    with reading(vault.engine) as conn:
        found = fetch_among(conn, statement, accounts.c.account_key, list(account_of))
        return {account_of[row.account_key]: Notice(row.notice, row.agreed_at) for row in found}


def known(vault: Vault, of: Collection[str]) -> set[str]:
    """Return those of the accounts that the vault knows, by their rows, by rows that wait, or by what they stated."""
    account_of = {account_key(vault, account): account for account in of}
    with reading(vault.engine) as conn:
        found = fetch_among(conn, sa.select(accounts), accounts.c.account_key, list(account_of))
        return {account_of[row.account_key] for row in found if _is_known(AccountRow(*row))}


def any_notice(vault: Vault) -> bool:
    """Return whether any account stated a consent to annotation with the notice that its customer saw."""
    with reading(vault.engine) as conn:
        statement = sa.select(accounts.c.account_key).where(accounts.c.notice.is_not(None)).limit(1)
        return conn.execute(statement).first() is not None


def _account(conn: sa.Connection, vault: Vault, account: str) -> AccountRow | None:
    statement = sa.select(accounts).where(accounts.c.account_key == account_key(vault, account))
    found = conn.execute(statement).one_or_none()
    return None if found is None else AccountRow(*found)


def _is_known(row: AccountRow) -> bool:
    """Return whether an account has utterances, rows that wait, or stated something since it was forgotten."""
    if row.account is not None or row.forgotten_at is None:
        return True
    return row.agreed_at is not None or any(getattr(row, name) is not None for name in ENDED)

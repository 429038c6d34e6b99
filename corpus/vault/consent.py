"""Consent: what the utterances of each account may be used for, and what accounts withdrew.

An utterance keeps the consent that it was ingested with. Later withdrawals reduce it, and nothing extends it again. A
withdrawal counts from its receipt, for all that arrived or was received until then; clocks of devices don't matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.base import utc
from corpus.storage import audit_chain
from corpus.storage.database import UtcDateTime, fetch_among, insert_new, reading, writing
from corpus.vault.identity import Vault, account_key, pseudonym
from corpus.vault.vault_schema import accounts, keys
from corpus.vault.vault_schema import audit as audit_table

CONSENTS: Final = ("score", "annotate", "train")
"""Uses that a customer can consent to; judging a model needs `annotate`."""


ALL: Final = frozenset(CONSENTS)
"""Consent to all uses."""


Statements = Mapping[str, frozenset[str]]
"""By account, the consents that all its statements allow."""


ENDED: Final = tuple(f"{consent}_ended_at" for consent in CONSENTS)
"""Columns of an account with the latest receipt of a statement that does not give each consent."""


_SETS: Final = tuple(frozenset(c for bit, c in enumerate(CONSENTS) if mask >> bit & 1) for mask in range(8))
"""Sets of consents, by the value of their bits."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One row of the table `accounts`, with its columns in their order.

    Attributes:
        account_key: keyed hash of the account.
        generation: how often the account was forgotten, plus 1.
        speaker_id: current pseudonym.
        account: the account, encrypted; None once it was forgotten, and before its first utterance is ingested.
        score_ended_at, annotate_ended_at, train_ended_at: when it was last received that it does not give the consent.
        forgotten_at: when it was last forgotten.
        agreed, agreed_at: bits of the consents that it gives from then on, as stated apart from rows, and when.
        notice: version of the notice that the customer saw then.
    """

    account_key: str
    generation: int
    speaker_id: str
    account: bytes | None = None
    score_ended_at: datetime | None = None
    annotate_ended_at: datetime | None = None
    train_ended_at: datetime | None = None
    forgotten_at: datetime | None = None
    agreed: int | None = None
    agreed_at: datetime | None = None
    notice: str | None = None


def new_account(vault: Vault, key: str, generation: int = 1) -> AccountRow:
    """Return an account that has no utterances yet and withdrew nothing."""
    return AccountRow(key, generation, pseudonym(vault, key, generation))


def withdraw(account: AccountRow, mask: int, at: datetime) -> AccountRow:
    """Return the account without the consents that a statement leaves out, for all its utterances until its receipt.

    A statement that allows more changes nothing: an utterance keeps the consent that it was ingested with.

    Args:
        account: as it is stored.
        mask: bits of the consents in the statement.
        at: receipt of the statement.
    """
    ended: dict[str, Any] = {}
    for bit, name in enumerate(ENDED):
        ended_at = getattr(account, name)
        if not mask >> bit & 1 and (ended_at is None or at > ended_at):
            ended[name] = at
    if account.agreed is not None:
        ended["agreed"] = account.agreed & mask
    return replace(account, **ended)


def consents(vault: Vault, utterance_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the consents of each utterance: those it was ingested with and that were not withdrawn later.

    The set is empty for unknown utterances, those whose key was destroyed, and those of forgotten accounts.
    """
    masks = dict.fromkeys(utterance_ids, 0)
    statement = (
        sa.select(keys.c.utterance_id, allowed_bits())
        .join(accounts, accounts.c.speaker_id == keys.c.speaker_id)
        .where(keys.c.wrapped.is_not(None))
    )
    with reading(vault.engine) as conn:
        for row in fetch_among(conn, statement, keys.c.utterance_id, utterance_ids):
            masks[row[0]] = row[1]
    return {utterance_id: _SETS[mask] for utterance_id, mask in masks.items()}


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An utterance that was ingested with more consents than are left: its speaker, and those that are left."""

    speaker_id: str
    left: frozenset[str]


def withdrawn(vault: Vault) -> dict[str, Withdrawn]:
    """Return the utterances with a key from whose consent their customers took something back later, by id."""
    allowed = allowed_bits()
    statement = (
        sa.select(keys.c.utterance_id, keys.c.speaker_id, allowed)
        .join(accounts, accounts.c.speaker_id == keys.c.speaker_id)
        .where(keys.c.wrapped.is_not(None), allowed != keys.c.consent)
    )
    with reading(vault.engine) as conn:
        return {row[0]: Withdrawn(row[1], _SETS[row[2]]) for row in conn.execute(statement)}


def allowed_bits() -> sa.ColumnElement[int]:
    """Return an expression for the bits of an utterance's consent, without those withdrawn since.

    Only an utterance that arrived and was first received after the last withdrawal is open: either time alone may be
    wrong, by a clock that is ahead or a row that comes late.
    """
    bits: list[sa.ColumnElement[int]] = []
    for bit, name in enumerate(ENDED):
        # Rows of older versions have no time of arrival, so every withdrawal applies to them.
        before = sa.or_(
            *(
                sa.or_(moment.is_(None), moment <= accounts.c[name])
                for moment in (keys.c.arrived_at, keys.c.received_at)
            )
        )
        withdrawn = sa.and_(accounts.c[name].is_not(None), before)
        bits.append(sa.case((withdrawn, 0), else_=keys.c.consent.bitwise_and(1 << bit)))
    return bits[0] + bits[1] + bits[2]


def ingested_consents(vault: Vault, utterance_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the consents that each utterance was ingested with, without regard to later withdrawals."""
    statement = sa.select(keys.c.utterance_id, keys.c.consent)
    with reading(vault.engine) as conn:
        return {row[0]: _SETS[row[1]] for row in fetch_among(conn, statement, keys.c.utterance_id, utterance_ids)}


def consenting(vault: Vault, utterance_ids: Sequence[str], consent: str) -> npt.NDArray[np.bool_]:
    """Return (N,) bool, True where the utterance may be used for `consent` (`score`, `annotate` or `train`).

    Raises:
        RecordError: the consent is unknown.
    """
    mask_of([consent])
    found = consents(vault, utterance_ids)
    return np.fromiter((consent in found[i] for i in utterance_ids), np.bool_, len(utterance_ids))


def set_consent(vault: Vault, account: str, consent: Collection[str], at: datetime, actor: str) -> str:
    """Withdraw the consents that an account no longer gives; return its speaker id.

    The withdrawal applies to all utterances until `at`, at once, and can't be undone.

    Raises:
        RecordError: the account or the consent is unknown.
    """
    mask_of(consent)
    with reading(vault.engine) as conn:
        statement = sa.select(accounts).where(accounts.c.account_key == account_key(vault, account))
        found = conn.execute(statement).one_or_none()
    if found is None or (found.account is None and found.forgotten_at is not None):
        raise RecordError("there is no such account in the vault; check its spelling")
    apply_statements(vault, {account: frozenset(consent)}, at, actor)
    return str(found.speaker_id)


def apply_statements(vault: Vault, statements: Statements, at: datetime, actor: str = "earmark") -> None:
    """Withdraw the consents that statements leave out, also of accounts that have no utterance yet.

    An account without utterances gets a row with its keyed hash and the times alone, so that its withdrawal counts for
    clips that are ingested later. Each statement that closes something is one audit row.

    Args:
        vault: the vault.
        statements: by account; those that allow everything withdraw nothing.
        at: their receipt.
        actor: who states them, for the audit chain.
    """
    masks = {account_key(vault, account): mask_of(allowed) for account, allowed in statements.items() if allowed != ALL}
    if not masks:
        return
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit_table)
        found = fetch_among(conn, sa.select(accounts), accounts.c.account_key, list(masks))
        stored = {row.account_key: AccountRow(*row) for row in found}
        before = {key: stored.get(key) or new_account(vault, key) for key in masks}
        received, opened = _received_and_open(conn, [row.speaker_id for row in stored.values()])
        # A clock that was set back must not leave open what was received before.
        changed = {
            key: withdraw(row, masks[key], max(utc(at), received.get(row.speaker_id, utc(at))))
            for key, row in before.items()
        }
        insert_new(conn, accounts, [asdict(row) for key, row in changed.items() if key not in stored])
        update_accounts(conn, [row for key, row in changed.items() if key in stored and row != stored[key]])
        details: list[Mapping[str, Any]] = [
            {
                "speaker_id": row.speaker_id,
                "consent": sorted(_SETS[masks[key]]),
                "until": _until(changed[key], masks[key]),
            }
            for key, row in before.items()
            if _closes(row, masks[key], opened.get(row.speaker_id, 0))
        ]
        audit_chain.append_many(conn, audit_table, "consent", actor, details)


def _closes(account: AccountRow, mask: int, opened: int) -> bool:
    """Return whether a statement takes away a use that an utterance is open for, or that was never withdrawn before."""
    never = sum(1 << bit for bit, name in enumerate(ENDED) if getattr(account, name) is None)
    return bool((opened | never) & ~mask)


def _until(account: AccountRow, mask: int) -> str:
    """Return until when at least what a statement takes away is closed, as the audit row says it."""
    ended = [getattr(account, name) for bit, name in enumerate(ENDED) if not mask >> bit & 1]
    return str(min(ended).isoformat())


def _received_and_open(conn: sa.Connection, speaker_ids: Sequence[str]) -> tuple[dict[str, datetime], dict[str, int]]:
    """Return by speaker when their latest utterance was received, and the bits of the uses that any is open for."""
    received: dict[str, datetime] = {}
    opened: dict[str, int] = {}
    allowed = allowed_bits()
    statement = (
        sa.select(keys.c.speaker_id, allowed, sa.func.max(keys.c.received_at, type_=UtcDateTime))
        .join(accounts, accounts.c.speaker_id == keys.c.speaker_id)
        .group_by(keys.c.speaker_id, allowed)
    )
    for speaker, mask, latest in fetch_among(conn, statement, keys.c.speaker_id, speaker_ids):
        opened[speaker] = opened.get(speaker, 0) | mask
        if latest is not None:
            received[speaker] = max(latest, received.get(speaker, latest))
    return received, opened


def update_accounts(conn: sa.Connection, rows: Sequence[AccountRow]) -> None:
    """Write all columns of stored accounts, each identified by its `account_key`."""
    if not rows:
        return
    names = [column.name for column in accounts.columns if column.name != "account_key"]
    update = sa.update(accounts).where(accounts.c.account_key == sa.bindparam("key"))
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    conn.execute(
        update.values(**values),
        [{"key": row.account_key, **{f"new_{name}": getattr(row, name) for name in names}} for row in rows],
    )


def uses_of(mask: int) -> frozenset[str]:
    """Return the consents whose bits are set."""
    return _SETS[mask]


def mask_of(consent: Iterable[str]) -> int:
    """Return consents as bits, in the order of `CONSENTS`.

    Raises:
        RecordError: a consent is unknown.
    """
    try:
        return sum(1 << CONSENTS.index(c) for c in set(consent))
    except ValueError as error:
        raise RecordError(f"a consent is unknown; known are {', '.join(CONSENTS)}") from error

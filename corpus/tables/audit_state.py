"""State that the audit logs say, compared with what the tables say: consent, keys, erasures, what is set aside.

Whoever changes a table by SQL and leaves the log as it is, is found here. What older versions wrote down less of is
compared as far as it goes, and counted.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.storage import audit_chain
from corpus.storage import records_schema as records
from corpus.storage.database import reading
from corpus.tables import utterances
from corpus.vault import row_sums
from corpus.vault import vault_schema as vault
from corpus.vault.consent import CONSENTS, ENDED, mask_of


@dataclass(slots=True)
class StateFindings:
    """What was compared, in counts by name, and what differs, in one line each."""

    compared: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def compare_state(corpus: Corpus) -> StateFindings:
    """Compare what the logs say with what the tables say; both logs must have been verified before."""
    found = StateFindings()
    with reading(corpus.vault.engine) as conn:
        _consent(conn, found)
        _admitted(conn, found)
        _destroyed(conn, found)
        _forgotten(conn, found)
    with corpus.read() as conn:
        _operations(conn, found)
        _erased(conn, found)
        _set_aside(conn, found)
    _open_after_erasure(corpus, found)
    return found


# --- the vault --------------------------------------------------------------------------------------------------------


def _consent(conn: sa.Connection, found: StateFindings) -> None:
    """Compare withdrawals and statements with the accounts; those of forgotten speakers went with their account."""
    gone = {row.detail["speaker_id"] for row in _forgets(conn)}
    columns = [vault.accounts.c[name] for name in ("speaker_id", *ENDED, "agreed", "notice")]
    accounts = {row.speaker_id: row for row in conn.execute(sa.select(*columns))}
    stated: dict[str, int] = defaultdict(int)
    notices: dict[str, set[str]] = defaultdict(set)
    withdrawals = before = 0
    for row in audit_chain.acts(conn, vault.audit, "consent"):
        speaker = row.detail["speaker_id"]
        if "agreed" in row.detail:
            stated[speaker] |= mask_of(row.detail["agreed"])
            notices[speaker] |= {row.detail["notice"]} if "notice" in row.detail else set()
            continue
        if "until" not in row.detail:  # of a version in which a later consent opened again, without a row
            before += 1
            continue
        withdrawals += 1
        if speaker in gone:
            continue
        account = accounts.get(speaker)
        undone = CONSENTS if account is None else [*_undone(account, row.detail)]
        if undone:
            uses = ", ".join(undone)
            found.problems.append(f"row {row.seq} of the vault's log withdraws {uses} of {speaker}, the vault does not")
    for speaker, account in accounts.items():
        more = (account.agreed or 0) & ~stated.get(speaker, 0)
        if more or (account.notice is not None and account.notice not in notices.get(speaker, ())):
            found.problems.append(f"the vault says that {speaker} agreed to something, and no row of its log does")
    found.compared |= {"withdrawals": withdrawals, "statements": len(stated)}
    if before:
        found.compared["withdrawals of older versions, not compared"] = before


def _forgets(conn: sa.Connection) -> list[audit_chain.AuditRow]:
    """Return the rows that forgot a speaker, without those of an account to which nothing had come since."""
    return [row for row in audit_chain.acts(conn, vault.audit, "forget") if not row.detail.get("again", False)]


def _undone(account: sa.Row[Any], detail: Mapping[str, Any]) -> Iterator[str]:
    """Yield the uses that a row of the log withdraws and the account does not, or only until earlier."""
    until = datetime.fromisoformat(detail["until"])
    for use, name in zip(CONSENTS, ENDED, strict=True):
        ended = getattr(account, name)
        if use not in detail["consent"] and (ended is None or ended < until):
            yield use


def _admitted(conn: sa.Connection, found: StateFindings) -> None:
    """Compare the keys with what was admitted and swept, by operation: whose they are, with which consent, since when.

    Operations of which older versions admitted something have no sums, and are compared by their number of keys.
    """
    counts: Counter[str] = Counter()
    sums: dict[str, int] = defaultdict(int)
    without: set[str] = set()
    swept_before = 0
    for row in audit_chain.acts(conn, vault.audit, "admit", "sweep"):
        if row.act == "admit":
            operation = row.detail["operation_id"]
            counts[operation] += row.detail["count"]
            if "sum" in row.detail:
                sums[operation] = row_sums.plus(sums[operation], row_sums.from_text(row.detail["sum"]))
            else:
                without.add(operation)
            continue
        for operation, each in row.detail.get("sums", {}).items():
            sums[operation] = row_sums.minus(sums[operation], row_sums.from_text(each))
        counts.subtract(row.detail.get("counts", {}))
        if "counts" not in row.detail:  # of an older version: of which operations these were is not known
            swept_before += row.detail["count"]
    names = ("utterance_id", "speaker_id", "consent", "arrived_at", "received_at", "operation_id")
    statement = sa.select(*(vault.keys.c[name] for name in names)).execution_options(yield_per=10_000)
    held: Counter[str] = Counter()

    def rows() -> Iterator[Mapping[str, Any]]:
        for row in conn.execute(statement):
            held[row.operation_id] += 1
            yield dict(row._mapping)

    there = row_sums.sums_of_keys(rows())
    for operation in sorted({*sums, *there, *without}):
        if operation in without:
            if held[operation] > counts[operation] or (not swept_before and held[operation] < counts[operation]):
                found.problems.append(f"keys of {operation} were added or removed beside the vault's log")
        elif sums[operation] != there.get(operation, 0):
            found.problems.append(
                f"keys of {operation} are not those that the vault's log admitted: a key, its consent, its speaker or"
                " its time was changed, added or removed"
            )
    found.compared |= {"keys": held.total(), "keys by number alone": sum(held[each] for each in without)}


def _destroyed(conn: sa.Connection, found: StateFindings) -> None:
    rows = audit_chain.acts(conn, vault.audit, "destroy", "forget", "expire")
    logged = sum(int(row.detail["destroyed"]) for row in rows)
    keys = vault.keys.c
    there = conn.execute(
        sa.select(sa.func.count()).where(keys.destroyed_at.is_not(None), keys.wrapped.is_(None))
    ).scalar_one()
    keyless = conn.execute(sa.select(sa.func.count()).where(keys.wrapped.is_(None))).scalar_one()
    if not logged == there == keyless:
        found.problems.append(
            f"the vault's log destroyed {logged} keys, and {there} are destroyed: a key was brought back, or removed"
        )
    found.compared["destroyed keys"] = logged


def _forgotten(conn: sa.Connection, found: StateFindings) -> None:
    """Compare accounts that were forgotten: each time is a generation, and no account has a forgotten speaker."""
    rows = _forgets(conn)
    gone = {row.detail["speaker_id"] for row in rows}
    times = {row.detail.get("forgotten_at") for row in audit_chain.acts(conn, vault.audit, "forget")}
    accounts = vault.accounts.c
    statement = sa.select(accounts.speaker_id, accounts.generation, accounts.forgotten_at)
    generations = 0
    for speaker, generation, at in conn.execute(statement):
        generations += generation - 1
        back = (generation > 1) != (at is not None)
        back |= at is not None and None not in times and at.isoformat() not in times
        if speaker in gone or back:
            found.problems.append(f"the vault's log forgot an account that the vault has again, as {speaker}")
    if generations != len(rows):
        found.problems.append(f"the vault's log forgot {len(rows)} times, the accounts say {generations}")
    found.compared["forgotten accounts"] = len(rows)


# --- the records ------------------------------------------------------------------------------------------------------


def _operations(conn: sa.Connection, found: StateFindings) -> None:
    table = records.audit.c
    statement = sa.select(table.seq, table.detail).where(table.act.not_in(("open",))).execution_options(yield_per=1000)
    details = (json.loads(row.detail) for row in conn.execute(statement))
    logged = {detail["operation_id"] for detail in details if "operation_id" in detail}
    there = set(conn.execute(sa.select(records.operations.c.operation_id)).scalars())
    for what, names in (("has, and its table has not", logged - there), ("has not, and its table has", there - logged)):
        if names:
            found.problems.append(f"the records' log {what}: {min(names)} and {len(names) - 1} more operations")
    found.compared["operations"] = len(logged)


def _erased(conn: sa.Connection, found: StateFindings) -> None:
    results = [row.detail["result"] for row in audit_chain.acts(conn, records.audit, "erase", "expire")]
    logged = sum(int(result.get("erased", 0)) + sum(result.get("expired", {}).values()) for result in results)
    table = records.utterances
    blank = sa.select(sa.func.count()).select_from(table).where(table.c.state == "erased")
    there = conn.execute(blank).scalar_one()
    if logged != there:
        found.problems.append(f"the records' log erased or ended {logged} utterances, {there} are blank")
    found.compared["erased and expired utterances"] = logged


def _set_aside(conn: sa.Connection, found: StateFindings) -> None:
    """Compare what is set aside with what the newest row says that tells it."""
    newest: tuple[int, Any] | None = None
    for row in audit_chain.acts(conn, records.audit, "score", "merge", "erase", "expire"):
        if "set_aside" in row.detail.get("state", {}):
            newest = (row.seq, row.detail["state"]["set_aside"])
    if newest is not None and utterances.set_aside_digest(conn)["set_aside"] != newest[1]:
        found.problems.append(
            f"what is set aside is not what row {newest[0]} of the records' log says: an utterance was set aside, or"
            " taken back, beside it"
        )
    found.compared["utterances set aside"] = 0 if newest is None else utterances.counts(conn)["set_aside"]


def _open_after_erasure(corpus: Corpus, found: StateFindings) -> None:
    """Compare records and vault: what is erased has no key."""
    with corpus.read() as conn:
        table = records.utterances.c
        erased = set(conn.execute(sa.select(table.utterance_id).where(table.state == "erased")).scalars())
    with reading(corpus.vault.engine) as conn:
        keys = vault.keys.c
        statement = sa.select(keys.utterance_id).where(keys.wrapped.is_not(None)).execution_options(yield_per=10_000)
        again = sorted(row.utterance_id for row in conn.execute(statement) if row.utterance_id in erased)
    if again:
        found.problems.append(f"utterance {again[0]} is erased and has a key, with {len(again) - 1} more")

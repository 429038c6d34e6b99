"""Tables of the vault database, the only one with accounts and keys."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.audit_chain import audit_tables
from corpus.storage.database import UtcDateTime

METADATA: Final = sa.MetaData()

audit: Final = audit_tables(METADATA)

home: Final = sa.Table(  # one row: the same id as in the records and the content root
    "home",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("home_id", sa.Text, nullable=False),
)

secrets: Final = sa.Table(
    "secrets",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

accounts: Final = sa.Table(
    "accounts",
    METADATA,
    sa.Column("account_key", sa.Text, primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("speaker_id", sa.Text, nullable=False, unique=True),
    sa.Column("account", sa.LargeBinary, nullable=True),  # None once forgotten, and before its first utterance
    # when it was last received that the account does not give the consent: what arrived or was received until then may
    # not be used for it
    sa.Column("score_ended_at", UtcDateTime, nullable=True),
    sa.Column("annotate_ended_at", UtcDateTime, nullable=True),
    sa.Column("train_ended_at", UtcDateTime, nullable=True),
    sa.Column("forgotten_at", UtcDateTime, nullable=True),
    # what it was last stated, apart from its rows, that the account gives from then on, and the notice that it saw
    sa.Column("agreed", sa.BigInteger, nullable=True),
    sa.Column("agreed_at", UtcDateTime, nullable=True),
    sa.Column("notice", sa.Text, nullable=True),
)

keys: Final = sa.Table(
    "keys",
    METADATA,
    sa.Column("utterance_id", sa.Text, primary_key=True),
    sa.Column("speaker_id", sa.Text, nullable=False, index=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=True),  # None once destroyed
    sa.Column("device", sa.LargeBinary, nullable=True),
    sa.Column("consent", sa.BigInteger, nullable=False),  # as ingested; withdrawals are in the account
    sa.Column("arrived_at", UtcDateTime, nullable=True),  # null in rows of older versions
    sa.Column(
        "received_at", UtcDateTime, nullable=True
    ),  # when its row was first received, by the clock of the machine
    sa.Column("operation_id", sa.Text, nullable=False),
    sa.Column("touched_at", UtcDateTime, nullable=False),
    sa.Column("destroyed_at", UtcDateTime, nullable=True),
)

first_receipts: Final = sa.Table(  # of rows that are not stored yet, such as those whose clip is missing
    "first_receipts",
    METADATA,
    sa.Column("event", sa.Text, primary_key=True),  # keyed hash of the event
    sa.Column("received_at", UtcDateTime, nullable=False),
)

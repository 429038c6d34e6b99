"""Columns of the tables of the records database, and the metadata that all its tables belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from corpus.storage.database import UtcDateTime

METADATA: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def text(name: str, *args: sa.schema.SchemaItem, nullable: bool = False) -> sa.Column[str]:
    """Return a column of texts."""
    return sa.Column(name, sa.Text, *args, nullable=nullable)


def keys(*names: str) -> list[sa.Column[str]]:
    """Return columns of texts that are the primary key together."""
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def whole(name: str, nullable: bool = False) -> sa.Column[int]:
    """Return a column of whole numbers."""
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def number(name: str, nullable: bool = False) -> sa.Column[float]:
    """Return a column of real numbers."""
    return sa.Column(name, sa.Double, nullable=nullable)


def moment(name: str, index: bool = False) -> sa.Column[datetime]:
    """Return a column of times (UTC)."""
    return sa.Column(name, UtcDateTime, nullable=False, index=index)

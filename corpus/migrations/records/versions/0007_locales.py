"""Locales in their canonical form: `en_GB` and `EN-gb` are `en-GB`, so that one locale is one slice.

Decisions of the gate, and results of operations, keep the names of slices as they were when they were made.
"""

import re

import langcodes
import sqlalchemy as sa
from alembic import op
from langcodes.tag_parser import LanguageTagError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SHAPE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}")


def upgrade() -> None:
    conn = op.get_bind()
    table = sa.table("utterances", sa.column("locale"))
    for locale in conn.execute(sa.select(table.c.locale).distinct()).scalars().all():
        canonical = _canonical(locale)
        if canonical != locale:
            conn.execute(sa.update(table).where(table.c.locale == locale).values(locale=canonical))


def downgrade() -> None:
    raise NotImplementedError("how each row wrote its locale is not stored; restore a backup")


def _canonical(tag: str) -> str:
    """Return the canonical form, or the tag where it has none; a copy of the function in use, which may change."""
    current, before = tag, None
    try:
        while current != before:
            if not SHAPE.fullmatch(current):
                return tag
            before, current = current, langcodes.standardize_tag(current)
    except LanguageTagError:
        return tag
    return current

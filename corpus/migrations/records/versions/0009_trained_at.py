"""Columns for when a version was trained, and by which nightly run.

Older homes have the moment in the operations of their retrainings; which nightly run it was is not in their records.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPERATIONS = sa.table("operations", *(sa.column(name) for name in ("operation_id", "act", "at", "result")))
VERSIONS = sa.table("model_versions", *(sa.column(name) for name in ("kind", "version", "trained_at")))


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("cycle", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("trained_at", sa.DateTime(timezone=True), nullable=True))
    conn = op.get_bind()
    names = (OPERATIONS.c.operation_id, OPERATIONS.c.at, OPERATIONS.c.result)
    for operation_id, at, text in conn.execute(sa.select(*names).where(OPERATIONS.c.act == "retrain")).all():
        result = json.loads(text)
        if "version" in result:
            kind, version = operation_id.split("/")[1], str(result["version"])
            same = (VERSIONS.c.kind == kind, VERSIONS.c.version == version)
            conn.execute(sa.update(VERSIONS).where(*same).values(trained_at=at))


def downgrade() -> None:
    raise NotImplementedError("the nightly runs of versions trained since would be lost; restore a backup")

"""Temperatures of draws: found on labelled clips for the speech models whose files keep none, such as bases.

They are sums over twenty clips or more, without ids, so that an erasure leaves them as they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa

from corpus.storage.database import insert_new
from corpus.storage.records_schema import draw_temperatures


@dataclass(frozen=True, slots=True)
class StoredTemperature:
    """What was found for a speech model.

    Attributes:
        version: of the model.
        clips: labelled clips that were looked at.
        wrong: word errors of their best texts.
        value: the temperature; None where wrong words were too few to find one.
        expected: word errors that draws at this temperature expect; None like the temperature.
    """

    version: str
    clips: int
    wrong: int
    value: float | None
    expected: float | None


def put(conn: sa.Connection, found: StoredTemperature) -> None:
    """Store what was found for a version, in place of what was found on fewer clips; a temperature stays as it is.

    What is chosen from later clips of a version would else not compare with what was chosen from earlier ones.
    """
    row = draw_temperatures
    conn.execute(sa.delete(row).where(row.c.version == found.version, row.c.value.is_(None)))
    insert_new(conn, draw_temperatures, [asdict(found)])


def stored(conn: sa.Connection, version: str) -> StoredTemperature | None:
    """Return what was found for a version; None where nobody looked."""
    columns = [draw_temperatures.c[field.name] for field in fields(StoredTemperature)]
    row = conn.execute(sa.select(*columns).where(draw_temperatures.c.version == version)).one_or_none()
    return None if row is None else StoredTemperature(*row)

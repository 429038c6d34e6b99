"""Upgrade records, vault and MLflow's store to the schemas of the installed packages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import sqlalchemy as sa

from corpus import home_id
from corpus.records.base import Kind
from corpus.settings import places
from corpus.storage import database
from corpus.tables import models
from flows.runtime import progress
from flows.runtime.lock import hold_corpus
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from training.tracking.store import TrackingSettings


@dataclass(frozen=True, slots=True)
class SchemaChange(Result):
    """The schema of a database before, None where it was empty, and after the upgrade."""

    before: str | None = field(metadata={"key": "from"})
    after: str | None = field(metadata={"key": "to"})


@dataclass(frozen=True, slots=True)
class UpgradeReport(Result):
    """The schemas of both databases, and one sentence on MLflow's store."""

    records: SchemaChange
    vault: SchemaChange
    tracking: str


def upgrade_all(settings: Settings) -> UpgradeReport:
    """Bring every store to the newest schema.

    Nothing is changed while another process uses the corpus, where one of the databases is newer than this earmark, or
    where the stores do not belong to one home.

    Raises:
        HomeBusy: another process uses the corpus.
        StoresApart: records, vault and content root do not belong to one home, or one of them is missing.
        SchemaRefused: a newer earmark wrote one of the databases.
        Unreachable: a database does not answer.
    """
    with hold_corpus(settings.corpus, "upgrade"):
        stores = home_id.stores_at(places(settings.corpus))
        with progress.track("upgrading records, vault and MLflow's store", 3, "stores") as advance:
            try:
                home_id.check(stores)  # also finds a schema that is too new, before the first database is changed
                records = SchemaChange(*database.upgrade(stores.records, "records"))
                advance(1)
                vault = SchemaChange(*database.upgrade(stores.vault, "vault"))
                advance(2)
                return UpgradeReport(
                    records, vault, _upgrade_tracking(stores.records, settings.tracking, settings.home)
                )
            finally:
                stores.dispose()


def _upgrade_tracking(records: sa.Engine, settings: TrackingSettings, home: Path) -> str:
    """Upgrade MLflow's store where it is a database that earmark opens itself; return one sentence on it.

    Versions that learned from what is gone get the tag that an earmark of before did not set.
    """
    if settings.uri is not None and settings.uri.startswith(("http://", "https://")):
        return "is upgraded on the machine of its server: mlflow db upgrade"
    if settings.uri is None and not (home / "mlflow" / "mlflow.db").exists():
        return "there is none yet"
    from training.tracking.aliases import TAINTED_TAG, set_marks
    from training.tracking.store import open_tracking, upgrade_store

    upgrade_store(settings, home)
    tracking = open_tracking(settings, home)
    for kind in get_args(Kind):
        with database.reading(records) as conn:
            tainted = {each.version: "true" for each in models.versions(conn, kind) if each.tainted}
        set_marks(tracking, kind, TAINTED_TAG, tainted)
    return "has the schema of the installed MLflow"

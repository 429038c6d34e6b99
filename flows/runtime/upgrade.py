"""Upgrade records, vault and MLflow's store to the schemas of the installed packages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from corpus.settings import places
from corpus.storage import database
from corpus.storage.database import Which
from flows.runtime.lock import hold_corpus
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from training.tracking.store import TrackingSettings

DATABASES: tuple[Which, ...] = ("records", "vault")


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

    Nothing is changed while another process uses the corpus, or where one of the databases is newer than this earmark.

    Raises:
        HomeBusy: another process uses the corpus.
        SchemaRefused: a newer earmark wrote one of the databases.
        Unreachable: a database does not answer.
    """
    stores = places(settings.corpus)
    with hold_corpus(settings.corpus, "upgrade"):
        engines = {
            which: database.engine(url)
            for which, url in zip(DATABASES, (stores.records_url, stores.vault_url), strict=True)
        }
        try:
            for which, engine in engines.items():
                database.check_not_newer(engine, which)
            changed = {which: SchemaChange(*database.upgrade(engine, which)) for which, engine in engines.items()}
        finally:
            for engine in engines.values():
                engine.dispose()
        return UpgradeReport(changed["records"], changed["vault"], _upgrade_tracking(settings.tracking, settings.home))


def _upgrade_tracking(settings: TrackingSettings, home: Path) -> str:
    """Upgrade MLflow's store where it is a database that earmark opens itself; return one sentence on it."""
    if settings.uri is not None and settings.uri.startswith(("http://", "https://")):
        return "is upgraded on the machine of its server: mlflow db upgrade"
    if settings.uri is None and not (home / "mlflow" / "mlflow.db").exists():
        return "there is none yet"
    from training.tracking.store import upgrade_store

    upgrade_store(settings, home)
    return "has the schema of the installed MLflow"

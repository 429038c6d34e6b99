"""Upgrade: records, vault and MLflow's own store at the schemas that the installed packages know."""

from __future__ import annotations

from dataclasses import dataclass, field

from corpus.settings import places
from corpus.storage import database
from corpus.storage.database import Which
from flows.runtime.lock import hold_corpus
from flows.runtime.results import Result
from flows.runtime.settings import Settings

DATABASES: tuple[Which, ...] = ("records", "vault")


@dataclass(frozen=True, slots=True)
class SchemaChange(Result):
    """The schema of a database: what it had before, None where it was empty, and what it has now."""

    before: str | None = field(metadata={"key": "from"})
    after: str | None = field(metadata={"key": "to"})


@dataclass(frozen=True, slots=True)
class UpgradeReport(Result):
    """What became of every store; `tracking` says it of MLflow's in words."""

    records: SchemaChange
    vault: SchemaChange
    tracking: str


def upgrade_all(settings: Settings) -> UpgradeReport:
    """Bring every store to the newest schema.

    Nothing is touched while a run holds the corpus, nor where one of the databases is newer than this earmark.

    Raises:
        HomeBusy: a run is at work.
        SchemaRefused: a newer earmark wrote one of the databases.
        Unreachable: a database does not answer.
    """
    at = places(settings.corpus)
    with hold_corpus(settings.corpus, "upgrade"):
        engines = {
            which: database.engine(url) for which, url in zip(DATABASES, (at.records_url, at.vault_url), strict=True)
        }
        try:
            for which, engine in engines.items():
                database.check_not_newer(engine, which)
            changed = {which: SchemaChange(*database.upgrade(engine, which)) for which, engine in engines.items()}
        finally:
            for engine in engines.values():
                engine.dispose()
        return UpgradeReport(changed["records"], changed["vault"], _tracking(settings))


def _tracking(settings: Settings) -> str:
    uri = settings.tracking.uri
    if uri is not None and uri.startswith(("http://", "https://")):
        return "is upgraded where its server runs: mlflow db upgrade"
    if uri is None and not (settings.home / "mlflow" / "mlflow.db").exists():
        return "there is none yet"
    from training.tracking.store import upgrade_store

    upgrade_store(settings.tracking, settings.home)
    return "has the schema of the installed MLflow"

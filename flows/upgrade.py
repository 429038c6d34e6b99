"""Upgrade: records, vault and MLflow's own store at the schemas that the installed packages know."""

from __future__ import annotations

from typing import Any

from corpus import database
from corpus.database import Which
from corpus.settings import places
from flows import console
from flows.lock import hold_corpus
from flows.settings import Settings

DATABASES: tuple[Which, ...] = ("records", "vault")


def upgrade_all(settings: Settings) -> dict[str, Any]:
    """Every store has the newest schema; returns what each had before and has now.

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
            report: dict[str, Any] = {}
            for which, engine in engines.items():
                before, after = database.upgrade(engine, which)
                report[which] = {"from": before, "to": after}
        finally:
            for engine in engines.values():
                engine.dispose()
        report["tracking"] = _tracking(settings)
    return report


def _tracking(settings: Settings) -> str:
    uri = settings.tracking.uri
    if uri is not None and uri.startswith(("http://", "https://")):
        return "is upgraded where its server runs: mlflow db upgrade"
    if uri is None and not (settings.home / "mlflow" / "mlflow.db").exists():
        return "there is none yet"
    from training.tracking.store import upgrade_store

    upgrade_store(settings.tracking, settings.home)
    return "has the schema of the installed MLflow"


def show_upgrade(report: dict[str, Any]) -> None:
    """The report stands on stdout."""
    lines = {"tracking": report["tracking"]}
    for which in DATABASES:
        before, after = report[which]["from"], report[which]["to"]
        lines[which] = f"{after}, newest already" if before == after else f"{before or 'empty'} -> {after}"
    console.show_pairs("upgraded", {name: lines[name] for name in report})

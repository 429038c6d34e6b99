"""The tracking store: MLflow on SQLite in the home, or on a server, opened without other network access."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import Damaged, EarmarkError, SettingsError
from corpus.hub_access import keep_off_hub
from corpus.settings import MOST_SECONDS
from corpus.sqlite_url import sqlite_file, sqlite_url
from corpus.storage.durable_write import link_new, sync
from corpus.storage.store_faults import sqlite_fault
from corpus.user_paths import expanded

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient


class TrackingSettings(BaseModel):
    """Where runs and model versions are stored.

    Attributes:
        uri: Address of an MLflow server or database; null: SQLite in the folder `mlflow` of the home.
        artifact_root: Folder or URL of figures and model files, used when the experiment is created; null: beside the
            SQLite file, or what the server chooses.
        experiment: Name of the experiment.
        model_prefix: Prefix of registered models, which are named `<prefix>-asr` and `<prefix>-intent`.
        system_seconds: Time between two measurements of processor, memory, disk, network and accelerator during
            training [s]; 0: none are made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    uri: str | None = None
    artifact_root: str | None = None
    experiment: str = Field(default="earmark", min_length=1)
    model_prefix: str = Field(default="earmark", pattern=r"^[A-Za-z0-9_-]+$")
    system_seconds: float = Field(default=5.0, ge=0, le=MOST_SECONDS)


MLFLOW_PATIENCE = 5.0
"""How long MLflow waits for its locked database, which is sqlite3's own default [s]."""

LONGEST_TEXT = 4000
"""Most characters of a description; MLflow refuses those of more than 5000."""

MADE = ".mlflow-made"
"""Name of the file in the home that says that MLflow's folder was made in it."""

PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow's database that have absolute paths."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """An open store; every call is given its store, so nothing depends on MLflow's global state."""

    client: MlflowClient
    uri: str
    experiment_id: str
    model_prefix: str
    system_seconds: float = 0.0


def tracking_uri(settings: TrackingSettings, home: Path) -> str:
    """Return the URI of the store, for other programs that open it, such as MLflow's pages."""
    return settings.uri or sqlite_url(_folder(home) / "mlflow.db")


def open_tracking(settings: TrackingSettings, home: Path) -> Tracking:
    """Open the store and its experiment; both are created if they do not exist.

    From then on MLflow in this process uses this store alone, whatever `MLFLOW_TRACKING_URI` is in the environment, and
    sends no telemetry, and no library of it asks the hub, see `corpus.hub_access`.

    Raises:
        SettingsError: the experiment was deleted in the store.
        EarmarkError: the store can't be reached, or its schema is that of another MLflow.
        Damaged: the database of the home was there before and is missing.
    """
    uri = tracking_uri(settings, home)
    _bind_process(uri)
    if settings.uri is None:
        _refuse_lost_database(_folder(home))
        _make_database(_folder(home))
        _update_paths(_folder(home))
        if not _marker(_folder(home)).exists():
            _marker(_folder(home)).touch()
    from mlflow.tracking.client import MlflowClient

    _silence_loggers()
    with store_errors(uri):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment_id = _experiment(client, settings, home)
    return Tracking(client, uri, experiment_id, settings.model_prefix, settings.system_seconds)


def runs_page(tracking: Tracking, server: str, view: str = "") -> str:
    """Return the address of the experiment's runs on a server's pages; their own start page is about prompts.

    Args:
        tracking: the open store.
        server: address of the pages.
        view: key of a saved view, see `training.tracking.views`; "" for none.
    """
    shown = f"&viewStateShareKey={view}" if view else ""
    return f"{server.rstrip('/')}/#/experiments/{tracking.experiment_id}/runs?workflowType=machine_learning{shown}"


def upgrade_store(settings: TrackingSettings, home: Path) -> None:
    """Upgrade the schema of a database store to that of the installed MLflow; nothing is done for a server.

    The database of a server has to be upgraded on the machine of the server.
    """
    uri = tracking_uri(settings, home)
    if uri.startswith(("http://", "https://")):
        return
    _bind_process(uri)
    if settings.uri is None:
        _make_database(_folder(home))
    import sqlalchemy as sa
    from mlflow.store.db import utils

    _silence_loggers()
    with store_errors(uri):
        engine = sa.create_engine(uri)
        utils._upgrade_db(engine)
        engine.dispose()


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Replace an exception of MLflow in the block by an `EarmarkError` that names the store without its password.

    A full disk, a locked or a damaged database are named as such, with what to do.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        fault = _database_fault(error, uri)
        if fault is not None:
            raise fault from error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "out-of-date database schema" in first:
            first = "its schema is that of another MLflow version; run earmark upgrade"
        raise EarmarkError(f"tracking store {without_password(uri)}: {without_password(first)[:300]}") from error


def _database_fault(error: BaseException, uri: str) -> EarmarkError | None:
    """Return what is wrong with the SQLite database of a store; None where an error is about something else."""
    each: BaseException | None = error
    while each is not None:
        met = getattr(each, "orig", each)  # SQLAlchemy keeps the driver's error there
        if isinstance(met, sqlite3.Error):
            from sqlalchemy import make_url

            path = str(sqlite_file(str(make_url(uri).database)))
            return sqlite_fault(met, path, MLFLOW_PATIENCE)
        each = each.__cause__ or each.__context__
    return None


def without_password(text: str) -> str:
    """Return the text with user and password of any URL in it blanked."""
    return re.sub(r"://[^@/\s]+@", "://***@", text)


def _folder(home: Path) -> Path:
    return expanded(home).resolve() / "mlflow"


def _bind_process(uri: str) -> None:
    """Make this process use the given store alone, and disable MLflow's telemetry."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    os.environ["MLFLOW_REGISTRY_URI"] = uri
    for inherited in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(inherited, None)
    disable_telemetry()


def disable_telemetry() -> None:
    """Turn off MLflow's telemetry, printed links and look-ups on the network; call this before importing MLflow."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    keep_off_hub()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")


def _silence_loggers() -> None:
    """Show only warnings of MLflow and Alembic, which would otherwise log every migration."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It writes whole statements with their values and a trace before it raises what is told in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _marker(folder: Path) -> Path:
    """Return the file beside MLflow's folder that says that the folder was made; without it, a lost one looks new."""
    return folder.with_name(MADE)


def _refuse_lost_database(folder: Path) -> None:
    """Raise `Damaged` where the database was there once: a new, empty one would have none of the versions."""
    marker = _marker(folder)
    if marker.exists() and not (folder / "mlflow.db").exists():
        raise Damaged(
            f"the tracking store {folder / 'mlflow.db'} is missing, and it was there before; restore the folder"
            f" {folder.name} from a backup, or delete {marker} to begin an empty one without runs and versions"
        )


def _make_database(folder: Path) -> None:
    """Create the SQLite file with its whole schema if there is none.

    MLflow would create it in place by some seventy migrations, wait for the disk after each, and leave a part of them
    after a kill. Here they run without waiting on a file of another name, which gets the final name once it is on the
    disk.
    """
    target = folder / "mlflow.db"
    if target.exists():
        return
    import sqlalchemy as sa
    from mlflow.store.db import utils

    _silence_loggers()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as scratch:
        fresh = Path(scratch) / "mlflow.db"
        engine = sa.create_engine(sqlite_url(fresh))
        sa.event.listen(engine, "connect", _do_not_wait)
        utils._initialize_tables(engine)
        engine.dispose()
        fresh.chmod(0o600)
        sync(fresh)
        link_new(fresh, target)  # if another process was faster, its file is used


def _update_paths(folder: Path) -> None:
    """Update the absolute paths in MLflow's database after the home was copied or moved."""
    marker = folder / "place"
    now = (folder / "artifacts").as_uri()
    before = marker.read_text() if marker.exists() else now
    if before != now:
        import sqlite3

        with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
            for table, column in PATHS:
                moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                connection.execute(moved, (now, len(before) + 1, len(before), before))
    if before != now or not marker.exists():
        marker.write_text(now)


def _do_not_wait(connection: object, _record: object) -> None:
    """Make SQLite not wait for the disk, as the file is synced as a whole when it is complete."""
    connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]
    connection.execute("PRAGMA journal_mode = MEMORY")  # type: ignore[attr-defined]


def _experiment(client: MlflowClient, settings: TrackingSettings, home: Path) -> str:
    """Return the id of the experiment; it is created if there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        root = settings.artifact_root
        if root is None and settings.uri is None:
            root = (_folder(home) / "artifacts").as_uri()
        elif root is not None and "://" not in root:
            root = expanded(root).resolve().as_uri()
        try:
            return str(client.create_experiment(settings.experiment, artifact_location=root))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(settings.experiment)
    if found is None or found.lifecycle_stage != "active":
        raise SettingsError(
            f"tracking.experiment: {settings.experiment} was deleted in the tracking store; restore it there or set "
            f"another name"
        )
    return str(found.experiment_id)

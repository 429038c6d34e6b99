"""The tracking store: MLflow on SQLite under the home, or on a server, opened without a look outside."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import EarmarkError, SettingsError
from corpus.storage.durable_write import link_new, sync

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient


class TrackingSettings(BaseModel):
    """Where runs and model versions are kept.

    Attributes:
        uri: Address of an MLflow server or database; null is SQLite in the folder `mlflow` of the home.
        artifact_root: Folder or URL of figures and model files, for an experiment that does not exist yet; null is
            beside the SQLite file, or what a server chooses by itself.
        experiment: Name of the experiment.
        model_prefix: Registered models are `<prefix>-asr` and `<prefix>-intent`.
        system_seconds: How often processor, memory, disk, network and, where there is one, accelerator are measured
            while a model learns [s]; 0: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str | None = None
    artifact_root: str | None = None
    experiment: str = Field(default="earmark", min_length=1)
    model_prefix: str = Field(default="earmark", pattern=r"^[A-Za-z0-9_-]+$")
    system_seconds: float = Field(default=5.0, ge=0)


PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's database holds absolute paths."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """An open store; every call names its store, so no global state of MLflow decides where something goes."""

    client: MlflowClient
    uri: str
    experiment_id: str
    model_prefix: str
    system_seconds: float = 0.0


def tracking_uri(settings: TrackingSettings, home: Path) -> str:
    """Return the URI of the store, for whoever opens it by other means, such as MLflow's own pages."""
    return settings.uri or f"sqlite:///{_folder(home) / 'mlflow.db'}"


def open_tracking(settings: TrackingSettings, home: Path) -> Tracking:
    """Return the open store with its experiment; both are made where they do not exist.

    From here on MLflow of this process speaks to this store alone, whatever `MLFLOW_TRACKING_URI` it inherited, and
    sends no telemetry. `HF_HUB_OFFLINE` is set unless it was set before.

    Raises:
        SettingsError: the experiment was deleted in the store.
        EarmarkError: the store can't be reached, or its schema is that of another MLflow.
    """
    uri = tracking_uri(settings, home)
    _own(uri)
    if settings.uri is None:
        _make_database(_folder(home))
        _follow(_folder(home))
    from mlflow.tracking.client import MlflowClient

    _hush()
    with reached(uri):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment_id = _experiment(client, settings, home)
    return Tracking(client, uri, experiment_id, settings.model_prefix, settings.system_seconds)


def runs_page(tracking: Tracking, server: str) -> str:
    """Return the address of the experiment's runs on a server's pages, which else begin with traces of prompts."""
    return f"{server.rstrip('/')}/#/experiments/{tracking.experiment_id}/runs?workflowType=machine_learning"


def upgrade_store(settings: TrackingSettings, home: Path) -> None:
    """The schema of a database store is that of the installed MLflow. A server's is upgraded where the server runs."""
    uri = tracking_uri(settings, home)
    if uri.startswith(("http://", "https://")):
        return
    _own(uri)
    if settings.uri is None:
        _make_database(_folder(home))
    import sqlalchemy as sa
    from mlflow.store.db import utils

    _hush()
    with reached(uri):
        engine = sa.create_engine(uri)
        utils._upgrade_db(engine)
        engine.dispose()


@contextmanager
def reached(uri: str) -> Iterator[None]:
    """What MLflow raises inside becomes an `EarmarkError` that names the store without its password."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "out-of-date database schema" in first:
            first = "its schema is that of another MLflow version; run earmark upgrade"
        raise EarmarkError(f"tracking store {without_password(uri)}: {without_password(first)[:300]}") from error


def without_password(text: str) -> str:
    """Return the text with user and password of any URL in it blanked."""
    return re.sub(r"://[^@/\s]+@", "://***@", text)


def _folder(home: Path) -> Path:
    return home.expanduser().resolve() / "mlflow"


def _own(uri: str) -> None:
    """MLflow of this process knows this store and no other, and keeps quiet."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    os.environ["MLFLOW_REGISTRY_URI"] = uri
    for inherited in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(inherited, None)
    keep_quiet()


def keep_quiet() -> None:
    """MLflow sends no telemetry, prints no links and looks nothing up; called before it is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")


def _hush() -> None:
    """MLflow and Alembic tell of every migration; only their warnings are of interest here."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _make_database(folder: Path) -> None:
    """The SQLite file exists with its whole schema, or not at all.

    MLflow would build it in place by some seventy migrations, which a kill leaves half done, and wait for the disk at
    each. Here they run on a file of another name without waiting, which takes its name once it is on the disk.
    """
    target = folder / "mlflow.db"
    if target.exists():
        return
    import sqlalchemy as sa
    from mlflow.store.db import utils

    _hush()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as scratch:
        fresh = Path(scratch) / "mlflow.db"
        engine = sa.create_engine(f"sqlite:///{fresh}")
        sa.event.listen(engine, "connect", _do_not_wait)
        utils._initialize_tables(engine)
        engine.dispose()
        fresh.chmod(0o600)
        sync(fresh)
        link_new(fresh, target)  # where another process was first, its file is as good


def _follow(folder: Path) -> None:
    """The store's own paths are below `folder`: MLflow writes absolute ones, which a copied or moved home breaks."""
    marker = folder / "place"
    here = (folder / "artifacts").as_uri()
    before = marker.read_text() if marker.exists() else here
    if before != here:
        import sqlite3

        with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
            for table, column in PATHS:
                moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                connection.execute(moved, (here, len(before) + 1, len(before), before))
    if before != here or not marker.exists():
        marker.write_text(here)


def _do_not_wait(connection: object, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]
    connection.execute("PRAGMA journal_mode = MEMORY")  # type: ignore[attr-defined]


def _experiment(client: MlflowClient, settings: TrackingSettings, home: Path) -> str:
    """Return the id of the experiment, made where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        root = settings.artifact_root
        if root is None and settings.uri is None:
            root = (_folder(home) / "artifacts").as_uri()
        elif root is not None and "://" not in root:
            root = Path(root).expanduser().resolve().as_uri()
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

from __future__ import annotations

import os

import pytest
import sqlalchemy as sa

from corpus.errors import EarmarkError, SettingsError
from corpus.sqlite_url import sqlite_file
from tests.surroundings import environment_kept
from training.tracking import store


def test_the_store_lies_in_the_home_whatever_was_inherited(tracking, home):
    assert sqlite_file(str(sa.make_url(tracking.uri).database)) == home / "mlflow" / "mlflow.db"
    assert os.environ["MLFLOW_TRACKING_URI"] == tracking.uri
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert (home / "mlflow" / "mlflow.db").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (home / "mlflow").iterdir() if path.name.startswith(".new")] == []


def test_opening_again_finds_the_same_experiment(tracking, home):
    again = store.open_tracking(store.TrackingSettings(), home)
    assert again.experiment_id == tracking.experiment_id
    other = store.open_tracking(store.TrackingSettings(experiment="replay"), home)
    assert other.experiment_id != tracking.experiment_id
    store.upgrade_store(store.TrackingSettings(), home)


def test_a_deleted_experiment_is_refused_with_its_name(tracking, home):
    gone = store.open_tracking(store.TrackingSettings(experiment="gone"), home)
    gone.client.delete_experiment(gone.experiment_id)
    with pytest.raises(SettingsError, match="gone was deleted"):
        store.open_tracking(store.TrackingSettings(experiment="gone"), home)


def test_a_store_that_can_not_be_reached_is_one_clear_line_without_its_password(home):
    with environment_kept():
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        with pytest.raises(EarmarkError) as failed:
            store.open_tracking(store.TrackingSettings(uri="http://ann:secret@127.0.0.1:9"), home)
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa

from corpus.errors import EarmarkError, HostFault, RecordError, SettingsError
from corpus.sqlite_url import sqlite_file
from tests.surroundings import environment_kept
from tests.training.tracked import facts
from training.tracking import runs, store


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


@contextmanager
def full_disk(tracking):
    """No page is left for MLflow's database, as on a full disk."""
    engine = tracking.client._tracking_client.store.engine

    def leave_no_page(conn):
        conn.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite takes the number of pages that there are

    sa.event.listen(engine, "begin", leave_no_page)
    try:
        yield
    finally:
        sa.event.remove(engine, "begin", leave_no_page)
        engine.dispose()


def fill(tracking, run_id):
    with store.store_errors(tracking.uri):
        for number in range(300):
            tracking.client.set_tag(run_id, f"long {number}", "x" * 4000)


def test_a_full_disk_is_named_with_the_remedy_and_no_trace_is_written(tracking, capfd):
    run = tracking.client.create_run(tracking.experiment_id)
    with full_disk(tracking), pytest.raises(HostFault, match=r"mlflow\.db.*free some space") as failed:
        fill(tracking, run.info.run_id)
    assert "\n" not in str(failed.value)
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out
    assert "xxxx" not in said.err + said.out


def test_what_went_wrong_first_is_told_where_the_store_can_not_take_the_end_of_a_run(tracking, operation):
    def failing(stack):
        with runs.tracked_run(tracking, facts(operation)) as run_id:
            stack.enter_context(full_disk(tracking))
            with pytest.raises(HostFault):
                fill(tracking, run_id)
            raise RecordError("the first" + " of many" * 400)

    with ExitStack() as stack, pytest.raises(RecordError, match="the first"):
        failing(stack)

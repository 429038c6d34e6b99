"""Where the servers are and what is secret, from the environment or from files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from corpus.errors import Refused, SettingsError
from corpus.storage import operation_ids
from corpus.tables import nights
from flows.nights.night import night_named
from flows.reports.status import refuse_late_night
from flows.runtime.environment import VARIABLES
from flows.runtime.session import opened
from flows.runtime.settings import load_settings
from tests.flows.homes import earmark, small_settings

URL = "postgresql://ada:hunter2@db.example.org/records?sslmode=verify-full&password=hunter3"


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_every_variable_gives_its_setting_by_value_or_by_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    secret = tmp_path / "secret"
    secret.write_text(f"{URL}\n")
    group, key = VARIABLES[name].split(".")
    for variable, value in ((name, URL), (f"{name}_FILE", str(secret))):
        with monkeypatch.context() as patch:
            patch.delenv("EARMARK_HOME", raising=False)
            patch.setenv(variable, value)
            assert str(getattr(getattr(load_settings(), group), key)).replace("://", ":/") == URL.replace("://", ":/")
    with monkeypatch.context() as patch:
        patch.setenv(name, URL)
        patch.setenv(f"{name}_FILE", str(secret))
        with pytest.raises(SettingsError, match=f"{name} and {name}_FILE are both set"):
            load_settings()
    for broken in (tmp_path / "none", tmp_path / "empty"):
        (tmp_path / "empty").touch()
        with monkeypatch.context() as patch:
            patch.setenv(f"{name}_FILE", str(broken))
            with pytest.raises(SettingsError, match=f"{name}_FILE: its file"):
                load_settings()


def test_no_password_is_shown(tmp_path: Path):
    (tmp_path / "vault").write_text(URL)
    environment = {"EARMARK_RECORDS_URL": URL, "EARMARK_VAULT_URL_FILE": str(tmp_path / "vault"),
                   "EARMARK_MLFLOW_URI": "https://bob:hunter2@mlflow.example.org"}  # fmt: skip
    for form in ([], ["--json"]):
        done = earmark("config", "show", "--config", "production", *form, **environment)
        assert done.returncode == 0, done.stderr
        assert "hunter" not in done.stdout
        assert "db.example.org/records?sslmode=verify-full" in done.stdout
    assert json.loads(done.stdout)["tracking"]["uri"] == "https://***@mlflow.example.org"


def test_a_night_that_is_not_done_in_time_is_named(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    night = night_named("2026-11-22", settings.night.time_zone, settings.night.ends_at)
    with opened(settings) as corpus:
        with corpus.operation(operation_ids.nightly("2026-11-21"), "nightly") as op:
            nights.put_done(op.conn, "2026-11-21", corpus.clock())
            op.result = {}
        refuse_late_night(settings, 3, night.end + timedelta(hours=2.9))
        with pytest.raises(Refused, match=r"night 2026-11-22 closed at .* earmark nightly --night 2026-11-22"):
            refuse_late_night(settings, 3, night.end + timedelta(hours=3.1))
        with corpus.operation(operation_ids.nightly("2026-11-22"), "nightly") as op:
            nights.put_done(op.conn, "2026-11-22", corpus.clock())
            op.result = {}
    refuse_late_night(settings, 3, night.end + timedelta(hours=3.1))

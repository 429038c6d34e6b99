"""A dry run of a retraining: what is due, on which labels, for how long; and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus.errors import SettingsError
from corpus.handle import open_corpus
from corpus.records.annotations import Label
from corpus.records.base import Kind
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import costs, labels, snapshots
from corpus.tables import models as store
from corpus.vault.consent import AccountRow, mask_of, update_accounts, withdraw
from corpus.vault.vault_schema import accounts
from flows.reports.demo_tables import DemoReport
from flows.reports.dry_run_table import show_retrain_preview
from flows.reports.label_account import account_text
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.retrain_preview import preview
from tests.corpus.stored import arrive
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings, state
from training.tracking.store import open_tracking


def written(settings: Settings) -> list[Any]:
    """Return what a run would add to: the state, the operations, and MLflow's runs with their times."""
    with opened(settings) as corpus, corpus.read() as conn:
        operations = sorted(conn.execute(sa.select(schema.operations.c.operation_id)).scalars())
    tracking = open_tracking(settings.tracking, settings.home)
    runs = tracking.client.search_runs([tracking.experiment_id], max_results=1000)
    return [state(settings), operations, sorted((run.info.run_id, run.info.status) for run in runs)]


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_it_says_what_is_due_for_how_long_and_writes_nothing(
    lived: tuple[Settings, DemoReport], kind: Kind, capsys: pytest.CaptureFixture[str]
):
    settings = small_settings(lived[0].home, f"{'asr.loop' if kind == 'asr' else 'intent.fit'}.epochs=2")
    before = written(settings)
    with opened(settings) as corpus:
        found = preview(corpus, settings, kind, only_if_due=False)
        at_night = preview(corpus, settings, kind, only_if_due=True)
        with corpus.read() as conn:
            current, cost = labels.current(conn), costs.newest_training(conn, kind)
            judged = costs.newest_evaluation(conn, kind)
    assert written(settings) == before
    assert found.due
    assert found.account.labels == len(current)
    assert cost is not None
    assert found.measured_on == f"{kind}/{cost.version}"
    show_retrain_preview(found.to_json())
    assert ("known when it learns" in capsys.readouterr().out) == (kind == "asr")
    assert found.training_seconds == pytest.approx(cost.seconds * found.account.train / cost.labels, abs=0.06)
    assert judged is not None
    assert found.versions in (2, 3)
    transcribing = found.versions if kind == "asr" else 1  # intent versions read the same transcripts
    expected = judged.seconds / judged.rows * found.judged_on * transcribing
    assert found.judging_seconds == pytest.approx(expected, abs=0.06)
    assert not at_night.due
    assert "a retraining is due at" in at_night.why
    assert at_night.training_seconds is None


def test_a_home_where_nothing_ran_yet_knows_its_labels_and_no_time(tmp_path: Path):
    settings = small_settings(tmp_path / "home", 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}')
    corpus = open_corpus(settings.corpus)
    ids = arrive(corpus, 3)
    with corpus.operation("label", "ingest") as op:
        labels.put_labels(corpus, op, [Label(i, "lights on", None, (), 1.0, 1, 1) for i in ids], "manifest")
    speech, intent = (preview(corpus, settings, kind, only_if_due=False) for kind in ("asr", "intent"))
    corpus.close()
    assert (speech.due, speech.account.train, speech.training_seconds, speech.judging_seconds) == (True, 3, None, None)
    assert (intent.due, intent.account.left_out) == (False, {"no_intent": 3})
    assert not (settings.home / "mlflow").exists()


@pytest.mark.parametrize("versions", [0, 1])
def test_a_decoder_whose_files_the_training_would_refuse_is_refused_before(
    lived: tuple[Settings, DemoReport], tmp_path: Path, versions: int
):
    pytest.importorskip("flashlight.lib.text")
    home = copy_of(lived[0].home, tmp_path / "home") if versions else tmp_path / "home"
    file = tmp_path / "names.txt"
    file.write_text("dua lipa\n")
    settings = small_settings(home, "asr.decoder=beam", f"asr.beam.phrases={file}")
    with opened(settings) as corpus:
        if not versions:
            arrive(corpus, 3)
        assert preview(corpus, settings, "asr", only_if_due=False).kind == "asr"
        file.write_text(f"dua {'o' * 101}\n")
        for only_if_due in (False, True):
            with pytest.raises(SettingsError, match=r"^names\.txt: line 1 has a word of more than 100 letters"):
                preview(corpus, settings, "asr", only_if_due=only_if_due)
        assert preview(corpus, settings, "intent", only_if_due=False).kind == "intent"


def test_the_account_is_one_line_that_adds_up():
    counts = {"all": 12, "train": 6, "dev": 1, "audit": 2, "held_out": 0, "left_out.a_b": 1, "left_out.c": 2}
    assert account_text(counts) == "12 = 6 train + 1 dev + 2 audit + 0 held out + 3 left out (c 2, a b 1)"


@pytest.mark.parametrize("train", [True, False], ids=["due", "not-due"])
def test_a_withdrawal_is_no_new_label(lived: tuple[Settings, DemoReport], tmp_path: Path, train: bool):
    home = copy_of(lived[0].home, tmp_path / "home")
    with opened(small_settings(home)) as corpus:
        with corpus.read() as conn:
            newest = store.versions(conn, "asr")[-1]
            learned = snapshots.snapshot(conn, newest.snapshot_id).of("train")
            (row,) = labels.current(conn, [learned[0].utterance_id])
            others = {each.speaker_id for each in labels.current(conn, [row.utterance_id for row in learned])}
            speakers = [each.utterance_id for each in labels.current(conn) if each.speaker_id == row.speaker_id]
        assert len(others) > 1
        with writing(corpus.vault.engine) as conn:
            account = sa.select(accounts).where(accounts.c.speaker_id == row.speaker_id)
            found = AccountRow(*conn.execute(account).one())
            update_accounts(conn, [withdraw(found, mask_of(["score"]), corpus.clock())])
        gone = sum(each.utterance_id in speakers for each in learned)
        report = preview(corpus, small_settings(home), "asr", only_if_due=not train)
    text = f"label{'' if gone == 1 else 's'} that it learned from {'is' if gone == 1 else 'are'} gone"
    assert report.due == train
    assert f"{gone} {text}" in report.why
    assert re.search(r"\d+ training labels? (is|are) new", report.why) is None

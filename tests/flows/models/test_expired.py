"""A version that learned from labels which retention has ended serves on, and one without them is due in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from corpus.tables import erased, expiry
from corpus.tables import models as store
from flows.models import expired
from flows.models.aliases import mirror_versions, move_champion
from flows.reports.doctor import examine
from flows.reports.status import status_of
from flows.runtime.session import opened
from flows.runtime.settings import RetentionSettings
from flows.steps import retrain_plan
from tests.flows.labelled_home import labelled_home
from tests.flows.steps.test_replace_tainted import FAST, judged, learn, rows_of
from training.tracking.aliases import EXPIRED_TAG, TAINTED_TAG
from training.tracking.registry import model_name
from training.tracking.store import open_tracking


def test_it_is_marked_not_tainted_and_a_retraining_is_due_a_day_before_its_time(
    tmp_path: Path,
):
    settings = labelled_home(tmp_path, *FAST, "retention.models=5")
    with opened(settings) as corpus:
        version = learn(corpus, settings)
        judged(corpus, version, "promote")
        move_champion(corpus, "intent", "1", version, how="forced", why="test", actor="test")
        over = rows_of(corpus, version)[:1]
        erased.begin(corpus, (), {"labelled": over})
        expiry.expire_marked(corpus)
        now = corpus.clock()
        with corpus.read() as conn:
            assert not store.version(conn, "intent", version).tainted
            until = expired.retrain_by(conn, settings.retention)["intent"]
            assert timedelta(days=4) < until - now <= timedelta(days=5)
            assert not expired.is_due(conn, "intent", settings.retention, now + timedelta(days=3.9))
            assert expired.is_due(conn, "intent", settings.retention, now + timedelta(days=4))
            assert expired.overdue(conn, settings.retention, now + timedelta(days=4.9)) == []
            (late,) = expired.overdue(conn, settings.retention, now + timedelta(days=5.1))
        assert late.startswith("the newest version of intent learned from labels that retention has ended since")
        assert late.endswith("(retention.models); run earmark retrain intent")
        assert "due at 1000" in retrain_plan.plan(corpus, settings, "intent", "n", only_if_due=True).skipped
        found = status_of(settings).models["intent"]
        assert (found.tainted, found.learned_from_expired, found.retrain_by) == ((), (version,), until)
        assert not any("learned from labels" in each for each in examine(settings, repair=False).problems)
        tracking = open_tracking(settings.tracking, settings.home)
        mirror_versions(corpus, tracking)
        tagged = tracking.client.get_model_version(model_name(tracking, "intent"), version)
        assert (EXPIRED_TAG in tagged.tags, TAINTED_TAG in tagged.tags) == (True, False)
        assert "It learned from labels that retention has ended since." in str(tagged.description)
        # a day before its time however few labels are new
        due = settings.model_copy(update={"retention": RetentionSettings(models=1)})
        plan = retrain_plan.plan(corpus, due, "intent", "n", only_if_due=True)
        assert not plan.skipped
        assert over[0] not in {row.utterance_id for row in plan.snapshot.rows}
        without = learn(corpus, due, only_if_due=True)
        with corpus.read() as conn:
            assert expired.retrain_by(conn, due.retention) == {}
            assert without not in store.learned_from_expired(conn, "intent")
        judged(corpus, without, "refuse")  # what was asked for is a version without it, also where it does not serve
        assert retrain_plan.plan(corpus, due, "intent", "n", only_if_due=True).skipped
        assert not any("learned from labels" in each for each in examine(due, repair=False).problems)

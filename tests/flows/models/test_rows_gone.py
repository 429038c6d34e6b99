"""Decisions on rows of which some have been erased or have expired since say so, on the page and in MLflow."""

from __future__ import annotations

from pathlib import Path

from corpus.tables import erased, erasure, expiry
from flows.models.judged_nights import judged_nights
from flows.models.rows_gone import RowsGone, mark_figures, rows_gone
from flows.reports.night_report import _decisions
from tests.flows.judged_home import NIGHTS, home_of, settings_at
from tests.flows.models.test_anchor_set import found_in
from training.tracking.aliases import ROWS_GONE_TAG, set_rows_gone
from training.tracking.store import open_tracking


def test_each_decision_counts_its_rows_that_are_gone(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    rows = sorted(found_in(corpus).rows)
    with corpus.read() as conn:
        assert rows_gone(conn, "asr") == []
        assert [each.gone for each in judged_nights(corpus, conn, "asr", NIGHTS[-1]).decisions] == [0, 0]
    erasure.erase_utterances(corpus, rows[:2])
    erased.begin(corpus, (), {"labelled": rows[2:5]})
    expiry.expire_marked(corpus)
    with corpus.read() as conn:
        assert rows_gone(conn, "asr") == [RowsGone("2", 5, 20), RowsGone("3", 5, 30)]
        nights = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert [(each.rows, each.gone) for each in nights.decisions] == [(20, 5), (30, 5)]
    said = "measured on 30 rows, of which 5 were erased or have expired since"
    assert said in _decisions([nights])[-1].reasons
    assert len(nights.anchor_rows) == 15
    assert {len(night.of_base or ()) for night in nights.anchor if night.of_base is not None} == {15}


def test_runs_are_tagged_and_those_that_were_deleted_are_passed_over(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    tracking = open_tracking(settings.tracking, settings.home)
    run = tracking.client.create_run(tracking.experiment_id).info.run_id
    deleted = tracking.client.create_run(tracking.experiment_id).info.run_id
    tracking.client.delete_run(deleted)
    set_rows_gone(tracking, {"0" * 32: "1 of 2", deleted: "1 of 2", run: "3 of 20"})
    assert tracking.client.get_run(run).data.tags[ROWS_GONE_TAG] == "3 of 20"
    corpus = home_of(tmp_path)
    erasure.erase_utterances(corpus, sorted(found_in(corpus).rows)[:1])
    mark_figures(corpus, tracking)  # of runs that MLflow does not know
    corpus.close()

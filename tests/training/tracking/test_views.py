"""Saved views of the experiment's page."""

from __future__ import annotations

import json

from training.tracking.store import runs_page
from training.tracking.views import TAG, VERSIONS, save_views


def test_each_kind_has_a_view_whose_columns_are_the_metrics_that_decide(tracking):
    for _ in range(2):
        save_views(tracking)
    tags = tracking.client.get_experiment(tracking.experiment_id).tags
    view = json.loads(tags[TAG + VERSIONS["intent"]])
    state = json.loads(view["state"])
    assert view["name"] == "intent versions"
    assert state["searchFilter"] == "tags.`earmark.kind` = 'intent'"
    assert state["selectedColumns"][:2] == ["metrics.`anchor_intent_error`", "metrics.`audit_intent_error`"]
    assert runs_page(tracking, "http://m/", VERSIONS["asr"]).endswith("&viewStateShareKey=earmark-asr")

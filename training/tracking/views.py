"""Saved views of the experiment's page: which runs, and which columns in which order.

MLflow stores a saved view as a tag of the experiment; its `Views` menu lists them, and an address can name one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from corpus.records.base import Kind
from training.evaluation.rates import MAIN
from training.tracking.store import Tracking, store_errors

TAG: Final = "mlflow.sharedViewState."

VERSIONS: Final[Mapping[Kind, str]] = {"asr": "earmark-asr", "intent": "earmark-intent"}
"""Keys of the views of a kind's versions."""


RUN_NAME: Final = "attributes.`Run Name`"
NAME_WIDTH: Final = 330
"""Width of the column of names [px]: `asr 3 · night 2026-11-02 · 74 labels · margin` is shown whole."""


def save_views(tracking: Tracking) -> None:
    """Save the views of earmark, so that the page shows the metrics that decide beside the names of the runs."""
    with store_errors(tracking.uri):
        present = tracking.client.get_experiment(tracking.experiment_id).tags
        for key, view in _views().items():
            text = json.dumps(view, ensure_ascii=True)
            if present.get(TAG + key) != text:
                tracking.client.set_experiment_tag(tracking.experiment_id, TAG + key, text)


def _views() -> Mapping[str, Mapping[str, object]]:
    return {
        key: _view(f"{kind} versions", f"tags.`earmark.kind` = '{kind}'", _metrics(MAIN[kind]), number)
        for number, (kind, key) in enumerate(VERSIONS.items(), start=1)
    }


def _metrics(measure: str) -> list[str]:
    """Return the metrics that decide, in the order of the columns."""
    judged = [f"anchor_{measure}", f"audit_{measure}", f"audit_{measure}_low", f"audit_{measure}_high"]
    return [*judged, "change", "change_low", "change_high", f"champion_{measure}", "promoted", "audit_rows", "labels"]


def _view(name: str, search: str, metrics: Sequence[str], number: int) -> Mapping[str, object]:
    columns = [f"metrics.`{metric}`" for metric in metrics]
    state = {
        "searchFilter": search,
        "orderByKey": "metrics.`labels`",  # by the time of creation, versions would be folded below their nights
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [RUN_NAME, *columns, "runDateAndNestInfo", "duration"],
        "columnWidths": {RUN_NAME: NAME_WIDTH, **{f"metrics.`{metric}`": 40 + 8 * len(metric) for metric in metrics}},
    }
    # the moments are made up: the same view is the same text, so that it is saved once
    return {"name": name, "createdAt": number, "updatedAt": number, "state": json.dumps(state)}

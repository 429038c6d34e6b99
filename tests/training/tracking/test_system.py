from __future__ import annotations

import time
from dataclasses import replace

from tests.training.tracked import facts
from training.tracking import runs
from training.tracking.system import system_metrics


def test_a_run_shows_what_the_machine_had_to_do(tracking, operation):
    often = replace(tracking, system_seconds=0.05)
    with runs.tracked_run(tracking, facts(operation)) as run_id:
        for _ in range(2):  # a run that is taken up again goes on where it was
            with system_metrics(often, run_id):
                time.sleep(0.6)
        with system_metrics(replace(tracking, system_seconds=0.0), run_id):
            pass
    history = tracking.client.get_metric_history(run_id, "system/system_memory_usage_megabytes")
    assert len(history) >= 2
    assert len({metric.step for metric in history}) == len(history)
    assert all(metric.value > 0 for metric in history)

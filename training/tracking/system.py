"""What a training takes of the machine, as MLflow's pages show it beside the losses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from training.tracking.store import Tracking


@contextmanager
def measured(tracking: Tracking, run_id: str) -> Iterator[None]:
    """The run holds `system/...` while the block runs: processor, memory, disk, network, and the accelerator if any.

    Every `tracking.system_seconds` one sample; none where that is 0. A run that is taken up again goes on counting.
    What can't be measured or logged is left out: a training does not fail for it.
    """
    if not tracking.system_seconds:
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    monitor = SystemMetricsMonitor(
        run_id, sampling_interval=tracking.system_seconds, resume_logging=True, tracking_uri=tracking.uri
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()

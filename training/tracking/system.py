"""System metrics of a training (processor, memory and so on), which MLflow's pages show beside the losses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from training.tracking.store import Tracking


@contextmanager
def system_metrics(tracking: Tracking, run_id: str) -> Iterator[None]:
    """Log processor, memory, disk, network and accelerator as `system/...` of the run while the block runs.

    One sample is logged every `tracking.system_seconds`; none if that is 0. A continued run continues its counting.
    Values that can't be measured or logged are left out; the training does not fail.
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

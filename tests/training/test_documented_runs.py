"""What the documentation shows of runs works as it is written there, on a store with the runs of a pipeline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surroundings import environment_kept
from training.tracking import facts, runs, store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "comparing-runs.md"

CURVES = {"margin": {40: 0.31, 80: 0.24, 120: 0.2}, "random": {40: 0.34, 80: 0.3}}

DRAWN = """
import json
shown = dict(zip(*reversed(plt.gca().get_legend_handles_labels())))
print(json.dumps({name: shown[name].lines[0].get_xydata().tolist() for name in shown}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a run for each point of `CURVES`, one of another kind and one that was not judged."""
    with environment_kept():
        tracking = store.open_tracking(store.TrackingSettings(), tmp_path / ".earmark")
        for strategy, points in CURVES.items():
            for labels, wer in points.items():
                known = facts.RunFacts(
                    f"retrain/asr/{strategy}/{labels}", "asr", "asr", strategy=strategy, labels=labels
                )
                with runs.tracked_run(tracking, known) as run_id:
                    rates = {"anchor_wer": wer, "anchor_wer_low": wer - 0.05, "anchor_wer_high": wer + 0.06}
                    runs.log_metrics(tracking, run_id, rates)
        for kind in ("asr", "intent"):
            with runs.tracked_run(tracking, facts.RunFacts(f"base/{kind}", "base", kind)):
                pass
    return tmp_path


def test_the_documentation_draws_a_learning_curve_from_runs(home: Path):
    blocks = PAGE.read_text().split("```python\n")[1:]
    code = next(block.split("```")[0] for block in blocks if "mlflow.search_runs" in block)
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) <= 10
    quiet = {"MPLBACKEND": "Agg", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code + DRAWN],
        cwd=home,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = {name: [[labels, wer] for labels, wer in points.items()] for name, points in CURVES.items()}
    assert json.loads(done.stdout.splitlines()[-1]) == expected
    assert (home / "learning_curve.png").read_bytes().startswith(b"\x89PNG")

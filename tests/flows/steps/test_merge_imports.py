"""Merging a spreadsheet needs the names of the intents, and so neither a model nor the libraries that run one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.flows.homes import ROOT, arguments
from tests.flows.small_round import round_of

HEAVY = ("torch", "torchaudio", "transformers", "mlflow", "datasets", "sklearn", "pandas", "matplotlib")

MERGE = f"""
import json, sys
from flows.cli.main import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(set({HEAVY}).intersection(sys.modules))]), file=sys.stderr)
"""


def test_merging_a_table_of_ten_answers_imports_no_learning_library(tmp_path: Path):
    home = tmp_path / "home"
    with round_of(home, 10) as world:
        world.export()
        rows = [f"{task.task_id},ann,Play some jazz,other,7.5" for task in world.tasks()]
    file = tmp_path / "answers.csv"
    file.write_text("\n".join(["task_id,annotator_id,transcript,intent,lead_time", *rows]) + "\n")
    command = [sys.executable, "-c", MERGE, "merge", str(file), *arguments(home, "export.due_days=3"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert json.loads(done.stderr.splitlines()[-1]) == [0, []]
    assert json.loads(done.stdout)["labels"] == 10

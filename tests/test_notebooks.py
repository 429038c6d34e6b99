"""The notebooks of the documentation run from the first cell to the last, and show what they are there for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"
SNIPS = ROOT.parent / "shared" / "data" / "snips"

RUNNER = """
import json, sys
space = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    exec(compile(source, f"cell {number}", "exec"), space)
"""
"""Runs the cells as a kernel does, one after the other in one namespace; its errors name the cell."""


def cells(notebook: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def run(notebook: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the code cells in a process of their own, in the notebook's folder, as Jupyter does."""
    return subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=notebook.parent,
        input=json.dumps(["".join(cell["source"]) for cell in cells(notebook, "code")]),
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(not SNIPS.is_dir(), reason=f"the corpus SNIPS is not in {SNIPS}")
def test_the_notebook_on_strategies_compares_five_of_them() -> None:
    done = run(FOLDER / "strategies.ipynb", EARMARK_SNIPS=str(SNIPS))
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^ +(\w+)  (\d+|not reached)$", done.stdout, re.MULTILINE))
    assert set(found) == {"random", "default", "badge", "cluster_margin", "typiclust"}
    reached = {name: int(labels) for name, labels in found.items() if labels.isdigit()}
    assert "default" in reached
    assert reached["default"] < reached.get("random", 1000)


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    notebook = tmp_path / "broken.ipynb"
    code = [{"cell_type": "code", "source": [line]} for line in ("one = 1\n", "one / 0\n")]
    notebook.write_text(json.dumps({"cells": code}), encoding="utf-8")
    done = run(notebook)
    assert done.returncode == 1
    assert 'File "cell 1", line 1' in done.stderr


@pytest.mark.parametrize("notebook", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_linked_and_keeps_a_plot_of_its_last_run(notebook: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")]
    assert any(f"](notebooks/{notebook.name})" in page for page in pages)
    outputs = [output for cell in cells(notebook, "code") for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output["output_type"] == "error" for output in outputs)
    links = re.findall(r"\]\((\.\./[^)#]+)", "".join("".join(cell["source"]) for cell in cells(notebook, "markdown")))
    assert [link for link in links if not (notebook.parent / link).exists()] == []

"""A function takes its branch of the settings, not all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FLOWS = Path(__file__).parent.parent / "flows"

FEW = 2
"""A function that needs at most this many branches, and passes the settings on to nobody, takes these branches."""

COMMAND = "does the whole work of a command, like its neighbours that take the settings of a home"

WHOLE = {
    "flows/demo.py:traffic_of": "which branch is used depends on another one",
    "flows/models/aliases.py:roll_back": COMMAND,
    "flows/models/evaluation_store.py:evaluate_versions": "steps and reports share it, with the settings of a home",
    "flows/replay/run.py:plan_replay": COMMAND,
    "flows/replay/run.py:run_replay": COMMAND,
    "flows/reports/lineage.py:lineage_of": COMMAND,
    "flows/runtime/remote.py:retrain_remotely": COMMAND,
    "flows/runtime/session.py:opened": "the one way by which every command opens its home",
    "flows/steps/retrain_plan.py:_not_due": "two rules decide together, the one of the night and the one of the gate",
}
"""Functions that take all settings nevertheless, each with the reason."""


def branches_of(function: ast.FunctionDef) -> set[str] | None:
    """Return the branches of the settings that a function reads; None where it takes no settings or passes them on."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = {a.arg for a in arguments if a.annotation is not None and ast.unparse(a.annotation) == "Settings"}
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id in names]
    read = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and node.value in uses]
    return {node.attr for node in read} if uses and len(read) == len(uses) else None


def with_few_branches(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            found = branches_of(node) if isinstance(node, ast.FunctionDef) else None
            if found is not None and len(found) <= FEW:
                yield f"{file.relative_to(folder.parent)}:{node.name}"


def test_no_function_takes_all_settings_to_read_one_or_two_branches():
    assert set(with_few_branches(FLOWS)) - set(WHOLE) == set()


def test_a_function_that_reads_one_branch_is_found_and_one_that_passes_the_settings_on_is_not(tmp_path: Path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "step.py").write_text(
        "def one(settings: Settings): return settings.home\n"
        "def passes(settings: Settings): return one(settings), settings.home\n"
        "def three(settings: Settings): return settings.home, settings.crowd, settings.people\n"
        "def branch(settings: CrowdSettings): return settings.home\n"
    )
    assert [name.partition(":")[2] for name in with_few_branches(tmp_path / "flows")] == ["one"]

"""Ids of operations are made in one place and taken apart in none."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpus.storage import operation_ids

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").exists())
PACKAGES = ("corpus", "sampling", "annotation", "training", "flows")
PLACES = {"operation": 0, "result_of": 1, "ingest_batch": 1}
"""Where a function takes the id of an operation; the name alone is compared, as every caller has it as a method."""

MAKERS = {name: maker for name, maker in vars(operation_ids).items() if inspect.isfunction(maker)}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith("corpus/migrations/") and path.name != "operation_ids.py":
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def text_of(node: ast.expr) -> str | None:
    """Return what a string that is written down begins with; None where the expression is no such string."""
    if isinstance(node, ast.JoinedStr):
        return text_of(node.values[0]) if node.values else ""
    if isinstance(node, ast.BinOp):
        return text_of(node.left)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def made_from_text(tree: ast.Module) -> Iterator[str]:
    """Yield every written-down text that is given as the id of an operation."""
    given: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            given += [node.value for each in node.targets if isinstance(each, ast.Name) and each.id == "operation_id"]
        if isinstance(node, ast.Call):
            given += [keyword.value for keyword in node.keywords if keyword.arg == "operation_id"]
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = PLACES.get(called)
            given += node.args[place : place + 1] if place is not None else []
    yield from (text for node in given if (text := text_of(node)) is not None)


def test_no_other_module_writes_an_id_of_an_operation() -> None:
    assert {name: found for name, tree in sources() if (found := list(made_from_text(tree)))} == {}


@pytest.mark.parametrize(
    "line",
    [
        'with corpus.operation(f"sample/{night}", "sample") as op: pass',
        'operation_id = "ingest/" + name',
        'result_of(conn, f"retrain/{kind}")',
        'facts = RunFacts(operation_id=f"replay/{key}")',
    ],
)
def test_a_planted_id_is_found(line: str) -> None:
    assert list(made_from_text(ast.parse(line)))


def of(maker: Callable[..., str], changed: str = "") -> str:
    """Return the id that a maker gives for made-up arguments, of which one may be another."""
    given: list[int | str] = []
    for each in inspect.signature(maker).parameters.values():
        given.append(
            2 + (each.name == changed) if each.annotation == "int" else each.name + "2" * (each.name == changed)
        )
    return maker(*given)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_other_work_has_another_id(name: str) -> None:
    names = list(inspect.signature(MAKERS[name]).parameters)
    assert len({of(MAKERS[name]), *(of(MAKERS[name], each) for each in names)}) == 1 + len(names)


def test_no_two_kinds_of_work_share_an_id() -> None:
    assert len({of(maker) for maker in MAKERS.values()}) == len(MAKERS)


def test_work_that_is_done_each_time_has_an_id_each_time() -> None:
    for maker in (operation_ids.sweep, lambda: operation_ids.export("night"), lambda: operation_ids.roll_back("asr")):
        assert maker() != maker()

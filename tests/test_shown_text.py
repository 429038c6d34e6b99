"""Texts of a home reach a reader through one function a medium: a new place that goes around it fails here."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path for name in ("corpus", "sampling", "annotation", "training", "flows") for path in (ROOT / name).rglob("*.py")
)


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


def makes_a_page(tree: ast.AST) -> bool:
    return any(name == "Environment" for name, _ in _calls(tree))


def makes_a_figure(tree: ast.AST) -> bool:
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    pyplot = any("pyplot" in ast.unparse(node) for node in imported)
    return pyplot or any(name in ("Figure", "subplots", "add_subplot") for name, _ in _calls(tree))


def names_an_artist(tree: ast.AST) -> bool:
    """Return whether an artist, a legend or a tick gets a name that is no constant."""
    for name, call in _calls(tree):
        ticks = name in ("set_xticks", "set_yticks", "set_ticks") and len(call.args) > 1
        labels = name in ("set_xticklabels", "set_yticklabels")
        named = name in ("plot", "bar", "scatter", "axhline", "axvline", "errorbar", "fill_between") and any(
            each.arg == "label" and not isinstance(each.value, ast.Constant) for each in call.keywords
        )
        if ticks or labels or named:
            return True
    return False


def prints(tree: ast.AST) -> bool:
    return any(name == "print" and isinstance(call.func, ast.Name) for name, call in _calls(tree))


def writes_a_markdown_table(tree: ast.AST) -> bool:
    """Return whether an f-string begins as a row of a table in Markdown does."""
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and node.values]
    firsts = [node.values[0] for node in strings]
    return any(isinstance(each, ast.Constant) and re.match(r"\| ", str(each.value)) for each in firsts)


ONLY: dict[Callable[[ast.AST], bool], set[str]] = {
    makes_a_page: {"flows/reports/page_templates.py"},
    makes_a_figure: {"training/tracking/figures.py"},
    names_an_artist: {"training/tracking/figures.py"},
    prints: {
        "flows/runtime/console.py",
        "flows/runtime/session.py",
        "flows/cli/progress_bars.py",
        "flows/cli/main.py",  # constants alone
        "flows/cli/home_commands.py",  # YAML, which escapes by itself
        "flows/cli/audit_commands.py",  # a public key, to be given on as it stands
        "training/pretrain.py",  # numbers, for whoever makes the embedded bases
        "training/asr/ctranslate2.py",  # JSON, for the process that started it
    },
    writes_a_markdown_table: {
        "flows/runtime/markdown.py",
        "flows/cli/reference.py",  # docs/, from the code alone
    },
}
"""What only these files do; all others call their functions."""


@pytest.mark.parametrize("does", ONLY, ids=lambda does: does.__name__)
def test_only_one_function_shows_a_text(does: Callable[[ast.AST], bool]) -> None:
    found = {path.relative_to(ROOT).as_posix() for path in FILES if does(ast.parse(path.read_text(encoding="utf-8")))}
    assert found == ONLY[does]


def test_yaml_is_read_and_written_in_one_place() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if re.search(r"\byaml\.\w*(?:load|dump)\w*\(", path.read_text(encoding="utf-8"))
    }
    assert found == {"flows/runtime/yaml_text.py"}

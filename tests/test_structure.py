"""The production packages as a whole: which module imports which, and what nothing uses."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = ("corpus", "sampling", "annotation", "training", "flows")

UNUSED = {
    # Estimates of what traffic holds have no command yet.
    "sampling.estimation.horvitz_thompson_mean",
    "sampling.estimation.weighted_ratio",
    "sampling.estimation.nonresponse",
    # For whoever brings or takes strategies of scikit-activeml.
    "sampling.scikit_activeml.from_scikit_activeml",
    "sampling.scikit_activeml.EarmarkQuery",
    # For tools that read the published format, as those of the tests do.
    "annotation.files.read_annotations",
    # Started as a process, by its name.
    "corpus.decoder.serve",
}
"""Public functions and classes that no production module names: the ways in from outside, each with its reason."""

REGISTERED = ("command", "flow", "task", "callback")
"""A decorator of such a name makes known what it stands above."""


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)  # also sees imports inside functions and for types alone
    circles = {
        frozenset(chain)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (chain := graph.find_shortest_chain(imported, module))
    }
    assert circles == set()


def test_every_public_function_and_class_is_used_or_a_known_way_in() -> None:
    used: set[str] = set()
    defined: dict[str, str] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts:  # called by Alembic
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            used |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}  # as in getattr
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            defined |= {f"{module}.{node.name}": node.name for node in tree.body if _public(node)}
    assert {name for name, short in defined.items() if short not in used} == UNUSED


def _public(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return False
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return not any(name in decorator for name in REGISTERED for decorator in decorators)

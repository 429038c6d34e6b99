"""The production packages as a whole: which module imports which, and what nothing uses."""

from __future__ import annotations

import grimp

PACKAGES = ("corpus", "sampling", "annotation", "training", "flows")


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)  # also sees imports inside functions and for types alone
    circles = {
        frozenset(chain)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (chain := graph.find_shortest_chain(imported, module))
    }
    assert circles == set()

"""The longest files first: on two workers the suite then ends when its work is done, not when its last file is."""

from __future__ import annotations

import pytest

LONGEST = ("tests/flows/test_kill.py", "tests/flows/test_demo.py", "tests/corpus/test_kill.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.nodeid.split("::")[0]
        return LONGEST.index(file) if file in LONGEST else len(LONGEST)

    items.sort(key=place)

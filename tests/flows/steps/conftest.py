"""The world of the tests of steps; files whose tests need another one have a fixture of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.asked_world import Asked, asked_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Asked]:
    with asked_world(tmp_path / "home") as made:
        yield made

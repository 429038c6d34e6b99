"""What passed its limit within a week of the last run ends, in any number; anything else only in a small one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from corpus.tables import retention
from flows.models.retention_due import find_due
from tests.corpus.stored import arrive, corpus_at


@pytest.mark.parametrize(
    ("ages", "ran", "ended", "left"),
    [
        ([30] * 20, 1, 20, 0),
        ([30] * 10 + [200] * 10, 1, 20, 0),
        ([30] * 10 + [200] * 11, 1, 10, 11),
        ([30] * 20, -400, 0, 20),
        ([30] * 20, None, 0, 20),
        ([50] * 20, 60, 0, 20),
        ([85] * 20, 60, 20, 0),
    ],
)
def test_what_is_explained_ends_in_any_number(
    tmp_path: Path, ages: list[int], ran: int | None, ended: int, left: int
) -> None:
    corpus = corpus_at(tmp_path, retention_days=30)
    now = corpus.clock()
    for age in sorted(set(ages)):
        count, arrived = ages.count(age), now - timedelta(days=age, hours=1)
        arrive(
            corpus, count, start=1000 * age, arrived_at=arrived - timedelta(seconds=1000 * age), operation_id=f"i/{age}"
        )
    retention.apply_limits(corpus, retention.limits_of(corpus.settings))
    if ran is not None:
        retention.note_run(corpus, now - timedelta(days=ran))
    due = find_due(corpus, unbounded=False)
    assert len(due.all_ids) == ended
    assert (due.refused is None) == (left == 0)
    assert len(find_due(corpus, unbounded=True).all_ids) == ended + left
    corpus.close()

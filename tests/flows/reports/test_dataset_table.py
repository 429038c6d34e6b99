"""Until when a dataset may be kept: the day that was given, wherever it is shown."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from corpus.handle import open_corpus
from corpus.settings import CorpusSettings
from flows.reports.doctor import _datasets
from flows.steps.dataset import NOTICE
from tests.flows.homes import arguments, earmark
from tests.flows.small_round import answer, round_of


def test_the_day_that_was_given_is_shown_everywhere(tmp_path: Path):
    with round_of(tmp_path / "home", 2) as made:
        made.export()
        made.merge(*(answer(task, intent="play_music") for task in made.tasks()))
    year = datetime.now(UTC).year + 1
    command = ("dataset", "export", str(tmp_path / "out"), "--format", "csv", "--expires", f"{year}-12-31")
    exported = earmark(*command, *arguments(tmp_path / "home"))
    until = f"the end of {year}-12-31 (UTC)"
    assert re.search(rf"may be kept until +{re.escape(until)}", exported.stdout), exported.stderr
    assert f"may be kept until {until}" in (tmp_path / "out" / NOTICE).read_text()
    listed = earmark("dataset", "list", *arguments(tmp_path / "home"))
    assert f"{year}-12-31" in listed.stdout  # the words around it may be on other lines of the cell
    document = json.loads(earmark("dataset", "list", *arguments(tmp_path / "home"), "--json").stdout)
    deleted = earmark("dataset", "delete", document[0]["dataset_id"], "--dry-run", *arguments(tmp_path / "home"))
    assert until in deleted.stdout
    for shown in (exported, listed, deleted):
        assert f"{year + 1}-01-01" not in shown.stdout
    assert document[0]["expires_at"] == f"{year + 1}-01-01T00:00:00+00:00"
    later = open_corpus(CorpusSettings(home=tmp_path / "home"), clock=lambda: datetime(year + 1, 1, 1, tzinfo=UTC))
    (problem,) = _datasets(later)[1]
    assert f"was to be kept until {until} only" in problem
    later.close()

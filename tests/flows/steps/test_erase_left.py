"""What an erasure could not do is counted, named with the remedy, and tried again."""

from __future__ import annotations

import re
from pathlib import Path

from corpus.storage import files
from corpus.tables import erased
from flows.reports.doctor import examine
from flows.reports.report_words import worded
from flows.tasks.task_status import SweepReport
from tests.flows.homes import arguments, earmark
from tests.flows.small_round import round_of


def test_packs_that_are_damaged_are_counted_and_stay_unfinished_until_they_are_restored(tmp_path: Path):
    home = tmp_path / "home"
    with round_of(home, 3) as world:
        (pack,) = (path for path, _ in files.listing(world.corpus.fs, world.corpus.root) if path.startswith("audio/"))
        whole = files.load(world.corpus.fs, world.corpus.root, pack)
        (where,) = home.rglob(Path(pack).name)
        where.write_bytes(whole[:40])
        done = earmark("erase", "account", "account-0", *arguments(home))
        assert done.returncode == 1, done.stderr
        assert re.search(r"packs that could not be written anew +1\n", done.stdout)
        assert "NOT DONE  packs: 1 pack is missing or too short" in done.stdout
        problems = examine(world.settings, repair=False).problems
        assert any("has not reached the packs since" in each for each in problems)
        where.write_bytes(whole)
        again = earmark("erase", "account", "account-0", *arguments(home))
        assert again.returncode == 0, again.stderr
        with world.corpus.read() as conn:
            assert erased.not_reached(conn) == {}
        assert not where.exists()


def test_files_of_answers_that_a_sweep_could_not_change_have_words():
    report = SweepReport(closed=1, files=0, unreached={"a.refused.jsonl": "can't be read"})
    assert worded("sweep", report.to_json()) == {
        "tasks closed": 1,
        "files removed": 0,
        "files of answers whose lines could not be removed": {"a.refused.jsonl": "can't be read"},
    }

"""The doctor names what others can open in a home, and closes it with --repair."""

from __future__ import annotations

from pathlib import Path

from flows.reports.doctor_rights import check_rights
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.homes import arguments, earmark


def test_what_others_can_open_is_named_and_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    manifest = write(tmp_path / "m.jsonl", [row(tmp_path, 1)])
    assert earmark("ingest", str(manifest), *arguments(home)).returncode == 0
    assert check_rights(home) == ({"open to others": 0}, [])
    (home / "content").chmod(0o755)
    named = earmark("doctor", *arguments(home))
    assert named.returncode == 1
    assert "rights: others than the owner of the home have rights on content" in named.stdout
    repaired = earmark("doctor", "--repair", *arguments(home))
    assert repaired.returncode == 0, repaired.stdout
    assert "rights of others" in repaired.stdout
    assert (home / "content").stat().st_mode & 0o777 == 0o700

"""`earmark consent` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.flows.homes import arguments, earmark
from tests.flows.small_round import round_of


def test_consent_is_shown_withdrawn_and_imported_without_naming_the_account(tmp_path: Path):
    home = tmp_path / "home"
    with round_of(home, 4) as world:
        world.export()
    done = earmark("consent", "set", "account-1", "--no", "annotate,train", *arguments(home), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["reached"]["tasks"] == 1
    assert "account-1" not in done.stdout + done.stderr
    shown = earmark("consent", "show", "account-1", *arguments(home))
    assert shown.returncode == 0, shown.stderr
    assert "account-1" not in shown.stdout
    assert "1 may be used to: score" in shown.stdout
    lines = tmp_path / "list.csv"
    lines.write_text("account,consent\naccount-2,\naccount-3,what\n")
    done = earmark("consent", "import", str(lines), *arguments(home))
    assert done.returncode == 1
    assert "line 3: field consent" in done.stdout


def test_what_is_not_clear_is_refused_in_one_line(tmp_path: Path):
    home = tmp_path / "home"
    with round_of(home, 1):
        pass
    for given, said in (
        (("set", "account-0"), "nothing is stated"),
        (("set", "account-0", "--no", "listen"), "unknown use"),
        (("set", "account-0", "--no", "train", "--yes", "train"), "name it once"),
        (("set", "account-0", "--yes", "train", "--notice", "1"), "--notice"),
        (("set", "account-0", "--yes", "annotate"), "needs a notice"),
        (("set", "--no", "all"), "name one account"),
        (("set", "stranger", "--no", "all"), "no such account"),
        (("show", "stranger"), "no such account"),
    ):
        done = earmark("consent", *given, *arguments(home))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr
        assert "stranger" not in done.stderr

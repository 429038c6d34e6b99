"""What all commands share: opening the home, and showing a result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.errors import HomeBusy, SettingsError
from flows.cli.options import open_home, options_again, show_report, show_result
from flows.runtime.lock import hold_corpus
from flows.runtime.results import Skipped
from flows.steps.ingest import IngestReport
from tests.flows.homes import small_settings


def settings_for(home: Path) -> list[str]:
    return [f"corpus.home={json.dumps(str(home))}"]


def test_a_home_is_opened_with_its_settings_and_locked_where_it_is_changed(tmp_path: Path):
    home, overrides = tmp_path / "home", settings_for(tmp_path / "home")
    with open_home(None, overrides, lock="test", create=True) as (corpus, settings):
        assert corpus.settings.home == settings.home == home
        with pytest.raises(HomeBusy, match="test"), hold_corpus(settings.corpus, "another"):
            pass
    with hold_corpus(small_settings(home).corpus, "another"), open_home(None, overrides) as (corpus, _):
        assert corpus.settings.home == home  # whoever reads waits for nobody
        with pytest.raises(HomeBusy, match="another"), open_home(None, overrides, lock="test"):
            pass


@pytest.mark.parametrize("lock", [None, "rollback"])
def test_a_home_that_is_not_there_is_made_only_where_it_is_asked_for(tmp_path: Path, lock: str | None):
    overrides = settings_for(tmp_path / "none")
    with pytest.raises(SettingsError, match="no corpus at"), open_home(None, overrides, lock=lock):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_shown_for_people_or_as_json_and_so_is_a_list(capsys: pytest.CaptureFixture[str]):
    result = Skipped("nothing to do")
    show_result(result, False, lambda shown: print(shown.skipped))
    assert capsys.readouterr().out == "nothing to do\n"
    show_result([result], True, lambda _: print("for people"))
    assert json.loads(capsys.readouterr().out) == [{"skipped": "nothing to do"}]


def test_a_report_has_its_heading_above_the_words_of_its_step(capsys: pytest.CaptureFixture[str]):
    report = IngestReport(received=2, accepted=2, already=1)
    show_report("ingested", report, False, heading="ingested before: nothing changed")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ingested before: nothing changed"
    assert lines[-1] == "  manifests ingested before  1"


def test_a_hint_has_the_options_that_name_the_same_home(tmp_path: Path):
    file = tmp_path / "my settings.yaml"
    file.write_text(f"corpus: {{home: {tmp_path / 'home'}}}\n")
    assert options_again(None, None) == ""
    assert options_again(file, None) == f" --config '{file}'"
    assert options_again(None, ["corpus.home=/a b", "sampling.clips=4"]) == " --set 'corpus.home=/a b'"
    assert options_again(Path("demo"), ["corpus.home=/a"]) == " --set corpus.home=/a"
    assert options_again(Path("demo"), None).startswith(" --set corpus.home=")

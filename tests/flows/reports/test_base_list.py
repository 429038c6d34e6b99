"""A base whose files or facts can't be read is listed as damaged, with the remedy, and hides no other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.handle import open_corpus
from flows.models.bring_base import add_base
from flows.models.use_base import use_named_base
from flows.reports.base_list import base_named, bases_of
from flows.reports.base_table import show_base, show_bases
from flows.runtime.settings import Settings, load_settings
from tests.training.tiny import tiny_asr_folder
from training.loop.base_facts import FILE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home with the base `twin`."""
    found = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    add_base(found.home, str(tiny_asr_folder(tmp_path / "theirs")), name="twin")
    return found


@pytest.mark.parametrize("has_corpus", [False, True])
@pytest.mark.parametrize("damage", ["facts", "no facts", "no files"])
def test_a_damaged_base_is_listed_and_shown_with_the_remedy(
    settings: Settings, capsys: pytest.CaptureFixture[str], damage: str, has_corpus: bool
):
    if has_corpus:
        open_corpus(settings.corpus).close()
    folder = settings.home / "bases" / "twin"
    if damage == "facts":
        (folder / FILE).write_text("{")
    else:
        for path in folder.iterdir() if damage == "no files" else [folder / FILE]:
            path.unlink()
    (found,) = base_named(settings, "twin")
    assert (found.facts.name, found.added, found.damaged) == ("twin", True, True)
    show_bases(bases_of(settings))
    show_base(base_named(settings, "twin"))
    said = capsys.readouterr().out
    assert "twin is damaged: " in said
    assert FILE in said or str(folder) in said
    assert {each.facts.name for each in bases_of(settings) if each.added} == {"embedded", "twin"}
    with pytest.raises(UsageError, match=r"there is no base twn; there are .*twin"):
        base_named(settings, "twn")


@pytest.mark.parametrize("lost", [("config.json",), ("config.json", FILE)])
@pytest.mark.parametrize("is_used", [False, True])
def test_a_damaged_speech_base_without_its_configuration_stays_one(
    settings: Settings, lost: tuple[str, ...], is_used: bool
):
    if is_used:
        corpus = open_corpus(settings.corpus)
        try:
            use_named_base(corpus, settings.home, settings.models, settings.tracking, "twin", None, None)
        finally:
            corpus.close()
        (settings.home / "bases" / "twin" / "processor_config.json").unlink(missing_ok=True)
    for name in lost:
        (settings.home / "bases" / "twin" / name).unlink()
    (found,) = base_named(settings, "twin")
    assert (found.facts.kind, found.damaged, found.to_json()["damaged"]) == ("asr", True, True)
    assert "earmark base add FOLDER --name twin" in found.note


def test_a_file_that_is_not_the_one_that_was_added_marks_a_base_as_damaged(settings: Settings):
    with (settings.home / "bases" / "twin" / "tokenizer_config.json").open("a") as file:
        file.write("\n")
    (found,) = base_named(settings, "twin")
    assert found.damaged
    assert "its files are not those that were added" in found.note

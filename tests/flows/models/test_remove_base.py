"""A base that was added is removed with all its files, unless something needs it, which is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import HomeBusy, Refused, UsageError
from corpus.handle import open_corpus
from corpus.storage.durable_write import TEMPORARY
from flows.models import registry
from flows.models.base_drafts import sweep_drafts
from flows.models.bring_base import add_base
from flows.models.remove_base import remove_base
from flows.models.use_base import use_named_base
from flows.reports.base_table import show_removed
from flows.runtime import lock
from flows.runtime.settings import ModelSettings, load_settings
from tests.training.tiny import tiny_asr_folder

NONE = ModelSettings()


def names_in(home: Path) -> list[str]:
    return sorted(path.name for path in registry.added_bases(home).iterdir())


def test_all_files_of_a_base_go_and_a_dry_run_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home = tmp_path / "home"
    folder = add_base(home, str(tiny_asr_folder(tmp_path / "theirs"))).folder
    files = sorted(path.name for path in folder.iterdir())
    would = remove_base(None, home, NONE, "theirs", dry_run=True)
    assert (sorted(would.files), would.dry_run, names_in(home)) == (files, True, ["theirs"])
    assert would.megabytes == round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 2)
    show_removed(would)
    said = capsys.readouterr().out
    assert "would be removed (dry run, nothing is changed)" in said
    assert f"{len(files)} files, " in said
    assert sorted(remove_base(None, home, NONE, "theirs").files) == files
    assert names_in(home) == []
    for name in ("theirs", "..", "tiny-en"):
        with pytest.raises(UsageError, match="there is no base"):
            remove_base(None, home, NONE, name)
    with pytest.raises(UsageError, match="comes with earmark"):
        remove_base(None, home, NONE, "embedded")


def test_of_a_link_the_link_goes_and_the_folder_stays(tmp_path: Path):
    home, theirs = tmp_path / "home", tiny_asr_folder(tmp_path / "theirs")
    files = sorted(path.name for path in theirs.iterdir())
    registry.added_bases(home).mkdir(parents=True)
    (registry.added_bases(home) / "linked").symlink_to(theirs)
    assert remove_base(None, home, NONE, "linked").files == {}
    assert (names_in(home), sorted(path.name for path in theirs.iterdir())) == ([], files)
    (registry.added_bases(home) / f"{TEMPORARY}draft").symlink_to(theirs)
    assert sweep_drafts(home) == 1
    assert (names_in(home), sorted(path.name for path in theirs.iterdir())) == ([], files)


@pytest.mark.parametrize("given", ["theirs", "{home}/bases/theirs"])
def test_a_base_that_the_settings_name_stays(tmp_path: Path, given: str):
    home = tmp_path / "home"
    add_base(home, str(tiny_asr_folder(tmp_path / "theirs")))
    models = ModelSettings(asr=given.format(home=home))
    for dry_run in (True, False):
        with pytest.raises(Refused, match=r"base theirs is in use: models\.asr is .*theirs; set it to another"):
            remove_base(None, home, models, "theirs", dry_run=dry_run)
    assert names_in(home) == ["theirs"]


def test_a_base_that_a_version_was_made_from_stays_also_where_it_is_damaged(tmp_path: Path):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    folder = add_base(settings.home, str(tiny_asr_folder(tmp_path / "theirs"))).folder
    corpus = open_corpus(settings.corpus)
    try:
        use_named_base(corpus, settings.home, settings.models, settings.tracking, "theirs", None, None)
        for _ in range(2):
            with pytest.raises(Refused, match=r"base theirs is in use: asr/1 was made from it"):
                remove_base(corpus, settings.home, settings.models, "theirs")
            (folder / "tokenizer.json").write_text("{")
        add_base(settings.home, str(tiny_asr_folder(tmp_path / "other", seed=1)))
        assert remove_base(corpus, settings.home, settings.models, "other").name == "other"
        assert names_in(settings.home) == ["theirs"]
    finally:
        corpus.close()


def test_who_has_the_names_of_bases_is_named(tmp_path: Path):
    home = tmp_path / "home"
    add_base(home, str(tiny_asr_folder(tmp_path / "theirs")))
    with (
        lock.hold_bases(home, "base remove"),
        pytest.raises(HomeBusy, match="in use by earmark base remove"),
        lock.hold_bases(home, "base add", patience=0.0),
    ):
        pass

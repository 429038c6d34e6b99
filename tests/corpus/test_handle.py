"""The home folder: made for its owner alone, and never in the repository around it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import SettingsError
from corpus.handle import make_home, open_corpus
from corpus.settings import CorpusSettings
from corpus.storage import database
from tests import postgres
from tests.corpus.stored import arrive, corpus_at


def untracked(checkout: Path) -> str:
    """Return what Git would add, file by file."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "earmark.yaml").write_text("corpus:\n")
    return tmp_path


def test_a_home_in_a_checkout_has_nothing_that_git_would_add(checkout: Path) -> None:
    corpus = open_corpus(CorpusSettings(home=checkout / "data" / "customers"))
    arrive(corpus, 3)
    corpus.close()
    assert len(list((checkout / "data" / "customers" / "content").rglob("*.pack"))) > 0
    assert untracked(checkout) == "?? earmark.yaml\n"


def test_a_home_of_an_earlier_version_is_kept_out_of_git_once_it_is_opened(checkout: Path) -> None:
    settings = CorpusSettings(home=checkout / "data")
    open_corpus(settings).close()
    (settings.home / ".gitignore").unlink()
    assert "data/records.db" in untracked(checkout)
    open_corpus(settings, create=False).close()
    assert untracked(checkout) == "?? earmark.yaml\n"


def test_a_gitignore_of_somebody_elses_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("# mine\n")
    open_corpus(CorpusSettings(home=tmp_path)).close()
    assert (tmp_path / ".gitignore").read_text() == "# mine\n"


def test_no_gitignore_hides_the_files_of_a_checkout_whose_top_is_the_home(checkout: Path) -> None:
    open_corpus(CorpusSettings(home=checkout)).close()
    assert "?? earmark.yaml\n" in untracked(checkout)


def test_a_home_is_for_its_owner_alone_and_one_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"home .*file.* can't be made"):
        make_home(tmp_path / "file" / "home")


def test_two_schemas_of_one_database_are_two_places_and_one_schema_is_none(
    tmp_path: Path, postgres_server: postgres.Server
) -> None:
    name = postgres_server.new()
    url = postgres_server.url(name)
    engine = database.engine(url)
    with engine.begin() as conn:
        for schema in ("records", "vault"):
            conn.execute(sa.text(f"CREATE SCHEMA {schema}"))
    engine.dispose()
    urls = {f"{schema}_url": f"{url}&options=-csearch_path={schema}" for schema in ("records", "vault")}
    for _ in range(2):  # made, and opened again
        corpus = corpus_at(tmp_path, **urls)
        assert len(arrive(corpus, 2)) == 2
        corpus.close()
    with pytest.raises(SettingsError, match="the same database"):
        corpus_at(tmp_path, **dict.fromkeys(urls, urls["vault_url"]))
    postgres_server.drop([name])

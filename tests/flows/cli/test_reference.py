"""The reference pages of the documentation agree with the code, and every command and setting has its sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import BaseModel, Field

from corpus.errors import UsageError
from flows.cli.main import app
from flows.cli.reference import cli_page, settings_page, without_sentence, write_pages
from flows.cli.setting_reference import attribute_sentences, settings
from flows.runtime.settings import Settings

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_page_of_the_commands_is_written_from_the_code() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert page == cli_page(app), "stale; run python -m flows.cli.reference docs"


def test_the_page_of_the_settings_is_written_from_the_code() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(Settings), "stale; run python -m flows.cli.reference docs"


def test_every_command_option_and_setting_has_a_sentence() -> None:
    assert without_sentence(app, Settings) == []


def test_every_setting_is_on_the_page_with_its_default() -> None:
    page = settings_page(Settings)

    def leaves(tree: BaseModel, prefix: str = "") -> list[str]:
        found: list[str] = []
        for name in type(tree).model_fields:
            value = getattr(tree, name)
            found += leaves(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else [f"{prefix}{name}"]
        return found

    keys = leaves(Settings())
    assert len(keys) > 150
    assert [key for key in keys if f"| `{key}` |" not in page] == []
    assert (
        "| `asr.loop.epochs` | whole number, 1 or more, at most 10000 | `8` |" in page
    )  # the branch's default, not the model's 10


def test_a_command_an_option_and_a_setting_without_a_sentence_are_named() -> None:
    class Bare(BaseModel):
        """Settings.

        Attributes:
            told: A setting with its sentence.
        """

        told: int = 1
        silent: int = 2
        described: int = Field(default=3, description="It has a sentence, too.")

    bare = typer.Typer()

    @bare.command()
    def act(count: Annotated[int, typer.Option()] = 1) -> None:
        pass

    @bare.command()
    def other() -> None:
        """Do something else."""

    assert without_sentence(bare, Bare) == ["earmark act", "earmark act --count", "silent"]


def test_a_docstring_gives_a_sentence_to_several_names_and_over_several_lines() -> None:
    class Base(BaseModel):
        """Base.

        Attributes:
            first, second: Both have
                one sentence.
        """

        first: int = 1
        second: int = 2

    class Derived(Base):
        """Derived.

        Attributes:
            second: Has its own.
        """

    assert attribute_sentences(Derived) == {"first": "Both have one sentence.", "second": "Has its own."}


def test_a_group_inside_a_list_or_beside_null_is_shown_with_its_members() -> None:
    keys = {setting.key: setting for setting in settings(Settings)}
    assert keys["people.people"].default == "[]"
    assert keys["people.people.*.annotator_id"].default == "needed"
    assert keys["asr.lora"].default == "null"
    assert keys["asr.lora.rank"].default == "8"


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        write_pages(tmp_path / "nowhere")

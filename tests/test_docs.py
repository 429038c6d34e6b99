"""What README and documentation name exists: commands, options, settings, links, make targets, benchmarks."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from corpus.records.base import Verdict
from flows.cli.main import app
from flows.cli.reference import Command, commands
from flows.cli.setting_reference import settings
from flows.runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[str]:
    """Yield the lines of a page's blocks of shell commands, without those of other languages."""
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("", "sh", "bash", "console"):
            yield from text.replace("\\\n", " ").splitlines()


def inline(page: Path) -> Iterator[str]:
    """Yield what a page sets in single backticks outside its blocks."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    yield from (" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text))


def problems(line: str) -> list[str]:
    """Return what a line that calls earmark names and earmark does not have."""
    known = known_commands()
    try:
        words = shlex.split(line.partition("; ")[0], comments=True)
    except ValueError as error:
        return [f"{line}: {error}"]
    name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in known), None)
    if name is None:
        return [f"no command {' '.join(words[:3])}"]
    options = {option for given in known[name].parameters for option in given.name.split(" / ")}
    found = [f"{name} has no {word}" for word in words if word.startswith("--") and word.split("=")[0] not in options]
    for flag, value in pairwise(words):
        if flag == "--set" and value.partition("=")[0] not in keys():
            found.append(f"no setting {value.partition('=')[0]}")
    return found


@cache
def known_commands() -> dict[str, Command]:
    """Return every command by its name."""
    return {command.name: command for command in commands(app)}


@cache
def keys() -> set[str]:
    """Return every key of the settings."""
    return {setting.key for setting in settings(Settings)}


def calls(page: Path) -> list[str]:
    """Return what a page shows as a call of earmark."""
    starts = re.compile(r"^(?:\.venv/bin/)?(earmark [a-z].*)$")
    lines = [*blocks(page), *inline(page)]
    return [found.group(1) for line in lines if (found := starts.match(line.strip())) and "..." not in found.group(1)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_option_and_setting_that_a_page_calls_exists(page: Path) -> None:
    if page.name in ("cli.md", "settings.md"):
        return
    assert [problem for call in calls(page) for problem in problems(call)] == []


def test_a_wrong_command_option_or_setting_is_found() -> None:
    assert problems("earmark compose asr/1") == ["no command earmark compose asr/1"]
    assert problems("earmark score --nightly 3") == ["earmark score has no --nightly"]
    assert problems("earmark score --set sampling.clip=4") == ["no setting sampling.clip"]
    assert problems("earmark audit show --last 3   # the last three") == []


def test_the_pages_call_most_commands() -> None:
    called = {" ".join(call.split()[:2]) for page in PAGES for call in calls(page) if page.name != "cli.md"}
    assert {" ".join(command.name.split()[:2]) for command in commands(app)} - called == set()


def dead_links(page: Path) -> list[str]:
    """Return the links of a page to files or headings that do not exist; addresses of other hosts are not looked up."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert dead_links(page) == []


def test_a_link_to_no_file_or_no_heading_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, here\n[good](#a-heading-here) [bad](#elsewhere) [worse](gone.md) [out](https://x.y)\n"
    )
    assert dead_links(page) == ["#elsewhere", "gone.md"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_and_benchmark_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [*blocks(page), *inline(page)]
    made = {found for line in named for found in re.findall(r"^make ([\w-]+)", line.strip())}
    modules = {
        found for line in named for found in re.findall(r"python -m ((?:benchmarks|flows|training)[\w.]*)", line)
    }
    assert made - targets == set()
    assert {module for module in modules if find_spec(module) is None} == set()


def rows_of_manifests(page: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of manifests that a page shows as one JSON line each."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith('{"audio"'):
            yield json.loads(line)


def test_the_rows_of_manifests_on_the_pages_count_for_people_too() -> None:
    rows = {page.name: list(rows_of_manifests(page)) for page in PAGES}
    assert all(rows[name] for name in ("README.md", "bring-your-data.md"))
    for row in (row for shown in rows.values() for row in shown):
        consent = row["consent"]
        assert not isinstance(consent, list) or "annotate" not in consent or row.get("notice"), row


def test_readme_can_be_read_in_three_minutes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 830
    assert "make nightly" in text
    assert "make test" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_folder_of_the_packages_that_a_page_names_exists(page: Path) -> None:
    named = [
        found
        for found in inline(page)
        if re.fullmatch(r"(?:corpus|sampling|annotation|training|flows)/[\w./-]*", found)
    ]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_page_on_annotation_says_what_each_verdict_does() -> None:
    table = (ROOT / "docs/annotation.md").read_text().partition("| `verdict` |")[2].partition("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(get_args(Verdict))

"""A function takes its branches of the settings, not all of them; mypy checks that it reads no other one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FLOWS = Path(__file__).parent.parent / "flows"

ROOMS = ("models", "nights", "replay", "rounds", "steps", "tasks")
"""Rooms in which no function takes all settings: those above hand out the home, these get what they need of it."""

FEW = 2
"""Above these rooms, a function that needs at most this many branches, and passes the settings on to nobody, takes
these branches."""

PARTS = 3
"""A function of these rooms that reads at most this many branches, and passes them on to nobody, takes these branches;
one that needs more takes a protocol."""

WHOLE = {
    "flows/demo.py:traffic_of": "which branch is used depends on another one",
    "flows/runtime/session.py:opened": "the one way by which every command opens its home",
}
"""Functions above these rooms that take all settings nevertheless, each with the reason."""

PROTOCOL, PART = "SettingsOf", "Has"
"""Beginning of the names of a step's protocol, and of those that it is made from."""


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def annotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    """Yield name and type of the parameters."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return ((each.arg, ast.unparse(each.annotation)) for each in arguments if each.annotation is not None)


def branches_of(function: ast.FunctionDef | ast.AsyncFunctionDef, of: str) -> tuple[set[str], bool]:
    """Return the branches that a function reads of its parameters of the type, and whether it passes these on."""
    names = {name for name, type_ in annotated(function) if type_ == of or (of == PROTOCOL and type_.startswith(of))}
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id in names]
    read = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and node.value in uses]
    return {node.attr for node in read}, len(read) < len(uses)


def with_few_branches(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for of, few in (("Settings", FEW), (PROTOCOL, PARTS)):
            for function in functions(ast.parse(file.read_text())):
                found, passed_on = branches_of(function, of)
                if found and not passed_on and len(found) <= few:
                    yield f"{file.relative_to(folder.parent)}:{function.name}"


def with_all_settings(folder: Path) -> Iterator[str]:
    """Yield the lines of these rooms that name the type of all settings, or import the module to name it there."""
    for file in sorted(file for room in ROOMS for file in (folder / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.alias):
                named = node.name in ("Settings", "settings", "flows.runtime.settings", "*")
            else:
                named = "Settings" in [getattr(node, kind, "") for kind in ("id", "attr", "value")]  # or in quotes
            if named:
                yield f"{file.relative_to(folder.parent)}:{node.lineno}"


def unread_parts(folder: Path) -> Iterator[str]:
    """Yield the parts in the protocols of steps that no function of the same file reads."""
    for file in sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for made in (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith(PROTOCOL)):
            read = {
                branch
                for function in functions(tree)
                if made.name in dict(annotated(function)).values()
                for branch in branches_of(function, PROTOCOL)[0]
            }
            parts = {name for base in made.bases if (name := ast.unparse(base)).startswith(PART)}
            for part in sorted(parts - {PART + "".join(map(str.capitalize, branch.split("_"))) for branch in read}):
                yield f"{file.relative_to(folder.parent)}:{made.name}:{part}"


def test_no_function_takes_all_settings_to_read_one_or_two_branches():
    assert set(with_few_branches(FLOWS)) == set(WHOLE)


def test_no_function_of_these_rooms_takes_all_settings():
    assert all((FLOWS / room).is_dir() for room in ROOMS)
    assert list(with_all_settings(FLOWS)) == []


def test_the_protocol_of_a_step_has_only_parts_that_the_step_reads():
    assert list(unread_parts(FLOWS)) == []


def test_a_function_that_reads_one_branch_is_found_and_one_that_passes_the_settings_on_is_not(tmp_path: Path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "step.py").write_text(
        "def one(settings: Settings): return settings.home\n"
        "def passes(settings: Settings): return one(settings), settings.home\n"
        "def three(settings: Settings): return settings.home, settings.crowd, settings.people\n"
        "def branch(settings: CrowdSettings): return settings.home\n"
        "def parts(settings: SettingsOfMerge): return settings.home, settings.crowd, settings.people\n"
        "def hands(settings: SettingsOfMerge): return one(settings), settings.home\n"
    )
    assert [name.partition(":")[2] for name in with_few_branches(tmp_path / "flows")] == ["one", "parts"]


def test_all_settings_are_found_in_a_room_below_however_they_are_named(tmp_path: Path):
    (tmp_path / "flows" / "steps").mkdir(parents=True)
    (tmp_path / "flows" / "steps" / "step.py").write_text(
        "def taken(settings: Settings): ...\n"
        "def maybe(settings: Settings | None = None): ...\n"
        "def quoted(settings: 'Settings'): ...\n"
        "from flows.runtime.settings import Settings as All\n"
        "from flows.runtime import settings\n"
        "def free(settings: CrowdSettings, other: SettingsOfMerge): ...\n"
    )
    found = {name.partition(":")[2] for name in with_all_settings(tmp_path / "flows")}
    assert found == {"1", "2", "3", "4", "5"}


def test_a_part_that_no_function_reads_is_found(tmp_path: Path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "step.py").write_text(
        "class SettingsOfMerge(SettingsOfExport, HasTaskFolder, HasPeople, Protocol): ...\n"
        "def merge(settings: SettingsOfMerge): return settings.task_folder\n"
        "def other(settings: SettingsOfExport): return settings.people\n"
    )
    assert [name.partition(":")[2] for name in unread_parts(tmp_path / "flows")] == ["SettingsOfMerge:HasPeople"]

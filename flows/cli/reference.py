"""Write the two reference pages of the documentation, of all commands and of all settings, from the code.

`python -m flows.cli.reference docs` writes `cli.md` and `settings.md`. `make docs` runs it, and a test fails where the
committed pages differ from what this module writes.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel

from corpus.errors import UsageError
from flows.cli.setting_reference import NEEDED, Setting, kind_name, settings

NOTE = "<!-- Written by `python -m flows.cli.reference docs`; change the code, not this page. -->\n\n"
CLI_INTRO = """# Commands

Exit status: 0 done; 1 refused or failed, with the reason in one line on stderr; 2 wrong usage or input that can't be
read. An option that may be given several times is marked so. The keys of `--set` are on the page
[Settings](settings.md).

"""
SETTINGS_INTRO = """# Settings

Every setting has a default. Give a YAML file with only the settings that differ by `--config`, and single values by
`--set key=value`; servers and secrets may come from the environment ([Operations](operations.md#settings-and-secrets)).
Later ones override earlier ones: defaults, file, environment, `--set`. An unknown key is refused. `earmark config show`
prints the value of every setting. A key with `.*.` is one of a list of such groups.

"""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or option of a command, as text."""

    name: str
    kind: str
    default: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the command line, as text."""

    name: str
    usage: str
    sentence: str
    parameters: tuple[Parameter, ...]


def commands(app: typer.Typer) -> Iterator[Command]:
    """Yield every command in the order of `--help`; those of groups come after the others."""
    yield from _commands(app, typer.main.get_command(app), "earmark")


def _commands(app: typer.Typer, root: Any, prefix: str) -> Iterator[Command]:
    for info in app.registered_commands:
        assert info.callback is not None
        name = info.name or typer.main.get_command_name(info.callback.__name__)
        yield _command(f"{prefix} {name}", info.callback, root.commands[name] if hasattr(root, "commands") else root)
    for group in app.registered_groups:
        if group.typer_instance is not None and group.name:
            own = group.typer_instance.registered_callback
            if own is not None and own.callback is not None and root.commands[group.name].invoke_without_command:
                yield _command(f"{prefix} {group.name}", own.callback, root.commands[group.name])
            yield from _commands(group.typer_instance, root.commands[group.name], f"{prefix} {group.name}")


def _command(name: str, callback: Callable[..., Any], command: Any) -> Command:
    hints = get_type_hints(callback, include_extras=True)
    own = [parameter for parameter in command.params if parameter.name in hints]
    arguments = "".join(_argument_usage(each) for each in own if each.param_type_name == "argument")
    needed = "".join(
        f" {option.opts[0]} {option.name.upper()}"
        for option in command.params
        if option.param_type_name == "option" and option.required
    )
    parameters = tuple(_parameter(each, hints[each.name]) for each in own)
    return Command(name, f"{name}{arguments}{needed} [OPTIONS]", inspect.getdoc(callback) or "", parameters)


def _argument_usage(argument: Any) -> str:
    """Return an argument as the line of usage shows it, such as ` [FILES...]`."""
    text = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs == -1 else "")
    return f" {text}" if argument.required else f" [{text}]"


def _parameter(given: Any, hint: Any) -> Parameter:
    kind, info = get_args(hint)[:2] if get_origin(hint) is typing.Annotated else (hint, None)
    bounds = [
        text.format(bound)
        for name, text in (("min", "{} or more"), ("max", "at most {}"))
        if (bound := getattr(info, name, None)) is not None
    ]
    several = ", several times" if getattr(given, "multiple", False) else ""
    if given.param_type_name == "argument":
        name = given.metavar or given.name.upper()
    else:
        name = " / ".join([*given.opts, *given.secondary_opts])
    if kind is bool:
        text, default = "", {True: given.opts[0], False: ""}[bool(given.default)]
    else:
        text = ", ".join([kind_name(kind).removesuffix(" or null").removeprefix("list of "), *bounds]) + several
        default = NEEDED if given.required else "" if given.default is None else str(given.default)
    return Parameter(name, text, default, given.help or "")


def cli_page(app: typer.Typer) -> str:
    """Return the page of the commands."""
    lines = [NOTE + CLI_INTRO]
    for command in commands(app):
        lines.append(f"## {command.name}\n\n{command.sentence}\n\n```\n{command.usage}\n```\n\n")
        lines.append(_table(("argument or option", "takes", "default", "what it does"), command.parameters))
    return "".join(lines).rstrip("\n") + "\n"


def settings_page(model: type[BaseModel]) -> str:
    """Return the page of the settings, one table for each branch."""
    lines = [NOTE + SETTINGS_INTRO]
    for setting in settings(model):
        if "." not in setting.key:
            lines.append(f"## {setting.key}\n\n{setting.sentence}\n\n")
            rows = [found for found in settings(model) if found.key.startswith(f"{setting.key}.")]
            lines.append(_table(("key", "type", "default", "what it sets"), rows))
    return "".join(lines).rstrip("\n") + "\n"


def _table(headers: tuple[str, ...], rows: typing.Sequence[Parameter | Setting]) -> str:
    lines = [f"| {' | '.join(headers)} |", f"| {' | '.join('---' for _ in headers)} |"]
    for row in rows:
        name = row.name if isinstance(row, Parameter) else row.key
        default = f"`{row.default}`" if row.default not in ("", NEEDED) else row.default
        cells = (f"`{name}`", row.kind, default, row.sentence)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n\n"


def without_sentence(app: typer.Typer, model: type[BaseModel]) -> list[str]:
    """Return the names of the commands, options and settings that have no sentence."""
    sentences = [(command.name, command.sentence) for command in commands(app)]
    sentences += [
        (f"{command.name} {parameter.name}", parameter.sentence)
        for command in commands(app)
        for parameter in command.parameters
    ]
    sentences += [(setting.key, setting.sentence) for setting in settings(model)]
    return [name for name, sentence in sentences if not sentence.endswith((".", "`"))]


def write_pages(folder: Path) -> None:
    """Write both pages into a folder.

    Raises:
        UsageError: there is no such folder, or a command, option or setting has no sentence.
    """
    from flows.cli.main import app
    from flows.runtime.settings import Settings

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the one of the documentation, such as docs")
    if missing := without_sentence(app, Settings):
        raise UsageError(f"no sentence that ends in a full stop: {', '.join(missing)}; write it where it is defined")
    (folder / "cli.md").write_text(cli_page(app), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(Settings), encoding="utf-8")


if __name__ == "__main__":
    try:
        write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
    except UsageError as error:
        sys.exit(f"reference: {error}")

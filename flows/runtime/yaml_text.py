"""Read and write YAML as its version 1.2 has it: `yes`, `1:30` and `2026-01-01` are texts; `010` is refused.

PyYAML reads version 1.1, in which they are a truth value, a number to the base of 60 and a date, and `010` is eight; it
takes the last of two values of one key in silence. What is written here means the same in both versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import yaml

from corpus.errors import EarmarkError
from flows.runtime.environment import Json

_NOT_YAML: Final = "is not YAML; fix it"

_SHOWN: Final = 20
"""How many characters of a number a message shows at most."""

_TAG: Final = "tag:yaml.org,2002:"

_FORMS: Final = {
    "null": (r"null|Null|NULL|~|", [*"nN~", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
    "merge": (r"<<", ["<"]),
}
"""Forms of plain scalars in YAML 1.2's core schema, and the characters that each begins with; all else is a text."""


class YamlFault(EarmarkError):
    """A text can't be read as YAML; the message says why, and what to do.

    Attributes:
        line: number of the line, from 1; 0 where it is unknown.
    """

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.line = line

    def of(self, name: str) -> str:
        """Return the message for a file of that name."""
        return f"{name} line {self.line} {self}" if self.line else f"{name} {self}"

    def of_value(self) -> str:
        """Return the message for a value on the command line."""
        return "the value is not YAML; put it in quotes" if str(self) == _NOT_YAML else f"the value {self}"


class _Fault(yaml.MarkedYAMLError):
    """What this module refuses beside what PyYAML does; `problem` says it to a person."""


class _Loader(yaml.SafeLoader):
    """A loader of YAML 1.2 that refuses a key twice, a key that is no text, and an alias inside its own anchor."""

    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - PyYAML declares it so
    yaml_constructors: ClassVar[Any] = {
        tag: function
        for tag, function in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in ("null", "bool", "int", "float", "str", "seq", "map")
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open: list[str | None] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; its anchor is open while what it holds is read."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent) and anchor in self._open:
            raise _Fault(problem=f"has *{anchor} inside of &{anchor}; write it out", problem_mark=event.start_mark)  # type: ignore[arg-type]
        self._open.append(anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping, each of whose keys is a text of its own."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                raise _Fault(problem="has a key that is no text; put it in quotes", problem_mark=key.start_mark)
            if key.value in seen:
                raise _Fault(problem=f"gives {key.value} a second time; keep one of them", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


class _Dumper(yaml.SafeDumper):
    """A dumper that puts a text in quotes where either version of YAML would read something else."""


for _name, (_form, _first) in _FORMS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_form})$"), _first)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value
    for prefix, base in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix):
            return int(text[2:], base)
    if not re.fullmatch(r"[-+]?[0-9]{1,4000}", text):
        raise _Fault(problem="has a number that is none, or too long; correct it", problem_mark=node.start_mark)
    if re.fullmatch(r"[-+]?0[0-9]+", text):  # eight or ten, by the version
        meant = {int(text, base) for base in (8, 10) if base == 10 or not re.search("[89]", text)}
        remedy = (
            " or ".join(str(number) for number in sorted(meant, key=abs)) if len(text) <= _SHOWN else "it without 0"
        )
        what = f"has the number {text[:_SHOWN]}; write {remedy}, or put it in quotes for a text"
        raise _Fault(problem=what, problem_mark=node.start_mark)
    return int(text)


_Loader.add_constructor(f"{_TAG}int", _integer)


def load_yaml(text: str) -> Json:
    """Return what a text means, in the types of JSON.

    Raises:
        YamlFault: it is not YAML, or gives a key twice.
    """
    with _loading(text) as loader:
        found: Json = loader.get_single_data()
        return found


def compose_yaml(text: str) -> yaml.Node | None:
    """Return the nodes of a text with the places where they are; None for an empty one.

    Raises:
        YamlFault: as `load_yaml`.
    """
    with _loading(text) as loader:
        return loader.get_single_node()


def dump_yaml(value: object, **options: Any) -> str:
    """Return a value as YAML, its keys in their order; `options` are those of PyYAML."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, **options)
    return text


@contextmanager
def _loading(text: str) -> Iterator[_Loader]:
    try:
        loader = _Loader(text)
        try:
            yield loader
        finally:
            loader.dispose()
    except _Fault as fault:
        raise YamlFault(str(fault.problem), fault.problem_mark.line + 1 if fault.problem_mark else 0) from None
    except yaml.YAMLError as error:
        raise YamlFault(_NOT_YAML, getattr(getattr(error, "problem_mark", None), "line", -1) + 1) from None
    except (RecursionError, ValueError):  # a list in a list in a list, or a value that its tag does not fit
        raise YamlFault(_NOT_YAML) from None

"""Strict reader of CTranslate2's `model.bin`: named arrays, and aliases of them.

The file is little-endian: version, name of the specification, revision, count, then the variables (name, rank, shape,
type, bytes, data), then the aliases (name, target). A string has its length with a closing zero byte in front. No
length is believed: each is checked against the bytes that are left before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import Damaged, SettingsError

VERSIONS: Final = (4, 5, 6)
"""Versions of the container that are read; up to 3 a variable has no type."""

BFLOAT16: Final = "bfloat16"

TYPES: Final[Mapping[int, tuple[str, str]]] = {
    0: ("float32", "<f4"),
    1: ("int8", "<i1"),
    2: ("int16", "<i2"),
    3: ("int32", "<i4"),
    4: ("float16", "<f2"),
    5: (BFLOAT16, "<u2"),
}
"""Types of variables by their number: name, and numpy's type; numpy has no bfloat16."""

MOST_VARIABLES: Final = 10_000
"""Most variables, and most aliases; a Whisper of 32 + 32 layers has 1,400."""

LONGEST_NAME: Final = 200
"""Most bytes of a name, the closing zero included."""

HIGHEST_RANK: Final = 3
"""Most dimensions of a variable: those of a convolution."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as it is stored.

    Attributes:
        kind: name of its type, one of `TYPES`.
        values: the stored values, a view into the file; bfloat16 as uint16.
    """

    kind: str
    values: npt.NDArray[Any]


def open_parts(paths: Sequence[Path]) -> npt.NDArray[np.uint8]:
    """Return the bytes of a file, or of the parts that it was cut into; one file is mapped and not read."""
    filled = [path for path in paths if path.stat().st_size]
    parts = [np.memmap(path, dtype=np.uint8, mode="r") for path in filled]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint8)


def read_variables(content: npt.NDArray[np.uint8], spec: str, revision: int, where: str) -> dict[str, Variable]:
    """Return the variables by name, aliases included, each a view into the content.

    Args:
        content: bytes of the whole file.
        spec: name of the specification that the file has to have, such as `WhisperSpec`.
        revision: revision of the specification that it has to have.
        where: the file, for messages.

    Raises:
        Damaged: a length, count or name is wrong, so that the file is cut short or not in this format.
        SettingsError: the version, specification, revision or type of a variable is not one that is read.
    """
    reader = _Reader(content, where)
    version = reader.number("<u4", "the version")
    if version not in VERSIONS:
        raise SettingsError(f"{where}: version {version} of the format is not read, only {_listed(VERSIONS)}")
    found = reader.text("the specification")
    if found != spec:
        raise SettingsError(f"{where}: the model is a {found!a}, and only {spec} is read")
    stored = reader.number("<u4", "the revision")
    if stored != revision:
        raise SettingsError(f"{where}: revision {stored} of {spec} is not read, only {revision}; convert it anew")
    variables: dict[str, Variable] = {}
    for _ in range(reader.count("variables")):
        name = reader.text("a variable's name")
        if name in variables:
            raise Damaged(f"{where}: variable {name!a} is stored twice; fetch the file anew")
        variables[name] = reader.variable(name)
    aliases: dict[str, Variable] = {}
    for _ in range(reader.count("aliases")):
        alias, target = reader.text("an alias"), reader.text("an alias' target")
        if alias in variables or alias in aliases or target not in variables:
            raise Damaged(f"{where}: alias {alias!a} of {target!a} leads nowhere or is taken; fetch the file anew")
        aliases |= _aliased(alias, target, variables)
    reader.end()
    return variables | aliases


def _aliased(alias: str, target: str, variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """Return the target under its second name, with its scale where it has one."""
    names = {alias: target, f"{alias}_scale": f"{target}_scale"}
    return {name: variables[stored] for name, stored in names.items() if stored in variables}


class _Reader:
    """A position in the file; each method reads what comes next and checks that it is there."""

    def __init__(self, content: npt.NDArray[np.uint8], where: str) -> None:
        self._content = content
        self._where = where
        self._at = 0

    def bytes(self, size: int, what: str) -> npt.NDArray[np.uint8]:
        left = len(self._content) - self._at
        if size > left:
            raise Damaged(f"{self._where}: ends within {what}, which needs {size} bytes of {left}; fetch the file anew")
        self._at += size
        return self._content[self._at - size : self._at]

    def number(self, kind: str, what: str) -> int:
        return int(self.bytes(np.dtype(kind).itemsize, what).view(kind)[0])

    def count(self, what: str) -> int:
        found = self.number("<u4", f"the number of {what}")
        if found > MOST_VARIABLES:
            raise Damaged(f"{self._where}: {found} {what} are more than {MOST_VARIABLES}; fetch the file anew")
        return found

    def text(self, what: str) -> str:
        size = self.number("<u2", what)
        if not 1 < size <= LONGEST_NAME:
            raise Damaged(f"{self._where}: {what} has {size} bytes, not 2 to {LONGEST_NAME}; fetch the file anew")
        stored = self.bytes(size, what).tobytes()
        if stored[-1] or not all(32 < byte < 127 for byte in stored[:-1]):
            raise Damaged(f"{self._where}: {what} is not printable text with a zero at its end; fetch the file anew")
        return stored[:-1].decode("ascii")

    def variable(self, name: str) -> Variable:
        rank = self.number("<u1", name)
        if rank > HIGHEST_RANK:
            raise Damaged(f"{self._where}: variable {name} has {rank} dimensions; fetch the file anew")
        shape = tuple(self.number("<u4", name) for _ in range(rank))
        number = self.number("<u1", name)
        if number not in TYPES:
            raise SettingsError(f"{self._where}: variable {name} has type {number}, not one of {_listed(TYPES)}")
        kind, stored = TYPES[number]
        size, wanted = self.number("<u4", name), np.dtype(stored).itemsize
        for length in shape:
            wanted *= length
        if size != wanted:
            raise Damaged(f"{self._where}: variable {name} has {size} bytes, its shape {wanted}; fetch the file anew")
        return Variable(kind, self.bytes(size, name).view(stored).reshape(shape))

    def end(self) -> None:
        left = len(self._content) - self._at
        if left:
            raise Damaged(f"{self._where}: {left} bytes follow what the file says it holds; fetch the file anew")


def scalar(variable: Variable) -> int | None:
    """Return the value of a whole number; None for an array or a fraction."""
    whole = variable.values.ndim == 0 and variable.kind.startswith("int")
    return int(variable.values) if whole else None


def weights(variables: Mapping[str, Variable], name: str, where: str) -> npt.NDArray[np.floating[Any]]:
    """Return the values of a variable as float16 if they are stored so, else as float32, scaled and finite.

    An int8 or int16 is the weight multiplied by `NAME_scale`, which is one number, or one for each row, and rounded.

    Raises:
        Damaged: the scale is missing or has no place, or a weight is not finite.
        SettingsError: the type is none of weights.
    """
    variable, scale = variables[name], variables.get(f"{name}_scale")
    if variable.kind in ("int8", "int16"):
        if scale is None:
            raise Damaged(f"{where}: variable {name} is {variable.kind} and has no scale; fetch the file anew")
        found = variable.values.astype(np.float32) / _per_row(_floats(scale), variable, name, where)
    elif variable.kind == "int32":
        raise SettingsError(f"{where}: variable {name} is int32, packed by a scheme that is not read; convert it anew")
    elif scale is not None:
        raise Damaged(f"{where}: variable {name} is {variable.kind} and has a scale; fetch the file anew")
    else:
        found = variable.values if variable.kind == "float16" else _floats(variable)
    if not np.isfinite(found).all():
        raise Damaged(f"{where}: variable {name} has values that are not finite; fetch the file anew")
    return found


def _floats(variable: Variable) -> npt.NDArray[np.float32]:
    if variable.kind == BFLOAT16:  # the upper half of a float32
        return (variable.values.astype(np.uint32) << 16).view(np.float32)
    return variable.values.astype(np.float32, copy=False)


def _per_row(scale: npt.NDArray[np.float32], variable: Variable, name: str, where: str) -> npt.NDArray[np.float32]:
    rows = variable.values.shape[:1]
    if scale.shape not in ((), (1,), rows) or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise Damaged(f"{where}: variable {name}_scale is not one number above 0 for each row; fetch the file anew")
    return scale.reshape(scale.shape + (1,) * (variable.values.ndim - 1)) if scale.size > 1 else scale.reshape(())


def _listed(numbers: Sequence[int] | Mapping[int, object]) -> str:
    return ", ".join(str(number) for number in numbers)

"""Spoilt copies of real files, the same ones for the same seed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

Bytes = bytearray
HEADER = 64  # [bytes]; where most containers keep what matters
_ODD = (0, 1, 7, 8, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutated(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Return a copy of one of the files with one to three faults."""
    data = bytearray(files[rng.integers(len(files))])
    for _ in range(rng.integers(1, 4)):
        fault = FAULTS[rng.integers(len(FAULTS))]
        data = fault(data, files, rng)
    return bytes(data)


def _place(data: Bytes, rng: np.random.Generator) -> int:
    """Return a position, in the header as often as anywhere."""
    most = len(data) if rng.random() < 0.5 else min(HEADER, len(data))
    return int(rng.integers(most)) if most else 0


def _flip_bits(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    for _ in range(rng.integers(1, 9) if data else 0):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _truncate(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    return data[: _place(data, rng)]


def _twice(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    begin = _place(data, rng)
    end = begin + int(rng.integers(1, 4096))
    return data[:end] + data[begin:]


def _header_field(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    """An aligned number in the header has an extreme value, in either byte order."""
    value, kind = _ODD[rng.integers(len(_ODD))], ("<I", ">I", "<H", ">H")[rng.integers(4)]
    packed = struct.pack(kind, value & (0xFFFF if kind[1] == "H" else 0xFFFFFFFF))
    at = int(rng.integers(HEADER // 2)) * 2
    data[at : at + len(packed)] = packed
    return data


def _splice(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    other = bytearray(files[rng.integers(len(files))])
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _insert(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at = _place(data, rng)
    return data[:at] + rng.bytes(int(rng.integers(1, 512))) + data[at:]


def _overwrite(data: Bytes, files: Sequence[bytes], rng: np.random.Generator) -> Bytes:
    at, size = _place(data, rng), int(rng.integers(1, 256))
    data[at : at + size] = rng.bytes(size) if rng.random() < 0.5 else bytes(size)
    return data


FAULTS: tuple[Callable[[Bytes, Sequence[bytes], np.random.Generator], Bytes], ...] = (
    _flip_bits,
    _truncate,
    _twice,
    _header_field,
    _splice,
    _insert,
    _overwrite,
)

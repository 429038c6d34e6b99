"""Labelled corpora for replay: `train.jsonl` is the pool, `test.jsonl` is for evaluation.

A row has `text` and `intent`; with `audio` (relative to the folder) it is speech. `speaker` is optional. These corpora
are public or the user's own labelled data, not customers' recordings, so they are not read through the door.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpus.errors import UsageError
from corpus.storage.json_lines import read_objects
from corpus.text import normalise

WORDS_PER_SECOND: Final = 2.5
"""Speaking rate by which the duration of a text without audio is estimated (150 words a minute)."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One labelled utterance.

    Attributes:
        text: normalised words.
        intent: its true intent.
        speaker: the corpus' own name of the speaker; "" where it has none.
        audio: file of the clip, which may be missing; None in a corpus of texts.
        duration: length of the clip as the row states it, or estimated length of the text when spoken [s].
        line: of its file, from 1.
        clip: the file as the row names it; "" in a corpus of texts.
    """

    text: str
    intent: str
    speaker: str
    audio: Path | None
    duration: float
    line: int
    clip: str


@dataclass(frozen=True, slots=True)
class LabelledCorpus:
    """A pool and a test set.

    Attributes:
        name: name of the folder.
        digest: SHA-256 of both files and of the sizes of the clips, as a clip that was mended changes the results.
        train, test: the rows.
        speech: whether the rows have audio.
    """

    name: str
    digest: str
    train: tuple[LabelledRow, ...]
    test: tuple[LabelledRow, ...]
    speech: bool

    def files(self) -> tuple[tuple[str, tuple[LabelledRow, ...]], ...]:
        """Return the name of each file and its rows, those of the pool first."""
        return ("train.jsonl", self.train), ("test.jsonl", self.test)


def read_corpus(folder: Path) -> LabelledCorpus:
    """Return the corpus in a folder.

    Raises:
        UsageError: a file is missing, a row can't be read or lacks a field, only some rows have audio, or all rows
            of the pool have the same intent; the message names the file, and the line where there is one. A clip that
            is missing or damaged is no error here.
    """
    hasher = hashlib.sha256()
    parts = {name: tuple(_rows(folder, name, hasher)) for name in ("train", "test")}
    speech = {row.audio is not None for part in parts.values() for row in part}
    if len(speech) > 1:
        for name, part in parts.items():
            gone = next((row for row in part if row.audio is not None and not row.audio.is_file()), None)
            if gone is not None:
                raise UsageError(f"corpus {folder.name}: {name}.jsonl line {gone.line}: audio names no file")
        raise UsageError(f"corpus {folder.name}: some rows have audio and others have none; split it into two corpora")
    if len({row.intent for row in parts["train"]}) < 2:
        raise UsageError(f"corpus {folder.name}: train.jsonl has one intent only; a replay needs at least two")
    return LabelledCorpus(folder.resolve().name, hasher.hexdigest(), parts["train"], parts["test"], speech.pop())


def _rows(folder: Path, name: str, hasher: Any) -> Iterator[LabelledRow]:
    path = folder / f"{name}.jsonl"
    try:
        content = path.read_bytes()
    except OSError:
        raise UsageError(f"corpus {folder.name}: no {name}.jsonl that can be read; check --corpus") from None
    hasher.update(hashlib.sha256(content).digest())
    where = f"corpus {folder.name}: {name}.jsonl"
    for number, row in read_objects(content, where):
        found = _row(folder, row, number, f"{where} line {number}")
        if found.audio is not None:
            size = found.audio.stat().st_size if found.audio.is_file() else -1
            hasher.update(size.to_bytes(8, "little", signed=True))
        yield found


def _row(folder: Path, row: dict[str, Any], number: int, where: str) -> LabelledRow:
    for key in ("text", "intent"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise UsageError(f"{where} has no {key}; a row needs text and intent")
    audio = row.get("audio")
    if audio is not None and not (isinstance(audio, str) and audio.strip()):
        raise UsageError(f"{where}: audio names no file")
    text = normalise(row["text"])
    rate, samples = row.get("sample_rate"), row.get("num_samples")
    duration = max(1, len(text.split())) / WORDS_PER_SECOND
    if audio is not None and isinstance(rate, int) and isinstance(samples, int) and rate > 0:
        duration = samples / rate
    return LabelledRow(
        text=text,
        intent=row["intent"],
        speaker=str(row.get("speaker", "")),
        audio=folder / audio if audio else None,
        duration=duration,
        line=number,
        clip=audio or "",
    )

"""Check what is stored against what was written: sizes and heads of files, or every byte of clips, parts and texts.

Nothing leaves this module but ids, counts and names of files: what is decrypted is dropped at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.handle import Corpus
from corpus.storage import cipher, files, packs, prediction_parts
from corpus.storage.content_codec import seal_name
from corpus.storage.database import fetch_among, reading
from corpus.storage.records_schema import answers, labels, parts, scores, utterances
from corpus.storage.records_schema import packs as packs_table
from corpus.tables.utterances import as_location, live_ids, reading_order
from corpus.vault import vault

BATCH: Final = 256
"""Number of utterances whose clips are in memory at once."""

More = Callable[[int], None]
"""Called with how many files or utterances were checked since the last call."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked, and what is wrong with it.

    Attributes:
        counts: by name of what was checked.
        problems: one line each, with the remedy.
    """

    counts: dict[str, int]
    problems: list[str]


def file_sizes(corpus: Corpus) -> Checked:
    """Check that each pack has the size that was written, and that each part begins and ends as one.

    Files that are missing are not named here, see `corpus.tables.orphans.missing`.
    """
    sizes = files.sizes(corpus.fs, corpus.root)
    with corpus.read() as conn:
        written = {row.pack: row.size for row in conn.execute(sa.select(packs_table.c.pack, packs_table.c.size))}
        paths = sorted(conn.execute(sa.select(parts.c.path)).scalars())
    problems = [
        f"{pack} has {sizes[pack]} bytes and {size} were written; restore it from a backup"
        for pack, size in sorted(written.items())
        if pack in sizes and sizes[pack] != size
    ]
    for path in paths:
        if path in sizes and not _looks_whole(corpus, path, sizes[path]):
            problems.append(f"{path} is cut off or no part; run earmark score --part {path}")
    return Checked({"packs": len(written), "parts": len(paths)}, problems)


def _looks_whole(corpus: Corpus, path: str, size: int) -> bool:
    try:
        return prediction_parts.looks_whole(corpus.fs, corpus.root, path, size)
    except FileNotFoundError:
        return True  # it was replaced since the files were listed


def all_parts(corpus: Corpus, more: More) -> Checked:
    """Check each part against the digest in its name; one that is replaced meanwhile has no problem."""
    with corpus.read() as conn:
        paths = sorted(conn.execute(sa.select(parts.c.path)).scalars())
    problems = []
    for path in paths:
        try:
            prediction_parts.verified(corpus.fs, corpus.root, path)
        except Damaged as error:
            if _is_part(corpus, path):
                problems.append(str(error))
        more(1)
    return Checked({"parts": len(paths)}, problems)


def _is_part(corpus: Corpus, path: str) -> bool:
    with corpus.read() as conn:
        return conn.execute(sa.select(parts.c.path).where(parts.c.path == path)).first() is not None


def all_clips(corpus: Corpus, more: More) -> Checked:
    """Check each key, each clip and each text of every utterance that is not erased by its tag."""
    with corpus.read() as conn:
        ids = reading_order(conn, sorted(live_ids(conn)))
    counts = {"keys": 0, "clips": 0, "texts": 0}
    problems: list[str] = []
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        bad: dict[str, Damaged] = {}
        keys = vault.data_keys(corpus.vault, batch, bad)
        problems += [str(error) for error in bad.values()]
        counts["keys"] += len(keys) + len(bad)
        sealed, lost = packs.read_all(corpus.fs, corpus.root, _located(corpus, list(keys)))
        if lost:  # an erasure may have moved these clips to another pack between the query and the read
            again, lost = packs.read_all(corpus.fs, corpus.root, _located(corpus, list(lost)))
            sealed |= again
        problems += [str(error) for error in lost.values()]
        clips = [(i, "audio", data) for i, data in sealed.items()]
        counts["clips"] += len(clips) + len(lost)
        texts = list(_texts(corpus, list(keys)))
        counts["texts"] += len(texts)
        problems += [str(error) for error in _wrong(keys, itertools.chain(clips, texts))]
        more(len(batch))
    return Checked(counts, problems)


def _located(corpus: Corpus, ids: Sequence[str]) -> list[tuple[str, packs.Location]]:
    with reading(corpus.records) as conn:
        rows = list(fetch_among(conn, sa.select(utterances), utterances.c.utterance_id, ids))
    return [(row.utterance_id, location) for row in rows if (location := as_location(row)) is not None]


def _texts(corpus: Corpus, ids: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield utterance, name and ciphertext of each stored text."""
    with reading(corpus.records) as conn:
        columns = (scores.c.utterance_id, scores.c.asr_version, scores.c.intent_version, scores.c.hypotheses)
        for row in fetch_among(conn, sa.select(*columns), scores.c.utterance_id, ids):
            if row.hypotheses is not None:
                yield row.utterance_id, f"hypotheses/{row.asr_version}/{row.intent_version}", row.hypotheses
        for row in fetch_among(conn, sa.select(labels), labels.c.utterance_id, ids):
            if row.content is not None:
                yield row.utterance_id, f"label/{row.revision}", row.content
        for row in fetch_among(conn, sa.select(answers), answers.c.utterance_id, ids):
            if row.content is not None:
                yield row.utterance_id, f"annotation/{row.task_id}/{row.annotator_id}/{row.revision}", row.content


def _wrong(keys: dict[str, bytes], sealed: Iterator[tuple[str, str, bytes]]) -> Iterator[Damaged]:
    for utterance_id, what, data in sealed:
        try:
            cipher.decrypt(keys[utterance_id], data, seal_name(utterance_id, what))
        except Damaged as error:
            yield error

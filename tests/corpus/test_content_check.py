"""Bits that flip at random in packs, parts and texts: each is found, and none changes in silence what is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fsspec.implementations.local import LocalFileSystem

from corpus import content_check, door
from corpus.errors import Damaged
from corpus.handle import Corpus
from corpus.storage import files
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erasure, scores
from corpus.vault.vault_schema import keys
from tests.corpus.stored import arrive, samples_of, score

FLIPS = 20

pytestmark = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with one bit of them changed."""
    changed = bytearray(data)
    changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def telling(corpus: Corpus) -> tuple[Corpus, list[str]]:
    """Return the handle with somebody who is told of damage, and what they were told."""
    told: list[str] = []
    return replace(corpus, on_damaged=lambda error: told.append(str(error))), told


def file_of(corpus: Corpus, kind: str) -> str:
    (path,) = (path for path, _ in files.listing(corpus.fs, corpus.root) if path.startswith(kind))
    return path


def nothing(_: int) -> None:
    pass


def test_a_bit_of_a_pack_costs_one_clip_which_is_named_and_found(corpus: Corpus) -> None:
    ids, rng = arrive(corpus, 6), np.random.default_rng(15)
    pack = file_of(corpus, "audio")
    whole = files.load(corpus.fs, corpus.root, pack)
    assert content_check.all_clips(corpus, nothing) == content_check.Checked({"keys": 6, "clips": 6, "texts": 0}, [])
    for _ in range(FLIPS):
        files.store(corpus.fs, corpus.root, pack, flipped(whole, rng))
        (problem,) = content_check.all_clips(corpus, nothing).problems
        (bad,) = (i for i in ids if i in problem)
        listening, told = telling(corpus)
        opened = {c.utterance.utterance_id: c.audio for c in door.open(listening, ids, "score", strict=False)}
        assert sorted(opened) == sorted(set(ids) - {bad})
        assert told == [problem]
        for number, utterance_id in enumerate(ids):
            if utterance_id != bad:
                np.testing.assert_array_equal(opened[utterance_id], samples_of(number))
        for strict in (True, False):  # nobody is told, so it ends the work
            with pytest.raises(Damaged, match=bad):
                list(door.open(corpus, ids, "score", strict=strict))


def test_a_bit_of_a_part_is_found_on_every_way_of_reading_it(corpus: Corpus) -> None:
    ids, rng = arrive(corpus, 6), np.random.default_rng(16)
    score(corpus, ids[:4])
    part = file_of(corpus, "parts")
    score(corpus, ids[4:], "score/1")
    whole = files.load(corpus.fs, corpus.root, part)
    for _ in range(FLIPS):
        files.store(corpus.fs, corpus.root, part, flipped(whole, rng))
        (problem,) = content_check.all_parts(corpus, nothing).problems
        assert problem.startswith(f"{part} is not what was written; run earmark score --part {part}")
        listening, told = telling(corpus)
        read = scores.sound_predictions(listening, ids, "1", "1")
        assert read is not None
        assert read.utterance_ids.tolist() == ids[4:]
        assert sorted(scores.column(listening, ids, "num_tokens")) == sorted(ids[4:])
        assert told == [problem, problem]
        assert scores.sound_predictions(listening, ids[:4], "1", "1") is None
        with pytest.raises(Damaged, match=part):
            scores.predictions(corpus, ids, "1", "1")
        with pytest.raises(Damaged, match=part):
            scores.column(corpus, ids, "num_tokens")


def test_a_lost_and_a_short_pack_cost_their_own_clips(corpus: Corpus) -> None:
    ids = arrive(corpus, 4) + arrive(corpus, 2, start=4, operation_id="ingest/1")
    with corpus.read() as conn:
        rows = conn.execute(sa.select(schema.utterances).order_by(schema.utterances.c.event_order)).all()
    first = rows[0].pack
    end = sorted(row.pack_offset + row.pack_length for row in rows if row.pack == first)[1]
    files.store(corpus.fs, corpus.root, first, files.load(corpus.fs, corpus.root, first)[:end])
    (problem,) = content_check.file_sizes(corpus).problems
    assert problem.startswith(f"{first} has {end} bytes and ")
    listening, told = telling(corpus)
    assert len(list(door.open(listening, ids, "score", strict=False))) == 4
    assert len(told) == 2
    assert all(f"its pack {first} is shorter" in line for line in told)
    files.remove(corpus.fs, corpus.root, first)
    listening, told = telling(corpus)
    opened = [c.utterance.utterance_id for c in door.open(listening, ids, "score", strict=False)]
    assert (opened, len(told)) == (ids[4:], 4)
    assert f"its pack {first} is missing" in told[0]


def test_a_damaged_text_and_a_damaged_key_cost_one_utterance_each(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    score(corpus, ids)
    one = schema.scores.c.utterance_id == ids[1]
    with writing(corpus.records) as conn:
        text = conn.execute(sa.select(schema.scores.c.hypotheses).where(one)).scalar_one()
        conn.execute(sa.update(schema.scores).where(one).values(hypotheses=text[:-1] + bytes([text[-1] ^ 1])))
    with writing(corpus.vault.engine) as conn:
        conn.execute(sa.update(keys).where(keys.c.utterance_id == ids[2]).values(wrapped=b"x" * 60))
    checked = content_check.all_clips(corpus, nothing)
    assert checked.counts == {"keys": 4, "clips": 3, "texts": 3}
    assert len(checked.problems) == 2
    listening, told = telling(corpus)
    opened = door.open(listening, ids, "score", parts=("audio", "hypotheses"), strict=False)
    assert [content.utterance.utterance_id for content in opened] == [ids[0], ids[3]]
    assert sorted(told) == sorted(checked.problems)


@pytest.mark.parametrize(
    "spoil", [lambda data: b"", lambda data: data[:-9], lambda data: data[:11], lambda data: data + b"x"]
)
def test_a_part_that_is_cut_off_is_seen_without_reading_it(corpus: Corpus, spoil) -> None:  # type: ignore[no-untyped-def]
    score(corpus, arrive(corpus, 3))
    part = file_of(corpus, "parts")
    assert content_check.file_sizes(corpus).problems == []
    files.store(corpus.fs, corpus.root, part, spoil(files.load(corpus.fs, corpus.root, part)))
    assert content_check.file_sizes(corpus).problems == [
        f"{part} is cut off or no part; run earmark score --part {part}"
    ]


class Meanwhile(LocalFileSystem):  # type: ignore[misc]
    """A folder in which something happens just before the first read of a file."""

    cachable = False

    def __init__(self, happens: Callable[[], Any]) -> None:
        super().__init__()
        self.happens: list[Callable[[], Any]] = [happens]

    def open(self, *args: Any, **kwargs: Any) -> Any:
        if self.happens:
            self.happens.pop()()
        return super().open(*args, **kwargs)

    def cat_file(self, *args: Any, **kwargs: Any) -> Any:
        if self.happens:
            self.happens.pop()()
        return super().cat_file(*args, **kwargs)


def test_what_an_erasure_moves_or_replaces_meanwhile_is_no_problem(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    score(corpus, ids)
    erasure.erase_utterances(corpus, ids[:1])
    moving = replace(corpus, fs=Meanwhile(lambda: erasure.compact(corpus)))
    assert content_check.all_clips(moving, nothing) == content_check.Checked({"keys": 3, "clips": 3, "texts": 3}, [])
    for check in (lambda home: content_check.all_parts(home, nothing), content_check.file_sizes):
        gone = ids.pop()
        replacing = replace(corpus, fs=Meanwhile(lambda gone=gone: erasure.erase_utterances(corpus, [gone])))
        assert check(replacing).problems == []
        assert not replacing.fs.happens
    assert not moving.fs.happens

"""A withdrawal is counted where it takes labels and clips out of use, whichever row states it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import ingest
from corpus.settings import CorpusSettings
from corpus.tables import consent_use, labels
from corpus.tables.consent_use import ClipUses, Narrowed
from tests.corpus.ingest.test_ingest import NOW, SETTINGS, row, write


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home"))
    yield made
    made.close()


def labelled(folder: Path, seed: int, **changes: Any) -> dict[str, Any]:
    return row(folder, seed, text="play music", intent="play_music", account="one", **changes)


def ingested(corpus: Corpus, folder: Path, *rows: dict[str, Any]) -> Narrowed | None:
    """Ingest the rows as one manifest, and return what they took out of use."""
    before = consent_use.before(corpus)
    ingest(corpus, write(folder / f"{rows[0]['audio']}.jsonl", list(rows)), SETTINGS)
    return consent_use.narrowed_since(corpus, before)


@pytest.mark.parametrize("missing", [True, False], ids=["refused", "accepted"])
@pytest.mark.parametrize(
    ("left", "unused"),
    [(["score"], 3), (["score", "annotate"], 2), (["score", "train"], 1)],
    ids=["all", "train", "judge"],
)
def test_a_row_that_narrows_consent_takes_labels_and_clips_out_of_use(
    corpus: Corpus, tmp_path: Path, left: list[str], unused: int, missing: bool
):
    rows = [labelled(tmp_path, 1), labelled(tmp_path, 2), labelled(tmp_path, 3, held_out=True)]
    rows += [row(tmp_path, 4, account="one"), row(tmp_path, 5, account="one"), row(tmp_path, 6, account="other")]
    assert ingested(corpus, tmp_path, *rows) is None
    later = row(tmp_path, 7, account="one", consent=left, arrived_at=(NOW - timedelta(hours=1)).isoformat())
    if missing:
        (tmp_path / "7.wav").unlink()
    assert ingested(corpus, tmp_path, later) == Narrowed(accounts=1, labels=unused, clips=5 - unused)
    assert ingested(corpus, tmp_path, later) is None  # what is withdrawn is not counted a second time
    with corpus.read() as conn:
        current = labels.current(conn)
    assert len(current) - len(consent_use.usable(corpus, current)) == unused
    clips = 6 if missing else 7
    other = {use: clips - (0 if use in left else clips - 1) for use in ("score", "annotate", "train")}
    assert consent_use.clip_uses(corpus) == ClipUses(**other)


def test_a_customer_who_never_allowed_more_takes_nothing_out_of_use(corpus: Corpus, tmp_path: Path):
    assert ingested(corpus, tmp_path, row(tmp_path, 1, account="one", consent=["score"])) is None
    assert ingested(corpus, tmp_path, row(tmp_path, 2, account="one", consent=["score"])) is None
    assert consent_use.clip_uses(corpus) == ClipUses(score=2, annotate=0, train=0)


def test_what_two_rounds_took_is_added() -> None:
    one, two = Narrowed(accounts=1, labels=2, clips=3), Narrowed(accounts=4, labels=5, clips=6)
    assert consent_use.total(one, two) == Narrowed(accounts=5, labels=7, clips=9)
    assert (consent_use.total(one, None), consent_use.total(None, two), consent_use.total(None, None)) == (
        one,
        two,
        None,
    )

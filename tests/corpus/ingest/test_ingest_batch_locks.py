"""While a pack or a part is stored, however long that takes, other programs can write to the records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from corpus.handle import Corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.storage import files, packs
from corpus.storage.operations import Overtaken
from corpus.tables import scores
from corpus.vault import vault
from tests.corpus.arrivals import good_recording, line
from tests.corpus.probed import probed
from tests.corpus.stored import arrive, corpus_at, predictions_of

pytestmark = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


def test_an_ingest_stores_packs_with_unlocked_databases(tmp_path: Path, databases: dict[str, str]) -> None:
    home = tmp_path / "home"
    corpus = corpus_at(home, datetime.now(UTC), **databases)
    good_recording(tmp_path)
    (tmp_path / "m.jsonl").write_bytes(b"".join(line() for _ in range(3)))
    watched, store = probed(corpus, home, "records.db")
    report = ingest(watched, tmp_path / "m.jsonl", IngestSettings())
    assert (report.accepted, store.requests) == (3, ["store"])
    corpus.close()


def test_scores_are_stored_with_unlocked_databases(corpus: Corpus, tmp_path: Path) -> None:
    ids = arrive(corpus, 3)
    watched, store = probed(corpus, tmp_path, "records.db", "vault.db")
    predictions = predictions_of(ids)
    written = scores.write(watched, predictions)
    with watched.operation("score/0", "score") as op:
        assert scores.put(watched, op, predictions, {}, written=written) == 3
    assert store.requests == ["store"]
    assert scores.predictions(watched, ids, "1", "1").utterance_ids.tolist() == ids


def test_what_was_scored_meanwhile_is_not_scored_twice(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    written = scores.write(corpus, predictions_of(ids))
    with corpus.operation("score/0", "score") as op:
        scores.put(corpus, op, predictions_of(ids[:2]), {})
    with pytest.raises(Overtaken), corpus.operation("score/1", "score") as op:
        scores.put(corpus, op, predictions_of(ids), {}, written=written)
    written = scores.write(corpus, predictions_of(ids))
    with corpus.operation("score/1", "score") as op:
        assert scores.put(corpus, op, predictions_of(ids), {}, written=written) == 2
    assert scores.predictions(corpus, ids, "1", "1").utterance_ids.tolist() == ids


def test_what_was_erased_while_its_pack_was_stored_gets_no_row(tmp_path: Path, databases: dict[str, str]) -> None:
    corpus = corpus_at(tmp_path / "home", datetime.now(UTC), **databases)
    good_recording(tmp_path)
    (tmp_path / "m.jsonl").write_bytes(b"".join(line() for _ in range(3)))
    writer = packs.PackWriter

    class Erasing(writer):  # type: ignore[valid-type, misc]
        """A writer in whose time somebody asks for an erasure: the key is destroyed before the rows are stored."""

        def __exit__(self, kind: object, *rest: object) -> None:
            super().__exit__(kind, *rest)
            vault.destroy(corpus.vault, sorted(self._locations)[:1], "test")

    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr("corpus.ingest.ingest_batch.PackWriter", Erasing)
        report = ingest(corpus, tmp_path / "m.jsonl", IngestSettings())
    assert (report.accepted, dict(report.refused)) == (2, {"erased": 1})
    assert len(list(files.listing(corpus.fs, corpus.root))) == 1
    corpus.close()

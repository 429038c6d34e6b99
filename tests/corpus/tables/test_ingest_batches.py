from __future__ import annotations

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import ingest_batches, utterances


def test_batches_add_up_and_count_once(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        assert ingest_batches.totals(conn) == {"received": 0, "accepted": 0}
        for name, received, accepted in (("a", 512, 500), ("b", 3, 3), ("a", 512, 500)):
            ingest_batches.put(conn, name, received, accepted)
        assert ingest_batches.totals(conn) == {"received": 515, "accepted": 503}

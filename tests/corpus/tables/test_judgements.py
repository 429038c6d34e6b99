from __future__ import annotations

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import judgements
from corpus.tables.judgements import Judgement


def test_judgements_come_in_the_order_in_which_they_were_made(corpus: Corpus) -> None:
    made = [Judgement("rows", "1", "indicative"), Judgement("more", "1", "refuse"), Judgement("more", "3", "promote")]
    with writing(corpus.records) as conn:
        for each in made:
            judgements.put(conn, "asr", "2", each)
        judgements.put(conn, "asr", "1", made[0])
        assert judgements.of_version(conn, "asr", "2") == made
        assert judgements.of_version(conn, "intent", "2") == []
        assert judgements.promoted(conn) == {("asr", "2")}

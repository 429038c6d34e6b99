"""Manual promotions are read from the audit chain."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from corpus.records.models import ModelVersion
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables.manual_promotions import manual_promotions
from flows.models.aliases import move_champion
from tests.corpus.stored import corpus_at


def test_each_promotion_by_a_person_is_there_with_its_reason(tmp_path: Path) -> None:
    corpus = corpus_at(tmp_path / "home")
    with writing(corpus.records) as conn:
        for number in ("1", "2", "3"):
            store.put_version(conn, ModelVersion("asr", number, "run", "", "base", "", "nowhere"))
        store.move_alias(conn, "asr", "champion", None, "1")
    with corpus.read() as conn:
        assert manual_promotions(conn) == []
    move_champion(corpus, "asr", "1", "2", how="forced", why="it knows the alarm words", actor="lena")
    move_champion(corpus, "asr", "2", "3", how="gate", why="", actor="lena")
    with corpus.read() as conn:
        first, second = manual_promotions(conn)
    assert (first.kind, first.version, first.was, first.how) == ("asr", "2", "1", "forced")
    assert first.why == "it knows the alarm words"
    assert abs((first.at - datetime.now(UTC)).total_seconds()) < 600
    assert (second.version, second.was, second.how, second.why) == ("3", "2", "gate", "")
    corpus.close()

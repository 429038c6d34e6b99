from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import nights, utterances
from corpus.tables.nights import NightFrame
from corpus.vault.consent import set_consent
from flows.models.audit_rows import audit_rows
from flows.nights.night import night_of
from tests.corpus.stored import arrive, corpus_at, score
from tests.flows.audit_home import NIGHTS, POOL, AuditHome, audit_home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AuditHome]:
    made = audit_home(tmp_path / "home")
    yield made
    made.corpus.close()


def test_each_audit_row_has_one_outcome(home: AuditHome):
    ids = home.night(0)
    home.label(ids[:3])
    home.answer(ids[3], ann="accidental")
    home.answer(ids[4], ann="accidental", ben="unintelligible", cem="accidental")
    home.answer(ids[5], ann="accidental", ben="unintelligible")
    home.answer(ids[6], ann="unintelligible")
    home.answer(ids[7], ann="help")
    home.label(ids[8:9], "held_out")
    home.label(ids[9:10])
    with writing(home.corpus.records) as conn:
        utterances.set_aside(conn, ids[9:10], "distress")
    rows = audit_rows(home.corpus, home.settings.night, None, NIGHTS[0])
    found = dict(zip(rows.utterance_ids.tolist(), rows.outcomes.tolist(), strict=True))
    assert [found[i] for i in ids] == [
        *["labelled"] * 3,
        *["accidental"] * 2,
        *["unlabelled"] * 2,
        "waiting",
        *["closed"] * 2,
        *["waiting"] * 2,
    ]
    assert rows.among("accidental", "unlabelled").sum() == 4


def test_the_rows_of_the_nights_have_the_probabilities_of_their_draw(home: AuditHome):
    rows = audit_rows(home.corpus, home.settings.night, NIGHTS[1], None)
    assert (rows.nights, rows.arrivals) == ((NIGHTS[1],), POOL)
    assert rows.utterance_ids.tolist() == sorted(home.night(1))
    assert rows.inclusion_probs.tolist() == [home.prob(i) for i in rows.utterance_ids.tolist()]
    assert set(rows.slices) == {"locale", "device", "room"}
    assert set(rows.slices["room"].tolist()) == {"", "room-0", "room-1", "room-2", "room-3"}
    both = audit_rows(home.corpus, home.settings.night, None, None)
    assert (both.nights, both.arrivals, len(both.utterance_ids)) == (NIGHTS, 2 * POOL, 24)
    assert len(np.unique(both.speaker_ids)) == 6


def test_nights_without_a_round_are_one_clear_error(home: AuditHome, tmp_path: Path):
    with pytest.raises(UsageError, match=r"no night from 2026-12-01 has a round; .* 2026-11-02 to 2026-11-03"):
        audit_rows(home.corpus, home.settings.night, "2026-12-01", None)
    empty = corpus_at(tmp_path / "empty")
    with pytest.raises(UsageError, match="no night has a round yet; earmark sample"):
        audit_rows(empty, home.settings.night, None, None)
    empty.close()


def test_what_no_round_can_draw_is_counted_over_the_frames_of_the_nights(home: AuditHome):
    corpus, when = home.corpus, home.settings.night
    ids = home.night(0)
    with corpus.read() as conn:
        arrived = utterances.get(conn, ids)[0].arrived_at
    more = arrive(corpus, 6, start=40, arrived_at=arrived, speakers=50, operation_id="ingest/2")
    score(corpus, [*ids, *more[:5]])
    night = night_of(arrived, when.time_zone, when.ends_at).name
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.rounds).where(schema.rounds.c.night == NIGHTS[0]).values(night=night))
        nights.put_frame(conn, NightFrame(night, 0, utterances.last_order(conn)))
    home.label(more[:2], "manifest")
    home.label(more[5:], "manifest")  # it was not scored, so that it is none of the arrivals
    rows = audit_rows(corpus, when, night, night)
    assert (rows.labelled_before, rows.not_allowed) == (2, 0)
    set_consent(corpus.vault, "account-42", (), corpus.clock(), "test")
    rows = audit_rows(corpus, when, night, night)
    assert (rows.labelled_before, rows.not_allowed) == (2, 1)

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import RecordError
from corpus.handle import Corpus, open_corpus
from corpus.records.arrivals import Utterance, Wake
from corpus.settings import CorpusSettings
from corpus.storage.cipher import new_key
from corpus.storage.content_codec import decode_audio, encode_audio
from corpus.storage.database import writing
from corpus.tables import orphans, scores, utterances
from corpus.vault import consent
from tests.corpus.stored import NOON, accept_again, arrive, put, samples_of, score, state_reasons


def plain(number: int, **changes: object) -> Utterance:
    utterance = Utterance(
        f"u{number:07d}",
        f"s{number % 50}",
        NOON + timedelta(seconds=number),
        16000,
        16000 + number,
        "en-GB",
        "speaker",
        Wake(button=True),
        "train",
        attributes={"room": f"r{number % 3}"} if number % 2 else {},
    )
    return replace(utterance, **changes)  # type: ignore[arg-type]


def test_records_come_back_as_they_were(corpus: Corpus) -> None:
    before = [plain(n, wake=Wake("hey", 0.25)) for n in range(3)]
    with writing(corpus.records) as conn:
        assert utterances.insert(conn, before, {}, operation_id="op") == [u.utterance_id for u in before]
    with corpus.read() as conn:
        assert utterances.get(conn, ["u0000002", "u0000000"]) == [before[2], before[0]]
        with pytest.raises(RecordError, match="u9"):
            utterances.get(conn, ["u0000000", "u9"])


def test_inserting_again_changes_nothing(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        utterances.insert(conn, [plain(1)], {})
        assert utterances.insert(conn, [plain(1, locale="fr-FR"), plain(2), plain(2)], {}) == ["u0000002"]
        assert utterances.get(conn, ["u0000001"])[0].locale == "en-GB"
        assert utterances.stored_ids(conn, ["u0000001", "u0000003"]) == {"u0000001"}


def test_the_newest_arrival_is_found_in_any_state_and_before_a_moment(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        assert utterances.newest_arrival(conn) is None
        utterances.insert(conn, [plain(n) for n in range(4)], {})
        utterances.set_aside(conn, ["u0000003"], "no_speech")
        assert utterances.newest_arrival(conn) == NOON + timedelta(seconds=3)
        assert utterances.newest_arrival(conn, NOON + timedelta(seconds=3)) == NOON + timedelta(seconds=2)
        assert utterances.newest_arrival(conn, NOON) is None


def test_windows_are_half_open_and_by_state(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        utterances.insert(conn, [plain(n) for n in range(10)], {})
        utterances.set_aside(conn, ["u0000003"], "no_speech")
        start, end = NOON + timedelta(seconds=2), NOON + timedelta(seconds=5)
        assert utterances.in_window(conn, start, end) == ["u0000002", "u0000004"]
        assert utterances.in_window(conn, start, end, ("set_aside",)) == ["u0000003"]
        assert len(utterances.in_window(conn)) == 9


def test_received_is_accepted_and_refused(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        utterances.insert(conn, [plain(n) for n in range(5)], {})
        utterances.refuse_lines(conn, "ingest/a/0", {7: "too_short"})
        utterances.refuse_lines(conn, "ingest/a/0", {7: "too_short"})
        utterances.refuse_lines(conn, "ingest/a/1", {9: "too_short", 11: "no_consent"})
        assert utterances.set_aside(conn, ["u0000000", "u0000001", "nobody"], "no_speech") == 2
        assert utterances.set_aside(conn, ["u0000000"], "other") == 0
        assert accept_again(conn, ["u0000001"]) == 1
        assert utterances.counts(conn) == {
            "received": 8,
            "accepted": 5,
            "refused": 3,
            "available": 4,
            "set_aside": 1,
            "erased": 0,
            "expired": 0,
        }
        assert state_reasons(conn, "set_aside") == {"no_speech": 1}
        assert utterances.refusals(conn) == {"no_consent": 1, "too_short": 2}
        assert utterances.refusals(conn, ["ingest/a/1", "x"]) == {"no_consent": 1, "too_short": 1}


def test_a_pool_has_its_columns_in_the_order_of_the_ids(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        utterances.insert(conn, [plain(n) for n in range(6)], {})
        pool = utterances.pool_columns(conn, np.array(["u0000005", "u0000000", "u0000003"]))
        assert pool.speaker_ids.tolist() == ["s5", "s0", "s3"]
        np.testing.assert_allclose(pool.durations, [1 + 5 / 16000, 1.0, 1 + 3 / 16000])
        assert {name: values.tolist() for name, values in pool.attributes.items()} == {"room": ["r2", "", "r0"]}
        assert pool.states.tolist() == ["accepted"] * 3
        assert (pool.splits[0], pool.locales[0], pool.device_types[0]) == ("train", "en-GB", "speaker")
        empty = utterances.pool_columns(conn, [])
        assert empty.durations.shape == empty.splits.shape == (0,)
        with pytest.raises(RecordError, match="u9"):
            utterances.pool_columns(conn, ["u9"])


def test_audio_has_the_length_of_its_record(corpus: Corpus) -> None:
    (known,) = arrive(corpus, 1)
    with corpus.read() as conn:
        utterance = utterances.get(conn, [known])[0]
    key, pcm = new_key(), encode_audio(samples_of(0))
    wrong = replace(utterance, utterance_id="other", num_samples=5)
    with pytest.raises(RecordError, match="other: 3200 bytes"), corpus.operation("op", "ingest") as op:
        put(corpus, op, [(wrong, key, pcm)])
    with corpus.operation("again", "ingest") as op:
        assert put(corpus, op, [(utterance, key, pcm)]) == []


def test_audio_outside_16_bits_is_clipped_and_nan_refused(corpus: Corpus) -> None:
    loud = np.array([2.0, -2.0, 0.5, 0.0], np.float32)
    utterance = plain(0, num_samples=4)
    assert decode_audio(encode_audio(loud), utterance).tolist() == [32767 / 32768, -1.0, 0.5, 0.0]
    with pytest.raises(RecordError, match="finite"):
        encode_audio(np.array([np.nan], np.float32))


def test_reading_order_is_that_of_the_packs(corpus: Corpus) -> None:
    ids = arrive(corpus, 6)
    with corpus.read() as conn:
        assert utterances.reading_order(conn, ids[::-1]) == ids


def test_ten_thousand_rows_go_in_and_out_in_one_call(corpus: Corpus) -> None:
    records = [plain(n) for n in range(10_000)]
    ids = [u.utterance_id for u in records]
    with writing(corpus.records) as conn:
        utterances.insert(conn, records, {})
    with corpus.read() as conn:
        columns = utterances.pool_columns(conn, ids[::-1])
    assert columns.speaker_ids.tolist() == [u.speaker_id for u in reversed(records)]


def test_a_home_is_private_and_must_exist_unless_made(tmp_path: Path) -> None:
    from corpus.errors import SettingsError

    settings = CorpusSettings(home=tmp_path / "home")
    with pytest.raises(SettingsError, match="no corpus"):
        open_corpus(settings, create=False)
    open_corpus(settings).close()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    open_corpus(settings, create=False).close()
    same = CorpusSettings(home=tmp_path, records_url="sqlite:///x.db", vault_url="sqlite:///x.db")
    with pytest.raises(SettingsError, match="same database"):
        open_corpus(same)


def test_many_ids_are_one_parameter(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    score(corpus, ids)
    strangers = [f"stranger-{n}" for n in range(60_000)]
    with corpus.read() as conn:
        assert utterances.stored_ids(conn, [*strangers, *ids]) == set(ids)
    np.testing.assert_array_equal(scores.predictions(corpus, ids, "1", "1").utterance_ids, ids)
    assert consent.consenting(corpus.vault, [*strangers, *ids], "score").sum() == 5
    assert orphans.missing(corpus) == []


def test_wake_scores_come_in_the_order_of_the_ids_and_a_button_has_none(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)  # every second one was woken by a button
    with writing(corpus.records) as conn:
        found = utterances.wake_scores(conn, ids[::-1])
        np.testing.assert_array_equal(found, [0.5, np.nan, 0.5, np.nan])
        with pytest.raises(RecordError, match="stranger is unknown"):
            utterances.wake_scores(conn, ["stranger"])
        utterances.set_aside(conn, ids[:1], "by-hand")
        assert utterances.accepted(conn, [*ids, "stranger"]) == set(ids[1:])

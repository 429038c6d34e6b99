from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import Damaged, DoorClosed, RecordError
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.base import Purpose, digest
from corpus.storage import audit_chain, files
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erasure, labels, leases, scores, utterances
from corpus.vault import vault
from tests.corpus.stored import NOON, arrive, corpus_at, heard, predictions_of, samples_of, score


def audit_rows(corpus: Corpus) -> list[audit_chain.AuditRow]:
    return [row for row in audit_chain.show(corpus.records, schema.audit, 1000) if row.act == "open"]


def test_audio_comes_back_exactly_and_in_the_order_asked_for(corpus: Corpus) -> None:
    ids = arrive(corpus, 9)
    wanted = [ids[4], ids[0], ids[8]]
    opened = list(door.open(corpus, wanted, "score"))
    assert [content.utterance.utterance_id for content in opened] == wanted
    for content, number in zip(opened, (4, 0, 8), strict=True):
        assert content.audio is not None
        np.testing.assert_array_equal(content.audio, samples_of(number))
        assert content.audio.dtype == np.float32
        assert content.sample_rate == 16000
        assert content.hypotheses is None
        assert content.label is None
        assert content.annotations == ()


def test_more_than_a_batch_is_streamed(corpus: Corpus) -> None:
    ids = arrive(corpus, 2 * door.BATCH + 3)[::-1]
    assert [content.utterance.utterance_id for content in door.open(corpus, ids, "train")] == ids


def test_a_machines_batch_is_one_row_before_the_first_sample(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    stream = door.open(corpus, ids, "score")
    (row,) = audit_rows(corpus)
    assert row.detail == {"count": 5, "digest": digest(sorted(ids)), "purpose": "score", "parts": ["audio"]}
    assert len(list(stream)) == 5
    assert len(audit_rows(corpus)) == 1


def test_a_person_needs_a_lease_and_leaves_one_row_a_clip(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    with pytest.raises(DoorClosed, match="lease"):
        door.open(corpus, ids, "annotate", actor="person:ann")
    assert len(list(door.open(corpus, ids, "annotate"))) == 3  # the export is a machine's
    with writing(corpus.records) as conn:
        leases.grant_lease(conn, ids[:2], NOON + timedelta(days=2))
        leases.grant_lease(conn, ids[2:], NOON + timedelta(days=2), holder="person:bob")
    assert len(list(door.open(corpus, ids[:2], "annotate", actor="person:ann"))) == 2
    rows = [row for row in audit_rows(corpus) if row.actor == "person:ann"]
    assert [row.detail["utterance_id"] for row in rows] == ids[:2]
    with pytest.raises(DoorClosed, match="lease"):
        door.open(corpus, ids[2:], "annotate", actor="person:ann")
    assert len(list(door.open(corpus, ids[2:], "annotate", actor="person:bob"))) == 1
    with writing(corpus.records) as conn:
        leases.release_lease(conn, ids[:1])
        leases.grant_lease(conn, ids[1:2], corpus.clock())  # ends at this moment
    for utterance_id in ids[:2]:
        with pytest.raises(DoorClosed, match="lease"):
            door.open(corpus, [utterance_id], "annotate", actor="person:ann")


@pytest.mark.parametrize(
    ("consent", "purpose", "opens"),
    [
        ({"score"}, "score", True),
        ({"score"}, "annotate", False),
        ({"annotate"}, "annotate", True),
        ({"annotate"}, "judge", True),
        ({"train"}, "judge", False),
        ({"train"}, "train", True),
        ({"score", "annotate"}, "train", False),
        (set(), "score", False),
    ],
)
def test_consent_opens_what_it_names(corpus: Corpus, consent: set[str], purpose: Purpose, opens: bool) -> None:
    ids = arrive(corpus, 2, consent=frozenset(consent))
    if opens:
        assert len(list(door.open(corpus, ids, purpose))) == 2
        return
    with pytest.raises(DoorClosed, match=f"{ids[0]} stays closed: consent"):
        door.open(corpus, ids, purpose)
    assert audit_rows(corpus) == []


def test_closed_ones_are_left_out_and_counted_where_that_is_asked_for(corpus: Corpus) -> None:
    fine = arrive(corpus, 2)
    refused = arrive(corpus, 1, start=5, consent=frozenset(), speakers=9, operation_id="ingest/1")
    aside = arrive(corpus, 1, start=7, speakers=9, operation_id="ingest/2")
    with writing(corpus.records) as conn:
        utterances.set_aside(conn, aside, "no_speech")
    everything = [*refused, *fine, "unknown", *aside]
    assert [c.utterance.utterance_id for c in door.open(corpus, everything, "train", strict=False)] == fine
    assert audit_rows(corpus)[-1].detail["skipped"] == {"consent": 1, "quarantine": 1, "unknown": 1}
    for closed, reason in ((refused[0], "consent"), (aside[0], "quarantine"), ("unknown", "unknown")):
        with pytest.raises(DoorClosed) as caught:
            door.open(corpus, [*fine, closed], "train")
        assert (caught.value.utterance_id, caught.value.reason) == (closed, reason)


def test_what_is_too_old_stays_closed_unless_it_is_labelled(tmp_path: Path, databases: dict[str, str]) -> None:
    early = corpus_at(tmp_path, retention_days=90, **databases)
    ids = arrive(early, 2)
    with early.operation("label", "merge") as op:
        labels.put_labels(early, op, [Label(ids[0], "hello", None, (), 1.0, 1, 1)])
    early.close()
    late = corpus_at(tmp_path, now=NOON + timedelta(days=91), retention_days=90, **databases)
    assert len(list(door.open(late, ids[:1], "train"))) == 1
    with pytest.raises(DoorClosed, match="retention"):
        door.open(late, ids, "train")
    late.close()
    later = corpus_at(tmp_path, now=NOON + timedelta(days=800), **databases)
    with pytest.raises(DoorClosed, match="retention"):
        door.open(later, ids[:1], "train")


def test_a_destroyed_key_closes_even_an_open_door(corpus: Corpus) -> None:
    ids = arrive(corpus, door.BATCH + 2)
    first, second, third = ids[: door.BATCH], ids[door.BATCH], ids[door.BATCH + 1]
    stream = door.open(corpus, [*first, second], "score")
    assert [next(stream).utterance.utterance_id for _ in first] == first
    vault.destroy(corpus.vault, [second], "desk")
    with pytest.raises(DoorClosed, match="erased"):
        next(stream)
    stream = door.open(corpus, [*first, third], "score", strict=False)
    next(stream)
    vault.destroy(corpus.vault, [third], "desk")
    assert [content.utterance.utterance_id for content in stream] == first[1:]


def test_a_clip_that_moves_to_another_pack_meanwhile_is_found_there(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = arrive(corpus, 3)
    read = door.packs.read

    def late(*places: Any) -> Any:
        monkeypatch.undo()
        erasure.erase_utterances(corpus, ids[:1])
        assert erasure.compact(corpus)["clips_moved"] == 2
        return read(*places)

    monkeypatch.setattr(door.packs, "read", late)
    for number, content in enumerate(door.open(corpus, ids[1:], "score"), start=1):
        np.testing.assert_array_equal(content.audio, samples_of(number))


def test_a_clip_that_is_where_its_row_says_is_looked_for_once(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = arrive(corpus, 3)
    places: list[Any] = []
    read_all = door.packs.read_all
    monkeypatch.setattr(door.packs, "read_all", lambda *given: places.append(given) or read_all(*given))
    assert len(list(door.open(corpus, ids, "score"))) == 3
    assert [sorted(i for i, _ in wanted) for _, _, wanted in places] == [sorted(ids)]


def test_a_clip_whose_pack_is_lost_is_named_as_damaged(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    with corpus.read() as conn:
        pack = conn.execute(sa.select(schema.packs.c.pack)).scalar_one()
    files.remove(corpus.fs, corpus.root, pack)
    with pytest.raises(Damaged, match=f"{ids[0]}: its pack {pack} is missing; restore it from a backup"):
        list(door.open(corpus, ids, "score"))


def test_texts_come_through_the_door_too(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    score(corpus, ids, "score/0", versions=("1", "1"))
    score(corpus, ids[:1], "score/1", versions=("2", "1"))
    first, second = door.open(corpus, ids, "judge", parts=("hypotheses", "label"))
    assert first.audio is None
    assert first.hypotheses == heard(ids[0])
    assert second.hypotheses == heard(ids[1])
    assert [content.hypotheses for content in door.open(corpus, ids, "judge", parts=("label",))] == [None, None]
    found = list(door.open(corpus, ids, "judge", parts=("hypotheses",), versions=("2", "1")))
    assert [content.hypotheses for content in found] == [heard(ids[0]), None]


def test_the_newest_hypotheses_are_those_of_the_part_that_came_last(corpus: Corpus) -> None:
    """Not those of the version with the greatest name."""
    ids = arrive(corpus, 1)
    score(corpus, ids, "score/0", versions=("9", "1"))
    with corpus.operation("score/1", "score") as op:
        other = (Hypothesis("stop", 1.0, "intent-2"),)
        op.result = {"scored": scores.put(corpus, op, predictions_of(ids, versions=("10", "1")), {ids[0]: other})}
    (found,) = door.open(corpus, ids, "judge", parts=("hypotheses",))
    assert found.hypotheses == other


def test_a_past_revision_of_a_label_is_read_where_it_is_asked_for(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    first = [Label(i, "play jazz", "music", (SlotSpan("genre", 5, 9),), 0.75, 3, 1, False) for i in ids]
    second = Label(ids[0], "play chess", "games", (), 1.0, 2, 2, True)
    with corpus.operation("merge/0", "merge") as op:
        labels.put_labels(corpus, op, first, "annotators")
    with corpus.operation("merge/1", "merge") as op:
        labels.put_labels(corpus, op, [second], "annotators")
    newest = [content.label for content in door.open(corpus, ids, "train", parts=("label",))]
    assert newest == [second, first[1]]
    past = [content.label for content in door.open(corpus, ids, "train", parts=("label",), label_revisions={ids[0]: 1})]
    assert past == first


def test_a_damaged_label_is_named_and_costs_itself(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    with corpus.operation("merge/0", "merge") as op:
        labels.put_labels(
            corpus, op, [Label(i, "play jazz", "music", (), 0.75, 3, 1, False) for i in ids], "annotators"
        )
    with writing(corpus.records) as conn:
        one = schema.labels.c.utterance_id == ids[0]
        text = conn.execute(sa.select(schema.labels.c.content).where(one)).scalar_one()
        conn.execute(sa.update(schema.labels).where(one).values(content=text[:-1] + bytes([text[-1] ^ 1])))
    with pytest.raises(Damaged, match=ids[0]):
        list(door.open(corpus, ids, "train", parts=("label",)))
    told: list[Damaged] = []
    listening = replace(corpus, on_damaged=told.append)
    kept = door.open(listening, ids, "train", parts=("label",), strict=False)
    assert [content.utterance.utterance_id for content in kept] == ids[1:]
    assert [ids[0] in str(error) for error in told] == [True]
    with pytest.raises(Damaged, match=ids[0]):  # strict, whoever is told
        list(door.open(listening, ids, "train", parts=("label",)))


def test_bad_requests_are_refused(corpus: Corpus) -> None:
    ids = arrive(corpus, 1)
    with pytest.raises(RecordError, match="purpose"):
        door.open(corpus, ids, "sell")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="parts"):
        door.open(corpus, ids, "score", parts=("face",))  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="twice"):
        door.open(corpus, ids * 2, "score")
    assert list(door.open(corpus, [], "score")) == []
    assert audit_rows(corpus) == []


def test_changed_bytes_are_named_not_handed_out(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    with corpus.read() as conn:
        rows = {row.utterance_id: row for row in conn.execute(sa.select(schema.utterances))}
    pack = rows[ids[1]].pack
    data = bytearray(files.load(corpus.fs, corpus.root, pack))
    data[rows[ids[1]].pack_offset + 40] ^= 1
    files.store(corpus.fs, corpus.root, pack, bytes(data))
    assert len(list(door.open(corpus, ids[:1], "score"))) == 1
    with pytest.raises(Damaged, match=ids[1]):
        list(door.open(corpus, ids, "score"))


def test_clips_can_not_be_swapped(corpus: Corpus) -> None:
    ids = arrive(corpus, 8)
    with writing(corpus.records) as conn:
        rows = {row.utterance_id: row for row in conn.execute(sa.select(schema.utterances))}
        one, other = rows[ids[0]], rows[ids[7]]
        assert one.num_samples == other.num_samples
        values = {"pack_offset": other.pack_offset, "pack_length": other.pack_length}
        update = sa.update(schema.utterances).where(schema.utterances.c.utterance_id == ids[0])
        conn.execute(update.values(**values))
    with pytest.raises(Damaged):
        list(door.open(corpus, ids[:1], "score"))


def test_a_label_of_an_older_normal_form_is_read_in_that_of_today(corpus: Corpus):
    (one, other) = arrive(corpus, 2)
    street = (SlotSpan("street", 6, 17),)
    with corpus.operation("label", "merge") as op:
        labels.put_labels(corpus, op, [Label(one, "find hauptstra\u00dfe 11", None, (), 1.0, 1, 1)])
        labels.put_labels(corpus, op, [Label(other, "zur   hauptstra\u00dfe", None, street, 1.0, 1, 1)])
    contents = door.open(corpus, [one, other], "judge", parts=("label",))
    found = {each.utterance.utterance_id: each.label for each in contents}
    first, second = found[one], found[other]
    assert first is not None
    assert first.transcript == "find hauptstrasse 11"
    assert second is not None
    assert second.transcript is not None
    assert [second.transcript[slot.start : slot.end] for slot in second.slots] == ["hauptstrasse"]

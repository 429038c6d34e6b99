from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import DoorClosed, RecordError, Refused
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.evaluation import EvaluationReport
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import audit_chain, durable_write, files, work_folder
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import (
    datasets,
    erasure,
    ingest_batches,
    labels,
    leases,
    models,
    orphans,
    reports,
    rounds,
    scores,
    snapshots,
    utterances,
)
from corpus.tables.orphans import Orphan
from corpus.vault import identity, vault, vault_schema
from tests.corpus.stored import NOON, admit, arrive, predictions_of, samples_of, score, state_reasons
from tests.corpus.tables.test_labels import answer, asked, label, merge

NO_AGE = timedelta(seconds=-60)

pytestmark = pytest.mark.parametrize("databases", ["sqlite", "postgresql", "s3"], indirect=True)


def full(corpus: Corpus) -> list[str]:
    """A corpus of six utterances of three speakers, scored, asked, answered, labelled, learned from."""
    ids, tasks = asked(corpus, 6)
    score(corpus, ids)
    merge(corpus, [answer(task) for task in tasks], "merge/answers")
    label(corpus, [Label(i, "play some jazz", "music", (), 1.0, 1, 1) for i in ids], "merge/labels")
    snapshot = Snapshot(tuple(SnapshotRow(i, 1, "train", 1.0) for i in sorted(ids)))
    with writing(corpus.records) as conn:
        snapshots.put_snapshot(conn, snapshot, "asr")
        models.put_version(conn, ModelVersion("asr", "1", "r", snapshot.snapshot_id, "d", "", "m"))
        leases.grant_lease(conn, ids, NOON + timedelta(days=9))
    return ids


def test_an_erased_utterance_is_removed_everywhere_and_the_others_are_whole(corpus: Corpus) -> None:
    ids = full(corpus)
    gone, left = ids[2], [i for i in ids if i != ids[2]]
    before = scores.predictions(corpus, left, "1", "1")
    packs_before = {path for path, _ in files.listing(corpus.fs, corpus.root)}
    result = erasure.erase_utterances(corpus, [gone])
    assert (result["erased"], result["parts_rewritten"], result["tainted"]) == (1, 1, ["asr/1"])
    with pytest.raises(DoorClosed, match="erased"):
        door.open(corpus, [gone], "score")
    after = scores.predictions(corpus, left, "1", "1")
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    with pytest.raises(RecordError, match=gone):
        scores.predictions(corpus, [gone], "1", "1")
    with corpus.read() as conn:
        assert {row.utterance_id for row in labels.current(conn)} == set(left)
        assert next(row.state for row in rounds.tasks(conn) if row.utterance_id == gone) == "closed"
        assert utterances.counts(conn)["erased"] == 1
        assert state_reasons(conn, "erased") == {"request": 1}
        assert leases.leased(conn, NOON) == set(left)
        kept = conn.execute(sa.select(schema.answers).where(schema.answers.c.utterance_id == gone)).one()
        assert (kept.content, kept.intent, kept.lead_time) == (None, None, 11.5)
        row = conn.execute(sa.select(schema.utterances).where(schema.utterances.c.utterance_id == gone)).one()
        assert (row.speaker_id, row.locale, row.device_type, row.attributes) == ("", "", "", "{}")
    assert erasure.compact(corpus) == {"packs": 1, "clips_moved": 5}
    assert erasure.compact(corpus) == {"packs": 0, "clips_moved": 0}
    assert packs_before.isdisjoint(path for path, _ in files.listing(corpus.fs, corpus.root))
    opened = list(door.open(corpus, left, "train", parts=("audio", "hypotheses", "label")))
    for number, content in zip((0, 1, 3, 4, 5), opened, strict=True):
        assert content.audio is not None
        np.testing.assert_array_equal(content.audio, samples_of(number))
        assert content.hypotheses
        assert content.label is not None
    assert (orphans.orphans(corpus, NO_AGE), orphans.missing(corpus)) == ([], [])
    assert len([*audit_chain.verified_leaves(corpus.records, schema.audit)]) > 0


def test_an_erased_utterance_does_not_arrive_again(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    erasure.erase_utterances(corpus, ids[:1])
    arrive(corpus, 3, operation_id="ingest/again")
    with corpus.read() as conn:
        assert utterances.in_window(conn) == sorted(ids[1:])
        assert utterances.counts(conn)["erased"] == 1


def test_an_erased_speaker_is_removed_with_the_account(corpus: Corpus) -> None:
    ids = full(corpus)
    with corpus.read() as conn:
        speaker = utterances.get(conn, ids[:1])[0].speaker_id
    result = erasure.erase_speaker(corpus, speaker)
    assert result["erased"] == 2
    assert erasure.erase_speaker(corpus, speaker) == result
    assert vault.speaker_of(corpus.vault, "account-0") is None
    with corpus.read() as conn:
        speakers = conn.execute(sa.select(schema.utterances.c.speaker_id)).scalars().all()
        assert speaker not in speakers
        assert utterances.in_window(conn) == sorted(ids[1:3] + ids[4:])
    assert len([*audit_chain.verified_leaves(corpus.vault.engine, vault_schema.audit)]) > 0


def test_an_erasure_says_who_asked_for_it_and_why(corpus: Corpus) -> None:
    ids = full(corpus)
    with corpus.read() as conn:
        speaker = utterances.get(conn, ids[:1])[0].speaker_id
    erasure.erase_utterances(corpus, ids[1:2], reason="court order", actor="desk")
    erasure.erase_speaker(corpus, speaker, reason="left us", actor="desk")
    erasure.erase_utterances(corpus, ids[2:3])
    assert erasure.compact(corpus, actor="night")["packs"] == 1
    with corpus.read() as conn:
        assert state_reasons(conn, "erased") == {"court order": 1, "left us": 2, "request": 1}
    acts = [(row.act, row.actor) for row in audit_chain.show(corpus.records, schema.audit, 4)]
    assert acts == [("erase", "desk"), ("erase", "desk"), ("erase", "earmark"), ("compact", "night")]
    done = audit_chain.show(corpus.vault.engine, vault_schema.audit, 3)
    assert [(row.act, row.actor, row.detail["destroyed"]) for row in done] == [
        ("destroy", "desk", 1),
        ("forget", "desk", 2),
        ("destroy", "earmark", 1),
    ]
    assert done[1].detail["speaker_id"] == speaker


def test_what_was_erased_once_keeps_its_reason(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    erasure.erase_utterances(corpus, ids[:1], reason="court order")
    assert erasure.erase_utterances(corpus, ids)["erased"] == 1
    with corpus.read() as conn:
        assert state_reasons(conn, "erased") == {"court order": 1, "request": 1}


def test_an_account_is_forgotten_at_the_time_of_the_corpus(corpus: Corpus) -> None:
    """So that what its customer said until then stays out, and what comes later does not."""
    ids = arrive(corpus, 1)
    with corpus.read() as conn:
        speaker = utterances.get(conn, ids)[0].speaker_id
    erasure.erase_speaker(corpus, speaker)
    until, after = corpus.clock(), corpus.clock() + timedelta(seconds=1)
    arrivals = [
        vault.Arrival(identity.utterance_id(corpus.vault, f"late-{n}"), "account-0", frozenset({"score"}), at)
        for n, at in enumerate((until, after))
    ]
    assert set(admit(corpus.vault, arrivals, "ingest/late")) == {arrivals[1].utterance_id}


def test_the_seconds_of_a_part_shrink_with_its_rows(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    score(corpus, ids)
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.parts).values(seconds=8.0))
    erasure.erase_utterances(corpus, ids[:1])
    with corpus.read() as conn:
        (part,) = conn.execute(sa.select(schema.parts))
    assert (part.rows, part.seconds) == (3, 6.0)


def test_a_part_whose_rows_are_all_erased_goes(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    score(corpus, ids[:2], "score/0")
    score(corpus, ids[2:], "score/1")
    erasure.erase_utterances(corpus, ids[:2])
    assert sum(path.startswith("parts/") for path, _ in files.listing(corpus.fs, corpus.root)) == 1
    erasure.erase_utterances(corpus, ids)
    erasure.compact(corpus)
    assert list(files.listing(corpus.fs, corpus.root)) == []
    assert orphans.missing(corpus) == []


def test_a_replaced_file_that_a_row_names_again_is_not_removed(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    score(corpus, ids)
    paths = {path for path, _ in files.listing(corpus.fs, corpus.root)}
    stray = "parts/stray"
    files.store(corpus.fs, corpus.root, stray, b"replaced")
    with writing(corpus.records) as conn:
        conn.execute(sa.insert(schema.doomed), [{"path": path} for path in [*paths, stray]])
    assert erasure.purge(corpus) == 1
    assert {path for path, _ in files.listing(corpus.fs, corpus.root)} == paths
    assert (orphans.missing(corpus), erasure.purge(corpus)) == ([], 0)


def test_the_bytes_of_the_erased_are_in_no_file(corpus: Corpus, tmp_path: Path) -> None:
    ids = full(corpus)
    with corpus.read() as conn:
        row = conn.execute(sa.select(schema.utterances).where(schema.utterances.c.utterance_id == ids[0])).one()
        hypotheses = sa.select(schema.scores.c.hypotheses).where(schema.scores.c.utterance_id == ids[0])
        sealed = [
            conn.execute(hypotheses).scalar_one(),
            *conn.execute(sa.select(schema.labels.c.content).where(schema.labels.c.utterance_id == ids[0])).scalars(),
            *conn.execute(sa.select(schema.answers.c.content).where(schema.answers.c.utterance_id == ids[0])).scalars(),
        ]
    pack = files.load(corpus.fs, corpus.root, row.pack)
    sealed.append(pack[row.pack_offset : row.pack_offset + row.pack_length])
    erasure.erase_utterances(corpus, ids[:1])
    erasure.compact(corpus)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    stored += b"".join(files.load(corpus.fs, corpus.root, path) for path, _ in files.listing(corpus.fs, corpus.root))
    for ciphertext in sealed:
        assert ciphertext[:40] not in stored
        assert ciphertext[-16:] not in stored


def judged(corpus: Corpus, ids: list[str]) -> EvaluationReport:
    """Version 1 judged on all of them; the first has an intent of its own, which it alone is taken for, too."""
    n = len(ids)
    with corpus.read() as conn:
        speakers = {row.utterance_id: row.speaker_id for row in utterances.get(conn, ids)}
    counts = {name: np.arange(n) for name in ("errors", "words", "char_errors", "chars", "success")}
    shares = {name: np.linspace(0, 1, n, dtype=np.float32) for name in ("confidence", "duration", "snr")}
    codes = np.array([1, *[0, 2] * n][:n])
    report = EvaluationReport(
        kind="intent", version="1", eval_set_id="set", utterance_ids=np.array(ids),
        speaker_ids=np.array([speakers[i] for i in ids]), **counts, **shares, raw_confidence=shares["confidence"],
        correct=np.arange(n) % 2 == 0, slot_counts=np.arange(3 * n).reshape(n, 3),
        word_edits=np.arange(3 * n).reshape(n, 3), truth=codes, predicted=codes,
        intents=("alarms", "confession", "music"), beside="1", normaliser="earmark-1",
    )  # fmt: skip
    with writing(corpus.records) as conn:
        reports.put_report(conn, report)
        reports.put_report(conn, replace(report, version="2", eval_set_id="other"))
    return report


def test_an_erased_speaker_is_in_no_report_and_the_others_still_judge(corpus: Corpus, tmp_path: Path) -> None:
    ids = full(corpus)
    before = judged(corpus, ids)
    speaker = str(before.speaker_ids[0])
    left = before.speaker_ids != speaker
    with corpus.read() as conn:
        stored = str(conn.execute(sa.select(schema.reports.c.numbers)).scalars().all())
    assert speaker in stored
    assert "confession" in stored
    erasure.erase_speaker(corpus, speaker)
    with corpus.read() as conn:
        stored = str(conn.execute(sa.select(schema.reports.c.numbers)).scalars().all())
        after = reports.report(conn, "intent", "1", "set")
    stored += b"".join(path.read_bytes() for path in tmp_path.glob("records.db*")).decode("latin-1")
    assert [gone for gone in (speaker, "confession") if gone in stored] == []
    assert after is not None
    for name in ("utterance_ids", "speaker_ids", "errors", "slot_counts", "snr", "correct"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name)[left])
    assert [after.intents[k] for k in after.truth] == [before.intents[k] for k in before.truth[left]]
    erasure.erase_utterances(corpus, ids)
    with corpus.read() as conn:
        assert reports.judged_sets(conn, "intent") == {}


def test_an_erasure_leaves_nothing_of_killed_trainings_and_does_not_touch_imports(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    with work_folder.scratch(corpus.settings.home) as held:
        for name in ("0123", "0123-asr-kept", ".tmp-45"):
            (held.parent / name).mkdir()
            (held.parent / name / "model.safetensors").write_bytes(b"weights")
        erasure.erase_utterances(corpus, [])
        assert len(list(held.parent.iterdir())) == 4
        erasure.erase_utterances(corpus, ids[:1])
        assert list(held.parent.iterdir()) == [held]


def test_orphans_are_listed_and_swept(corpus: Corpus) -> None:
    arrive(corpus, 2)
    lost = identity.utterance_id(corpus.vault, "lost")
    admit(corpus.vault, [vault.Arrival(lost, "ada", frozenset(), NOON)], "op")
    files.store(corpus.fs, corpus.root, "audio/aa/aa.pack", b"x")
    files.store(corpus.fs, corpus.root, "parts/bb.parquet", b"x")
    files.store(corpus.fs, corpus.root, f"parts/{durable_write.TEMPORARY}cc", b"x")
    assert orphans.orphans(corpus) == []
    assert orphans.sweep(corpus) == {"files": 0, "keys": 0}
    assert orphans.orphans(corpus, NO_AGE) == [
        Orphan("key", lost),
        Orphan("pack", "audio/aa/aa.pack"),
        Orphan("part", "parts/bb.parquet"),
        Orphan("unfinished", "parts/.tmp-cc"),
    ]
    for number in range(8):  # eleven files in all, of every kind: one more than the bound of a small home
        files.store(corpus.fs, corpus.root, f"parts/{durable_write.TEMPORARY}{number}", b"x")
    with pytest.raises(Refused, match=r"1 keys and 1 packs and 1 parts and 9 unfinished files belong to no row.*--yes"):
        orphans.sweep(corpus, NO_AGE)
    assert len(orphans.orphans(corpus, NO_AGE)) == 12
    assert orphans.sweep(corpus, NO_AGE, unbounded=True) == {"files": 11, "keys": 1}
    assert (orphans.orphans(corpus, NO_AGE), orphans.missing(corpus)) == ([], [])
    with corpus.read() as conn:
        pack = conn.execute(sa.select(schema.packs.c.pack)).scalar_one()
    files.remove(corpus.fs, corpus.root, pack)
    assert orphans.missing(corpus) == [pack]


def test_nothing_is_swept_while_rows_are_missing_that_it_may_belong_to(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    with corpus.operation("ingest/batch", "ingest") as op:
        ingest_batches.put(op.conn, "ingest/batch", 3, 3)
    assert orphans.keyless(corpus) == ([], [])
    with writing(corpus.records) as conn:
        conn.execute(sa.delete(schema.utterances).where(schema.utterances.c.utterance_id == ids[0]))
    for unbounded in (False, True):
        with pytest.raises(Refused, match="1 keys or files belong to no row, and 1 rows are missing"):
            orphans.sweep(corpus, NO_AGE, unbounded=unbounded)
    assert set(vault.data_keys(corpus.vault, ids)) == set(ids)


def test_an_utterance_without_its_key_is_found(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    erasure.erase_utterances(corpus, ids[:1])
    with writing(corpus.vault.engine) as conn:
        conn.execute(sa.delete(vault_schema.keys).where(vault_schema.keys.c.utterance_id == ids[2]))
    assert orphans.keyless(corpus) == ([ids[2]], [])


def test_an_erasure_that_was_killed_after_the_keys_is_finished_and_no_lost_key(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    vault.destroy(corpus.vault, ids[:1], "desk")
    assert orphans.keyless(corpus) == ([], ids[:1])
    assert orphans.finish_erasures(corpus) == ids[:1]
    assert (orphans.keyless(corpus), orphans.finish_erasures(corpus)) == (([], []), [])
    with corpus.read() as conn:
        assert state_reasons(conn, "erased") == {"unfinished erasure": 1}


@pytest.mark.parametrize(("rows", "bound"), [(2, orphans.FEW), (1200, 12)])
def test_keys_of_no_row_are_swept_up_to_the_bound_and_none_beyond_it(corpus: Corpus, rows: int, bound: int) -> None:
    arrive(corpus, rows)
    lost = [identity.utterance_id(corpus.vault, f"lost-{number}") for number in range(bound + 1)]
    admit(corpus.vault, [vault.Arrival(i, "ada", frozenset(), NOON) for i in lost], "op")
    with pytest.raises(Refused, match=f"{bound + 1} keys belong to no row, more than the {bound} of a kind"):
        orphans.sweep(corpus, NO_AGE)
    assert set(lost) <= vault.ids_with_key(corpus.vault)
    with writing(corpus.vault.engine) as conn:
        conn.execute(sa.delete(vault_schema.keys).where(vault_schema.keys.c.utterance_id == lost[0]))
    assert orphans.sweep(corpus, NO_AGE) == {"files": 0, "keys": bound}


def test_an_erasure_names_the_folders_of_datasets_that_hold_one(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    with writing(corpus.records) as conn:
        for name, held in (("one", ids[:2]), ("other", ids[2:])):
            datasets.put(conn, datasets.Dataset(name, f"/out/{name}", "jsonl", True, NOON, None, len(held)), held)
    assert erasure.erase_utterances(corpus, ids[1:2])["datasets"] == ["/out/one"]
    assert erasure.erase_utterances(corpus, ids[1:2], reason="again")["datasets"] == []
    with corpus.read() as conn:
        assert {each.place: each.rows for each in datasets.all_datasets(conn)} == {"/out/one": 1, "/out/other": 1}


def test_a_damaged_part_does_not_stand_in_the_way_of_an_erasure(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    score(corpus, ids)
    with corpus.read() as conn:
        part = conn.execute(sa.select(schema.parts.c.path)).scalar_one()
    files.store(corpus.fs, corpus.root, part, b"damaged")
    assert erasure.erase_utterances(corpus, ids[:1])["parts_rewritten"] == 1
    assert not [path for path, _ in files.listing(corpus.fs, corpus.root) if path == part]
    with corpus.read() as conn:
        assert scores.unscored(conn, ids, "1", "1") == ids[:1]
        assert scores.transcribed(conn, ids, "1", "1") == set(ids[1:])
    (lost,) = orphans.missing(corpus)
    assert lost != part  # a backup has that one, with the statistics that are erased
    assert erasure.erase_utterances(corpus, ids[1:2])["parts_rewritten"] == 1
    (lost,) = orphans.missing(corpus)
    with corpus.read() as conn:
        assert scores.scored_in(conn, lost) == (("1", "1"), ids[2:])
    written = scores.write_again(corpus, lost, predictions_of(ids[2:]))
    with corpus.operation("score/again", "score") as op:
        assert scores.replace_part(op, lost, written) == 1
    assert scores.predictions(corpus, ids[2:], "1", "1").utterance_ids.tolist() == ids[2:]
    assert orphans.missing(corpus) == []

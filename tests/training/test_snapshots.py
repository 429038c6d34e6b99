from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import RecordError
from training.snapshots import (
    LabelAccount,
    LabelChanges,
    SnapshotSettings,
    account_labels,
    build_snapshot,
    label_changes,
)


@dataclass(frozen=True)
class Row:
    utterance_id: str
    revision: int = 1
    has_transcript: bool = True
    has_intent: bool = True
    agreement: float = 1.0
    reliability: float = 1.0
    reason: str | None = "uncertain"
    split: str = "train"


ROWS = st.lists(
    st.builds(
        Row,
        utterance_id=st.text("abcdef", min_size=1, max_size=4),
        revision=st.integers(1, 3),
        has_transcript=st.booleans(),
        has_intent=st.booleans(),
        agreement=st.floats(0, 1),
        reason=st.sampled_from(["audit", "held_out", "uncertain", "novel", None]),
        split=st.sampled_from(["train", "dev", "test"]),
    ),
    unique_by=lambda row: row.utterance_id,
    max_size=30,
)


@given(ROWS, st.sampled_from(["asr", "intent"]), st.randoms())
def test_audit_rows_judge_and_never_train_and_order_does_not_matter(rows, kind, random):
    snapshot = build_snapshot(rows, kind)
    known = {row.utterance_id: row for row in rows}
    for found in snapshot.rows:
        row = known[found.utterance_id]
        assert row.has_transcript if kind == "asr" else row.has_intent
        assert found.revision == row.revision
        assert row.reason != "held_out"
        assert (found.role == "audit") == (row.reason == "audit")
        assert found.role == "audit" or found.role == row.split
        assert found.weight > 0
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert build_snapshot(shuffled, kind).snapshot_id == snapshot.snapshot_id


@given(ROWS, st.sampled_from(["asr", "intent"]))
def test_held_out_rows_judge_in_place_of_audit_rows_where_that_is_asked(rows, kind):
    known = {row.utterance_id: row for row in rows}
    for found in build_snapshot(rows, kind, judged_on="held_out").rows:
        assert known[found.utterance_id].reason != "audit"
        assert (found.role == "audit") == (known[found.utterance_id].reason == "held_out")


def test_each_kind_takes_what_it_can_learn_from():
    rows = [Row("a"), Row("b", has_transcript=False), Row("c", has_intent=False)]
    assert [row.utterance_id for row in build_snapshot(rows, "asr").rows] == ["a", "c"]
    assert [row.utterance_id for row in build_snapshot(rows, "intent").rows] == ["a", "b"]


def test_weight_is_agreement_with_a_floor_and_test_speakers_stay_out():
    rows = [
        Row("a", agreement=0.8),
        Row("b", agreement=0.1),
        Row("c", split="test"),
        Row("d", split="dev", agreement=0.5),
    ]
    snapshot = build_snapshot(rows, "asr")
    assert [(row.utterance_id, row.role, row.weight) for row in snapshot.rows] == [
        ("a", "train", 0.8),
        ("b", "train", 0.25),
        ("d", "dev", 1.0),
    ]
    strict = build_snapshot(rows, "asr", SnapshotSettings(min_agreement=0.5))
    assert [row.utterance_id for row in strict.rows] == ["a", "d"]


def test_the_evaluation_set_is_the_same_while_only_training_rows_come():
    audit = [Row("x", reason="audit", split="test"), Row("y", reason="audit")]
    before, after = build_snapshot(audit, "asr"), build_snapshot([*audit, Row("a")], "asr")
    assert before.eval_set_id == after.eval_set_id
    assert before.snapshot_id != after.snapshot_id


def test_two_current_labels_of_one_utterance_are_refused():
    with pytest.raises(RecordError, match="utterance a has two"):
        build_snapshot([Row("a"), Row("a", revision=2)], "asr")


@given(ROWS, st.sampled_from(["asr", "intent"]), st.sets(st.text("abcdef", min_size=1, max_size=4)))
def test_every_label_is_in_one_place_and_the_account_agrees_with_the_snapshot(rows, kind, forbidden):
    account = account_labels(rows, kind, lambda row: row.utterance_id not in forbidden)
    assert account.labels == len(rows)
    allowed = [row for row in rows if row.utterance_id not in forbidden]
    by_audit, by_held_out = (build_snapshot(allowed, kind, judged_on=name) for name in ("audit", "held_out"))
    assert [account.train, account.dev] == [len(by_audit.of(role)) for role in ("train", "dev")]
    assert [account.audit, account.held_out] == [len(each.of("audit")) for each in (by_audit, by_held_out)]
    assert account.left_out.get("no_consent", 0) == len(rows) - len(allowed)
    assert LabelAccount.from_counts(account.as_counts()) == account


def test_reasons_of_labels_that_are_left_out_are_named():
    rows = [
        Row("a"),
        Row("b", has_transcript=False),
        Row("c", split="test"),
        Row("d", reliability=0.1),
        Row("e", reason="audit", has_transcript=False),
        Row("f", split="dev"),
        Row("g", reason="held_out", split="test"),
    ]
    account = account_labels(rows, "asr", lambda row: True)
    assert account == LabelAccount(1, 1, 0, 1, {"low_reliability": 1, "no_transcript": 2, "test_speaker": 1})
    after = account.without({"too_long": 1})
    assert (after.train, after.labels, after.left_out["too_long"]) == (0, 7, 1)


@given(ROWS, ROWS)
def test_changes_of_labels_are_counted_once_each(before, after):
    learned, now = (build_snapshot(rows, "asr") for rows in (before, after))
    changes = label_changes(learned, now)
    one, other = ({(row.utterance_id, row.revision) for row in each.of("train")} for each in (learned, now))
    assert changes.count == len({utterance_id for utterance_id, _ in one ^ other})
    assert changes.count - changes.gone == len({i for i, _ in other - one})


def test_changes_of_labels_in_words():
    assert LabelChanges().text() == "0 training labels are new"
    assert LabelChanges(gone=1).text() == "1 label that it learned from is gone"
    assert LabelChanges(1, 2, 3).text() == (
        "1 training label is new, 2 labels that it learned from were corrected, 3 labels that it learned from are gone"
    )

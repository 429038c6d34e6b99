from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.consensus import Merged, merge_annotations
from annotation.dawid_skene import Confusions
from annotation.latest_answers import latest_answers
from annotation.rover import medoid
from annotation.votes import ConsensusSettings, winner
from corpus.records.annotations import Annotation, Label, task_id
from corpus.records.arrivals import SlotSpan
from corpus.text import normalise
from tests.annotation.worlds import answers, judged, labelled

MANIFEST = Label("u1", "turn on the light", "light_on", (), 1.0, 0, 1)


AGAIN = task_id("again-1", "u1", "transcribe")


def merge(
    *rows: Annotation,
    current: Label | None = None,
    withdrawn: bool = False,
    others: int | None = None,
    ingested: Label | None = None,
) -> Merged:
    held = {"u1": current} if current else {}
    other = {"u1": others} if others is not None else None
    came = {"u1": ingested} if ingested else None
    gone = ["u1"] if withdrawn else ()
    [merged] = merge_annotations({"u1": rows}, held, withdrawn=gone, others=other, ingested=came, again=[AGAIN])
    return merged


def asked_again(row: Annotation) -> Annotation:
    return replace(row, task_id=AGAIN)


def test_one_answer_is_a_label() -> None:
    merged = merge(labelled("ann", "Turn ON the light", slots=(SlotSpan("room", 12, 17),)))
    assert merged.label == Label("u1", "turn on the light", "light_on", (SlotSpan("room", 12, 17),), 1.0, 1, 1)
    assert (merged.outcome, merged.is_new, merged.annotators, merged.withdraws) == ("labelled", True, 1, False)


def test_the_latest_revision_counts_and_repeats_count_once() -> None:
    rows = [labelled("ann", intent="light_off"), labelled("ann", intent="light_on", revision=2)]
    repeated = merge(*rows, rows[1], rows[0]).label
    assert (repeated.intent, repeated.annotators, repeated.revision) == ("light_on", 1, 2)
    assert repeated == merge(*rows).label


def test_two_contents_under_one_revision_are_a_conflict_until_a_higher_one() -> None:
    rows = [labelled("ann", intent="light_off"), labelled("ann", intent="light_on")]
    for more in ([], [judged("bob", "help")]):
        merged = merge(*rows, *more)
        assert (merged.outcome, merged.conflict, merged.label) == ("conflict", "revision", None)
    assert merge(*rows, labelled("ann", revision=2)).label.intent == "light_on"


def test_two_contents_under_one_revision_leave_the_decision_to_the_others() -> None:
    rows = [labelled("ann", intent="light_off"), labelled("ann", intent="light_on"), labelled("bob")]
    merged = merge(*rows)
    assert (merged.outcome, merged.annotators, merged.people) == ("labelled", 1, 2)
    assert (merged.label.intent, merged.label.annotators) == ("light_on", 1)
    assert merge(*rows, labelled("cid", intent="light_off")).outcome == "conflict"


@pytest.mark.parametrize(
    "second",
    [
        labelled("bob", intent="light_off", task_id=AGAIN),
        labelled("bob", transcript="play some music", task_id=AGAIN),
        replace(judged("bob", "accidental"), task_id=AGAIN),
    ],
)
def test_a_label_that_is_asked_about_again_stays_until_a_third_answer_decides(second: Annotation) -> None:
    first = labelled("ann")
    label = merge(first).label
    for current, withdrawn in ((label, False), (label, True), (None, False)):
        merged = merge(second, first, current=current, withdrawn=withdrawn)
        assert (merged.outcome, merged.withdraws) == ("conflict", False)
        assert (merged.label, merged.is_new) == (label, current is None or withdrawn)
    later = replace(label, revision=3)  # a revision beside those of the answers, as a review of the annotators writes
    kept = merge(second, first, current=later)
    assert (kept.label, kept.is_new) == (later, False)
    confirmed = merge(first, second, labelled("cid", task_id=AGAIN), current=label)
    assert (confirmed.outcome, confirmed.label.intent, confirmed.is_new) == ("labelled", "light_on", True)
    overruled = merge(first, second, replace(second, annotator_id="cid"), current=label)
    assert overruled.label is None or overruled.label != label
    assert overruled.outcome == second.verdict
    assert overruled.withdraws == (second.verdict == "accidental")


def test_a_label_of_a_manifest_stays_while_those_who_are_asked_again_differ() -> None:
    rows = [replace(judged("ann", "accidental"), task_id=AGAIN), labelled("bob", task_id=AGAIN)]
    merged = merge(*rows, current=MANIFEST)
    assert (merged.label, merged.is_new, merged.withdraws) == (MANIFEST, False, False)
    restored = merge(*rows, current=MANIFEST, withdrawn=True)  # the first answer alone withdrew it
    assert (restored.label, restored.is_new, restored.withdraws) == (MANIFEST, True, False)


def test_first_answers_that_differ_are_no_label_whoever_is_asked_again() -> None:
    rows = [labelled("ann"), labelled("bob", intent="light_off"), replace(judged("cid", "help"), task_id=AGAIN)]
    merged = merge(*rows, current=MANIFEST)
    assert (merged.outcome, merged.label, merged.withdraws) == ("conflict", None, True)


def test_a_repeat_with_another_lead_time_is_a_repeat() -> None:
    rows = (labelled("ann", lead_time=9.0), labelled("ann", lead_time=3.0))
    assert merge(*rows).outcome == "labelled"
    assert latest_answers(rows).latest[0].lead_time == 3.0


def test_the_majority_names_the_intent_and_a_tie_stays_open() -> None:
    two = [labelled("ann"), labelled("bob", intent="light_off")]
    merged = merge(*two)
    assert (merged.outcome, merged.conflict, merged.label) == ("conflict", "intent", None)
    third = merge(*two, labelled("cid"))
    assert third.label.intent == "light_on"
    assert third.label.annotators == 3
    assert third.agreement == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_the_majority_gives_the_verdict_and_a_tie_stays_open() -> None:
    two = [labelled("ann"), judged("bob", "accidental")]
    assert (merge(*two).outcome, merge(*two).conflict) == ("conflict", "verdict")
    assert merge(*two, judged("cid", "accidental")).outcome == "accidental"
    assert merge(*two, labelled("cid")).label.annotators == 3


@pytest.mark.parametrize("verdict", ["critical_data", "distress"])
def test_one_voice_is_enough_for_safety(verdict: str) -> None:
    merged = merge(labelled("ann"), labelled("bob"), judged("cid", verdict), current=MANIFEST)
    assert (merged.outcome, merged.label, merged.flags, merged.withdraws) == (verdict, None, (verdict,), True)


def test_both_safety_verdicts_are_reported_and_a_taken_back_one_still_counts() -> None:
    both = merge(judged("ann", "critical_data"), judged("bob", "distress"))
    assert (both.outcome, both.flags) == ("distress", ("distress", "critical_data"))
    assert merge(judged("ann", "critical_data"), labelled("ann", revision=2)).outcome == "critical_data"
    unclear = merge(judged("ann", "critical_data"), labelled("ann"))
    assert unclear.outcome == "critical_data"


def test_asking_for_help_is_no_vote() -> None:
    assert merge(judged("ann", "help")).outcome == "help"
    assert merge(judged("ann", "help"), current=MANIFEST).withdraws is False
    taken_back = merge(labelled("ann"), judged("ann", "help", revision=2), current=MANIFEST)
    assert (taken_back.outcome, taken_back.withdraws) == ("help", True)
    merged = merge(judged("ann", "help"), labelled("bob"))
    assert (merged.outcome, merged.annotators, merged.agreement) == ("labelled", 1, 1.0)


def test_the_transcript_of_the_most_wins_then_the_medoid() -> None:
    plural = [labelled("ann", "turn on the night"), labelled("bob", "Turn on the light"), labelled("cid")]
    assert merge(*plural).label.transcript == "turn on the light"
    apart = [
        labelled("ann", "turn on the big light"),
        labelled("bob", "turn on the light"),
        labelled("cid", "on the light"),
    ]
    assert merge(*apart).label.transcript == "turn on the light"
    assert medoid({"b": 1.0, "a": 1.0}) == "a"


def test_transcripts_with_little_in_common_stay_open() -> None:
    merged = merge(labelled("ann", "play some jazz"), labelled("bob", "turn on the light"))
    assert (merged.outcome, merged.conflict) == ("conflict", "transcript")
    loose = ConsensusSettings(min_transcript_similarity=0.0, enough_people=2)
    rows = [labelled("ann", "play some jazz"), labelled("bob", "turn on the light")]
    assert merge_annotations({"u1": rows}, {}, loose)[0].outcome == "labelled"


def test_two_who_hear_silence_agree() -> None:
    merged = merge(labelled("ann", "", "other"), labelled("bob", "...", "other"))
    assert (merged.label.transcript, merged.agreement) == ("", 1.0)


def test_slots_come_from_those_who_wrote_the_transcript_and_share_the_intent() -> None:
    room, artist = (SlotSpan("room", 12, 17),), (SlotSpan("artist", 12, 17),)
    rows = [labelled("ann", slots=room), labelled("bob", slots=room), labelled("cid", slots=artist)]
    assert merge(*rows).label.slots == room
    other = [
        labelled("ann", intent="light_off", slots=artist),
        labelled("bob", slots=room),
        labelled("cid", slots=room),
    ]
    assert merge(*other).label.slots == room
    wide = (SlotSpan("room", 8, 17),)
    both = (*wide[:0], SlotSpan("artist", 0, 4), SlotSpan("room", 12, 17))
    nearest = [labelled("ann", slots=room), labelled("bob", slots=both), labelled("cid", slots=wide)]
    assert merge(*nearest).label.slots in (room, both)


def test_slots_that_go_with_another_intent_are_outvoted_even_by_one() -> None:
    room, artist = (SlotSpan("room", 12, 17),), (SlotSpan("artist", 12, 17),)
    writers = [labelled("ann", intent="light_off", slots=artist), labelled("bob", intent="light_off", slots=artist)]
    named = [labelled(name, None) for name in ("dan", "eve", "fay")]
    merged = merge(*writers, labelled("cid", slots=room), *named)
    assert (merged.label.intent, merged.label.slots) == ("light_on", room)


def test_a_transcript_that_was_taken_back_does_not_live_on_in_the_current_label() -> None:
    current = merge(labelled("ann", "turn on the night")).label
    named = [labelled(name, None) for name in ("bob", "cid")]
    merged = merge(judged("ann", "unintelligible", revision=2), *named, current=current)
    assert (merged.label.transcript, merged.label.intent) == (None, "light_on")


def test_every_answer_is_a_revision_and_a_repeat_is_none() -> None:
    same = merge(labelled("ann"), current=MANIFEST)
    assert (same.label.revision, same.label.annotators, same.is_new) == (2, 1, True)
    changed = merge(labelled("ann"), labelled("bob"), current=same.label, others=1)
    assert (changed.label.revision, changed.label.annotators, changed.is_new) == (3, 2, True)
    again = merge(labelled("ann"), labelled("bob"), labelled("bob"), current=changed.label, others=1)
    assert (again.label, again.is_new) == (changed.label, False)


def test_a_label_that_lost_its_support_is_withdrawn_and_its_number_is_not_used_again() -> None:
    current = merge(labelled("ann")).label
    conflict = merge(labelled("ann"), labelled("bob", intent="light_off"), current=current)
    assert (conflict.outcome, conflict.withdraws) == ("conflict", True)
    rows = [labelled("ann"), labelled("bob", intent="light_off"), labelled("cid")]
    settled = merge(*rows, current=current, withdrawn=True)
    assert (settled.is_new, settled.label.revision, settled.withdraws) == (True, 3, False)
    assert merge(*rows[:2], current=current, withdrawn=True).withdraws is False


def test_who_only_named_the_intent_keeps_the_transcript_of_the_manifest() -> None:
    slots = (SlotSpan("room", 12, 17),)
    current = Label("u1", "turn on the light", "light_on", slots, 1.0, 0, 1)
    named = merge(labelled("ann", None, "light_off"), current=current)
    assert (named.label.transcript, named.label.slots, named.label.revision) == ("turn on the light", slots, 2)
    triaged = merge(labelled("ann", None, None, ask="triage"), current=current)
    assert (triaged.label.transcript, triaged.label.slots, triaged.label.annotators) == (current.transcript, slots, 1)


def test_a_triage_alone_makes_no_label() -> None:
    merged = merge(labelled("ann", None, None, ask="triage"))
    assert (merged.outcome, merged.label, merged.is_new) == ("labelled", None, False)


def test_a_vote_needs_its_share() -> None:
    votes = [("ann", "a"), ("bob", "a"), ("cid", "b"), ("dan", "c"), ("eve", "d")]
    model, settings = Confusions(classes=20), ConsensusSettings()
    assert winner(votes, model, settings) is None
    assert winner(votes[:4], model, settings) == "a"
    assert winner(votes[:1] + votes[2:3], model, settings) is None
    assert winner([], model, settings) is None


# --- properties -------------------------------------------------------------------------------------------------------

labels = st.none() | st.just(MANIFEST) | st.just(Label("u1", None, "play_music", (), 0.5, 2, 4))


@settings(max_examples=150, deadline=None)
@given(st.lists(answers(), min_size=1, max_size=8), labels, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_merge(rows, current, rng) -> None:
    shuffled = rows + [rng.choice(rows) for _ in range(3)]
    rng.shuffle(shuffled)
    assert merge(*shuffled, current=current) == merge(*rows, current=current)


@settings(max_examples=120, deadline=None)
@given(st.lists(answers() | answers().map(asked_again), min_size=1, max_size=8), labels)
def test_merging_again_changes_nothing(rows, current) -> None:
    others = 0 if current is None else 1
    ingested = None if current is None or current.annotators else current
    first = merge(*rows, current=current, others=others, ingested=ingested)
    held = first.label or current
    withdrawn = first.withdraws
    second = merge(*rows, current=held, withdrawn=withdrawn, others=others, ingested=ingested)
    assert second.is_new is False
    assert second.withdraws is False
    assert second.label == first.label
    assert second.outcome == first.outcome


@settings(max_examples=300, deadline=None)
@given(st.lists(answers(), min_size=1, max_size=5), st.booleans(), st.data())
def test_answers_to_a_question_asked_again_end_in_the_same_label_in_any_order(rows, known, data) -> None:
    asked = [asked_again(row) if data.draw(st.booleans()) else row for row in rows]
    ingested = MANIFEST if known else None
    ends = []
    for order in (asked, data.draw(st.permutations(asked))):
        current, withdrawn = ingested, False
        for count in range(1, len(order) + 1):
            last = merge(*order[:count], current=current, withdrawn=withdrawn, others=int(known), ingested=ingested)
            if last.is_new:
                current = last.label
            withdrawn = last.withdraws or (withdrawn and not last.is_new)
        valid = None if withdrawn or current is None else replace(current, revision=1)
        ends.append((last.outcome, valid))
    assert ends[0] == ends[1]
    once = merge(*asked, current=ingested, others=int(known), ingested=ingested)
    valid = once.label or (ingested if not once.withdraws else None)
    assert ends[0] == (once.outcome, valid and replace(valid, revision=1))


def test_help_is_no_first_answer_beside_a_conflict_of_those_asked_again() -> None:
    again = [replace(labelled("ann"), task_id=AGAIN), replace(labelled("bob", intent="light_off"), task_id=AGAIN)]
    label = merge(again[0]).label
    merged = merge(judged("cid", "help"), *again, current=label)
    assert (merged.outcome, merged.label, merged.withdraws) == ("conflict", None, True)


def test_help_takes_nothing_away_from_what_was_ingested() -> None:
    rows = [labelled("ann", transcript=None), replace(judged("bob", "help"), task_id=task_id("r2", "u1", "transcribe"))]
    merged = merge(*rows, current=MANIFEST)
    assert (merged.label.transcript, merged.label.intent) == (MANIFEST.transcript, "light_on")


@settings(max_examples=120, deadline=None)
@given(st.lists(answers(), min_size=2, max_size=6), st.data())
def test_arriving_one_by_one_ends_in_the_same_label_as_arriving_at_once(rows, data) -> None:
    order = data.draw(st.permutations(rows))
    current, withdrawn, last = None, False, None
    for count in range(1, len(order) + 1):
        last = merge(*order[:count], current=current, withdrawn=withdrawn, others=0)
        withdrawn = last.withdraws or (withdrawn and not last.is_new)
        current = last.label if last.is_new else current
    once = merge(*rows)
    assert last.outcome == once.outcome
    assert last.label == once.label
    assert (None if withdrawn else current) == once.label


@settings(max_examples=120, deadline=None)
@given(st.lists(answers(), min_size=1, max_size=8), labels)
def test_every_merge_is_sound(rows, current) -> None:
    merged = merge(*rows, current=current)
    assert 0.0 <= merged.agreement <= 1.0
    assert merged.annotators <= 3
    assert (merged.outcome == "conflict") == bool(merged.conflict)
    if merged.label is None:
        assert not merged.is_new
        return
    assert merged.outcome == "labelled"
    if merged.is_new:
        assert merged.label.revision <= len(rows) + (current is not None and not current.annotators)
    if merged.label.transcript is not None:
        assert normalise(merged.label.transcript) == merged.label.transcript

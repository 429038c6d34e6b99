"""Agreement of one annotator with the others counts no pair of two others."""

from annotation.agreement import measure_agreement
from annotation.pooled_agreement import pooled, with_others
from corpus.records.annotations import Annotation


def said(task, who, transcript, intent):
    return Annotation(task, who, "transcribe", "labelled", transcript, intent)


ANSWERS = [
    said("t1", "ann", "play some jazz", "play"),
    said("t1", "bob", "play some jazz", "play"),
    said("t1", "cid", "stop it now", "stop"),
    said("t2", "bob", "lights on", "light"),
    said("t2", "cid", "lights off", "light"),
]


def test_pairs_of_two_others_are_left_out():
    ann = with_others("ann", ANSWERS)
    assert (ann.compared, ann.same_intent) == (2, 0.5)
    assert ann.wer == 0.5  # 3 edits over two pairs of 3 words each
    bob = with_others("bob", ANSWERS)
    assert (bob.compared, bob.same_intent) == (3, 0.6667)
    assert with_others("nobody", ANSWERS).compared == 0
    assert with_others("nobody", ANSWERS).same_intent is None


def test_groups_are_pooled_as_sums_over_sums():
    groups = [measure_agreement([a for a in ANSWERS if a.task_id == task]) for task in ("t1", "t2")]
    together = pooled(groups)
    assert together.compared == 4
    assert together.same_intent == 0.5
    assert together.wer == round(2 * (3 + 3 + 1) / (3 * 6 + 4), 4)

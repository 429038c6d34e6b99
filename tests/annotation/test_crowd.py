from __future__ import annotations

import random

import numpy as np
import pytest

from annotation.anchoring import DraftComparison, copy_rates
from annotation.annotator_wer import TRUTH, count_pairs, learn_word_errors, words_compared
from annotation.crowd import Crowd, in_steps, learn_crowd
from corpus.records.annotations import Annotation, Label
from tests.annotation.worlds import INTENTS, judged, labelled

RATES = {"ann": 0.02, "bob": 0.05, "cid": 0.1, "dan": 0.4}
WORDS = ("turn", "on", "off", "the", "light", "play", "some", "jazz")


def clips(count: int, per_clip: int, seed: int) -> list[dict[str, str]]:
    """Return what people with the rates wrote of clips of six words, a few people on each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        words = rng.choice(WORDS, 6)
        who = rng.choice(sorted(RATES), per_clip, replace=False)
        made.append({str(w): " ".join(f"oops{w}" if rng.random() < RATES[str(w)] else x for x in words) for w in who})
    return made


def test_pairs_alone_tell_who_errs() -> None:
    rates = learn_word_errors(count_pairs(clips(300, 2, seed=1)))
    for who, rate in RATES.items():
        assert rates[who] == pytest.approx(rate, abs=0.05)


def test_a_known_transcript_tells_it_of_one_person() -> None:
    pairs = count_pairs([{"dan": "play sum jams please", TRUTH: "play some jazz please"}] * 40)
    assert learn_word_errors(pairs)["dan"] > 0.35
    assert words_compared(pairs) == {"dan": 160.0}
    assert learn_word_errors({}) == {}


def test_silence_is_compared_with_no_division_by_zero() -> None:
    assert learn_word_errors(count_pairs([{"ann": "", "bob": ""}])) == {}
    assert learn_word_errors(count_pairs([{"ann": "", "bob": "a"}]))["ann"] > 0.05


def answers_of(people: dict[str, float], count: int, seed: int = 0) -> dict[str, list[Annotation]]:
    """Return answers of everybody to each of some clips; a person names a wrong intent at the given rate."""
    rng = random.Random(seed)
    given = {}
    for k in range(count):
        true = INTENTS[k % 3]
        given[f"u{k}"] = [
            labelled(who, intent=rng.choice([i for i in INTENTS if i != true]) if rng.random() < rate else true)
            for who, rate in people.items()
        ]
    return given


def test_a_careless_person_is_named_and_weighs_less() -> None:
    crowd = learn_crowd(answers_of({"ann": 0.0, "bob": 0.05, "eve": 0.8}, 40), inventory=20)
    assert crowd.careless() == ["eve"]
    assert crowd.weight("eve") < 0.4 < 0.9 < crowd.weight("bob")
    assert crowd.weight("nobody-yet") == 1.0


def test_the_order_of_clips_and_answers_does_not_matter() -> None:
    given = answers_of({"ann": 0.1, "bob": 0.3, "cid": 0.6}, 30)
    mixed = {k: list(reversed(given[k])) for k in reversed(given)}
    assert learn_crowd(mixed) == learn_crowd(given)


def test_a_label_is_worth_what_its_people_are() -> None:
    crowd = learn_crowd(answers_of({"ann": 0.0, "bob": 0.0, "eve": 0.9}, 40), inventory=20)
    good, bad = ("ann", "labelled", "light_on"), ("eve", "labelled", "light_on")
    assert crowd.reliability([good]) > 0.95
    assert crowd.reliability([bad]) < 0.4
    assert crowd.reliability([good, bad]) >= crowd.reliability([good]) - 1e-6
    assert crowd.reliability([]) == 1.0
    assert Crowd().reliability([bad]) == 1.0
    assert Crowd().reliability([("eve", "accidental", None)]) == 1.0


def seen(who: str, shown: int, unchanged: int, blind: int = 0, same: int = 0) -> list[DraftComparison]:
    rows = [DraftComparison(who, True, k < unchanged) for k in range(shown)]
    return rows + [DraftComparison(who, False, k < same) for k in range(blind)]


def test_who_sends_drafts_back_unread_is_found_out_by_the_blind_tasks() -> None:
    honest = seen("ann", 30, 9, 20, 6) + seen("bob", 30, 10, 20, 5)
    rates = copy_rates(honest + seen("eve", 20, 20))
    assert rates["eve"] > 0.7
    assert max(rates["ann"], rates["bob"]) < 0.1
    assert copy_rates(seen("eve", 20, 20)) == {}, "without a blind task nobody can be told to copy"
    good_model = seen("ann", 30, 29, 20, 19) + seen("bob", 30, 29)
    assert max(copy_rates(good_model).values()) < 0.3
    assert copy_rates(honest + seen("new", 3, 3))["new"] < 0.5


def test_a_copied_label_is_worth_little_and_a_blind_one_of_the_same_person_is_not() -> None:
    crowd = learn_crowd({}, comparisons=seen("ann", 30, 9, 20, 6) + seen("eve", 30, 30))
    assert crowd.careless() == ["eve"]
    voice = [("eve", "labelled", "light_on")]
    assert crowd.reliability(voice, draft_shown=True) < 0.3
    assert crowd.reliability(voice) == 1.0
    assert crowd.reliability([*voice, ("ann", "labelled", "light_on")], draft_shown=True) == 1.0


def test_known_labels_are_gold() -> None:
    known = {f"u{k}": Label(f"u{k}", "turn on the light", INTENTS[k % 3], (), 1.0, 0, 1) for k in range(20)}
    crowd = learn_crowd(answers_of({"eve": 1.0}, 20), known, inventory=20)
    assert crowd.careless() == ["eve"]


def test_help_is_no_vote_and_nothing_is_known_of_lone_voices() -> None:
    given = {"u1": [judged("ann", "help"), labelled("bob")], "u2": [labelled("cid")]}
    assert learn_crowd(given).intents.accuracy == {}


def test_it_comes_back_from_json() -> None:
    crowd = learn_crowd(answers_of({"ann": 0.1, "bob": 0.3, "cid": 0.6}, 30))
    again = Crowd.from_json(crowd.as_json())
    assert again.people == crowd.people
    for who in crowd.people:
        assert again.weight(who) == pytest.approx(crowd.weight(who), abs=1e-5)


def test_a_reliability_moves_in_steps_of_a_twentieth() -> None:
    assert [in_steps(value) for value in (0.0, 0.824, 0.826, 0.999, 1.0)] == [0.0, 0.8, 0.85, 1.0, 1.0]

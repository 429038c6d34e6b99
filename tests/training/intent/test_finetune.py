from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from corpus.errors import Damaged, RecordError, Refused, UsageError
from corpus.records.arrivals import SlotSpan
from corpus.records.inventory import Inventory, make_names
from tests.training.tiny_intent import QUICK, SILENT, rows, taught_intent
from training.intent.finetune import IntentExample, finetune_intent, read_replay
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.fit import FitSettings
from training.intent.model import classify, load_intent, save_intent
from training.intent.pretrain import write_replay
from training.loop.model_files import weights_digest
from training.replay_learners.fine_tuned import BASES

PLAIN = IntentFinetuneSettings(interpolate=0.0, fit=QUICK, noise=SILENT)
NEW = [
    IntentExample(f"n{i}", f"wake me at {hour}", "alarm", (SlotSpan("time", 11, 11 + len(hour)),))
    for i, hour in enumerate(("six", "seven", "eight", "nine", "ten", "noon"))
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "intent"
    save_intent(taught_intent(), folder)
    write_replay(folder, rows())
    return folder


def intents(folder, texts):
    model = load_intent(folder)
    return [model.intents[k] for k in classify(model, texts).probs.argmax(axis=1)]


def test_it_learns_new_intents_and_slots_and_forgets_nothing(base, tmp_path):
    steps = []
    result = finetune_intent(base, NEW, tmp_path / "out", PLAIN, lambda *step: steps.append(step), dev=NEW)
    assert intents(tmp_path / "out", ["wake me at five", "turn on the hall light"]) == ["alarm", "lights"]
    assert result.grown == ("alarm", "time")
    assert result.intents == ("lights", "music", "other", "alarm")
    assert result.dev_accuracy == (0.0, 1.0)
    assert result.losses[-1] < result.losses[0]
    assert (result.examples, result.replayed) == (6, 20)
    assert result.digest == weights_digest(tmp_path / "out")
    assert result.base_digest == weights_digest(base) != result.digest
    assert steps[-1][0] == steps[-1][1] == len(steps)
    model = load_intent(tmp_path / "out")
    assert [s.name for s in classify(model, ["wake me at ten"]).slots[0]] == ["time"]


def test_two_slots_in_a_run_of_letters_without_spaces_are_learned(tmp_path):
    rooms, times = ("台所", "寝室", "居間"), ("六時", "七時", "八時")
    taught = [
        IntentExample(f"{room}{time}", f"{room}を{time}に", "heat", (SlotSpan("room", 0, 2), SlotSpan("time", 3, 5)))
        for room in rooms
        for time in times
    ]
    fit = FitSettings(epochs=40, batch_size=9)
    result = finetune_intent(
        BASES / "intent", taught, tmp_path / "out", IntentFinetuneSettings(interpolate=0.0, fit=fit, noise=SILENT)
    )
    assert result.unmarked_slots == 0
    found = classify(load_intent(tmp_path / "out"), [row.text for row in taught]).slots
    assert found == tuple(row.slots for row in taught)


def test_slots_on_half_a_word_are_counted_once_and_cost_nothing_else(base, tmp_path):
    halves = (SlotSpan("time", 8, 9), SlotSpan("room", 9, 10))  # m and e
    rows = [*NEW, IntentExample("half", "wake to me at one", "alarm", halves)]
    rows += [IntentExample("half/draft", "wake to me at one", "alarm", halves)]
    assert finetune_intent(base, rows, tmp_path / "out", PLAIN).unmarked_slots == 2
    assert finetune_intent(base, NEW, tmp_path / "out", PLAIN).unmarked_slots == 0


def test_what_the_base_knows_by_a_former_name_goes_on_by_the_name_of_now(base, tmp_path):
    named = Inventory(make_names((), {"lights": "lamps", "music": "songs"}), make_names(()))
    said = [replace(row, intent=named.intents.current(row.intent)) for row in rows()]
    result = finetune_intent(base, NEW, tmp_path / "out", PLAIN, dev=said, names=named)
    assert result.intents == ("lamps", "songs", "other", "alarm")
    assert result.grown == ("alarm", "time")
    assert result.dev_accuracy is not None
    assert result.dev_accuracy[0] > 0.9  # the base is not wrong for its names
    assert intents(tmp_path / "out", ["turn on the hall light"]) == ["lamps"]
    one = Inventory(make_names((), {"lights": "house", "music": "house"}), make_names(()))
    assert finetune_intent(base, NEW, tmp_path / "one", PLAIN, names=one).intents == (
        "house",
        "music",
        "other",
        "alarm",
    )


def test_two_names_of_the_base_that_are_one_now_are_no_error_of_it(base, tmp_path):
    merged = Inventory(make_names((), {"music": "lights"}), make_names(()))
    said = [replace(row, intent=merged.intents.current(row.intent)) for row in rows()]
    assert sum(one.intent != now.intent for one, now in zip(rows(), said, strict=True)) > 5  # the base says `music`
    epochs = []
    still = IntentFinetuneSettings(interpolate=0.99, fit=QUICK, noise=SILENT, calibrate_from=8)  # the base stays
    result = finetune_intent(base, NEW, tmp_path / "out", still, dev=said, names=merged, on_epoch=epochs.append)
    assert result.dev_accuracy is not None
    assert min(result.dev_accuracy) > 0.9
    assert max(epoch.dev_error for epoch in epochs) < 0.1
    assert result.dev_errors is not None
    assert max(result.dev_errors.rates) < 0.1
    assert result.intents[:2] == ("lights", "music")
    plain = finetune_intent(base, NEW, tmp_path / "plain", still, dev=rows())
    assert result.temperature == pytest.approx(plain.temperature, rel=0.05)  # it is as sure as it was of two names


def test_the_same_examples_give_the_same_weights_whatever_their_order_and_the_state_outside(base, tmp_path):
    quick = IntentFinetuneSettings(fit=QUICK.model_copy(update={"epochs": 2}))
    one = finetune_intent(base, NEW, tmp_path / "one", quick)
    torch.rand(3)
    state = torch.random.get_rng_state()
    two = finetune_intent(base, NEW[::-1], tmp_path / "two", quick)
    assert one.digest == two.digest
    assert torch.equal(state, torch.random.get_rng_state())
    less = finetune_intent(base, NEW[1:], tmp_path / "less", quick)
    assert less.digest != one.digest


def test_slots_that_nobody_labelled_teach_the_slot_head_nothing(base, tmp_path):
    once = IntentFinetuneSettings(fit=QUICK.model_copy(update={"weight_decay": 0.0}), noise=SILENT, replay=0)
    finetune_intent(base, [replace(row, slots=None) for row in NEW], tmp_path / "out", once)
    before, after = (load_intent(folder).network.slot_head.weight for folder in (base, tmp_path / "out"))
    assert torch.equal(before, after)


def test_weights_matter_relative_to_each_other_only(base, tmp_path):
    quick = IntentFinetuneSettings(fit=QUICK.model_copy(update={"epochs": 1}), noise=SILENT)
    one = finetune_intent(base, NEW, tmp_path / "one", quick)
    doubled = finetune_intent(base, [replace(row, weight=2.0) for row in NEW], tmp_path / "two", quick)
    ignored = [replace(row, utterance_id=f"z{i}", intent="music", weight=0.0) for i, row in enumerate(NEW)]
    assert doubled.digest == one.digest
    nought = finetune_intent(base, [*NEW, *ignored], tmp_path / "three", quick)
    np.testing.assert_allclose(nought.losses, one.losses, rtol=1e-5)


def test_interpolation_stays_nearer_to_the_base(base, tmp_path):
    far = finetune_intent(base, NEW, tmp_path / "far", PLAIN)
    near = finetune_intent(base, NEW, tmp_path / "near", PLAIN.model_copy(update={"interpolate": 0.5}))
    assert far.digest != near.digest
    start, end, half = (
        load_intent(f).network.encoder.state_dict() for f in (base, tmp_path / "far", tmp_path / "near")
    )
    for name in start:
        torch.testing.assert_close(half[name], (start[name] + end[name]) / 2, atol=1e-5, rtol=1e-4)


def test_without_enough_dev_examples_the_temperature_is_what_the_base_needs_here(base, tmp_path):
    own = load_intent(base).temperature
    known = rows(20)
    other = {"music": "lights", "lights": "music"}
    strange = [replace(row, intent=other.get(row.intent, row.intent), slots=None) for row in known]  # all unlike it
    settings = PLAIN.model_copy(update={"calibrate_from": 20})
    assert finetune_intent(base, strange, tmp_path / "hot", settings).temperature > 1.5 * own
    assert finetune_intent(base, strange[1:], tmp_path / "few", settings).temperature == pytest.approx(own)


def test_the_temperature_rests_on_what_people_labelled_of_enough_utterances(base, tmp_path):
    other = {"music": "lights", "lights": "music"}
    strange = [replace(row, intent=other.get(row.intent, row.intent), slots=None) for row in rows(20)]  # all unlike it
    settings = PLAIN.model_copy(update={"calibrate_from": 20, "fit": QUICK.model_copy(update={"epochs": 1})})
    guesses = [replace(row, pseudo=True) for row in strange[10:]]
    drafts = [replace(row, utterance_id=f"{row.utterance_id}/draft") for row in strange[:10]]
    own = pytest.approx(load_intent(base).temperature)
    assert finetune_intent(base, [*strange[:10], *guesses], tmp_path / "guesses", settings).temperature == own
    assert finetune_intent(base, [*strange[:10], *drafts], tmp_path / "drafts", settings).temperature == own
    assert finetune_intent(base, [*strange, *drafts], tmp_path / "enough", settings).temperature != own


def test_enough_dev_examples_fit_the_temperature(base, tmp_path):
    settings = PLAIN.model_copy(update={"calibrate_from": 20})
    result = finetune_intent(base, NEW, tmp_path / "out", settings, dev=rows(20))
    assert result.temperature != 1.0
    assert load_intent(tmp_path / "out").temperature == pytest.approx(result.temperature, abs=1e-3)


def test_a_base_without_replay_is_fine(base, tmp_path):
    save_intent(load_intent(base), tmp_path / "bare")
    result = finetune_intent(tmp_path / "bare", NEW, tmp_path / "out", PLAIN)
    assert result.replayed == 0
    assert read_replay(tmp_path / "bare") == []


def test_what_is_written_to_replay_is_read_from_it(base):
    assert [(row.text, row.intent, row.slots) for row in read_replay(base)] == [
        (row.text, row.intent, row.slots) for row in rows()
    ]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("examples", [[], [replace(NEW[0], weight=0.0)]])
def test_nothing_to_learn_is_bad_usage(base, tmp_path, examples):
    with pytest.raises(UsageError, match="label"):
        finetune_intent(base, examples, tmp_path / "out", PLAIN)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_saves_nothing(base, tmp_path):
    wild = FitSettings(epochs=20, encoder_rate=10, head_rate=10, weight_decay=100)  # weights grow 1000 fold a step
    with pytest.raises(Refused, match="rate"):
        finetune_intent(base, NEW, tmp_path / "out", IntentFinetuneSettings(fit=wild))
    assert list(tmp_path.iterdir()) == []


def test_an_example_names_what_is_wrong_with_it():
    with pytest.raises(RecordError, match=r"u7.*intent"):
        IntentExample("u7", "hello", "")
    with pytest.raises(RecordError, match=r"u7.*weight"):
        IntentExample("u7", "hello", "music", None, float("nan"))
    with pytest.raises(RecordError, match=r"u7.*after the text"):
        IntentExample("u7", "hello", "music", (SlotSpan("room", 3, 9),))


def test_a_damaged_replay_set_names_the_line(base, tmp_path):
    save_intent(load_intent(base), tmp_path / "m")
    (tmp_path / "m" / "replay.jsonl").write_text('{"text": "a", "intent": "b", "slots": []}\n{"text": 1}\n')
    with pytest.raises(Damaged, match="line 2"):
        finetune_intent(tmp_path / "m", NEW, tmp_path / "out", PLAIN)


def test_a_single_setting_leaves_the_others_as_they_are():
    changed = IntentFinetuneSettings.model_validate({"fit": {"epochs": 2}})
    assert changed.fit == IntentFinetuneSettings().fit.model_copy(update={"epochs": 2})

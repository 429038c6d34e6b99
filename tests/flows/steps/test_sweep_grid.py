"""Which settings a sweep tries, and which it refuses."""

from __future__ import annotations

import time

import pytest

from corpus.errors import SettingsError
from flows.models import registry
from flows.steps.sweep_grid import candidates, keys_of, read_choices, tried_and_other
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings, by_base


def test_commas_separate_values_except_within_brackets_and_a_repeated_key_has_them_all():
    found = read_choices(
        "asr",
        [
            "asr.loop.epochs=5,10",
            "asr.loop.epochs=10,20",
            "asr.lora.targets=[q_proj, v_proj],all-linear",
            "asr.lora=null",
        ],
    )
    assert found == {
        "asr.loop.epochs": [5, 10, 20],
        "asr.lora.targets": [["q_proj", "v_proj"], "all-linear"],
        "asr.lora": [None],
    }


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (["intent.learning_rate=1e-4"], r"intent\.learning_rate: it has no influence on a training of intent; these "),
        (["intent.fit.device=cpu,cuda"], "no influence"),
        (["intent.fit.epochs="], "no value to try"),
        (["intent.fit.epochs=[1"], "not YAML"),
        (["intent.fit.epochs"], "give it as key=value,value"),
        ([], "there is nothing to try"),
    ],
)
def test_what_can_not_be_tried_is_refused_in_one_line(given: list[str], error: str):
    with pytest.raises(SettingsError, match=error) as caught:
        read_choices("intent", given)
    assert "\n" not in str(caught.value)


def test_a_refused_key_names_the_nearest_and_those_of_its_branch_alone():
    with pytest.raises(SettingsError) as caught:
        read_choices("intent", ["intent.fit.epoch=1"])
    assert "; did you mean intent.fit.epochs? these" in str(caught.value)
    _, _, listed = str(caught.value).partition("these have, below intent.fit: ")
    of_branch = [key.removeprefix("intent.fit.") for key in keys_of("intent") if key.startswith("intent.fit.")]
    assert listed.split(", ") == of_branch


def test_a_refused_key_outside_of_all_branches_names_the_groups():
    with pytest.raises(SettingsError) as caught:
        read_choices("asr", ["asr.rate=1"])
    _, _, listed = str(caught.value).partition("these have, below asr: ")
    assert listed.split(", ") == [
        "beam.*", "decoder", "freeze_feature_encoder", "interpolate", "loop.*", "lora", "lora.*", "pseudo.*",
    ]  # fmt: skip
    with pytest.raises(SettingsError, match=r"did you mean intent\.fit\.epochs\? these have, below intent: "):
        tried_and_other("intent", ["asr.loop.epochs=5,10"])
    with pytest.raises(SettingsError, match=r"--set intent\.fit\.epochs=5,10; .*, below intent: calibrate_from"):
        read_choices("intent", [])
    with pytest.raises(SettingsError, match=r"of intent; these have, below intent\.fit: "):
        read_choices("intent", ["intent.fit.device=cpu,cuda"])  # it is no slip of the pen


def test_what_changes_only_how_long_a_training_takes_is_not_tried():
    assert not [key for key in keys_of("asr") if key.endswith(("device", "threads", "checkpoint_after"))]


def test_settings_of_the_home_stay_settings_and_others_can_not_have_several_values():
    given = ["corpus.home=/tmp/a", "intent.replay=0,50", 'corpus.split={"train": 0.9, "dev": 0.1, "test": 0.0}']
    assert tried_and_other("intent", given) == ([given[1]], [given[0], given[2]])
    with pytest.raises(SettingsError, match=r"asr\.loop\.epochs: it has no influence on a training of intent"):
        tried_and_other("intent", ["asr.loop.epochs=5,10"])


def test_every_combination_is_tried_and_the_present_settings_are_always_among_them():
    present = by_base(IntentFinetuneSettings(), registry.BASES / "intent")
    choices = read_choices("intent", ["intent.fit.epochs=5,10", "intent.interpolate=0.1,0.2"])
    found = candidates("intent", present, choices)
    assert [each.present for each in found] == [True, False, False, False, False]
    assert found[0].values == {"intent.fit.epochs": 15, "intent.interpolate": 0.0}
    assert found[2].values == {"intent.fit.epochs": 5, "intent.interpolate": 0.2}
    assert found[2].finetune == present.model_copy(
        update={"fit": present.fit.model_copy(update={"epochs": 5}), "interpolate": 0.2}
    )
    inside = candidates("intent", present, read_choices("intent", ["intent.fit.epochs=5,15,15.0"]))
    assert [(each.values["intent.fit.epochs"], each.present) for each in inside] == [(5, False), (15, True)]


def test_a_group_that_is_null_is_made_by_one_of_its_keys():
    (first, second) = candidates("asr", AsrFinetuneSettings(), read_choices("asr", ["asr.lora.rank=4"]))
    assert first.values == {"asr.lora.rank": None}
    assert isinstance(second.finetune, AsrFinetuneSettings)
    assert second.finetune.lora is not None
    assert second.finetune.lora.rank == 4


def test_a_drawn_part_of_a_grid_is_the_same_each_time_and_a_larger_part_contains_it():
    choices = read_choices("intent", ["intent.fit.epochs=1,2,3,4,5", "intent.replay=0,10,20,30"])
    few, same, more = (candidates("intent", IntentFinetuneSettings(), choices, count) for count in (4, 4, 9))
    assert few == same
    assert len(few) == 5
    assert {str(each.values) for each in few} < {str(each.values) for each in more}
    assert len(candidates("intent", IntentFinetuneSettings(), choices, 100)) == 21


def test_a_wrong_value_names_its_key_and_a_grid_has_bounds():
    with pytest.raises(SettingsError, match=r"intent\.fit\.epochs: input should be greater than or equal to 1"):
        candidates("intent", IntentFinetuneSettings(), {"intent.fit.epochs": [0]})
    with pytest.raises(SettingsError, match="combinations are too many"):
        candidates("intent", IntentFinetuneSettings(), {f"intent.{n}": list(range(10)) for n in range(5)})


def test_a_large_grid_takes_seconds():
    """Comparing each combination with all others took half a minute."""
    rates = ",".join(str(k * 1e-7) for k in range(1, 3001))
    before = time.monotonic()
    found = candidates("intent", IntentFinetuneSettings(), read_choices("intent", [f"intent.fit.encoder_rate={rates}"]))
    assert time.monotonic() - before < 10
    assert len({each.values["intent.fit.encoder_rate"] for each in found}) == len(found) >= 3000

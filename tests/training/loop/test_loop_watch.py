"""The dev rows watch a training: the best epoch stays, and a rate that makes the first one worse is halved, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.tiny import tiny_asr, tone_examples
from tests.training.tiny_intent import QUICK, SILENT, rows, taught_intent, tiny_intent
from training.asr.fit import AsrLoopSettings, train_asr
from training.intent.finetune import finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.model import save_intent
from training.loop.work import Epoch, LoopResult, Watch

TOO_FAST = IntentFinetuneSettings(
    fit=QUICK.model_copy(
        update={"epochs": 3, "encoder_rate": 10.0, "head_rate": 4.0, "patience": 5, "checkpoint_after": 0.0}
    ),
    noise=SILENT,
)
"""A base that makes no error on the dev rows unlearns them in one epoch."""


MANY = 10**9
"""Dev words by which the smallest difference is told from luck."""


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intent") / "base"
    save_intent(taught_intent(), folder)
    return folder


def test_an_absurd_rate_is_halved_once_and_the_epoch_that_was_worse_is_reported(taught: Path, tmp_path: Path):
    epochs: list[Epoch] = []
    steps: list[tuple[int, int]] = []
    made = finetune_intent(
        taught,
        rows(),
        tmp_path / "out",
        TOO_FAST,
        lambda *step: steps.append(step[:2]),
        rows(8),
        on_epoch=epochs.append,
    )
    assert [(epoch.number, epoch.restarts) for epoch in epochs] == [
        (0, False), (1, True), (1, False), (2, False), (3, False),
    ]  # fmt: skip
    assert epochs[0].dev_error == 0
    assert epochs[1].dev_error is not None
    assert epochs[1].dev_error > 0
    assert made.rate_factor == 0.5
    assert len(made.losses) == len(made.watched) == 3
    assert [done for done, _ in steps] == list(range(1, 13))  # 3 steps of an epoch that was abandoned, then 9
    assert steps[-1] == (12, 12)


def test_what_started_again_is_what_half_the_rate_makes():
    def trained(rate: float, errors: tuple[float, ...]) -> tuple[dict[str, torch.Tensor], LoopResult]:
        asr = tiny_asr()
        loop = AsrLoopSettings(epochs=3, learning_rate=rate, patience=9, batch_seconds=2)
        made = train_asr(asr, tone_examples(6), loop, watch=Watch(iter(errors).__next__, 0.8, MANY))
        return asr.model.state_dict(), made

    ours, halved = trained(8e-3, (0.9, 0.5, 0.4, 0.3))
    theirs, direct = trained(4e-3, (0.5, 0.4, 0.3))
    assert halved == replace(direct, rate_factor=0.5)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kills", [(2,), (5,), (2, 4, 8)], ids=["before it starts again", "after", "before and after"])
def test_a_training_that_was_killed_starts_again_once_all_the_same(
    taught: Path, tmp_path: Path, kills: tuple[int, ...]
):
    whole = finetune_intent(taught, rows(), tmp_path / "whole", TOO_FAST, dev=rows(8))
    epochs: list[Epoch] = []

    def killing(at: int):
        def on_progress(done: int, total: int, loss: float) -> None:
            if done == at:
                raise Killed

        return on_progress

    out, kept = tmp_path / "out", tmp_path / "kept"
    for at in kills:
        with pytest.raises(Killed):
            finetune_intent(
                taught, rows(), out, TOO_FAST, killing(at), rows(8), checkpoint=kept, on_epoch=epochs.append
            )
    resumed = finetune_intent(taught, rows(), out, TOO_FAST, dev=rows(8), checkpoint=kept, on_epoch=epochs.append)
    assert resumed.resumed == kills[-1]
    assert (resumed.digest, resumed.losses, resumed.watched) == (whole.digest, whole.losses, whole.watched)
    assert [epoch.restarts for epoch in epochs].count(True) == 1
    assert resumed.rate_factor == 0.5


@pytest.mark.parametrize(("dev", "patience"), [(0, 2), (6, 2), (8, None)], ids=["none", "too few", "not asked for"])
def test_without_dev_rows_that_can_tell_nothing_is_watched(
    taught: Path, tmp_path: Path, dev: int, patience: int | None
):
    fit = TOO_FAST.fit.model_copy(update={"patience": patience})
    settings = TOO_FAST.model_copy(update={"fit": fit})
    epochs: list[Epoch] = []
    made = finetune_intent(taught, rows(), tmp_path / "out", settings, dev=rows(dev), on_epoch=epochs.append)
    assert (made.rate_factor, made.best_epoch, made.watched) == (1.0, None, ())
    assert len(made.losses) == 3
    assert not any(epoch.restarts for epoch in epochs)
    assert [epoch.dev_error is None for epoch in epochs] == [not dev] * 4


def test_the_figure_that_watches_is_that_of_the_model_which_is_saved(tmp_path: Path):
    save_intent(tiny_intent(), tmp_path / "base")
    fit = QUICK.model_copy(update={"epochs": 8, "patience": 8})
    settings = IntentFinetuneSettings(fit=fit, interpolate=0.6, noise=SILENT)
    made = finetune_intent(tmp_path / "base", rows(), tmp_path / "out", settings, dev=rows(20))
    assert made.dev_accuracy is not None
    assert made.best_epoch is not None
    assert len(set(made.watched)) > 1
    assert made.dev_accuracy[1] == pytest.approx(1 - made.watched[made.best_epoch - 1])
    assert made.watched[made.best_epoch - 1] <= Watch(float, 0.0, 20).limit(min(made.watched))


@settings(max_examples=25, deadline=None)
@given(
    errors=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4]), min_size=6, max_size=6),
    patience=st.integers(1, 6),
    base=st.sampled_from([0.15, 0.25, 0.5]),
)
def test_it_ends_after_so_many_worse_epochs_with_the_weights_of_the_best(
    errors: list[float], patience: int, base: float
):
    asr, seen, told = tiny_asr(), [], iter([*([0.9] if errors[0] > base else []), *errors])

    def error() -> float:
        seen.append(asr.model.ctc_head.weight.detach().clone())
        return next(told)

    loop = AsrLoopSettings(epochs=6, batch_seconds=20, patience=patience)
    made = train_asr(asr, tone_examples(1), loop, watch=Watch(error, base, MANY))
    halved = errors[0] > base
    assert made.rate_factor == (0.5 if halved else 1.0)
    watched = list(made.watched)
    assert watched == errors[: len(watched)]
    best = max(place for place, each in enumerate(watched, start=1) if each == min(watched))
    assert made.best_epoch == best
    assert len(watched) == 6 or len(watched) - best == patience
    assert torch.equal(asr.model.ctc_head.weight, seen[best - 1 + halved])


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 3), st.integers(1, 10**6))
def test_what_is_as_good_lies_within_one_standard_error(error: float, units: int):
    limit = Watch(float, 0.5, units).limit(error)
    assert error < limit <= error + 1 / units**0.5
    assert Watch(float, 0.5, 4 * units).limit(error) < limit


def test_a_rise_by_luck_ends_no_training():
    errors = (0.22, 0.12, 0.14, 0.14, 0.14)  # of 50 words, one more than at best
    asr, loop = tiny_asr(), AsrLoopSettings(epochs=5, batch_seconds=20, patience=1)
    made = train_asr(asr, tone_examples(1), loop, watch=Watch(iter(errors).__next__, 0.24, 50))
    assert (made.watched, made.best_epoch, made.rate_factor) == (errors, 5, 1.0)

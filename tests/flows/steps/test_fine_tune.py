"""The check between a training and its registration, on tiny models that learn too fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import TrainingRefused
from flows.steps.fine_tune import checked, epoch_line
from tests.training.tiny import tiny_asr_folder, tone_examples
from tests.training.tiny_intent import QUICK, SILENT, rows, taught_intent
from training.asr.augment import AugmentSettings
from training.asr.finetune import AsrFinetuneSettings, finetune_asr
from training.asr.fit import AsrLoopSettings
from training.intent.finetune import finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.model import save_intent
from training.loop.work import Epoch

PLAIN = AugmentSettings(speeds=(), gain_db=0, noise_share=0, narrow_share=0, time_masks=0, mel_masks=0)


def test_a_rate_of_ten_is_refused_by_the_dev_rows_of_a_base_that_knew_them(tmp_path: Path):
    save_intent(taught_intent(), tmp_path / "base")
    settings = IntentFinetuneSettings(
        fit=QUICK.model_copy(update={"epochs": 3, "encoder_rate": 10.0, "head_rate": 10.0}), noise=SILENT
    )
    made = finetune_intent(tmp_path / "base", rows(), tmp_path / "out", settings, dev=rows(16))
    assert made.dev_errors is not None
    assert len(made.dev_errors) == 16
    assert made.dev_errors.rates[0] == 0.0
    with pytest.raises(TrainingRefused, match=r"intent training refused, nothing is registered: .*; lower the rate"):
        checked("intent", made, "lower the rate")
    calm = settings.model_copy(update={"fit": QUICK.model_copy(update={"epochs": 1, "encoder_rate": 1e-5})})
    good = finetune_intent(tmp_path / "base", rows(), tmp_path / "good", calm, dev=rows(16))
    assert checked("intent", good, "") == "not clearly worse than its base on 16 dev rows"
    few = finetune_intent(tmp_path / "base", rows(), tmp_path / "few", calm, dev=rows(2))
    assert checked("intent", few, "") == "2 dev rows can't tell whether it is worse than its base, 7 can"


def test_a_rate_of_ten_is_refused_by_the_loss_of_a_speech_model_without_dev_rows(tmp_path: Path):
    base = tiny_asr_folder(tmp_path / "base")
    loop = AsrLoopSettings(epochs=3, learning_rate=10.0, batch_seconds=4.0, augment=PLAIN)

    def train() -> str:
        made = finetune_asr(base, tone_examples(6), tmp_path / "out", AsrFinetuneSettings(loop=loop))
        return checked("asr", made, "lower asr.loop.learning_rate")

    with pytest.raises(TrainingRefused, match=r"lower asr\.loop\.learning_rate"):
        train()


@pytest.mark.parametrize(
    ("epoch", "line"),
    [
        (Epoch(0, 8, None, 0.2413, 1.0, None), "asr base: WER 24.1 % on 12 dev rows"),
        (
            Epoch(3, 8, 0.41177, 0.183, 41.0, 68.0),
            "asr epoch 3 of 8: loss 0.4118, WER 18.3 % on 12 dev rows, 41 s, 1 min 8 s left",
        ),
        (Epoch(1, 2, 1.5, None, 2.0, None), "asr epoch 1 of 2: loss 1.5, no dev rows, 2.0 s"),
        (
            Epoch(1, 8, 4.25, 0.7, 12.0, 96.0, restarts=True),
            "asr epoch 1 of 8: loss 4.25, WER 70.0 % on 12 dev rows, 12 s, worse than the base: starts again at half "
            "the rate, 1 min 36 s left",
        ),
    ],
)
def test_a_line_on_an_epoch_has_loss_dev_figure_time_and_time_left(epoch: Epoch, line: str):
    assert epoch_line("asr", epoch, 12) == line


def test_a_figure_of_one_row_says_so():
    line = epoch_line("intent", Epoch(0, 8, None, 0.5, 1.0, None), 1)
    assert line == "intent base: intent error 50.0 % on 1 dev row"

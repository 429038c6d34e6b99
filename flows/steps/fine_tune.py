"""Fine-tune the base model on the labels and pseudo-labels of a plan."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.handle import Corpus
from corpus.records.base import Kind, Role
from flows.models import registry
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings import ModelSettings
from flows.steps.retrain_plan import RetrainPlan
from flows.steps.training_examples import asr_examples, intent_examples
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune import IntentFinetuneSettings

OnProgress = Callable[[int, int, float], None]
"""Takes the number of steps done, the number of all steps, and the loss."""

LEARNING_ROLES: tuple[Role, ...] = ("train", "dev")
"""Rows to learn from, and rows of other speakers on which the training is validated."""


@dataclass(frozen=True, slots=True)
class Training(Result):
    """How a fine-tuning ran.

    Attributes:
        examples: how many were learned from.
        left_out: how many examples could not be learned from.
        too_long, unspellable: how many of them for which reason, see `training.asr.finetune.FinetuneResult`; None where
            there are none.
        resumed_at_step: step at which it was resumed after a kill; None where it was not killed.
        seconds: how long it took [s].
    """

    examples: int
    left_out: int
    too_long: int | None = None
    unspellable: int | None = None
    resumed_at_step: int | None = None
    seconds: float = field(kw_only=True)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Training:
        """Return the training that was stored."""
        return cls(
            examples=stored["examples"],
            left_out=stored["left_out"],
            too_long=stored.get("too_long"),
            unspellable=stored.get("unspellable"),
            resumed_at_step=stored.get("resumed_at_step"),
            seconds=stored["seconds"],
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        training: how it ran.
        series: figures by name and epoch, see `training.evaluation.metrics.learning_series`.
        left_out: ids of the examples that could not be learned from, by reason.
    """

    training: Training
    series: Mapping[str, Mapping[int, float]]
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def checkpoint_folder(folder: Path, kind: Kind) -> Path:
    """Return the folder, beside the work folder, where the training keeps its checkpoints."""
    return folder.with_name(f"{folder.name}-{kind}-kept")


def fine_tune(
    corpus: Corpus,
    models: ModelSettings,
    asr: AsrFinetuneSettings,
    intent: IntentFinetuneSettings,
    plan: RetrainPlan,
    folder: Path,
) -> Trained:
    """Fine-tune the base and write the model to the folder; resume from the checkpoints of a killed run."""
    checkpoints = checkpoint_folder(folder, plan.kind)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = [other for other in folder.parent.glob(f"*-{plan.kind}-kept") if other != checkpoints]
    # checkpoints that learned from other labels, some of which may be erased by now, and files of a killed run
    for stale in (folder, *others, *folder.parent.glob(".tmp-*")):
        shutil.rmtree(stale, ignore_errors=True)
    with progress.track(f"fine-tune {plan.kind}", None) as advance:

        def on_progress(done: int, total: int, loss: float) -> None:
            advance(done, total)

        base = registry.base_folder(models, plan.kind)
        if plan.kind == "asr":
            return _fine_tune_asr(corpus, asr, base, plan, folder, checkpoints, on_progress)
        return _fine_tune_intent(corpus, intent, base, plan, folder, checkpoints, on_progress)


def _fine_tune_asr(
    corpus: Corpus,
    settings: AsrFinetuneSettings,
    base: Path,
    plan: RetrainPlan,
    folder: Path,
    checkpoints: Path,
    on_progress: OnProgress,
) -> Trained:
    from training.asr.finetune import finetune_asr
    from training.evaluation.metrics import learning_series

    train, dev = (plan.snapshot.of(role) for role in LEARNING_ROLES)
    examples, validation = asr_examples(corpus, train, plan.pseudo), asr_examples(corpus, dev)
    made = finetune_asr(base, examples, folder, settings, on_progress, validation, checkpoint=checkpoints)
    training = Training(
        examples=made.examples,
        left_out=len(made.too_long) + len(made.unspellable),
        too_long=len(made.too_long) or None,
        unspellable=len(made.unspellable) or None,
        resumed_at_step=made.resumed or None,
        seconds=round(made.seconds, 1),
    )
    series = learning_series(made.losses, {"dev_wer": made.dev_wer}, {"dev_wer": made.watched})
    return Trained(training, series, {"too_long": made.too_long, "unspellable": made.unspellable})


def _fine_tune_intent(
    corpus: Corpus,
    settings: IntentFinetuneSettings,
    base: Path,
    plan: RetrainPlan,
    folder: Path,
    checkpoints: Path,
    on_progress: OnProgress,
) -> Trained:
    from training.evaluation.metrics import learning_series
    from training.intent.finetune import finetune_intent

    train, dev = (plan.snapshot.of(role) for role in LEARNING_ROLES)
    examples, validation = intent_examples(corpus, train, plan.pseudo), intent_examples(corpus, dev)
    made = finetune_intent(base, examples, folder, settings, on_progress, validation, checkpoint=checkpoints)
    training = Training(
        examples=made.examples, left_out=0, resumed_at_step=made.resumed or None, seconds=round(made.seconds, 1)
    )
    before_after = {"dev_accuracy": made.dev_accuracy}
    return Trained(training, learning_series(made.losses, before_after, {"dev_error": made.watched}))

"""Input and output of the training loop: settings of its steps, its work, its checkpoint, its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int, float], None]
"""Called with steps done, steps in all, and the loss of the last step."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of a finished epoch.

    Attributes:
        number: its number, from 1; 0 for the base, before the first step.
        epochs: number of all epochs.
        train_loss: mean loss of the epoch; None for the base.
        dev_error: error rate on the dev examples; None without dev examples.
        seconds: time since the training began or was continued [s].
        seconds_left: time that the rest takes at the rate so far, if it does not end early [s]; None for the base.
        restarts: it is a first epoch that made dev worse than the base: training starts again at half the rate.
    """

    number: int
    epochs: int
    train_loss: float | None
    dev_error: float | None
    seconds: float
    seconds_left: float | None
    restarts: bool = False


OnEpoch = Callable[[Epoch], None]
"""Called after every epoch, and once for the base."""


class StepSettings(BaseModel):
    """Settings of every kind of training.

    Attributes:
        accumulate: How many batches make one step with their gradients, so that a large batch fits into little memory.
        precision: `auto` computes in bfloat16 on a GPU that has it and in float32 elsewhere; weights stay float32.
        device: `auto` is the GPU where there is one.
        patience: Epochs in a row that are worse on the dev examples than the best one, after which training ends; the
            weights of the last epoch that is as good as the best are taken, up to one standard error. A first epoch
            that is worse than the base starts again at half the rate, once. Needs 7 dev rows or more; null, or with
            fewer rows: all epochs are run and the last weights are taken.
        checkpoint_after: Interval at which a long training is saved to disk, to be continued after an interruption [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    accumulate: int = Field(1, ge=1, le=10_000)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    patience: int | None = Field(None, ge=1, le=10_000)
    checkpoint_after: float = Field(600.0, ge=0, le=1e9)


@dataclass(frozen=True, slots=True)
class Watch:
    """The dev examples that watch a training.

    Attributes:
        error: returns the error on them of the network as it is.
        base_error: the error before the first step.
        units: how many words or utterances the error is a share of.
        can_tell: whether they are enough to end the training or to start it again; else the error is only reported.
    """

    error: Callable[[], float]
    base_error: float
    units: int
    can_tell: bool = True

    def limit(self, error: float) -> float:
        """Return up to where another error is as good as this one: by one standard error more (Breiman et al. 1984).

        A rate of 0 has one, too: one wrong unit is added to what was counted, and one right one.
        """
        share = (min(1.0, error) * self.units + 1) / (self.units + 2)
        return error + math.sqrt(share * (1 - share) / self.units)


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that the loop needs to train one network.

    Attributes:
        name: name of the network, for messages.
        rate_setting: the setting of its learning rate, for messages.
        network: the network, trained in place.
        optimizer, schedule: optimiser and learning rate schedule of torch.
        clip_norm: norm to which gradients are clipped.
        batches: returns the batches of an epoch, counted from 0; the same at each call.
        counts: number of batches of each epoch.
        loss: returns the loss of a batch, the mean over its items.
        train_mode: sets the network to training mode.
        generators: generators of numpy from which losses draw; a checkpoint contains their state.
        watch: the dev examples; None without any.
    """

    name: str
    rate_setting: str
    network: Any
    optimizer: Any
    schedule: Any
    clip_norm: float
    batches: Callable[[int], Sequence[Any]]
    counts: Sequence[int]
    loss: Callable[[Any], torch.Tensor]
    train_mode: Callable[[], None]
    generators: tuple[np.random.Generator, ...] = ()
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class CheckpointPlace:
    """The checkpoint of a training, from which it is continued after an interruption.

    Attributes:
        folder: folder of the checkpoint; its files have weights and numbers, no text and no audio.
        fingerprint: digest of everything that the training starts from; a checkpoint with another one is not used.
    """

    folder: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LoopResult:
    """The result of the training loop.

    Attributes:
        losses: mean loss of each epoch.
        steps: number of optimiser steps, without those of an epoch that was abandoned.
        watched: dev error after each epoch, if it is watched.
        resumed: step from which the training was continued; 0 where it was not interrupted.
        first_loss: loss of the first step, made with the weights that the training starts from.
        rate_factor: share of the settings' learning rate that it ended with: 0.5 after a first epoch that made dev
            worse than the base, else 1.
        best_epoch: the epoch whose weights it has; None where dev was not watched, and it has those of the last one.
    """

    losses: tuple[float, ...]
    steps: int
    watched: tuple[float, ...] = ()
    resumed: int = 0
    first_loss: float | None = None
    rate_factor: float = 1.0
    best_epoch: int | None = None

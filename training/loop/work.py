"""What a training is told and what it returns: settings of its steps, its work, where it is kept, its result."""

from __future__ import annotations

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


class StepSettings(BaseModel):
    """Settings of every kind of training.

    Attributes:
        accumulate: How many batches make one step with their gradients, so that a large batch fits into little memory.
        precision: `auto` computes in bfloat16 on a GPU that has it and in float32 elsewhere; weights stay float32.
        device: `auto` is the GPU where there is one.
        patience: Epochs without a better result on the dev examples after which training ends, and the best weights are
            taken; null: it runs to its end and the last weights are taken.
        checkpoint_after: A training that takes longer is kept on disk at this interval, to go on after a kill [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accumulate: int = Field(1, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    patience: int | None = Field(None, ge=1)
    checkpoint_after: float = Field(600.0, ge=0)


@dataclass(frozen=True, slots=True)
class Work:
    """What one training does.

    Attributes:
        name: of what learns, for messages.
        network: trained in place.
        optimizer, schedule: torch's.
        clip_norm: gradients are clipped to this norm.
        batches: of each epoch, counted from 0; the same each time it is asked.
        counts: number of batches of each epoch.
        loss: of a batch, the mean over its items.
        train_mode: puts the network into training mode.
        generators: numpy's, from which losses draw; a checkpoint holds their state.
        watch: error on dev examples, after an epoch; None where there are none.
    """

    name: str
    network: Any
    optimizer: Any
    schedule: Any
    clip_norm: float
    batches: Callable[[int], Sequence[Any]]
    counts: Sequence[int]
    loss: Callable[[Any], torch.Tensor]
    train_mode: Callable[[], None]
    generators: tuple[np.random.Generator, ...] = ()
    watch: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True)
class CheckpointPlace:
    """Where a training is kept to go on after a kill.

    Attributes:
        folder: of the checkpoint; its files are weights and numbers, no text and no audio.
        fingerprint: of everything that the training starts from; a checkpoint of another one is not taken up.
    """

    folder: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What the loop did.

    Attributes:
        losses: mean loss of each epoch.
        steps: optimiser steps made.
        watched: dev error after each epoch, where early stopping asked for it.
        resumed: step from which a checkpoint was taken up; 0 for none.
    """

    losses: tuple[float, ...]
    steps: int
    watched: tuple[float, ...] = ()
    resumed: int = 0

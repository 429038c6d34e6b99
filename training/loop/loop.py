"""The training loop of speech and intent models: steps, accumulation, precision, the watch on dev, checkpoints.

It is the same for clips and texts: batches, loss and optimiser come as `Work`. A first epoch that makes dev worse than
the base has a rate that is too high: training starts again from the same weights and draws at half of it, once.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from corpus.errors import Damaged, EarmarkError, SettingsError, TrainingRefused
from training.loop import checkpoint
from training.loop.work import CheckpointPlace, Epoch, LoopResult, OnEpoch, Progress, StepSettings, Watch, Work


def run_training(
    work: Work,
    settings: StepSettings,
    on_progress: Progress | None = None,
    place: CheckpointPlace | None = None,
    on_epoch: OnEpoch | None = None,
) -> LoopResult:
    """Train the network and leave it in evaluation mode; a continued run ends with the weights of an uninterrupted one.

    A training that starts again ends with the weights of one whose rate was half from the beginning.

    Args:
        work: what is trained.
        settings: the training settings.
        on_progress: called after each step.
        place: where checkpoints are saved; None for none.
        on_epoch: called after each epoch; it does not change what is learned.

    Raises:
        TrainingRefused: a loss is not finite.
    """
    state = checkpoint.TrainingState()
    watches = work.watch is not None and work.watch.can_tell and settings.patience is not None
    start = checkpoint.capture(work) if watches else None
    if place is not None:
        state = checkpoint.load(place.folder, place.fingerprint, work) or state
    resumed = state.abandoned + state.step
    total = sum(-(-count // settings.accumulate) for count in work.counts)
    began = saved_at = time.monotonic()
    try:
        while state.epoch < len(work.counts) and not _is_finished(work, state, settings):
            work.train_mode()
            for group in _grouped(work.batches(state.epoch), settings.accumulate)[state.group :]:
                value = _step(work, group, state)
                if place is not None and time.monotonic() - saved_at >= settings.checkpoint_after:
                    checkpoint.save(place.folder, place.fingerprint, work, state)
                    saved_at = time.monotonic()
                if on_progress is not None:
                    on_progress(state.abandoned + state.step, state.abandoned + total, value)
            _end_epoch(state)
            error = _dev_error(work) if watches or on_epoch is not None else None
            restarts = start is not None and _is_too_fast(work, state, error)
            if on_epoch is not None:
                made, left = state.abandoned + state.step - resumed, total - (0 if restarts else state.step)
                on_epoch(_epoch(work, state, error, (time.monotonic() - began, made, left), restarts))
            if start is not None and restarts:
                state = _start_again(work, state, start)
            elif watches and error is not None:
                _note_dev_error(work, state, error)
            start = None
    finally:
        work.network.eval()
    if state.best is not None:
        work.network.load_state_dict(state.best)
    return _result(work, state, resumed)


def _result(work: Work, state: checkpoint.TrainingState, resumed: int) -> LoopResult:
    return LoopResult(
        losses=tuple(state.losses),
        steps=state.step,
        watched=tuple(state.watched),
        resumed=resumed,
        first_loss=state.first_loss,
        rate_factor=0.5 if state.abandoned else 1.0,
        best_epoch=_best(work.watch, state.watched) + 1 if work.watch is not None and state.watched else None,
    )


def _epoch(
    work: Work,
    state: checkpoint.TrainingState,
    error: float | None,
    pace: tuple[float, int, int],
    restarts: bool,
) -> Epoch:
    """Return the figures of the epoch that just ended; `pace` is the time so far, steps made in it, and steps left."""
    seconds, made, steps_left = pace
    left = seconds / made * steps_left if made else None
    return Epoch(state.epoch, len(work.counts), state.losses[-1], error, seconds, left, restarts)


def _end_epoch(state: checkpoint.TrainingState) -> None:
    state.losses.append(state.summed / state.items)
    state.epoch, state.group, state.summed, state.items = state.epoch + 1, 0, 0.0, 0


def _grouped(batches: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def _step(work: Work, group: Sequence[Any], state: checkpoint.TrainingState) -> float:
    """Make one optimiser step from the group's batches and note it; return their mean loss over all items."""
    import torch

    parameters = [p for each in work.optimizer.param_groups for p in each["params"]]
    items = sum(len(batch) for batch in group)
    work.optimizer.zero_grad(set_to_none=True)
    value = 0.0
    for batch in group:
        loss = work.loss(batch) * (len(batch) / items)
        value += float(loss.detach())
        if not math.isfinite(value):
            raise TrainingRefused(
                f"{work.name} training diverged at step {state.step + 1}: the loss is not finite; "
                f"lower {work.rate_setting}"
            )
        loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, work.clip_norm)
    work.optimizer.step()
    work.schedule.step()
    state.first_loss = value if state.first_loss is None else state.first_loss
    state.step, state.group = state.step + 1, state.group + 1
    state.summed, state.items = state.summed + value * items, state.items + items
    return value


def _dev_error(work: Work) -> float | None:
    """Return the error on the dev examples; None where there are none."""
    if work.watch is None:
        return None
    work.network.eval()
    return work.watch.error()


def _is_too_fast(work: Work, state: checkpoint.TrainingState, error: float | None) -> bool:
    """Return whether the epoch that just ended is the first one ever, and made dev worse than the base."""
    if state.epoch != 1 or state.abandoned or work.watch is None or error is None:
        return False
    return error > work.watch.base_error  # without a margin: half the rate costs little, too high a rate all


def _start_again(work: Work, state: checkpoint.TrainingState, start: checkpoint.Captured) -> checkpoint.TrainingState:
    """Set the training back to its start, at half the rate; return its progress, which has nothing but the steps."""
    checkpoint.restore(work, start)
    for group in work.optimizer.param_groups:
        group["lr"], group["initial_lr"] = group["lr"] / 2, group["initial_lr"] / 2
    work.schedule.base_lrs = [rate / 2 for rate in work.schedule.base_lrs]
    return checkpoint.TrainingState(abandoned=state.step)


def _note_dev_error(work: Work, state: checkpoint.TrainingState, error: float) -> None:
    """Note the dev error, with the weights if it is as good as the lowest so far."""
    state.watched.append(error)
    if work.watch is not None and _best(work.watch, state.watched) == len(state.watched) - 1:
        state.best = {name: tensor.detach().clone() for name, tensor in work.network.state_dict().items()}


def _best(watch: Watch, errors: Sequence[float]) -> int:
    """Return the position of the last error that is as good as the lowest: what learned longer knows more labels."""
    limit = watch.limit(min(errors))
    return max(place for place, error in enumerate(errors) if error <= limit)


def _is_finished(work: Work, state: checkpoint.TrainingState, settings: StepSettings) -> bool:
    if settings.patience is None or work.watch is None or not state.watched:
        return False
    return len(state.watched) - 1 - _best(work.watch, state.watched) >= settings.patience


def chosen_device(settings: StepSettings) -> str:
    """Return the device of the settings, with `auto` resolved to `cuda` or `cpu`.

    Raises:
        SettingsError: the settings name a GPU, and torch finds none.
    """
    import torch

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device is cuda, and torch finds no GPU; set it to auto or cpu")
    if device == "cuda":  # without a fixed workspace cuBLAS is not deterministic
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def autocast(device: str, settings: StepSettings) -> AbstractContextManager[Any]:
    """Return a context in which a network computes in the precision of the settings; compute features outside it."""
    import torch

    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.autocast(device, dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext()


@contextmanager
def seeded_torch(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and use deterministic kernels on `threads` threads within the block; restore all settings after it.

    The global generator of numpy is seeded too, since some families of transformers draw masks from it. New memory is
    not filled, as nothing reads it before it is written; to fill it takes a twentieth of the time.
    """
    import torch
    from torch.utils import deterministic

    numpy_before = np.random.get_state()
    threads_before, strict_before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled_before = deterministic.fill_uninitialized_memory
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = False
        try:
            yield
        finally:
            deterministic.fill_uninitialized_memory = filled_before
            np.random.set_state(numpy_before)
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(strict_before)


@contextmanager
def damaged_is_diverged(name: str, rate_setting: str) -> Iterator[None]:
    """Turn the error of a model that can't be saved within the block into that of a training that diverged.

    Args:
        name: name of the network.
        rate_setting: the setting of its learning rate.

    Raises:
        TrainingRefused: a weight is not finite or too large; nothing is saved.
    """
    try:
        yield
    except Damaged as error:
        raise TrainingRefused(f"{name} training diverged: {error}; lower {rate_setting}") from None


@contextmanager
def clear_memory_errors(remedy: str) -> Iterator[None]:
    """Turn the library's out-of-memory errors within the block into one clear error with the remedy.

    Raises:
        EarmarkError: there is too little memory on the machine or the GPU.
    """
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise EarmarkError(f"out of memory while training; {remedy}") from error
    except RuntimeError as error:
        message = str(error).lower()
        if any(words in message for words in ("out of memory", "not enough memory", "can't allocate memory")):
            raise EarmarkError(f"out of memory while training; {remedy}") from error
        raise

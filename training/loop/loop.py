"""The loop in which speech and intent models learn: steps, accumulation, precision, early stopping, checkpoints.

It knows neither clips nor texts. What is learned, in which batches and by which loss comes as `Work`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from corpus.errors import EarmarkError, Refused, SettingsError
from training.loop import checkpoint
from training.loop.work import CheckpointPlace, LoopResult, Progress, StepSettings, Work


def run_training(
    work: Work, settings: StepSettings, on_progress: Progress | None = None, keep: CheckpointPlace | None = None
) -> LoopResult:
    """The network has learned and is in evaluation mode; a run that was resumed ends with the same weights.

    Raises:
        Refused: a loss is not finite.
    """
    at = checkpoint.TrainingState()
    if keep is not None:
        at = checkpoint.load(keep.folder, keep.fingerprint, work) or at
    resumed, parameters = at.step, [p for group in work.optimizer.param_groups for p in group["params"]]
    total = sum(-(-count // settings.accumulate) for count in work.counts)
    kept_at = time.monotonic()
    try:
        while at.epoch < len(work.counts) and not _is_finished(at, settings):
            groups = _grouped(work.batches(at.epoch), settings.accumulate)
            work.train_mode()
            for group in groups[at.group :]:
                value = _step(work, group, parameters, at.step + 1)
                at.step, at.group = at.step + 1, at.group + 1
                at.summed += value * sum(len(batch) for batch in group)
                at.items += sum(len(batch) for batch in group)
                if keep is not None and time.monotonic() - kept_at >= settings.checkpoint_after:
                    checkpoint.save(keep.folder, keep.fingerprint, work, at)
                    kept_at = time.monotonic()
                if on_progress is not None:
                    on_progress(at.step, total, value)
            at.losses.append(at.summed / at.items)
            at.epoch, at.group, at.summed, at.items = at.epoch + 1, 0, 0.0, 0
            if settings.patience is not None and work.watch is not None:
                _note_dev_error(work, at)
    finally:
        work.network.eval()
    if at.best is not None:
        work.network.load_state_dict(at.best)
    return LoopResult(tuple(at.losses), at.step, tuple(at.watched), resumed)


def _grouped(batches: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def _step(work: Work, group: Sequence[Any], parameters: list[Any], number: int) -> float:
    """One step is made from the group's batches; returns their mean loss over all items."""
    import torch

    items = sum(len(batch) for batch in group)
    work.optimizer.zero_grad(set_to_none=True)
    value = 0.0
    for batch in group:
        loss = work.loss(batch) * (len(batch) / items)
        value += float(loss.detach())
        if not math.isfinite(value):
            raise Refused(f"{work.name} training diverged at step {number}: the loss is not finite; lower the rate")
        loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, work.clip_norm)
    work.optimizer.step()
    work.schedule.step()
    return value


def _note_dev_error(work: Work, at: checkpoint.TrainingState) -> None:
    """The dev error is noted, and the weights where it is the best so far."""
    assert work.watch is not None
    work.network.eval()
    error = work.watch()
    if not at.watched or error < min(at.watched):
        at.best = {name: tensor.detach().clone() for name, tensor in work.network.state_dict().items()}
    at.watched.append(error)


def _is_finished(at: checkpoint.TrainingState, settings: StepSettings) -> bool:
    if settings.patience is None or not at.watched:
        return False
    return len(at.watched) - 1 - int(np.argmin(at.watched)) >= settings.patience


def chosen_device(settings: StepSettings) -> str:
    """Return the device that the settings mean.

    Raises:
        SettingsError: a GPU is asked for, and torch finds none.
    """
    import torch

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device is cuda, and torch finds no GPU; set it to auto or cpu")
    if device == "cuda":  # without a workspace of its own cuBLAS does not repeat itself
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def autocast(device: str, settings: StepSettings) -> AbstractContextManager[Any]:
    """Return a context in which a network computes in the precision that the settings mean; features stay outside."""
    import torch

    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.autocast(device, dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext()


@contextmanager
def seeded_torch(seed: int, threads: int) -> Iterator[None]:
    """Inside, torch draws from `seed` and runs deterministic kernels on `threads` threads; outside all is as before.

    So does numpy's global generator: some families of transformers draw their own masks from it.
    """
    import torch

    numpy_before = np.random.get_state()
    threads_before, strict_before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            np.random.set_state(numpy_before)
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(strict_before)


@contextmanager
def clear_memory_errors(remedy: str) -> Iterator[None]:
    """Inside, running out of memory is one clear error with the remedy instead of the library's own.

    Raises:
        EarmarkError: the memory of machine or GPU did not suffice.
    """
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise EarmarkError(f"out of memory while training; {remedy}") from error
    except RuntimeError as error:
        told = str(error).lower()
        if any(words in told for words in ("out of memory", "not enough memory", "can't allocate memory")):
            raise EarmarkError(f"out of memory while training; {remedy}") from error
        raise

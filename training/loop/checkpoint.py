"""Checkpoints, from which an interrupted training is continued: weights, optimiser, schedule, generators and position.

They are safetensors and JSON, without pickle. They contain no training data, only a digest of it.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.loop.model_files import replaced_folder
from training.loop.work import Work

if TYPE_CHECKING:
    import torch

STATE: Final = "state.json"
TENSORS: Final = "state.safetensors"


@dataclass(slots=True)
class TrainingState:
    """The progress of a training.

    Attributes:
        epoch, group: epoch of the next step, and the step's number in it.
        step: number of steps made.
        summed, items: sum of loss times items, and number of items, in the epoch so far.
        first_loss: loss of the first step; None before it.
        losses: mean loss of each finished epoch.
        watched: dev error after each finished epoch, if it is watched.
        best: weights after the epoch with the lowest dev error; None where it is not watched.
        abandoned: number of steps of a first epoch that made dev worse, after which the training started again at half
            the rate; 0 where it did not.
    """

    epoch: int = 0
    group: int = 0
    step: int = 0
    summed: float = 0.0
    items: int = 0
    first_loss: float | None = None
    losses: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None
    abandoned: int = 0


@dataclass(frozen=True, slots=True)
class Captured:
    """Everything by which a training goes on as it did: weights, optimiser, schedule and generators.

    Attributes:
        tensors: by name, copies on the CPU.
        content: all else, in the types of JSON.
    """

    tensors: Mapping[str, torch.Tensor]
    content: Mapping[str, Any]


def capture(work: Work) -> Captured:
    """Return the current weights of the training, and the state of its optimiser, schedule and generators."""
    import torch

    optimizer = work.optimizer.state_dict()
    tensors = {f"network/{name}": tensor for name, tensor in work.network.state_dict().items()}
    for index, slots in optimizer["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in slots.items()}
    tensors["torch"] = torch.random.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"cuda/{k}": device_state for k, device_state in enumerate(torch.cuda.get_rng_state_all())}
    numpy_state: Any = np.random.get_state(legacy=False)
    content = {
        "groups": optimizer["param_groups"],
        "schedule": work.schedule.state_dict(),
        "generators": [generator.bit_generator.state for generator in work.generators],
        "numpy": {**numpy_state, "state": {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}},
    }
    # a copy each: training goes on in place, and tied weights share their memory, which safetensors forbids
    return Captured({name: _copied(tensor) for name, tensor in tensors.items()}, copy.deepcopy(content))


def restore(work: Work, captured: Captured) -> None:
    """Set the weights of the training, its optimiser, schedule and generators to what was captured."""
    import torch

    tensors, content = captured.tensors, captured.content
    slots: dict[int, dict[str, Any]] = {}
    for name, tensor in _under(tensors, "optimizer").items():
        index, _, slot = name.partition("/")
        slots.setdefault(int(index), {})[slot] = tensor
    work.network.load_state_dict(_under(tensors, "network"))
    work.optimizer.load_state_dict({"state": slots, "param_groups": content["groups"]})
    work.schedule.load_state_dict(content["schedule"])
    for generator, saved in zip(work.generators, content["generators"], strict=True):
        generator.bit_generator.state = saved
    key = np.array(content["numpy"]["state"]["key"], dtype=np.uint32)
    np.random.set_state({**content["numpy"], "state": {**content["numpy"]["state"], "key": key}})
    torch.random.set_rng_state(tensors["torch"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all([saved for _, saved in sorted(_under(tensors, "cuda").items())])


def save(folder: Path, fingerprint: str, work: Work, state: TrainingState) -> None:
    """Write the current state of the training to the folder; an earlier checkpoint is replaced as a whole."""
    from safetensors.torch import save_file

    captured = capture(work)
    best = {f"best/{name}": _copied(tensor) for name, tensor in (state.best or {}).items()}
    place = {name: getattr(state, name) for name in TrainingState.__slots__ if name != "best"}
    content = {**captured.content, "fingerprint": fingerprint, "place": place}
    with replaced_folder(folder) as draft:
        save_file({**captured.tensors, **best}, draft / TENSORS)
        (draft / STATE).write_text(json.dumps(content))


def load(folder: Path, fingerprint: str, work: Work) -> TrainingState | None:
    """Restore the training from its checkpoint and return its progress; None where there is no checkpoint of it.

    A checkpoint of another training, or one that can't be read, is removed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content = json.loads((folder / STATE).read_text())
        tensors = load_file(folder / TENSORS) if content["fingerprint"] == fingerprint else {}
    except (OSError, ValueError, KeyError, SafetensorError):
        tensors = {}
    if not tensors:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    restore(work, Captured(tensors, content))
    return TrainingState(**content["place"], best=_under(tensors, "best") or None)


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _under(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}

"""Mix learned weights with those that the training started from, for good or while they are judged.

Some of the base's weights forget less (Wortsman et al. 2022, WiSE-FT).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def weights_of(network: Any) -> dict[str, torch.Tensor]:
    """Return a copy of all weights by name."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def mix(network: Any, start: Mapping[str, torch.Tensor], share: float) -> None:
    """Set the weights to share * start + (1 - share) * own, in place.

    Of low-rank adapters, whose effect is the product of two matrices, only the second is scaled; it starts at 0.
    """
    import torch

    if share == 0.0:
        return
    own = network.state_dict()
    kept = {name for name, tensor in own.items() if not tensor.is_floating_point() or ".lora_A." in name}
    network.load_state_dict({n: own[n] if n in kept else torch.lerp(own[n], start[n], share) for n in own})


@contextmanager
def mixed(network: Any, start: Mapping[str, torch.Tensor], share: float) -> Iterator[None]:
    """Mix the weights within the block as `mix` does; after it they are as before."""
    own = weights_of(network) if share else {}
    mix(network, start, share)
    try:
        yield
    finally:
        if share:
            network.load_state_dict(own)

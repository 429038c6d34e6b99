"""Low-rank adapters: few weights are trained beside each linear layer, and merged into it before the model is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class LoraSettings(BaseModel):
    """How adapters are made (Hu et al. 2022).

    Attributes:
        rank: Rank of each adapter.
        alpha: The adapters' sum counts alpha / rank.
        dropout: Dropout of the adapters' input.
        targets: Names of linear layers as they end, such as `q_proj`, or `all-linear`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rank: int = Field(8, ge=1, le=4096)
    alpha: float = Field(16.0, gt=0, le=10_000)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"


def add_adapters(
    network: Any, settings: LoraSettings, seed: int, full_modules: Sequence[str] = ()
) -> Callable[[], None]:
    """Add adapters to the network and freeze all other weights; return a function that merges the adapters.

    After merging, the network has the same classes and names of weights as before, and none of them is frozen.

    Args:
        network: a model of transformers, changed in place.
        settings: rank and layers.
        seed: seed of the adapters' first weights.
        full_modules: names of modules that are trained in full, without adapters, such as small heads.

    Raises:
        SettingsError: the network has none of the layers.
    """
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers, which peft imports)

    # isort: split
    import torch
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    from corpus.errors import SettingsError

    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets
    )
    if full_modules:
        config.exclude_modules = list(full_modules)
    device = next(network.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            tuner: Any = LoraModel(network, {"default": config}, "default")
        except ValueError as error:
            raise SettingsError(f"lora.targets: {targets} names no linear layer of this model") from error
    network.to(device)
    for name in full_modules:
        for parameter in network.get_submodule(name).parameters():
            parameter.requires_grad = True

    def merge() -> None:
        tuner.merge_and_unload()
        for parameter in network.parameters():
            parameter.requires_grad = True

    return merge

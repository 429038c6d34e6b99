"""Settings of a fine-tuning whose null values are filled in by the base that the home learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from flows.models.registry import Base
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings

Finetune: TypeAlias = AsrFinetuneSettings | IntentFinetuneSettings


def finetune_of(asr: AsrFinetuneSettings, intent: IntentFinetuneSettings, base: Base) -> Finetune:
    """Return how the models of a base's kind are fine-tuned, with what is null filled in by the base.

    Raises:
        Damaged: the facts on the base, or the headers of its weights, can't be read.
    """
    from training.asr.finetune import by_base as of_asr
    from training.intent.finetune_settings import by_base as of_intent

    if base.kind == "asr":
        return of_asr(asr, base.folder)
    return of_intent(intent, base.folder)


def safe_values(base: Base) -> Mapping[str, bool | float]:
    """Return what a fine-tuning takes where a setting is null, by its whole key."""
    from training.asr.base_defaults import safe_settings as of_asr
    from training.intent.base_defaults import safe_settings as of_intent

    found = (of_asr if base.kind == "asr" else of_intent)(base.folder)
    return {f"{base.kind}.{key}": value for key, value in found.items()}

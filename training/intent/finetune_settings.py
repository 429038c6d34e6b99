"""The settings of the fine-tuning of an intent model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from corpus.settings import MOST_ROWS
from training.intent.base_defaults import safe_settings
from training.intent.fit import FitSettings
from training.intent.text_noise import NoiseSettings
from training.loop.base_facts import filled
from training.loop.lora import LoraSettings
from training.pseudo_labels import PseudoSettings


class IntentFinetuneSettings(BaseModel):
    """How an intent model is fine-tuned.

    Attributes:
        fit: Epochs, learning rates, batches and seed.
        replay: Largest number of sentences of the base's replay set in each epoch; 0: none.
        replay_weight: Weight of a replayed sentence, where a labelled text has weight 1 on average.
        noise: How recognition errors are imitated anew in each epoch.
        lora: Low-rank adapters of the encoder, which are trained with both heads; null: all weights are trained.
        interpolate: Share of the base's weights in the result; some of it forgets less (Wortsman et al. 2022); null: by
            the base.
        calibrate_from: Number of dev examples from which on the temperature is fitted to them. With fewer, the base's
            predictions are calibrated on all texts that people labelled; where these are of fewer utterances than this
            number, the temperature of the base is kept. A convex head has its temperature from held-out folds of the
            labelled texts instead.
        pseudo: What is learned from utterances that nobody labelled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fit: FitSettings = FitSettings(epochs=15, encoder_rate=None, slot_weight=0.5, patience=3, head=None)
    replay: int = Field(default=100, ge=0, le=MOST_ROWS)
    replay_weight: float = Field(default=0.5, ge=0, le=1000)
    noise: NoiseSettings = NoiseSettings()
    lora: LoraSettings | None = None
    interpolate: float | None = Field(default=None, ge=0, lt=1)
    calibrate_from: int = Field(default=30, ge=1, le=MOST_ROWS)
    pseudo: PseudoSettings = PseudoSettings()

    @model_validator(mode="after")
    def _adapters_need_training(self) -> Self:
        if self.lora is not None and self.fit.head == "convex":
            raise ValueError("with fit.head convex the encoder stays as it is; set lora to null or head to trained")
        return self

    @field_validator("fit", mode="before")
    @classmethod
    def _over_the_defaults(cls, value: Any) -> Any:
        # a single key that is set leaves the others at the defaults above, not at those of pretraining
        return {**cls.model_fields["fit"].default.model_dump(), **value} if isinstance(value, dict) else value


def by_base(settings: IntentFinetuneSettings, base: Path) -> IntentFinetuneSettings:
    """Return the settings with those that are null filled in by the base, a folder; see `base_defaults`.

    Raises:
        Damaged: the facts on the base, or the headers of its weights, can't be read.
    """
    return filled(settings, safe_settings(base), base)

"""Parts of the settings: one protocol for each branch or folder, from which a step lists those that it reads.

A step that reads four or more says so in a protocol of its own, such as
`class SettingsOfSample(HasNight, HasSampling, ..., Protocol)`. All settings satisfy it, and mypy refuses a step that
reads another branch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from annotation.assignment import PeopleSettings
from annotation.inventory import InventorySettings
from annotation.tasks import TaskSettings
from corpus.importing.column_mapping import ImportSettings
from corpus.ingest.ingest import IngestSettings
from flows.runtime.settings import (
    ErasureSettings,
    ExportSettings,
    LabelStudioSettings,
    LearnedSettings,
    ModelSettings,
    NightSettings,
    RetentionSettings,
)
from sampling.budget import SamplingSettings
from sampling.cost import CostModel
from sampling.stopping_rule import StoppingSettings
from training.asr.finetune import AsrFinetuneSettings
from training.evaluation.gate import PromotionSettings
from training.intent.finetune_settings import IntentFinetuneSettings
from training.score import ScoreSettings
from training.tracking.store import TrackingSettings


class HasHome(Protocol):
    """Settings with the folder of the home."""

    @property
    def home(self) -> Path:
        """Return EARMARK_HOME as an absolute path."""


class HasInbox(Protocol):
    """Settings with the folder of arriving manifests."""

    @property
    def inbox(self) -> Path:
        """Return the folder of arriving manifests."""


class HasInventory(Protocol):
    """Settings with the configured intents and slots."""

    @property
    def inventory(self) -> InventorySettings:
        """Return the configured intents and slots."""


class HasAnswers(Protocol):
    """Settings with the folder of arriving annotation files."""

    @property
    def answers(self) -> Path:
        """Return the folder of arriving annotation files."""


class HasTaskFolder(Protocol):
    """Settings with the folder of exported tasks."""

    @property
    def task_folder(self) -> Path:
        """Return the folder of exported tasks."""


class HasErasure(Protocol):
    """Settings with how long a tainted champion may stay."""

    @property
    def erasure(self) -> ErasureSettings:
        """Return how long a tainted champion may stay."""


class HasRetention(Protocol):
    """Settings with how long a version may have learned from what retention ended."""

    @property
    def retention(self) -> RetentionSettings:
        """Return within how many days a version without it is trained."""


class HasIngest(Protocol):
    """Settings with how manifests are read."""

    @property
    def ingest(self) -> IngestSettings:
        """Return how manifests are read."""


class HasImporting(Protocol):
    """Settings with how labelled corpora are read."""

    @property
    def importing(self) -> ImportSettings:
        """Return how labelled corpora are read."""


class HasModels(Protocol):
    """Settings with which base models are fine-tuned."""

    @property
    def models(self) -> ModelSettings:
        """Return which base models are fine-tuned."""


class HasScore(Protocol):
    """Settings with how utterances are scored and transcribed."""

    @property
    def score(self) -> ScoreSettings:
        """Return how utterances are scored and transcribed."""


class HasSampling(Protocol):
    """Settings with the budget of a round and how it is chosen."""

    @property
    def sampling(self) -> SamplingSettings:
        """Return the budget of a round and how it is chosen."""


class HasCost(Protocol):
    """Settings with what questions cost before enough answers are known."""

    @property
    def cost(self) -> CostModel:
        """Return what questions cost before enough answers are known."""


class HasLearned(Protocol):
    """Settings with how many earlier answers the sampling learns from."""

    @property
    def learned(self) -> LearnedSettings:
        """Return how many earlier answers the sampling learns from."""


class HasStopping(Protocol):
    """Settings with when more labels are no longer worth their cost."""

    @property
    def stopping(self) -> StoppingSettings:
        """Return when more labels are no longer worth their cost."""


class HasTasks(Protocol):
    """Settings with what a task shows and asks."""

    @property
    def tasks(self) -> TaskSettings:
        """Return what a task shows and asks."""


class HasExport(Protocol):
    """Settings with where tasks are exported to, and how long they stay open."""

    @property
    def export(self) -> ExportSettings:
        """Return where tasks are exported to, and how long they stay open."""


class HasLabelStudio(Protocol):
    """Settings with the Label Studio server."""

    @property
    def label_studio(self) -> LabelStudioSettings:
        """Return the Label Studio server."""


class HasPeople(Protocol):
    """Settings with who annotates, and how many answers a task takes."""

    @property
    def people(self) -> PeopleSettings:
        """Return who annotates, and how many answers a task takes."""


class HasAsr(Protocol):
    """Settings with how the speech model is fine-tuned."""

    @property
    def asr(self) -> AsrFinetuneSettings:
        """Return how the speech model is fine-tuned."""


class HasIntent(Protocol):
    """Settings with how the intent model is fine-tuned."""

    @property
    def intent(self) -> IntentFinetuneSettings:
        """Return how the intent model is fine-tuned."""


class HasPromotion(Protocol):
    """Settings with the rule of the gate."""

    @property
    def promotion(self) -> PromotionSettings:
        """Return the rule of the gate."""


class HasNight(Protocol):
    """Settings with when a night closes, and when a retraining is due."""

    @property
    def night(self) -> NightSettings:
        """Return when a night closes, and when a retraining is due."""


class HasTracking(Protocol):
    """Settings with where MLflow stores runs and versions."""

    @property
    def tracking(self) -> TrackingSettings:
        """Return where MLflow stores runs and versions."""

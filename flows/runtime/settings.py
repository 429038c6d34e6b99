"""Load the settings of earmark as one tree: defaults in the models, a YAML file, the environment, `--set key=value`.

Each branch is a settings model that is defined in the module of the functions that take it; this module joins them.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from annotation.assignment import PeopleSettings
from annotation.crowd import CrowdSettings
from annotation.inventory import InventorySettings
from annotation.simulated import AnnotatorSettings
from annotation.tasks import TaskSettings
from corpus import plugins
from corpus.errors import SettingsError
from corpus.importing.column_mapping import ImportSettings
from corpus.ingest.ingest import IngestSettings
from corpus.settings import MOST_DAYS, MOST_ROWS, MOST_SECONDS, CorpusSettings
from corpus.synthetic import TrafficSettings
from corpus.synthetic.labelled_nights import LabelledSettings
from corpus.user_paths import expanded
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.schedules import checked_cron
from flows.runtime.sealing import AuditSettings
from flows.runtime.settings_layers import DEFAULT, Change, changes, find_file, merged, origin_of, origins
from flows.runtime.settings_types import not_numbers
from sampling.budget import SamplingSettings
from sampling.cost import CostModel
from sampling.stopping_rule import StoppingSettings
from training.asr.finetune import AsrFinetuneSettings
from training.evaluation.gate import PromotionSettings
from training.intent.finetune_settings import IntentFinetuneSettings
from training.score import ScoreSettings
from training.tracking.store import TrackingSettings


class NightSettings(BaseModel):
    """When a night closes, where its manifests and answers arrive, and how many new labels make a retraining due.

    Attributes:
        time_zone: IANA name of the time zone; a night is the 24 h that end at `ends_at` of its day in this zone.
        ends_at: Hour of the day at which a night closes [h].
        schedule: Cron expression, in `time_zone`, for `earmark serve`. Not in hours that the clocks of that zone skip
            or repeat, such as 02:00-02:59 in Berlin, 01:00-01:59 in London and 23:00-00:59 in Santiago:
            `earmark serve` says on which days the schedule falls into them.
        inbox: Folder whose manifests a nightly run ingests; default `<home>/inbox`.
        late_days: How long after its night an utterance may still arrive and be sampled, in a later round [days].
        answers: Folder whose annotation files a nightly run merges; default `<tasks>/answers`.
        min_new_labels: How many new training labels since the last version make a retraining due.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time_zone: str = "UTC"
    ends_at: int = Field(default=4, ge=0, le=23)
    schedule: str = "30 4 * * *"
    late_days: int = Field(default=7, ge=0, le=MOST_DAYS)
    inbox: Path | None = None
    answers: Path | None = None
    min_new_labels: int = Field(default=20, ge=1, le=MOST_ROWS)

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from None
        return value

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        return checked_cron(value)


BACKENDS: Final = ("files", "label_studio")
"""The annotation backends that come with earmark."""


class ExportSettings(BaseModel):
    """Where tasks are exported to, and how long they stay open.

    Attributes:
        backend: `files` writes JSON Lines and clips; `label_studio` fills a project of Label Studio; or the name of a
            backend of another package.
        options: Options of a backend of another package, passed on unchanged; give secrets in environment variables of
            that package, not here.
        folder: Folder of the tasks; default `<home>/tasks`.
        due_days: How long a task stays open before it is closed and its clip is deleted [days].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backend: str = "files"
    options: dict[str, Any] = Field(default_factory=dict)
    folder: Path | None = None
    due_days: int = Field(default=14, ge=1, le=MOST_DAYS)

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, value: str) -> str:
        plugins.require_known(plugins.BACKENDS, value, BACKENDS)
        return value


class LabelStudioSettings(BaseModel):
    """The Label Studio server in which annotators label in the browser.

    Attributes:
        url: Address of the server; better set by EARMARK_LABEL_STUDIO_URL.
        token: A personal access token; better set by EARMARK_LABEL_STUDIO_TOKEN or its _FILE than in a YAML file.
        title: Title of the project; where `people.people` lists annotators, each has a project, `TITLE: PERSON`.
        clips_url: Address at which the annotators' browsers reach `earmark clips`.
        batch: How many tasks are sent in one import.
        pause: Time between two imports [s]; the makers of Label Studio advise at most one import in 30 s.
        timeout: How long one call may take [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    url: str = ""
    token: str = Field(default="", repr=False)
    title: str = Field(default="earmark", min_length=3, max_length=40)
    clips_url: str = "http://127.0.0.1:8077"
    batch: int = Field(default=1000, ge=1, le=100_000)
    pause: float = Field(default=30.0, ge=0.0, le=MOST_SECONDS)
    timeout: float = Field(default=60.0, gt=0.0, le=MOST_SECONDS)


class ModelSettings(BaseModel):
    """Which base models are fine-tuned.

    Attributes:
        asr: Base of the speech model: the name of one that `earmark base add` brought, a folder, or a hub id such as
            `owner/name`; null means the one that the home learns from, at first the base that comes with earmark.
        asr_revision: Commit of the hub id of `asr`.
        intent: Base of the intent model, in the same way.
        intent_revision: Commit of the hub id of `intent`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    asr: str | None = None
    asr_revision: str | None = None
    intent: str | None = None
    intent_revision: str | None = None


class LearnedSettings(BaseModel):
    """How many answers to earlier rounds the sampling learns from.

    Attributes:
        rows: How many labelled utterances, audit rows first, calibration, novelty and cohorts are computed from; a new
            champion scores them again. 0 means none.
        answers: How many of the newest answers the costs of questions are fitted to; 0 means that the costs of the
            settings are used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: int = Field(default=2000, ge=0, le=MOST_ROWS)
    answers: int = Field(default=5000, ge=0, le=MOST_ROWS)


class ErasureSettings(BaseModel):
    """How long a champion that learned from an utterance that was erased or withdrawn may stay champion.

    Attributes:
        grace: How many days after the erasure, or the withdrawal of consent, the first nightly run replaces it; 0 means
            the same night [days].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    grace: int = Field(default=0, ge=0, le=MOST_DAYS)


class RetentionSettings(BaseModel):
    """How long versions may stay the newest that learned from labels which retention has ended since.

    Attributes:
        models: Within how many days a version without such labels is trained [days].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    models: int = Field(default=30, ge=1, le=MOST_DAYS)


class Settings(BaseModel):
    """All settings, as resolved. `earmark config show` prints them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    corpus: CorpusSettings = CorpusSettings()
    inventory: InventorySettings = InventorySettings()
    ingest: IngestSettings = IngestSettings()
    importing: ImportSettings = ImportSettings()
    models: ModelSettings = ModelSettings()
    score: ScoreSettings = ScoreSettings()
    sampling: SamplingSettings = SamplingSettings()
    cost: CostModel = CostModel()
    learned: LearnedSettings = LearnedSettings()
    stopping: StoppingSettings = StoppingSettings()
    tasks: TaskSettings = TaskSettings()
    export: ExportSettings = ExportSettings()
    label_studio: LabelStudioSettings = LabelStudioSettings()
    people: PeopleSettings = PeopleSettings()
    crowd: CrowdSettings = CrowdSettings()
    annotator: AnnotatorSettings = AnnotatorSettings()
    asr: AsrFinetuneSettings = AsrFinetuneSettings()
    intent: IntentFinetuneSettings = IntentFinetuneSettings()
    promotion: PromotionSettings = PromotionSettings()
    night: NightSettings = NightSettings()
    erasure: ErasureSettings = ErasureSettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    tracking: TrackingSettings = TrackingSettings()
    prefect: PrefectSettings = PrefectSettings()
    traffic: TrafficSettings = TrafficSettings()
    labelled: LabelledSettings = LabelledSettings()

    @property
    def home(self) -> Path:
        """Return EARMARK_HOME as an absolute path."""
        return expanded(self.corpus.home).resolve()

    @property
    def inbox(self) -> Path:
        """Return the folder of arriving manifests."""
        return self.night.inbox or self.home / "inbox"

    @property
    def answers(self) -> Path:
        """Return the folder of arriving annotation files."""
        return self.night.answers or self.task_folder / "answers"

    @property
    def task_folder(self) -> Path:
        """Return the folder of exported tasks."""
        return self.export.folder or self.home / "tasks"


def load_settings(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Return the settings: defaults, changed by the file, then by the environment, then by the overrides.

    Args:
        config: YAML file; a bare name such as `demo` means the file of that name in `configs/`.
        overrides: `key.sub=value`, the value read as YAML.

    Raises:
        SettingsError: a file is missing or not YAML, a key is unknown or a value has a wrong type; the message is one
            line that names the key.
    """
    source = "the settings" if config is None else find_file(config).name
    layers = changes(config, overrides)
    tree = merged(layers)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise SettingsError(f"{_place(key, layers, source)}: {describe(error)}") from None
    except SettingsError as error:  # a backend, strategy or measure that no package offers
        raise SettingsError(f"{source}: {error}") from None
    for keys, wanted in not_numbers(tree, settings):
        raise SettingsError(f"{_place('.'.join(keys), layers, source)}: {'.'.join(keys)}: {wanted}")
    return settings


def _place(key: str, layers: Sequence[Change], source: str) -> str:
    """Return where the value of a setting comes from, in words; `source` for a default."""
    origin = origin_of(key, origins(layers))
    return source if origin == DEFAULT else origin.removeprefix("file ")


_REMEDIES: Final = {
    "int_": "; write a whole number such as 90",
    "float_": "; write a number such as 0.5",
    "bool_": "; write true or false",
}
"""What to write instead, by how the type of an error begins."""


def describe(error: ValidationError) -> str:
    """Return one line that names the first wrong key and what its value should be."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        like = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.6)
        suggestion = f", did you mean {like[0]}?" if like else ""
        return f"unknown key {key}{suggestion}" + (f"; known here are {', '.join(known)}" if known else "")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_type" and isinstance(first["input"], int | float):
        message += "; put it in quotes"
    message += next((remedy for kind, remedy in _REMEDIES.items() if first["type"].startswith(kind)), "")
    return f"{key}: {message[0].lower()}{message[1:]}"


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the settings model that the location is in, sorted."""
    model: Any = Settings
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else None
    return sorted(getattr(model, "model_fields", {}))


OVERRIDES_VARIABLE: Final = "EARMARK_OVERRIDES"
"""Environment variable with the JSON list of overrides that `earmark serve` passes to the runs that it starts."""

SERVED_CONFIG: Final = "EARMARK_SERVED_CONFIG"
"""Environment variable with the file or name of the settings of the flows that `earmark serve` or a worker runs."""

ACTIVE: ContextVar[Settings | None] = ContextVar("earmark_settings", default=None)
"""The settings of the running command, which its flows use; None in a flow that a schedule started."""


def scheduled(config: str | None) -> Settings:
    """Return the settings of a flow that a schedule started, which are those of the process that serves it.

    Args:
        config: what a parameter of the run names, which deployments of before have; no other one than the served one.

    Raises:
        SettingsError: as `load_settings`, or the run names another file.
    """
    served = os.environ.get(SERVED_CONFIG)
    if config is not None and config != served:
        raise SettingsError(
            f"a run's parameters can't name a file of settings: {config!r}; leave out config, and name the file in"
            f" {SERVED_CONFIG} of the process that serves the flows"
        )
    return load_settings(Path(served) if served else None, json.loads(os.environ.get(OVERRIDES_VARIABLE, "[]")))

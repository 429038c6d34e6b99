"""The catalogue of bases: those that `earmark base add NAME` fetches from the hub, each at one commit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from corpus.records.base import Kind
from flows.runtime.settings_layers import CONFIGS
from flows.runtime.yaml_text import load_yaml
from training.loop.hub import COMMIT, HUB_ID

CATALOGUE: Final = CONFIGS / "bases" / "catalogue.yaml"


class CatalogueEntry(BaseModel):
    """A base of the catalogue.

    Attributes:
        name: short name.
        kind: `asr` or `intent`.
        hub_id, commit: where it is fetched from; None for those that come with earmark.
        family: model type of its configuration.
        licence: of its weights.
        megabytes: size of its weights [MB].
        parameters: how many weights it has, in millions.
        languages: that it knows; `many` for one that has to be told which.
        sampling_rate: of its clips [Hz].
        window: longest clip [s], to which every clip is padded.
        safe: what a fine-tuning takes where the setting is null, by key below the branch of the kind.
        note: one sentence more.
        digest: of its folder, for those that come with earmark: what was checked when it was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    kind: Kind
    hub_id: str | None = Field(default=None, pattern=f"^{HUB_ID.pattern}$")
    commit: str | None = Field(default=None, pattern=f"^{COMMIT.pattern}$")
    family: str
    licence: str
    megabytes: float = Field(gt=0)
    parameters: float = Field(gt=0)
    languages: tuple[str, ...]
    sampling_rate: int | None = None
    window: float | None = None
    safe: Mapping[str, bool | float] = {}
    note: str = ""
    digest: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """Return all bases of the catalogue, those that come with earmark first."""
    loaded: Any = load_yaml(CATALOGUE.read_text(encoding="utf-8"))
    return tuple(CatalogueEntry.model_validate(each) for part in ("embedded", "hub") for each in loaded[part])


def comes_with_earmark(kind: Kind, digest: str) -> bool:
    """Return whether a folder's digest is that of the base that comes with earmark, to the byte."""
    return any(each.digest == digest for each in catalogue() if each.kind == kind and each.hub_id is None)


def entry_of(name: str) -> CatalogueEntry | None:
    """Return the base of the catalogue with a name that is fetched from the hub, None where there is none."""
    return next((each for each in catalogue() if each.hub_id is not None and name in (each.name, each.hub_id)), None)

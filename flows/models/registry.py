"""Registered models: champions and other versions by name, their folders, and loaded models shared by a run."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from corpus.errors import SettingsError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import models as store
from flows.runtime.settings import ModelSettings

if TYPE_CHECKING:
    from training.asr.model import AsrModel
    from training.intent.inventory import Inventory
    from training.intent.model import IntentModel

KINDS: tuple[Kind, ...] = ("asr", "intent")

BASES = Path(__file__).resolve().parents[2] / "training" / "bases"


def base_folder(settings: ModelSettings, kind: Kind) -> Path:
    """Return the folder of the base that models of this kind start from.

    Raises:
        SettingsError: there is no such folder, and no hub model of that id that can be downloaded.
    """
    from training.loop.hub import HUB_ID, hub_folder

    given: str | None = getattr(settings, kind)
    if given is None:
        return BASES / kind
    folder = Path(given).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not HUB_ID.fullmatch(given):
        raise SettingsError(f"models.{kind}: there is no folder {given}; give a folder or a hub id such as owner/name")
    return hub_folder(given, getattr(settings, f"{kind}_revision"), f"models.{kind}")


def champion(corpus: Corpus, kind: Kind) -> ModelVersion:
    """Return the champion of a kind.

    Raises:
        UsageError: the kind has no version yet.
    """
    return by_name(corpus, kind, "champion")


def by_name(corpus: Corpus, kind: Kind, name: str) -> ModelVersion:
    """Return a version by its number, by an alias, or by `base` for the base that was registered last.

    Raises:
        UsageError: there is no version of that name.
    """
    with corpus.read() as conn:
        versions = store.versions(conn, kind)
        bases = [version.version for version in versions if version.origin == "base"]
        number = max(bases, key=int, default=None) if name == "base" else store.alias(conn, kind, name)
        number = name if name.isdigit() else number
        numbers = [version.version for version in versions]
        if not numbers:
            raise UsageError(f"{kind} has no version yet; earmark nightly or earmark score registers its base")
        if number is None or number not in numbers:
            raise UsageError(f"{kind} has no version {name}; there are {', '.join(numbers)}")
        return store.version(conn, kind, number)


def parse(reference: str) -> tuple[Kind, str]:
    """Return the kind and the name in a reference such as `asr/2` or `intent/champion`.

    Raises:
        UsageError: the reference has another form.
    """
    kind, _, name = reference.replace(":", "/").partition("/")
    if kind not in get_args(Kind) or not name:
        raise UsageError(f"version {reference!r}: give kind and version, such as asr/2, asr/champion or intent/base")
    return kind, name  # type: ignore[return-value]


def load_asr(home: Path, version: ModelVersion) -> AsrModel:
    """Return the speech model of a version, which is loaded once a run."""
    return _asr(located(home, version.model_uri))


def load_intent(home: Path, version: ModelVersion) -> IntentModel:
    """Return the intent model of a version, which is loaded once a run."""
    return _intent(located(home, version.model_uri))


def inventory(home: Path, version: ModelVersion) -> Inventory:
    """Return the intents and slot types of an intent model without loading it."""
    from training.intent.inventory import inventory

    return inventory(_folder(located(home, version.model_uri)))


def portable(home: Path, uri: str) -> str:
    """Return the path of a version's files relative to the home if they are in it, since a home can be moved."""
    path = Path(uri)
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else uri


def located(home: Path, uri: str) -> str:
    """Return the full path or URI of a result of `portable`."""
    # the URI of an MLflow server has one slash only, such as mlflow-artifacts:/1/...
    return uri if re.match(r"[a-z][a-z0-9+.-]+:/", uri) else str(home / uri)


@lru_cache(maxsize=3)
def _asr(uri: str) -> AsrModel:
    from training.asr.loading import load_asr

    return load_asr(_folder(uri))


@lru_cache(maxsize=3)
def _intent(uri: str) -> IntentModel:
    from training.intent.model import load_intent

    return load_intent(_folder(uri))


@lru_cache(maxsize=6)
def _folder(uri: str) -> Path:
    """Return the local folder of a version's files; those on a server are downloaded once a run."""
    from training.tracking.version_files import local_folder

    return local_folder(uri)

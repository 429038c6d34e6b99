"""Registered models: champions and other versions by name, their folders, and loaded models shared by a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import sqlalchemy as sa

from corpus.errors import Damaged, SettingsError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import models as store
from corpus.user_paths import expanded
from flows.runtime.settings import ModelSettings

if TYPE_CHECKING:
    from training.asr.model import AsrModel
    from training.intent.inventory import Inventory
    from training.intent.model import IntentModel
    from training.tracking.store import Tracking

KINDS: tuple[Kind, ...] = ("asr", "intent")

BASES = Path(__file__).resolve().parents[2] / "training" / "bases"

EMBEDDED: Final = "embedded"
"""Name of the bases that come with earmark."""


NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Name of a base that was added."""


_OF_MLFLOW: Final[dict[str, str]] = {}
"""Digests that `learn_digests` asked MLflow for, by the address of the files."""

_DIGEST_IN_URI: Final = re.compile(r"/model/([0-9a-f]{12})(/model)?/?$")
"""Where the address of a version's files has the first digits of their digest."""


@dataclass(frozen=True, slots=True)
class Base:
    """The base that models of a kind learn from.

    Attributes:
        kind: `asr` or `intent`.
        folder: its files on this machine.
        digest: of its files.
        version: its version; None where no base is registered yet.
    """

    kind: Kind
    folder: Path
    digest: str
    version: str | None = None

    def checked(self) -> Base:
        """Return the base itself, whose files are those of its digest.

        Raises:
            Damaged: they are not, or they are missing.
        """
        from training.tracking.version_files import files_differ

        if files_differ(self.folder, self.digest):
            raise Damaged(
                f"the base {self.kind}/{self.version} is not what was registered, or it is missing; "
                "earmark doctor --repair restores it where there is a copy, or take another with earmark base use NAME"
            )
        return self


def base_to_learn_from(corpus: Corpus, home: Path, settings: ModelSettings, kind: Kind) -> Base:
    """Return the base that the home registered; before it registered one, that of the settings.

    A folder that vanished, or a new base that comes with earmark, changes nothing for a home that has a base.

    Raises:
        SettingsError: no base is registered yet, and that of the settings can't be had.
    """
    from training.tracking.version_files import folder_digest

    with corpus.read() as conn:
        number = store.base_of_home(conn, kind)
        version = None if number is None else store.version(conn, kind, number)
    if version is not None:
        return Base(kind, _folder(located(home, version.model_uri)), version.base, version.version)
    folder = base_folder(home, settings, kind)
    return Base(kind, folder, folder_digest(folder))


def base_folder(home: Path, settings: ModelSettings, kind: Kind) -> Path:
    """Return the folder of the base that the settings name, or of the one that comes with earmark.

    Raises:
        SettingsError: there is no such folder, and no hub model of that id that can be downloaded.
    """
    return named_base(home, settings, kind) or BASES / kind


def named_base(home: Path, settings: ModelSettings, kind: Kind) -> Path | None:
    """Return the folder of the base that the settings name; None where they name none.

    Raises:
        SettingsError: there is no base of that name, no such folder, and no hub model of that id that can be had; or
            the folder holds no model.
    """
    from training.loop.hub import HUB_ID, hub_folder
    from training.loop.model_files import check_model_folder

    given: str | None = getattr(settings, kind)
    if given is None:
        return None
    if given == EMBEDDED:
        return BASES / kind
    added = [added_bases(home) / given] if NAME.fullmatch(given) else []
    try:
        for folder in (*added, expanded(given)):
            if folder.is_dir():
                check_model_folder(folder)
                return folder.resolve()
    except SettingsError as error:
        raise SettingsError(f"models.{kind}: {error}") from None
    except OSError as error:
        raise SettingsError(f"models.{kind}: {given} can't be read ({error.strerror}); give another folder") from None
    if HUB_ID.fullmatch(given):
        return hub_folder(given, getattr(settings, f"{kind}_revision"), f"models.{kind}")
    raise SettingsError(
        f"models.{kind}: there is no folder {given}, and no base of that name; earmark base list shows those that "
        "there are, or give a hub id such as owner/name"
    )


def added_bases(home: Path) -> Path:
    """Return the folder of the bases that `earmark base add` brought."""
    return home / "bases"


def champion(corpus: Corpus, kind: Kind) -> ModelVersion:
    """Return the champion of a kind.

    Raises:
        UsageError: the kind has no version yet.
    """
    return by_name(corpus, kind, "champion")


def standing(conn: sa.Connection, kind: Kind) -> dict[str, str | None]:
    """Return the version of each alias as people and MLflow see it: one with several has the first of these alone."""
    found: dict[str, str | None] = {}
    for name in ("champion", "previous", "challenger"):
        version = store.alias(conn, kind, name)
        found[name] = None if version in found.values() else version
    return found


def by_name(corpus: Corpus, kind: Kind, name: str) -> ModelVersion:
    """Return a version by its number, by an alias, or by `base` for the base that models learn from.

    Raises:
        UsageError: there is no version of that name.
    """
    with corpus.read() as conn:
        versions = store.versions(conn, kind)
        number = store.base_of_home(conn, kind) if name == "base" else standing(conn, kind).get(name)
        number = name if name.isdigit() else number
        numbers = [version.version for version in versions]
        if not numbers:
            raise UsageError(f"{kind} has no version yet; earmark nightly or earmark score registers its base")
        if name == "challenger" and number is None and (judged := store.alias(conn, kind, name)) is not None:
            now = next(alias for alias, version in standing(conn, kind).items() if version == judged)
            raise UsageError(
                f"{kind} has no challenger: {kind}/{judged}, the last that was judged, is {now}; there are "
                f"{', '.join(numbers)}"
            )
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
    uri = located(home, version.model_uri)
    with _named(version):
        return _asr(uri, _verified(uri, _registered_digest(version)))


def load_intent(home: Path, version: ModelVersion) -> IntentModel:
    """Return the intent model of a version, which is loaded once a run."""
    uri = located(home, version.model_uri)
    with _named(version):
        return _intent(uri, _verified(uri, _registered_digest(version)))


@contextmanager
def _named(version: ModelVersion) -> Iterator[None]:
    """Name the version and the remedy in the errors of the block."""
    try:
        yield
    except (SettingsError, Damaged) as error:
        name = f"{version.kind}/{version.version}"
        if version.tainted:
            raise type(error)(
                f"{name} can't be used: it learned from an utterance that was erased or withdrawn since, and such "
                "weights are destroyed; name another version"
            ) from None
        raise type(error)(f"{name} can't be used: {error}; earmark doctor says what to do") from None


def inventory(home: Path, version: ModelVersion) -> Inventory:
    """Return the intents and slot types of an intent model without loading it."""
    from training.intent.inventory import inventory

    with _named(version):
        return inventory(_verified(located(home, version.model_uri), _registered_digest(version)))


def portable(home: Path, uri: str) -> str:
    """Return the path of a version's files relative to the home if they are in it, since a home can be moved."""
    path = Path(uri)
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else uri


def located(home: Path, uri: str) -> str:
    """Return the full path or URI of a result of `portable`."""
    # the URI of an MLflow server has one slash only, such as mlflow-artifacts:/1/...
    return uri if re.match(r"[a-z][a-z0-9+.-]+:/", uri) else str(home / uri)


@lru_cache(maxsize=3)
def _asr(_uri: str, folder: Path) -> AsrModel:
    from training.asr.loading import load_asr

    return load_asr(folder)


@lru_cache(maxsize=3)
def _intent(_uri: str, folder: Path) -> IntentModel:
    from training.intent.model import load_intent

    return load_intent(folder)


def _registered_digest(version: ModelVersion) -> str:
    """Return the digest of a version's files, or its first digits; "" where it is not known.

    That of a version that learned is in the name of its folder, or known to MLflow alone: see `learn_digests`.
    """
    if version.origin != "learned":
        return version.base
    named = _DIGEST_IN_URI.search(version.model_uri)
    return named.group(1) if named else _OF_MLFLOW.get(version.model_uri, "")


def verify_again() -> None:
    """From now on read the files of each version once more before it is used: a bit that flips changes no time."""
    _digest_of.cache_clear()


def learn_digests(corpus: Corpus, tracking: Tracking) -> None:
    """Ask MLflow for the digests of versions whose address has none, as those of earlier releases."""
    from training.tracking.registry import registered_digest

    with corpus.read() as conn:
        versions = [version for kind in KINDS for version in store.versions(conn, kind)]
    for version in versions:
        if not _registered_digest(version):
            _OF_MLFLOW[version.model_uri] = registered_digest(tracking, version.kind, version.version)


def _verified(uri: str, digest: str) -> Path:
    """Return the local folder of a version's files, which are those of the digest.

    A file is read once for this, and again where its size, time or number on the disk changed, or after `verify_again`.

    Raises:
        Damaged: they are not, or they are missing.
    """
    from training.tracking.version_files import file_states

    folder = _folder(uri)
    if digest and not _digest_of(folder, file_states(folder)).startswith(digest):
        raise Damaged("its files are not what was registered")
    return folder


@lru_cache(maxsize=8)
def _digest_of(folder: Path, _states: tuple[tuple[str, int, int, int], ...]) -> str:
    from training.tracking.version_files import folder_digest

    return folder_digest(folder)


def forget_loaded() -> None:
    """Drop the models that this process has loaded, and the copies that it downloaded."""
    from training.tracking.version_files import drop_downloads

    for cached in (_asr, _intent, _digest_of, _folder):
        cached.cache_clear()
    drop_downloads()


def local_files(uri: str) -> Path:
    """Return the folder on this machine with the files at a full path or URI of a version.

    Raises:
        Damaged: they are missing.
        EarmarkError: they are on another machine and can't be downloaded.
    """
    return _folder(uri)


@lru_cache(maxsize=6)
def _folder(uri: str) -> Path:
    """Return the local folder of a version's files; those on a server are downloaded once a run."""
    from training.tracking.version_files import local_folder

    return local_folder(uri)

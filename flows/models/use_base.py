"""Use a base that was added: register it as the one that the home learns from, and write it into the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from flows.models import registry
from flows.models.aliases import mirror_registry
from flows.models.base_catalog import entry_of
from flows.models.base_models import use_base
from flows.runtime.results import Result
from flows.runtime.settings import ModelSettings
from flows.runtime.settings_file import changed_text, write_text
from training.loop.base_facts import read_facts

if TYPE_CHECKING:
    from training.tracking.store import TrackingSettings


@dataclass(frozen=True, slots=True)
class UsedBase(Result):
    """The base that a home learns from now.

    Attributes:
        kind, name: of the base.
        version: its version.
        champion: the champion, which stays.
        file: file of settings that names it now; None where no file was given.
        settings_differ: whether the settings of the command name another base.
    """

    kind: Kind
    name: str
    version: str
    champion: str
    file: str | None = None
    settings_differ: bool = False


def use_named_base(
    corpus: Corpus,
    home: Path,
    models: ModelSettings,
    tracking_settings: TrackingSettings,
    name: str,
    kind: Kind | None,
    config: Path | None,
) -> UsedBase:
    """Learn from the base of a name from now on: check and register it, and write it into the file of settings.

    Args:
        corpus: the handle.
        home: EARMARK_HOME.
        models: the bases that the settings name.
        tracking_settings: of the registry.
        name: of a base that was added, or `embedded`.
        kind: `asr` or `intent`; None for that of the base.
        config: a person's file of settings; None to change none.

    Raises:
        UsageError: there is no such base, or it does not pass its check; nothing is changed.
        Refused: the file can't be changed.
    """
    from training.tracking.store import open_tracking

    folder, of_kind = _folder_and_kind(home, name, kind)
    text = changed_text(config, "models", {of_kind: name, f"{of_kind}_revision": None}) if config else None
    tracking = open_tracking(tracking_settings, home)
    version = use_base(corpus, home, folder, of_kind, tracking).version
    mirror_registry(corpus, tracking)
    if config is not None and text is not None:
        write_text(config, text)
    return UsedBase(
        kind=of_kind,
        name=name,
        version=version,
        champion=registry.champion(corpus, of_kind).version,
        file=None if config is None else str(config),
        settings_differ=config is None and getattr(models, of_kind) not in (None, name),
    )


def _folder_and_kind(home: Path, name: str, kind: Kind | None) -> tuple[Path, Kind]:
    """Return the folder of a base and its kind.

    Raises:
        UsageError: there is no such base in the home, its kind is not clear, or it is of another one.
    """
    if name == registry.EMBEDDED:
        if kind is None:
            raise UsageError("embedded is a base of each kind: give --kind asr or --kind intent")
        return registry.BASES / kind, kind
    folder = registry.added_bases(home) / name
    facts = read_facts(folder) if registry.NAME.fullmatch(name) and folder.is_dir() else None
    if facts is None:
        remedy = f"earmark base add {name if entry_of(name) else 'FOLDER'} brings it"
        raise UsageError(
            f"there is no base {name} in this home; {remedy}, earmark base list shows those that there are"
        )
    if kind is not None and kind != facts.kind:
        raise UsageError(f"base {name} is of {facts.kind}, and --kind says {kind}; leave --kind out")
    return folder, facts.kind

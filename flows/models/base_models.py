"""The base that a home learns from: registered with its first command, and changed only where a person says so.

Every base is checked before it is registered. Which one a home learns from is the alias `base` in its records, so that
neither a folder that vanished nor a newer earmark with another embedded base changes what a home learns from.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import sqlalchemy as sa

from corpus.errors import EarmarkError, RecordError, Refused, SettingsError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import models as store
from corpus.user_paths import expanded
from flows.models import registry
from flows.models.aliases import mirror_registry
from flows.models.base_catalog import comes_with_earmark
from flows.models.model_check import check_base
from flows.runtime import progress
from flows.runtime.settings import ModelSettings
from training.loop.base_facts import read_facts

if TYPE_CHECKING:
    from training.tracking.store import Tracking, TrackingSettings

OnOther: TypeAlias = Literal["refuse", "switch", "keep"]
"""What to do where the settings name another base than the home's: refuse, learn from it from now on, or keep the
home's with a warning."""

SHORT: Final = 12
"""Characters of a digest that are shown."""


def ensure_champions(
    corpus: Corpus,
    home: Path,
    models: ModelSettings,
    tracking_settings: TrackingSettings,
    on_other: OnOther = "refuse",
) -> tuple[str, ...]:
    """Register the base of a kind that has none, as its first champion, and set what MLflow shows of the versions.

    Args:
        corpus: the handle.
        home: EARMARK_HOME.
        models: which bases the settings name; where they name none, the home keeps its own.
        tracking_settings: of the registry.
        on_other: what to do where they name another base than the home's.

    Returns:
        A warning for each kind whose settings name a base that the home does not learn from.

    Raises:
        Refused: the settings name another base than the home's, and `on_other` is `refuse`.
        EarmarkError: the base of a kind that has none can't be had, or does not pass its check.
    """
    from training.tracking.store import open_tracking
    from training.tracking.views import save_views

    tracking = open_tracking(tracking_settings, home)
    warnings = [
        line for kind in registry.KINDS for line in _ensure_base(corpus, home, models, kind, tracking, on_other)
    ]
    mirror_registry(corpus, tracking)
    registry.learn_digests(corpus, tracking)
    save_views(tracking)
    for line in warnings:
        progress.note(f"WARNING  {line}")
    return tuple(warnings)


def use_base(corpus: Corpus, home: Path, folder: Path, kind: Kind, tracking: Tracking) -> ModelVersion:
    """Learn from the base in the folder from now on: check and register it where it is new; return its version.

    The champion stays: versions that learn from the new base have to win as all others. Where it is registered and its
    files there are damaged or missing, they are restored from the folder.

    Raises:
        EarmarkError: the base does not pass its check; nothing is registered.
    """
    from training.tracking.version_files import folder_digest

    base = folder_digest(folder)
    with corpus.read() as conn:
        known = [each for each in store.versions(conn, kind) if each.origin == "base" and each.base == base]
    if not known:
        return _register_base(corpus, home, folder, kind, tracking)
    restore_files(folder, registry.located(home, known[-1].model_uri), base)
    with corpus.operation(operation_ids.use_base(kind), "register") as op:
        _move(op.conn, kind, known[-1].version)
        op.result = {"kind": kind, "version": known[-1].version, "base": True}
    return known[-1]


def restore_files(folder: Path, model_uri: str, digest: str) -> None:
    """Copy the files of a base from a folder to where it is registered, if those there are not of its digest.

    What is on another machine is left as it is.
    """
    from training.loop.model_files import replaced_folder
    from training.tracking.version_files import files_differ, local_path, model_files

    place = local_path(model_uri)
    if place is None or not files_differ(place, digest):
        return
    with replaced_folder(place) as draft:
        for path in model_files(folder):
            target = draft / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def other_bases(corpus: Corpus, home: Path, models: ModelSettings) -> list[str]:
    """Return a line for each kind whose settings name another base than the home's, or none that there is.

    They are those with which a command that a person starts stops; for previews and the doctor.
    """
    found = []
    for kind in registry.KINDS:
        with corpus.read() as conn:
            number = store.base_of_home(conn, kind)
            version = None if number is None else store.version(conn, kind, number)
        if version is not None and (line := _why_stop(home, models, kind, version)):
            found.append(line)
    return found


def refuse_other_base(corpus: Corpus, home: Path, models: ModelSettings) -> None:
    """Refuse settings that name another base than the home's, as the command itself would; for previews.

    Raises:
        Refused: they do.
    """
    for line in other_bases(corpus, home, models):
        raise Refused(line)


def _ensure_base(
    corpus: Corpus, home: Path, models: ModelSettings, kind: Kind, tracking: Tracking, on_other: OnOther
) -> list[str]:
    """Register the base of a kind that has none, or look whether the settings name another; return warnings."""
    with corpus.read() as conn:
        number = store.base_of_home(conn, kind)
        version = None if number is None else store.version(conn, kind, number)
    if version is None:
        _register_base(corpus, home, registry.base_folder(home, models, kind), kind, tracking)
        return []
    folder, why_not = _other(home, models, kind, version)
    if on_other == "switch":
        if why_not is not None:
            raise why_not
        if folder is not None:
            use_base(corpus, home, folder, kind, tracking)
        return []
    if on_other == "refuse" and (line := _why_stop(home, models, kind, version)):
        raise Refused(line)
    if why_not is not None:
        return [f"{why_not}; the home goes on with its own base, {kind}/{version.version}"]
    return [] if folder is None else [_remedy(kind, models, version)]


def _why_stop(home: Path, models: ModelSettings, kind: Kind, version: ModelVersion) -> str:
    """Return why a command that a person starts stops before it uses the home's base; "" where it does not."""
    folder, why_not = _other(home, models, kind, version)
    if folder is not None:
        return _remedy(kind, models, version)
    if why_not is None or _is_away(home, str(getattr(models, kind)), version):
        return ""
    return f"{why_not}; or set models.{kind} to null to stay with the base of this home, {kind}/{version.version}"


def _is_away(home: Path, named: str, version: ModelVersion) -> bool:
    """Return whether what the settings name may be the home's base, whose folder vanished or whose hub is away.

    A name without a folder is a slip of the pen, unless it is the one that the home's base was added by.
    """
    from training.tracking.version_files import local_path

    try:
        if not registry.NAME.fullmatch(named):
            return not expanded(named).exists()
        place = local_path(registry.located(home, version.model_uri))
        facts = None if place is None else read_facts(place)
    except (EarmarkError, OSError):
        return False
    return facts is not None and facts.name == named


def _other(
    home: Path, models: ModelSettings, kind: Kind, version: ModelVersion
) -> tuple[Path | None, EarmarkError | None]:
    """Return the folder of another base than the home's that the settings name, or why the one they name is not had."""
    from training.tracking.version_files import folder_digest

    try:
        folder = registry.named_base(home, models, kind)
        is_other = folder is not None and folder_digest(folder) != version.base
    except (SettingsError, RecordError) as error:
        return None, error
    except OSError as error:
        return None, SettingsError(f"models.{kind}: {getattr(models, kind)} can't be read ({error.strerror})")
    return (folder if is_other else None), None


def _remedy(kind: Kind, models: ModelSettings, version: ModelVersion) -> str:
    named = getattr(models, kind)
    return (
        f"models.{kind} is {named}, and this home learns {kind} from another base, {kind}/{version.version} "
        f"({version.base[:SHORT]}): give --switch-base to learn from {named} from now on, or set models.{kind} to null "
        "to stay; earmark base use does the same for a base that was added"
    )


def _register_base(corpus: Corpus, home: Path, folder: Path, kind: Kind, tracking: Tracking) -> ModelVersion:
    """Check the base in the folder and register it as the one that models learn from; return its version.

    The one that comes with earmark was checked when it was made: it needs to be the same to the byte.
    Where the kind has no champion it becomes the champion.
    """
    from training.tracking import run_names
    from training.tracking.facts import RunFacts
    from training.tracking.registry import register
    from training.tracking.runs import rename_run, tracked_run
    from training.tracking.version_files import folder_digest

    base = folder_digest(folder)
    if not comes_with_earmark(kind, base):
        with progress.track(f"checking the base of {kind}", None, "files"):
            check_base(folder, kind)
    operation_id = operation_ids.register_base(kind, base)
    facts = RunFacts(operation_id, run_names.base(kind), kind, base=base, labels=0)
    with progress.track(f"registering the base of {kind}", None, "files"), tracked_run(tracking, facts) as run_id:
        number, uri = register(tracking, kind, folder, run_id, operation_id)
        rename_run(tracking, run_id, run_names.base(kind, number))
    version = ModelVersion(kind, number, run_id, "", base, "", registry.portable(home, uri))
    with corpus.operation(operation_id, "register") as op:
        if not op.done:
            store.put_version(op.conn, version)
            _move(op.conn, kind, number)
            if store.alias(op.conn, kind, "champion") is None:
                store.move_alias(op.conn, kind, "champion", None, number)
            op.result = {"kind": kind, "version": number}
    return version


def _move(conn: sa.Connection, kind: Kind, number: str) -> None:
    """Make a version the base that models learn from."""
    before = store.alias(conn, kind, "base")
    if before != number:
        store.move_alias(conn, kind, "base", before, number)

"""Remove a base that was added, unless the settings name it or a version was made from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from corpus.errors import Damaged, RecordError, Refused, UsageError
from corpus.handle import Corpus
from corpus.tables import models as store
from corpus.user_paths import expanded
from flows.models import registry
from flows.models.base_drafts import remove_draft, unnamed
from flows.runtime.lock import hold_bases
from flows.runtime.results import Result
from flows.runtime.settings import ModelSettings
from training.loop.base_facts import read_facts
from training.tracking.version_files import folder_digest


@dataclass(frozen=True, slots=True)
class RemovedBase(Result):
    """A base that is gone, or would be.

    Attributes:
        name: of the base.
        files: its files, by their names in its folder, with their sizes [MB].
        megabytes: of all of them [MB].
        dry_run: whether nothing was removed.
    """

    name: str
    files: dict[str, float] = field(default_factory=dict)
    megabytes: float = 0.0
    dry_run: bool = False


def remove_base(
    corpus: Corpus | None, home: Path, models: ModelSettings, name: str, *, dry_run: bool = False
) -> RemovedBase:
    """Remove a base that was added from the home, with all its files; or say what would be removed.

    Where the home has a link to a folder elsewhere, the link goes and the folder stays.

    Args:
        corpus: the handle; None where the home has no records yet.
        home: EARMARK_HOME.
        models: the bases that the settings name.
        name: of the base.
        dry_run: remove nothing.

    Raises:
        UsageError: there is no such base.
        Refused: the settings name it, or a version was made from it.
        HomeBusy: another process has the names of bases all the time.
    """
    folder = _folder(home, name)
    _refuse_named(models, name, folder)
    if corpus is not None:
        _refuse_made_from(corpus, name, folder)
    held = [] if folder.is_symlink() else sorted(folder.rglob("*"))  # of a link the link goes alone
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in held if path.is_file()}
    files = {path: round(size / 1e6, 2) for path, size in sizes.items()}
    if not dry_run:
        with hold_bases(home, "base remove"):
            remove_draft(unnamed(_folder(home, name)))
    return RemovedBase(name, files, round(sum(sizes.values()) / 1e6, 2), dry_run)


def _folder(home: Path, name: str) -> Path:
    if name == registry.EMBEDDED:
        raise UsageError(f"base {name} comes with earmark and can't be removed; earmark base list shows the others")
    folder = registry.added_bases(home) / name
    if not registry.NAME.fullmatch(name) or not folder.is_dir():
        raise UsageError(f"there is no base {name} in this home; earmark base list shows those that there are")
    return folder


def _refuse_named(models: ModelSettings, name: str, folder: Path) -> None:
    for kind in registry.KINDS:
        given = getattr(models, kind)
        if given == name or (given is not None and expanded(given).resolve() == folder.resolve()):
            raise Refused(f"base {name} is in use: models.{kind} is {given}; set it to another base or to null first")


def _refuse_made_from(corpus: Corpus, name: str, folder: Path) -> None:
    digests = set()
    with suppress(RecordError, OSError):  # a base without files that can be read
        digests.add(folder_digest(folder))
    with suppress(Damaged):
        facts = read_facts(folder)
        digests |= {facts.files} if facts and facts.files else set()
    with corpus.read() as conn:
        made = [
            f"{kind}/{each.version}"
            for kind in registry.KINDS
            for each in store.versions(conn, kind)
            if each.base in digests
        ]
    if made:
        was = "was" if len(made) == 1 else "were"
        raise Refused(
            f"base {name} is in use: {', '.join(made)} {was} made from it, and earmark doctor --repair restores their "
            "base from it; keep it"
        )

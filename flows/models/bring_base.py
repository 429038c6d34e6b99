"""Bring a base into the home: from the catalogue, the hub or a folder, checked before it has a name there.

A base that was added is registered nowhere: `earmark base use` does that.
"""

from __future__ import annotations

import importlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from corpus.errors import Damaged, EarmarkError, Refused, UsageError
from corpus.records.base import Kind
from corpus.user_paths import expanded
from flows.models import registry
from flows.models.adapt_base import adapted, is_english_only
from flows.models.base_catalog import CatalogueEntry, entry_of
from flows.models.base_drafts import LOCK, base_draft, remove_draft
from flows.models.model_check import check_base, kind_of
from flows.runtime import progress
from flows.runtime.lock import hold_bases
from flows.runtime.results import Result
from training.asr.beam_files import read_decoder, summary_of, write_decoder
from training.asr.whisper_tokens import language_code
from training.loop.base_facts import (
    FILE,
    BaseFacts,
    family_of,
    filled,
    parameters_of,
    read_facts,
    sampling_rate_of,
    window_of,
    write_facts,
)
from training.loop.hub import ALLOWED_FILES, COMMIT, HUB_ID, hub_folder, licence_of
from training.loop.model_files import put_in_place, sync_folder, weights_digest
from training.tracking.version_files import files_differ, folder_digest

WANTED: Final = (*ALLOWED_FILES, "replay.jsonl")
"""Files that are brought: those that are downloaded, and the replay sentences of an intent model of earmark."""

WORDS: Final = frozenset({registry.EMBEDDED, "null"})
"""Names that mean something else in the settings."""

SIZE_MARGIN: Final = 0.05
"""Share by which the weights of a base may be more or fewer than the catalogue says, such as without tied ones."""


@dataclass(frozen=True, slots=True)
class AddedBase(Result):
    """A base that is in the home now.

    Attributes:
        facts: what is known about it.
        folder: where its files are.
        changed: what was changed in its files so that earmark can use it, in one sentence each.
        already: True where the same base was there before.
        same_weights: other bases of the home, and the one that comes with earmark, that have the same weights.
    """

    facts: BaseFacts
    folder: Path
    changed: tuple[str, ...] = ()
    already: bool | None = None
    same_weights: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the document: the facts, the folder and what was changed."""
        rest = {"folder": str(self.folder), "changed": list(self.changed)}
        same = {"same_weights": list(self.same_weights)} if self.same_weights else {}
        return self.facts.model_dump(mode="json") | rest | ({"already": True} if self.already else {}) | same


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a base is from: a folder on this machine, of the hub where it has an id."""

    folder: Path
    name: str
    hub_id: str | None = None
    commit: str | None = None
    entry: CatalogueEntry | None = None


def add_base(
    home: Path, source: str, *, name: str | None = None, kind: Kind | None = None, language: str | None = None
) -> AddedBase:
    """Bring a base into the home, check it there, and give it a name that settings can have; register nothing.

    Args:
        home: EARMARK_HOME.
        source: name in the catalogue, folder, or `owner/name@COMMIT`.
        name: of the base in this home; default the name in the catalogue, or that of the folder or the hub's model.
        kind: `asr` or `intent`; default by its configuration.
        language: that a speech model of several languages writes.

    Raises:
        UsageError: there is no such source, or the base does not pass its check; the home is as before.
        SettingsError: the hub has no such model, or it can't be had.
        Refused: another base has the name.
    """
    found = _source(source)
    chosen = name or found.name
    if chosen in WORDS:
        raise UsageError(
            f"base {chosen}: this name is taken, the settings mean something else by it; give another --name"
        )
    if not registry.NAME.fullmatch(chosen):
        raise UsageError(f"base {chosen!r}: give --name a name of letters, digits, dots and dashes")
    place = registry.added_bases(home) / chosen
    language = language_code(language) if language else None
    with base_draft(home) as draft, _named(draft, place):
        _bring(found.folder, draft, language)
        of_kind = kind or (found.entry.kind if found.entry else kind_of(draft))
        changed = adapted(draft, chosen, of_kind, language)
        facts = _facts(found, chosen, of_kind, draft, language)
        _refuse_name_of_catalogue(found, facts)
        _refuse_other(place, draft, facts)
        with progress.track(f"checking {chosen}", None, "files"):
            check_base(draft, of_kind)
        write_facts(facts, draft)
        sync_folder(draft)
        with hold_bases(home, "base add"):
            same = _same_weights(home, facts)
            before = _put(draft, place, facts)
    return AddedBase(before or facts, place, changed, before is not None or None, same)


def _source(source: str) -> _Source:
    """Return where a base is from; one of the hub is downloaded.

    Raises:
        UsageError: it is neither in the catalogue nor a folder nor a hub id with its commit.
        SettingsError: the hub has no such model, or it can't be had.
    """
    entry = entry_of(source)
    if entry is not None and entry.hub_id is not None:
        return _of_hub(entry.hub_id, entry.commit, entry.name, entry)
    folder = expanded(source)
    if folder.is_dir():
        return _Source(folder.resolve(), folder.resolve().name)
    hub_id, _, commit = source.partition("@")
    if not HUB_ID.fullmatch(hub_id):
        raise UsageError(
            f"base {source}: it is neither in the catalogue (earmark base list) nor a folder; or give a hub id at a "
            "commit, owner/name@COMMIT"
        )
    if not COMMIT.fullmatch(commit):
        raise UsageError(f"base {hub_id}: give the commit, too, 40 hex digits: {hub_id}@COMMIT")
    return _of_hub(hub_id, commit, hub_id.partition("/")[2], None)


def _of_hub(hub_id: str, commit: str | None, name: str, entry: CatalogueEntry | None) -> _Source:
    with progress.track(f"fetching {hub_id}", None, "files"):
        return _Source(hub_folder(hub_id, commit, f"base {name}"), name, hub_id, commit, entry)


@contextmanager
def _named(draft: Path, place: Path) -> Iterator[None]:
    """Name the base, and not the draft of its folder, in the errors of the block."""
    try:
        yield
    except EarmarkError as error:
        if draft.name not in str(error):
            raise
        raise type(error)(str(error).replace(str(draft), place.name).replace(draft.name, place.name)) from None


def _bring(folder: Path, draft: Path, language: str | None) -> None:
    """Copy the files of a model into the draft, with its decoder; convert those in CTranslate2's format."""
    with tempfile.TemporaryDirectory(prefix="earmark-base-") as work:
        if _is_ctranslate2(folder):
            folder = _converted(folder, Path(work) / "converted", language)
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name != FILE and any(fnmatch(path.name, each) for each in WANTED):
                shutil.copyfile(path, draft / path.name)  # the hub's files are links into its cache
        decoder = read_decoder(folder)
        if decoder is not None:
            write_decoder(draft, decoder)


def _is_ctranslate2(folder: Path) -> bool:
    parts = any((folder / name).is_file() for name in ("model.bin", "model.bin.part1"))
    return parts and not any(folder.glob("model*.safetensors"))


def _converted(folder: Path, out: Path, language: str | None) -> Path:
    """Convert a model of CTranslate2 to transformers' format; return its folder."""
    try:
        converter = importlib.import_module("training.asr.ctranslate2")
    except ImportError:
        raise UsageError(
            f"base {folder.name} is in CTranslate2's format, which this earmark can't read; give one in transformers'"
        ) from None
    converter.convert(folder, out, language)
    return out


def _facts(found: _Source, name: str, kind: Kind, draft: Path, language: str | None) -> BaseFacts:
    """Return the facts on a base: of the catalogue, of an earlier addition, of the hub, and of its files.

    Raises:
        Damaged: facts from elsewhere have a value that no setting can have.
    """
    digest = weights_digest(draft)
    known = None if found.hub_id else _facts_there(found.folder)
    if known is not None and known.digest != digest:  # what a file says about other weights
        known = None
    entry = found.entry or known
    safe = entry.safe if entry else {}
    if kind == "asr":
        from training.asr.base_defaults import safe_settings
        from training.asr.finetune import AsrFinetuneSettings

        filled(AsrFinetuneSettings(), safe, found.folder)
    else:
        from training.intent.base_defaults import safe_settings
        from training.intent.finetune_settings import IntentFinetuneSettings

        filled(IntentFinetuneSettings(), safe, found.folder)
    decoder = read_decoder(draft)
    english = ("en",) if is_english_only(draft) else ()
    size = sum(path.stat().st_size for path in draft.iterdir())
    licence = entry.licence if entry else licence_of(found.hub_id, found.commit) if found.hub_id else ""
    licence = licence or _licence_in(found.folder / "README.md")
    return BaseFacts(
        name=name,
        kind=kind,
        source=found.hub_id or (known.source if known else f"folder {found.folder.name}"),
        commit=found.commit or (known.commit if known else None),
        digest=digest,
        files=folder_digest(draft),
        licence=licence,
        family=family_of(draft),
        languages=(language,) if language else entry.languages if entry and entry.languages else english,
        sampling_rate=sampling_rate_of(draft) if kind == "asr" else None,
        window=window_of(draft) if kind == "asr" else None,
        megabytes=round(size / 1e6, 1),
        parameters=round(parameters_of(draft) / 1e6, 2),
        safe={**safe_settings(draft), **safe},
        made_from=known.made_from if known else "",
        decoder=summary_of(decoder) if decoder else "",
        added=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
    )


def _licence_in(card: Path) -> str:
    """Return the licence that the head of a model's card names, "" where it names none."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = text.split("---")[1] if text.startswith("---") and text.count("---") > 1 else ""
    named = re.search(r"^license:[ \t]*([\w.-]+)[ \t]*$", head, re.MULTILINE)
    return named.group(1) if named else ""


def _refuse_name_of_catalogue(found: _Source, facts: BaseFacts) -> None:
    """Refuse a name of the catalogue for another model than the one that it means there.

    Raises:
        UsageError: it has another family or size.
    """
    entry = None if found.entry else entry_of(facts.name)
    if entry is None:
        return
    is_like = facts.kind == entry.kind and facts.family == entry.family
    if is_like and abs((facts.parameters or 0.0) - entry.parameters) <= entry.parameters * SIZE_MARGIN:
        return
    raise UsageError(
        f"base {facts.name}: in the catalogue this name is {entry.hub_id}, {entry.family} with {entry.parameters:g} "
        f"million weights, and here is {facts.family or 'a model'} with {facts.parameters:g} million; give another "
        "--name"
    )


def _same_weights(home: Path, facts: BaseFacts) -> tuple[str, ...]:
    """Return the names of the other bases that have the same weights."""
    added = {folder.name: _facts_there(folder) for folder in sorted(registry.added_bases(home).glob("*"))}
    same = [name for name, there in added.items() if there and there.digest == facts.digest and name != facts.name]
    embedded = [registry.EMBEDDED] if weights_digest(registry.BASES / facts.kind) == facts.digest else []
    return (*embedded, *(name for name in same if registry.NAME.fullmatch(name)))


def _refuse_other(place: Path, draft: Path, facts: BaseFacts) -> bool:
    """Return whether a base with the same files has the name already.

    One whose files are no longer those that were added is damaged, and may be replaced by what was added.

    Raises:
        Refused: a base with other files has the name.
    """
    if not place.exists():
        return False
    if not files_differ(place, folder_digest(draft)):
        return True
    if not _was_made_of(place, _facts_there(place), facts):
        raise Refused(
            f"there is a base {facts.name} with other files; give another --name, or remove that one first: "
            f"earmark base remove {facts.name}"
        )
    return False


def _was_made_of(place: Path, before: BaseFacts | None, facts: BaseFacts) -> bool:
    """Return whether a base was made of the files that are added, and is damaged now, as it differs from them.

    The facts of an older release know the weights alone: there these have to be damaged.
    """
    if before is None:
        return False
    if before.files:
        return before.files == facts.files
    return before.digest == facts.digest and weights_digest(place) != before.digest


def _put(draft: Path, place: Path, facts: BaseFacts) -> BaseFacts | None:
    """Give the draft its name; where a base with the same files has it, leave them and return the facts on it.

    Raises:
        Refused: a base with other files has the name.
    """
    if not _refuse_other(place, draft, facts):
        (draft / LOCK).unlink()
        put_in_place(draft, place)
        remove_draft(draft)  # what had the name before, and while nobody else looks for drafts
        return None
    before = _facts_there(place)
    if before is None:
        write_facts(facts, place)
    return before or facts


def _facts_there(place: Path) -> BaseFacts | None:
    """Return the facts on the base that has a name, None where there are none that can be read."""
    with suppress(Damaged):
        return read_facts(place)
    return None

"""The doctor's checks of stored content: files, keys, and with `--deep` every byte of clips, texts, parts and bases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import sqlalchemy as sa

from corpus import content_check
from corpus.handle import Corpus
from corpus.storage.database import damaged_pages
from corpus.tables import orphans, utterances
from flows.models.registry import added_bases
from flows.runtime import progress
from training.loop.base_facts import read_facts
from training.tracking.version_files import files_differ

Counts: TypeAlias = dict[str, int]
Found: TypeAlias = tuple[Counts, list[str]]
"""What a check counted, and the problems that it found, each with its remedy."""

NAMED: Final = 20
"""How many problems of one kind are named; a lost pack has thousands of clips."""


def check_files(corpus: Corpus) -> Found:
    """Check that packs and parts that rows name are there and whole by size and head; count old ones of no row."""
    missing, found_orphans = orphans.missing(corpus), orphans.orphans(corpus)
    problems = [f"{path} is missing; restore it from a backup{_or_score(path)}" for path in missing]
    problems += _first(content_check.file_sizes(corpus).problems)
    if found_orphans:
        problems.append(
            f"{len(found_orphans)} files or keys belong to no record; earmark doctor --dry-run lists them,"
            " and --repair deletes them"
        )
    return {"missing": len(missing), "orphans": len(found_orphans)}, problems


def _or_score(path: str) -> str:
    return f", or run earmark score --part {path}" if path.startswith("parts/") else ""


def check_keys(corpus: Corpus) -> Found:
    """Check that each utterance that is not erased has its key, which may be lost, or destroyed on purpose."""
    with corpus.read() as conn:
        live = len(utterances.live_ids(conn))
    lost, destroyed = orphans.keyless(corpus)
    counts, problems = {"utterances": live}, []
    if lost:
        counts["without key"] = len(lost)
        problems.append(
            f"{len(lost)} utterances have no key and can't be opened: {_some(lost)}; restore the vault from a backup"
        )
    if destroyed:
        counts["half erased"] = len(destroyed)
        problems.append(
            f"the erasure of {len(destroyed)} utterances was not finished: {_some(destroyed)}; their keys are destroyed"
            " for good, earmark doctor --repair erases the rest of them"
        )
    return counts, problems


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (" ..." if len(ids) > 3 else "")


def byte_checks(corpus: Corpus, home: Path) -> dict[str, Callable[[], Found]]:
    """Return the checks, by name, that verify every stored byte of clips, texts, keys, parts, bases and databases."""
    return {
        "clips": lambda: _clips(corpus),
        "parts": lambda: _parts(corpus),
        "added bases": lambda: _bases(home),
        "databases": lambda: _databases((("records", corpus.records), ("vault", corpus.vault.engine))),
    }


def _clips(corpus: Corpus) -> Found:
    with corpus.read() as conn:
        live = len(utterances.live_ids(conn))
    with progress.track("verifying clips and texts", live, "utterances") as advance:
        checked = content_check.all_clips(corpus, progress.counting(advance))
    return checked.counts, _first(checked.problems)


def _parts(corpus: Corpus) -> Found:
    with progress.track("verifying parts", None, "parts") as advance:
        checked = content_check.all_parts(corpus, progress.counting(advance))
    return checked.counts, _first(checked.problems)


def _first(problems: list[str]) -> list[str]:
    left = len(problems) - NAMED
    return [*problems[:NAMED], *([f"... and {left} more of this kind"] if left > 0 else [])]


def _bases(home: Path) -> Found:
    """Compare the files of each base that was added with their digest of that day."""
    problems, count = [], 0
    for folder in sorted(each for each in added_bases(home).glob("*") if each.is_dir()):
        facts = read_facts(folder)
        if facts is None or not facts.files:
            continue
        count += 1
        if files_differ(folder, facts.files):
            problems.append(
                f"the files of base {folder.name} are not what was added; add it again with earmark base add"
            )
    return {"bases": count}, problems


def _databases(engines: Sequence[tuple[str, sa.Engine]]) -> Found:
    """Check the pages of SQLite databases; a server checks its own."""
    problems = []
    for name, engine in engines:
        with progress.track(f"verifying the {name} database", None, ""):
            wrong = damaged_pages(engine)
        if wrong:
            problems.append(f"the {name} database is damaged ({wrong}); restore it from a backup")
    return {"databases": len(engines)}, problems

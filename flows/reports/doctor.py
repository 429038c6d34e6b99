"""Check a home: audit chains, content, counts, model versions and task folder; repair what can be repaired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from corpus.errors import ChainBroken, EarmarkError
from corpus.handle import Corpus
from corpus.settings import places
from corpus.storage import audit_chain, work_folder
from corpus.storage.records_schema import audit as records_chain
from corpus.tables import ingest_batches, orphans, utterances
from corpus.tables import models as store
from corpus.tables.orphans import Orphan
from corpus.vault.vault_schema import audit as vault_chain
from flows.models.registry import KINDS
from flows.models.tainted import tainted_champions
from flows.runtime import console
from flows.runtime.results import Result
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.tasks import task_folder, task_status

Counts: TypeAlias = dict[str, int]
Found: TypeAlias = tuple[Counts, list[str]]
"""What a check counted, and the problems that it found, each with its remedy."""


@dataclass(frozen=True, slots=True)
class DoctorReport(Result):
    """What the doctor checked and found.

    Attributes:
        checks: by name of the check its counts, or `failed` where it could not be made.
        problems: one line each, with the remedy.
        repaired: what was removed, by kind; None where nothing was asked to be repaired.
        orphans: what a repair would delete; None where no dry run was asked for.
    """

    checks: Mapping[str, Counts | str]
    problems: tuple[str, ...]
    repaired: Counts | None = None
    orphans: tuple[Orphan, ...] | None = None


def examine(settings: Settings, *, repair: bool, dry_run: bool = False, all_orphans: bool = False) -> DoctorReport:
    """Return the checks that were made and the problems that were found; repair what can be where asked to.

    Args:
        settings: of the home.
        repair: delete orphans and what killed runs left, and make aliases agree.
        dry_run: list as `orphans` what a repair would delete, and delete nothing.
        all_orphans: delete orphans however many there are.

    Raises:
        Refused: `repair`, and more orphans than a killed run leaves; nothing was deleted.
        StoresApart: the stores are not of one home.
    """
    from flows.runtime.lock import hold_corpus

    if repair and not dry_run:
        most = None if all_orphans else orphans.MOST
        with opened(settings, create=False) as corpus, hold_corpus(settings.corpus, "doctor --repair"):
            swept = orphans.sweep(corpus, most=most) | {"work": work_folder.clear(places(settings.corpus).home)}
            task_status.sweep(corpus, settings)
            from flows.models.aliases import mirror_aliases

            mirror_aliases(corpus, settings)
            return replace(_examine(corpus, settings), repaired=swept)
    with opened(settings, create=False) as corpus:
        found = _examine(corpus, settings)
        return replace(found, orphans=tuple(orphans.orphans(corpus))) if dry_run else found


def _examine(corpus: Corpus, settings: Settings) -> DoctorReport:
    checks: dict[str, Counts | str] = {}
    problems: list[str] = []
    named: dict[str, Callable[[], Found]] = {
        "audit chains": lambda: _chains(corpus),
        "content": lambda: _content(corpus),
        "counts": lambda: _counts(corpus),
        "models": lambda: _models(corpus, settings),
        "task folder": lambda: _task_folder(corpus, settings),
    }
    for name, check in named.items():
        try:
            checks[name], found = check()
        except EarmarkError as error:
            checks[name], found = "failed", [str(error)]
        problems += [f"{name}: {problem}" for problem in found]
    return DoctorReport(checks, tuple(problems))


def _chains(corpus: Corpus) -> Found:
    counts = {}
    problems = []
    for name, engine, table in (
        ("records", corpus.records, records_chain),
        ("vault", corpus.vault.engine, vault_chain),
    ):
        try:
            counts[name] = audit_chain.verify(engine, table)
        except ChainBroken as error:
            problems.append(f"{name}: {error}")
    return counts, problems


def _content(corpus: Corpus) -> Found:
    """Check that every pack and part that a row names exists, and count old files and keys that no row names."""
    lost, stray = orphans.missing(corpus), orphans.orphans(corpus)
    problems = [f"{path} is missing; restore it from a backup" for path in lost]
    problems += [f"{len(stray)} files or keys belong to nothing; run earmark doctor --repair"] if stray else []
    return {"missing": len(lost), "orphans": len(stray)}, problems


def _counts(corpus: Corpus) -> Found:
    """Check that received = accepted + refused, and that accepted = the rows there are, whatever their state."""
    with corpus.read() as conn:
        reported, held = ingest_batches.totals(conn), utterances.counts(conn)
    problems = [
        f"ingests reported {count} {name}, {held[name]} are in the records; restore a backup"
        for name, count in reported.items()
        if count != held[name]
    ]
    return held, problems


def _models(corpus: Corpus, settings: Settings) -> Found:
    from training.tracking.aliases import ALIASES, mirrored
    from training.tracking.store import open_tracking

    counts: Counts = {}
    problems: list[str] = []
    tracking = open_tracking(settings.tracking, settings.home)
    for kind in KINDS:
        with corpus.read() as conn:
            versions = store.versions(conn, kind)
            held = {n: store.alias(conn, kind, n) for n in ALIASES}
        counts[kind] = len(versions)
        problems += mirrored(tracking, kind, versions, held)
    with corpus.read() as conn:
        return counts, [*problems, *tainted_champions(conn)]


def _task_folder(corpus: Corpus, settings: Settings) -> Found:
    now = task_status.task_status(corpus)
    stray = len(task_folder.stray(settings, now.rounds, now.wanted, corpus.clock()))
    lines = task_folder.stray_lines(settings, now.rounds, now.wanted)
    problems = (
        [f"{len(now.to_close)} tasks are overdue or closed to people; run earmark doctor --repair"]
        if now.to_close
        else []
    )
    if stray or lines:
        problems.append(f"{stray} files and {lines} lines of no open task lie there; run earmark doctor --repair")
    return {"open tasks": len(now.all_wanted), "stray files": stray, "stray lines": lines}, problems


def show_findings(report: DoctorReport) -> None:
    """Print what was checked, what was repaired and what is wrong."""
    console.show_pairs("checked", report.checks)
    if report.repaired:
        console.show_pairs("repaired", report.repaired)
    for orphan in report.orphans or ():
        print(f"would delete  {orphan.kind}  {orphan.name}")
    for problem in report.problems:
        print(f"PROBLEM  {problem}")
    if not report.problems:
        print("all is well")

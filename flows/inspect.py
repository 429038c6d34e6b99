"""Looking at a home: its status in numbers, the doctor's findings, the audit chains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from corpus import audit, operations, scratch
from corpus.errors import ChainBroken, EarmarkError, Refused
from corpus.handle import Corpus
from corpus.schema import audit as records_chain
from corpus.settings import places
from corpus.store import labels, orphans, rounds, utterances
from corpus.store import models as store
from corpus.vault_schema import audit as vault_chain
from flows import ask, console, task_folder
from flows.known import learned_costs, told_costs
from flows.models import KINDS
from flows.night import last_night, through
from flows.outlook import outlooks
from flows.queues import queues, show_queues
from flows.session import opened
from flows.settings import Settings
from flows.told import cost_lines, outlook_lines


def status_of(settings: Settings) -> dict[str, Any]:
    """Returns what the home holds, in numbers."""
    with opened(settings, create=False) as corpus, corpus.read() as conn:
        return {
            "home": str(settings.home),
            "utterances": utterances.counts(conn),
            "refused": utterances.refusals(conn),
            "rounds": [
                {"round": row.round, "pool": row.pool_size, "chosen": row.selected} for row in rounds.rounds(conn)
            ],
            "tasks": ask.count_waiting(corpus),
            "queues": queues(corpus, settings),
            "answers": labels.outcomes(conn),
            "labels": _label_counts(conn),
            "models": {kind: _versions(conn, kind) for kind in KINDS},
            "costs": told_costs(*learned_costs(corpus, settings)),
            "outlook": outlooks(corpus, settings),
            "problems": tainted_champions(conn),
        }


def tainted_champions(conn: sa.Connection) -> list[str]:
    """Return a line on each champion that learned from what was erased since, with what to do about it."""
    problems = []
    for kind in KINDS:
        champion, previous = (store.alias(conn, kind, name) for name in ("champion", "previous"))
        clean = {version.version for version in store.versions(conn, kind) if not version.tainted}
        if champion is None or champion in clean:
            continue
        base = min(clean, key=int, default="1")
        back = f"rollback {kind}" if previous in clean else f"promote {kind}/{base} --force --why TEXT"
        problems.append(
            f"{kind}/{champion} is champion and learned from an utterance that was erased since; run earmark {back},"
            f" then earmark retrain {kind} for a version without it"
        )
    return problems


def _label_counts(conn: Any) -> dict[str, int]:
    rows = labels.current(conn)
    return {
        "current": len(rows),
        "audit": sum(row.reason == "audit" for row in rows),
        "held_out": sum(row.reason == "held_out" for row in rows),
        "from_manifest": sum(row.source == "manifest" for row in rows),
    }


def _versions(conn: Any, kind: Any) -> dict[str, Any]:
    return {
        "versions": [version.version for version in store.versions(conn, kind)],
        **{name: store.alias(conn, kind, name) for name in ("champion", "challenger", "previous")},
        "looks": store.looks(conn, kind),
    }


def show_status(report: dict[str, Any]) -> None:
    """The status stands on stdout."""
    console.show_pairs(
        f"home {report['home']}",
        {name: report[name] for name in ("utterances", "refused", "tasks", "answers", "labels")},
    )
    if report["rounds"]:
        rows = [(row["round"], row["pool"], row["chosen"]) for row in report["rounds"]]
        console.show_table("rounds", ("round", "pool", "chosen"), rows)
    show_queues(report["queues"])
    versions = [
        (kind, row["versions"], row["champion"], row["challenger"], row["previous"], row["looks"])
        for kind, row in report["models"].items()
    ]
    console.show_pairs("annotators' time", cost_lines(report["costs"]))
    console.show_pairs("the next labels", outlook_lines(report["outlook"]))
    console.show_table("models", ("kind", "versions", "champion", "challenger", "previous", "gate looks"), versions)
    for problem in report["problems"]:
        print(f"PROBLEM  {problem}")


def refuse_late_night(settings: Settings, hours: float, now: datetime | None = None) -> None:
    """Every night that closed so long ago is through, as far as the newest of them tells.

    Args:
        settings: of the home.
        hours: how long a night may take after it closed [h].
        now: the machine's clock where None.

    Raises:
        Refused: it is not; the message names the night and how to run it.
    """
    zone, ends_at = settings.night.time_zone, settings.night.ends_at
    night = last_night((now or datetime.now(UTC)) - timedelta(hours=hours), zone, ends_at)
    with opened(settings) as corpus, corpus.read() as conn:
        if operations.result_of(conn, through(night.name)) is None:
            raise Refused(
                f"night {night.name} closed at {night.end:%Y-%m-%d %H:%M} UTC and is not through {hours:g} h later;"
                f" see what its run says, then earmark nightly --night {night.name}"
            )


# --- the doctor -------------------------------------------------------------------------------------------------------


def examine(settings: Settings, *, repair: bool, dry_run: bool = False, all_orphans: bool = False) -> dict[str, Any]:
    """Return the checks that were made and the problems that were found; repair what can be where asked to.

    Args:
        settings: of the home.
        repair: sweep orphans and what killed runs left, and make aliases agree.
        dry_run: list as `orphans` what a repair would delete, and delete nothing.
        all_orphans: delete orphans however many there are.

    Raises:
        Refused: `repair`, and more orphans than a killed run leaves; nothing was deleted.
        StoresApart: the stores are not of one home.
    """
    from flows.lock import hold_corpus

    if repair and not dry_run:
        most = None if all_orphans else orphans.MOST
        with opened(settings, create=False) as corpus, hold_corpus(settings.corpus, "doctor --repair"):
            swept = orphans.sweep(corpus, most=most) | {"work": scratch.clear(places(settings.corpus).home)}
            ask.sweep(corpus, settings)
            from flows.judge import mirror_aliases

            mirror_aliases(corpus, settings)
            return {**_examine(corpus, settings), "repaired": swept}
    with opened(settings, create=False) as corpus:
        found = _examine(corpus, settings)
        return {**found, "orphans": [asdict(orphan) for orphan in orphans.orphans(corpus)]} if dry_run else found


def _examine(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    checks: dict[str, Any] = {}
    problems: list[str] = []
    named: dict[str, Callable[[], tuple[Any, list[str]]]] = {
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
    return {"checks": checks, "problems": problems}


def _chains(corpus: Corpus) -> tuple[Any, list[str]]:
    counts = {}
    problems = []
    for name, engine, table in (
        ("records", corpus.records, records_chain),
        ("vault", corpus.vault.engine, vault_chain),
    ):
        try:
            counts[name] = audit.verify(engine, table)
        except ChainBroken as error:
            problems.append(f"{name}: {error}")
    return counts, problems


def _content(corpus: Corpus) -> tuple[Any, list[str]]:
    """Every pack and part that a row names is there; what no row names is named once it is old."""
    lost, stray = orphans.missing(corpus), orphans.orphans(corpus)
    problems = [f"{path} is missing; restore it from a backup" for path in lost]
    problems += [f"{len(stray)} files or keys belong to nothing; run earmark doctor --repair"] if stray else []
    return {"missing": len(lost), "orphans": len(stray)}, problems


def _counts(corpus: Corpus) -> tuple[Any, list[str]]:
    """Received = accepted + refused, and accepted = the rows that stand, whatever became of them."""
    with corpus.read() as conn:
        reported, held = utterances.arrivals(conn), utterances.counts(conn)
    problems = [
        f"ingests reported {count} {name}, {held[name]} stand in the records; restore a backup"
        for name, count in reported.items()
        if count != held[name]
    ]
    return held, problems


def _models(corpus: Corpus, settings: Settings) -> tuple[Any, list[str]]:
    from training.tracking.aliases import ALIASES, mirrored
    from training.tracking.store import open_tracking

    counts, problems = {}, []
    tracking = open_tracking(settings.tracking, settings.home)
    for kind in KINDS:
        with corpus.read() as conn:
            versions = store.versions(conn, kind)
            held = {n: store.alias(conn, kind, n) for n in ALIASES}
        counts[kind] = len(versions)
        problems += mirrored(tracking, kind, versions, held)
    with corpus.read() as conn:
        return counts, problems + tainted_champions(conn)


def _task_folder(corpus: Corpus, settings: Settings) -> tuple[Any, list[str]]:
    now = ask.standing(corpus)
    stray = len(task_folder.stray(settings, now.rounds, now.wanted, corpus.clock()))
    lines = task_folder.stray_lines(settings, now.rounds, now.wanted)
    problems = (
        [f"{len(now.over)} tasks are overdue or closed to people; run earmark doctor --repair"] if now.over else []
    )
    if stray or lines:
        problems.append(f"{stray} files and {lines} lines of no open task lie there; run earmark doctor --repair")
    return {"open tasks": len(now.all_wanted), "stray files": stray, "stray lines": lines}, problems


def show_findings(report: dict[str, Any]) -> None:
    """The findings stand on stdout."""
    console.show_pairs("checked", report["checks"])
    if report.get("repaired"):
        console.show_pairs("repaired", report["repaired"])
    for orphan in report.get("orphans", ()):
        print(f"would delete  {orphan['kind']}  {orphan['name']}")
    for problem in report["problems"]:
        print(f"PROBLEM  {problem}")
    if not report["problems"]:
        print("all is well")


# --- the audit chains -------------------------------------------------------------------------------------------------


def verify_audit(settings: Settings) -> dict[str, int]:
    """Returns how many rows each chain has.

    Raises:
        ChainBroken: one does not verify.
    """
    with opened(settings, create=False) as corpus:
        return {
            "records": audit.verify(corpus.records, records_chain),
            "vault": audit.verify(corpus.vault.engine, vault_chain),
        }


def audit_rows(settings: Settings, last: int) -> list[dict[str, Any]]:
    """Returns the newest rows of both chains, oldest first."""
    with opened(settings, create=False) as corpus:
        rows = [
            {"chain": name, **asdict(row)}
            for name, engine, table in (
                ("records", corpus.records, records_chain),
                ("vault", corpus.vault.engine, vault_chain),
            )
            for row in audit.show(engine, table, last)
        ]
    return sorted(rows, key=lambda row: str(row["at"]))[-last:]

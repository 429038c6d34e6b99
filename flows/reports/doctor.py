"""Check a home: audit chains, content, counts, model versions and task folder; repair what can be repaired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotation.inventory import InventorySettings
from corpus.errors import EarmarkError, Refused, UsageError
from corpus.handle import Corpus
from corpus.hub_access import without_hub
from corpus.ingest.ingest import IngestSettings
from corpus.records.base import Kind
from corpus.settings import places
from corpus.storage import work_folder
from corpus.storage.private_home import close_to_others
from corpus.tables import consent_use, datasets, erased, ingest_batches, inventory, orphans, utterances
from corpus.tables import models as store
from corpus.tables.orphans import Orphan
from flows.models.base_drafts import left_drafts, sweep_drafts
from flows.models.base_models import other_bases
from flows.models.blocked_models import BlockedModel, blocked_models, replace_blocked
from flows.models.inventory import inventory_of
from flows.models.known_texts import ChampionOnLabels, champions_on_labels
from flows.models.registry import KINDS, base_to_learn_from, standing
from flows.models.tainted import tainted_champions
from flows.reports.audit_verify import NO_ANCHOR, verify_logs
from flows.reports.consent_problem import consent_problem
from flows.reports.doctor_content import NAMED, Counts, Found, byte_checks, check_files, check_keys
from flows.reports.doctor_retention import check_retention
from flows.reports.doctor_rights import check_rights
from flows.reports.doctor_servers import check_servers
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.server_records import stop_orphans
from flows.runtime.session import opened
from flows.runtime.settings import ErasureSettings, ModelSettings, Settings
from flows.tasks import task_folder, task_status
from training.evaluation.gate import PromotionSettings
from training.tracking.store import TrackingSettings
from training.tracking.version_files import each_file_once


@dataclass(frozen=True, slots=True)
class DoctorReport(Result):
    """What the doctor checked and found.

    Attributes:
        checks: counts by name of the check, or `failed` where the check ended with an error.
        problems: one line each, with the remedy.
        repaired: how many items were removed, by kind; None without `repair`. It has no `files` and `keys` where the
            orphans were refused, see `problems`.
        orphans: what a repair would delete, with `dry_run`, or what it found to delete, with `repair`; else None.
        erasures: ids of utterances whose erasure was killed, which a repair would finish, with `dry_run`, or finished,
            with `repair`; None without them.
        replaced: champions and bases that can't be used, which a repair restored or in whose place it put another base
            or, with `dry_run`, would; None without them.
        champions: how the champions do on labelled clips, by kind; no problem, however poorly. None where they were not
            tried, as an audit chain is broken, to which reading the texts adds a row, or the home is read-only.
        remarks: what nobody can find here, for want of something that is not set up; None where there is none.
    """

    checks: Mapping[str, Counts | str]
    problems: tuple[str, ...]
    repaired: Counts | None = None
    orphans: tuple[Orphan, ...] | None = None
    erasures: tuple[str, ...] | None = None
    replaced: tuple[BlockedModel, ...] | None = None
    champions: Mapping[Kind, ChampionOnLabels] | None = field(default_factory=dict)
    remarks: tuple[str, ...] | None = None


def examine(
    settings: Settings, *, repair: bool, dry_run: bool = False, unbounded: bool = False, deep: bool = False
) -> DoctorReport:
    """Check a home; return counts and problems. With `repair`, repair first what can be repaired.

    The hub is not asked: what the settings name is looked for on this machine alone.

    Args:
        settings: of the home.
        repair: finish erasures that were killed, delete orphans and the unfinished files of killed runs, restore
            damaged bases from copies, put a base that loads in place of a champion that does not and learned from
            nobody, and make MLflow's aliases agree.
        dry_run: list as `erasures`, `orphans` and `replaced` what a repair would do, and do nothing.
        unbounded: delete orphans however many they are.
        deep: verify every byte that is stored.

    Raises:
        StoresApart: the stores belong to different homes.
        HomeBusy: `repair`, while another process uses the home.
    """
    with without_hub(), opened(settings, create=False) as corpus:
        if repair and not dry_run:
            return _repaired(corpus, settings, unbounded=unbounded, deep=deep)
        with each_file_once():
            report = _check_all(corpus, settings, deep=deep)
            if not dry_run:
                return report
            blocked = tuple(each for each in blocked_models(corpus, settings.home, settings.models) if each.repairable)
            _, half_erased = orphans.keyless(corpus)
            found = tuple(orphans.orphans(corpus))
            return replace(report, erasures=tuple(half_erased) or None, orphans=found, replaced=blocked or None)


def _repaired(corpus: Corpus, settings: Settings, *, unbounded: bool, deep: bool) -> DoctorReport:
    """Repair what can be repaired, and check the home after it; what can't be is a problem and stops nothing else."""
    from flows.runtime.lock import hold_corpus

    problems: list[str] = []
    with hold_corpus(settings.corpus, "doctor --repair"):
        erased = tuple(orphans.finish_erasures(corpus))
        found = tuple(orphans.orphans(corpus))
        removed: dict[str, int] = {}
        try:
            removed = orphans.sweep(corpus, unbounded=unbounded)
        except Refused as error:
            problems.append(f"repair: {error}")
        removed |= {"work": work_folder.clear(places(settings.corpus).home)}
        removed |= {"servers": stopped} if (stopped := stop_orphans(settings.home / "prefect")) else {}
        removed |= {"erasures": len(erased)} if erased else {}
        removed |= {"rights of others": closed} if (closed := close_to_others(settings.home)) else {}
        drafts = sweep_drafts(settings.home)
        task_status.sweep(corpus, settings.task_folder, settings.answers, settings.export.due_days)
        replaced: tuple[BlockedModel, ...] = ()
        try:
            replaced = _repair_models(corpus, settings)
        except EarmarkError as error:
            problems.append(f"repair: {error}")
        removed |= {"models": len(replaced)} if replaced else {}
        removed |= {"unfinished bases": drafts} if drafts else {}
        with each_file_once():
            report = _check_all(corpus, settings, deep=deep)
        problems += report.problems
        report = replace(report, problems=tuple(problems), repaired=removed)
        return replace(report, erasures=erased or None, orphans=found, replaced=replaced or None)


def _repair_models(corpus: Corpus, settings: Settings) -> tuple[BlockedModel, ...]:
    from flows.models.aliases import mirror_registry
    from training.tracking.store import open_tracking

    tracking = open_tracking(settings.tracking, settings.home)
    replaced = tuple(replace_blocked(corpus, settings.home, settings.models, tracking))
    mirror_registry(corpus, tracking)
    return replaced


def _check_all(corpus: Corpus, settings: Settings, *, deep: bool = False) -> DoctorReport:
    """Run every check; one that ends with an error is itself a problem and stops no other."""
    checks: dict[str, Counts | str] = {}
    problems: list[str] = []
    check_by_name: dict[str, Callable[[], Found]] = {
        "audit chains": lambda: _logs(corpus, settings.audit.anchor),
        "content": lambda: check_files(corpus),
        "keys": lambda: check_keys(corpus),
        "counts": lambda: _counts(corpus),
        "models": lambda: _models(corpus, settings.home, settings.models, settings.tracking, settings.erasure),
        "task folder": lambda: _task_folder(corpus, settings.task_folder, settings.answers, settings.export.due_days),
        "datasets": lambda: _datasets(corpus),
        "erasures": lambda: _erasures(corpus),
        "consent": lambda: _consent(corpus, settings.ingest),
        "retention": lambda: check_retention(corpus, settings.retention),
        "servers": lambda: check_servers(settings.home),
        "rights": lambda: check_rights(settings.home),
        "inventory": lambda: _inventory(corpus, settings.home, settings.inventory),
        "decoder": lambda: _decoder(corpus, settings),
    }
    if deep:
        check_by_name |= byte_checks(corpus, settings.home)
    for name, check in progress.over(check_by_name.items(), "checking the home", len(check_by_name), "checks"):
        try:
            with progress.track(f"checking {name}", None, "items"):
                checks[name], found = check()
        except EarmarkError as error:
            checks[name], found = "failed", [str(error)]
        problems += [f"{name}: {problem}" for problem in found]
    champions: Mapping[Kind, ChampionOnLabels] | None = None
    if corpus.read_only:
        progress.note("the home is read-only: champions are not tried on labels, which would be written down")
    elif not any(problem.startswith("audit chains: ") for problem in problems):
        champions, found = _champions(corpus, settings.home, settings.promotion)
        problems += [f"labelled clips: {problem}" for problem in found]
    remarks = None if settings.audit.anchor is not None else (NO_ANCHOR,)
    return DoctorReport(checks, tuple(problems), champions=champions, remarks=remarks)


def _champions(
    corpus: Corpus, home: Path, promotion: PromotionSettings
) -> tuple[Mapping[Kind, ChampionOnLabels], list[str]]:
    """Return how the champions do on labelled clips, and what stands in the way, damaged labels too."""
    damaged: dict[str, None] = {}
    listening = replace(corpus, on_damaged=lambda error: damaged.setdefault(str(error)))
    try:
        return champions_on_labels(listening, home, promotion), list(damaged)[:NAMED]
    except EarmarkError as error:
        return {}, [*list(damaged)[:NAMED], str(error)]


def _erasures(corpus: Corpus) -> Found:
    """Return how many places an erasure or a withdrawal has not reached yet: it was killed, or they did not answer."""
    with corpus.read() as conn:
        hops = erased.not_reached(conn)
    return {"unfinished": len(hops)}, [
        f"an erasure or a withdrawal has not reached the {hop} since {since:%Y-%m-%d %H:%M} UTC; run earmark doctor"
        " --repair, and the next earmark erase, consent or nightly tries again, too"
        for hop, since in hops.items()
    ]


def _consent(corpus: Corpus, settings: IngestSettings) -> Found:
    """Return how many clips may be used for what; where none may be annotated for want of a notice, that is wrong."""
    uses = consent_use.clip_uses(corpus)
    problem = consent_problem(corpus, settings, uses)
    counts = {"scored": uses.score, "annotated": uses.annotate, "trained on": uses.train}
    return counts, [problem] if problem else []


def _datasets(corpus: Corpus) -> Found:
    """Return how many datasets that were handed out are still there, and those that are there after their date."""
    with corpus.read() as conn:
        rows = datasets.all_datasets(conn)
    states = [datasets.state_of(row, corpus.clock()) for row in rows]
    problems = [
        f"{row.dataset_id} was to be kept until {datasets.until_text(row.expires_at)} only; "
        f"run earmark dataset delete {row.dataset_id}"
        for row, state in zip(rows, states, strict=True)
        if state == "expired" and row.expires_at is not None
    ]
    return {"handed_out": len(rows), "gone": states.count("gone")}, problems


def _inventory(corpus: Corpus, home: Path, settings: InventorySettings) -> Found:
    """Return how many former names there are; where case does not count, check that none is another name without it."""
    with corpus.read() as conn:
        former = sum(len(stored.mapped) for stored in inventory.stored_names(conn).values())
    if settings.fold_case:
        try:
            inventory_of(corpus, home, settings)
        except UsageError as error:
            return {"former names": former}, [str(error)]
    return {"former names": former}, []


def _decoder(corpus: Corpus, settings: Settings) -> Found:
    """Check that a decoder can be built: it is installed, its files are what they should be, and the base takes it."""
    from training.asr.beam_build import FILES, check_files
    from training.asr.beam_files import check_head
    from training.asr.loading import head_of
    from training.asr.word_beam import check_installed

    if settings.asr.decoder != "beam":
        return {"sources": 0}, []
    check_installed()
    check_files(settings.asr.beam)
    check_head(head_of(base_to_learn_from(corpus, settings.home, settings.models, "asr").folder))
    return {"sources": sum(getattr(settings.asr.beam, name) is not None for name in FILES)}, []


def _logs(corpus: Corpus, place: str | None) -> Found:
    found = verify_logs(corpus, place)
    counts = {"records": found.records, "vault": found.vault, "checkpoints": found.checkpoints}
    return counts | ({"copies at the anchor": found.anchored} if found.anchored is not None else {}), [*found.problems]


def _counts(corpus: Corpus) -> Found:
    """Check that received = accepted + refused, and that accepted = the number of rows, whatever their state."""
    with corpus.read() as conn:
        reported, recorded = ingest_batches.totals(conn), utterances.counts(conn)
    problems = [
        f"ingests reported {count} {name}, {recorded[name]} are in the records; restore a backup"
        for name, count in reported.items()
        if count != recorded[name]
    ]
    return recorded, problems


def _models(
    corpus: Corpus,
    home: Path,
    models: ModelSettings,
    tracking_settings: TrackingSettings,
    erasure_settings: ErasureSettings,
) -> Found:
    """Check that MLflow has the same versions and aliases, and that champions and bases load and are not tainted.

    Also that the settings name the base of the home, or none, and that no killed command left a base unfinished.
    """
    from training.tracking.aliases import registry_problems
    from training.tracking.store import open_tracking

    counts: Counts = {}
    problems: list[str] = []
    if corpus.read_only and tracking_settings.uri is None:  # MLflow opens no database that it can't write to
        progress.note("the home is read-only: versions are not compared with those of MLflow")
    tracking = None if corpus.read_only and tracking_settings.uri is None else open_tracking(tracking_settings, home)
    for kind in KINDS:
        with corpus.read() as conn:
            versions = store.versions(conn, kind)
            aliases = standing(conn, kind)
            older = {name: store.alias(conn, kind, name) for name in aliases}
        counts[kind] = len(versions)
        with progress.track(f"comparing the files of {kind} versions", len(versions), "versions") as advance:
            if tracking is not None:
                problems += registry_problems(tracking, kind, versions, aliases, advance, older)
    with corpus.read() as conn:
        problems += tainted_champions(conn, erasure_settings, corpus.clock())
    problems += [each.problem for each in blocked_models(corpus, home, models)]
    problems += other_bases(corpus, home, models)
    if left := len(left_drafts(home)):
        problems.append(f"{left} unfinished bases of killed commands are in the home; run earmark doctor --repair")
    return counts, problems


def _task_folder(corpus: Corpus, folder: Path, answers: Path, due_days: int) -> Found:
    """Check that the folder has files and lines of open tasks only."""
    now = task_status.task_status(corpus)
    files = len(task_folder.stray(folder, answers, due_days, now.rounds, now.wanted, corpus.clock()))
    lines = task_folder.stray_lines(folder, now.rounds, now.wanted)
    problems = []
    if now.to_close:
        problems.append(
            f"{len(now.to_close)} tasks are overdue or may not be shown any more; run earmark doctor --repair"
        )
    if files or lines:
        problems.append(f"{files} files and {lines} lines belong to no open task; run earmark doctor --repair")
    return {"open tasks": len(now.all_wanted), "stray files": files, "stray lines": lines}, problems

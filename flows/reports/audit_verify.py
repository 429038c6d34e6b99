"""Verify the audit logs: rows, signed checkpoints, the copies at the anchor, and the state that the logs recount."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corpus.errors import ChainBroken, Damaged, EarmarkError, UsageError
from corpus.handle import Corpus
from corpus.storage import anchor, audit_chain
from corpus.storage.merkle import Tree
from corpus.storage.signed_note import Verifier
from corpus.tables import checkpoints
from corpus.tables.audit_state import compare_state
from corpus.tables.checkpoints import LOGS, Checkpoint, Log, read_checkpoint
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.session import opened
from flows.runtime.settings import Settings

NO_ANCHOR = (
    "there is no anchor: logs that were rewritten as a whole by someone who has the audit key, and records and vault"
    " that were both put back to an older day, can't be told from honest ones; set audit.anchor"
)

NO_CHECKPOINT = "no checkpoint was signed yet; the next command that adds to the logs signs one"

KEY_ALONE = (
    "the audit key is there, and no checkpoint: none was signed yet, as in a home or a backup of before, or they were"
    " removed; without a checkpoint at an anchor these can't be told apart"
)

NEW_ANCHOR = (
    "if you put back a backup, keep the anchor as it is, as evidence, and set audit.anchor to a new place; see Backup"
    " and restore in docs/operations.md"
)


@dataclass(frozen=True, slots=True)
class AuditVerification(Result):
    """What was looked at, and what is wrong.

    Attributes:
        records, vault: how many rows each log has.
        checkpoints: how many signed checkpoints of the home were compared with the logs.
        newest: counter of the newest one of them; None where there is none.
        unsealed: how many rows came after it; the chain of hashes alone has them.
        anchor: place with the copies; None without one.
        anchored: how many copies were compared with the logs; None without an anchor.
        compared: how much of the state was compared with the logs, by kind; empty where a log is broken.
        remarks: what can't be told, or is not yet there.
        problems: what is wrong, one line each.
    """

    records: int
    vault: int
    checkpoints: int = 0
    newest: int | None = None
    unsealed: int = 0
    anchor: str | None = None
    anchored: int | None = None
    compared: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def verify_audit(settings: Settings, place: str | None = None, key: Verifier | None = None) -> AuditVerification:
    """Verify both logs of a home, with the copies at `place`, or else at the anchor of the settings."""
    with opened(settings, create=False) as corpus:
        return verify_logs(corpus, place or settings.audit.anchor, key)


def verify_logs(corpus: Corpus, place: str | None, key: Verifier | None = None) -> AuditVerification:
    """Verify both logs, and what can be verified with them.

    Args:
        corpus: the handle.
        place: anchor with copies of the checkpoints; None for none.
        key: public key that the checkpoints must be signed by; None for that of the home.
    """
    # The copies first, then the home's own, then the logs: each only grows, and a command may add to all of them now.
    copies = None if place is None else _read_copies(corpus, place)
    notes = {log: checkpoints.stored_notes(corpus, log) for log in LOGS}
    own = key or _own_key(corpus)
    trees, broken = _trees(corpus)
    sizes = {log: len(trees[log].levels[0]) for log in LOGS}
    problems = tuple(f"{log}: {problem}" for log, problem in broken.items())
    report = AuditVerification(sizes["records"], sizes["vault"], anchor=place, problems=problems)
    found: list[Checkpoint] = []
    if own is None:
        report = _without_key(corpus, report, notes)
    else:
        found, wrong = _stored(notes, own, trees, broken)
        newest = found[-1] if found else None
        unsealed = sum(sizes.values()) - (sum(head.size for head in newest.heads.values()) if newest else 0)
        report = replace(
            report,
            checkpoints=len(found),
            newest=newest.counter if newest else None,
            unsealed=max(0, unsealed),
            problems=(*report.problems, *wrong),
        )
        if newest is None and not wrong:
            report = _noted(report, KEY_ALONE)
    report = _noted(report, NO_ANCHOR) if copies is None else _with_anchor(report, copies, own, found, trees, broken)
    if report.unsealed and report.newest is not None:
        report = _noted(report, f"{report.unsealed} rows came after the last checkpoint; the chain alone has them")
    if broken:
        return _noted(report, "a log is broken, so the state of consent, keys and erasures was not compared with it")
    with progress.track("comparing the state with the audit logs", None, ""):
        state = compare_state(corpus)
    return replace(report, compared=state.compared, problems=(*report.problems, *state.problems))


def _noted(report: AuditVerification, line: str, *, wrong: bool = False) -> AuditVerification:
    if wrong:
        return replace(report, problems=(*report.problems, line))
    return replace(report, remarks=(*report.remarks, line))


def _trees(corpus: Corpus) -> tuple[Mapping[Log, Tree], Mapping[Log, str]]:
    """Return the trees of the logs, of a broken one up to its first wrong row, and what is wrong by log."""
    trees: dict[Log, Tree] = {}
    broken: dict[Log, str] = {}
    for log in LOGS:
        engine, table = checkpoints.engine_of(corpus, log), checkpoints.TABLES[log]
        leaves: list[bytes] = []
        try:
            total = audit_chain.length(engine, table)
            with progress.track(f"verifying the audit chain of the {log}", total) as advance:
                leaves.extend(audit_chain.verified_leaves(engine, table, advance))
        except ChainBroken as error:
            broken[log] = str(error)
        trees[log] = Tree(leaves)
    return trees, broken


def _own_key(corpus: Corpus) -> Verifier | None:
    signer = checkpoints.audit_signer(corpus, make=False)
    return None if signer is None else signer.verifier


def _without_key(
    corpus: Corpus, report: AuditVerification, notes: Mapping[Log, Mapping[int, str]]
) -> AuditVerification:
    if any(notes.values()):
        line = (
            f"the audit key {checkpoints.key_file(corpus)} is missing: put it back, or give its public key with --key"
        )
        return _noted(report, line, wrong=True)
    return _noted(report, NO_CHECKPOINT)


# --- checkpoints ------------------------------------------------------------------------------------------------------


def _stored(
    notes: Mapping[Log, Mapping[int, str]], key: Verifier, trees: Mapping[Log, Tree], broken: Collection[Log]
) -> tuple[list[Checkpoint], list[str]]:
    """Return the checkpoints that the home stores, oldest first, and what is wrong with them."""
    in_records, in_vault = (notes[log] for log in LOGS)
    every = {**in_vault, **in_records}
    problems: list[str] = []
    # One that is in the vault alone is that of a process that was killed before it was in both.
    if lost := [counter for counter in in_records if counter not in in_vault]:
        problems.append(f"the vault lacks checkpoint {lost[0]}, which the records have: it is older, or was changed")
    if other := [counter for counter, note in in_vault.items() if note != every[counter]]:
        problems.append(f"checkpoint {other[0]} is another one in the vault than in the records")
    if missing := [counter for counter in range(1, max(every, default=0)) if counter not in every]:
        problems.append(f"checkpoint {missing[0]} is missing, with {len(missing) - 1} more: they were removed")
    found, wrong = _compared("the home", [every[counter] for counter in sorted(every)], key, trees, broken)
    return found, problems + wrong


@dataclass(frozen=True, slots=True)
class _Copies:
    """What an anchor has.

    Attributes:
        place: of the anchor.
        notes: the copies, oldest first.
        fault: why they can't be read; None where they were.
        is_absent: whether there is nothing at the place, as before the first checkpoint.
    """

    place: str
    notes: Sequence[str] = ()
    fault: str | None = None
    is_absent: bool = False


def _read_copies(corpus: Corpus, place: str) -> _Copies:
    try:
        return _Copies(place, anchor.read_notes(place, corpus.settings.store_timeout))
    except UsageError as error:
        return _Copies(place, fault=str(error), is_absent=True)
    except EarmarkError as error:
        return _Copies(place, fault=str(error))


def _with_anchor(
    report: AuditVerification,
    copies: _Copies,
    key: Verifier | None,
    own: Sequence[Checkpoint],
    trees: Mapping[Log, Tree],
    broken: Collection[Log],
) -> AuditVerification:
    """Return the report with what the copies say beside the home's `own` checkpoints."""
    if copies.fault is not None:
        return _noted(report, copies.fault, wrong=report.newest is not None or not copies.is_absent)
    if key is None:
        line = f"the copies at {copies.place} were not compared, as there is no key"
        return _noted(report, line, wrong=bool(copies.notes))
    found, problems = _compared("the anchor", copies.notes, key, trees, broken, own)
    counters = [each.counter for each in found]
    if any(b <= a for a, b in itertools.pairwise(counters)):
        problems.append("the anchor has checkpoints twice, or in another order than they were signed in")
    report = replace(report, anchored=len(found), problems=(*report.problems, *problems))
    if _parted(found, own) is not None:
        return report
    newest, stored = max(counters, default=0), report.newest or 0
    if newest > stored:
        home = f"{stored} at most:" if stored else "none: they were removed, or"
        line = f"the anchor has checkpoint {newest}, the home has {home} both databases are of an older day"
        return _noted(report, f"{line}; {NEW_ANCHOR}", wrong=True)
    if newest < stored:
        return _noted(report, f"the anchor lacks {stored - newest} checkpoints; the next command adds them")
    return report


def _parted(copies: Sequence[Checkpoint], own: Sequence[Checkpoint]) -> Checkpoint | None:
    """Return the first checkpoint of an anchor of which the home signed another one; None where there is none."""
    by_counter = {each.counter: each for each in own}
    return next((each for each in copies if by_counter.get(each.counter, each) != each), None)


def _compared(
    where: str,
    notes: Sequence[str],
    key: Verifier,
    trees: Mapping[Log, Tree],
    broken: Collection[Log],
    own: Sequence[Checkpoint] = (),
) -> tuple[list[Checkpoint], list[str]]:
    """Return the checkpoints of notes, and where a log that is not broken is first not what they say.

    From the first one on of which the home signed another one, they are about other rows and not compared.
    """
    found: list[Checkpoint] = []
    problems: list[str] = []
    for position, note in enumerate(notes, 1):
        try:
            found.append(read_checkpoint(note, key))
        except Damaged as error:
            problems.append(f"{where}, checkpoint {position}: {error}")
    parted = _parted(found, own)
    wrong = set(broken)
    for checkpoint in found[: None if parted is None else found.index(parted)]:
        for log in LOGS:
            if log not in wrong and (line := _difference(where, checkpoint, log, trees[log])):
                wrong.add(log)
                problems.append(line)
    if parted is not None:
        problems.append(
            f"the home was put back to before checkpoint {parted.counter} of {where}, signed"
            f" {parted.at:%Y-%m-%d %H:%M} UTC, and went on, or its logs were written and signed anew; {NEW_ANCHOR}"
        )
    return found, problems


def _difference(where: str, checkpoint: Checkpoint, log: Log, tree: Tree) -> str | None:
    """Return how a log is not what a checkpoint says; None if it is."""
    head, rows = checkpoint.heads[log], len(tree.levels[0])
    signed = f"checkpoint {checkpoint.counter} of {where}, signed {checkpoint.at:%Y-%m-%d %H:%M} UTC,"
    if head.size > rows:
        return f"{log}: {signed} has {head.size} rows, the log has {rows}: it was cut, or is of an older day"
    if tree.root(head.size) != head.root:
        return f"{log}: {signed} has other rows among the first {head.size}: rows were changed, and hashed anew"
    return None

"""Find what an erasure is asked to erase: utterances by their ids, or those of accounts and devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.tables import erased
from corpus.vault import find
from flows.runtime import progress

What: TypeAlias = Literal["utterance", "account", "device"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be erased.

    Attributes:
        utterance_ids: sorted; also those that were erased before.
        speakers: pseudonyms of the speakers whose account goes, too.
        notes: what the person has to know about it, without an account or a serial number.
    """

    utterance_ids: tuple[str, ...]
    speakers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_target(
    corpus: Corpus, what: What, names: Sequence[str], since: datetime | None = None, until: datetime | None = None
) -> Target:
    """Return what is to be erased.

    Args:
        corpus: the handle.
        what: what the names are.
        names: utterance ids, accounts or serial numbers of devices.
        since: of accounts and devices, only what arrived from then on; None for no bound.
        until: the same, before then.

    Raises:
        UsageError: an utterance or an account is unknown; the message names an account by its position alone.
    """
    if what == "utterance":
        return _utterances(corpus, sorted(set(names)))
    is_part = since is not None or until is not None
    found: set[str] = set()
    speakers: list[str] = []
    notes: list[str] = []
    for position, name in enumerate(names, 1):
        called = f"{what} {position} of {len(names)}" if len(names) > 1 else f"the {what}"
        ids, speaker, noted = (
            _of_account(corpus, name, called) if what == "account" else _of_device(corpus, name, called)
        )
        found |= ids
        notes += noted
        speakers += [speaker] if speaker and not is_part else []
    chosen = sorted(found)
    if is_part:
        with corpus.read() as conn:
            chosen = erased.arrived_between(conn, chosen, since, until)
    return Target(tuple(chosen), tuple(speakers), tuple(notes))


def _utterances(corpus: Corpus, ids: list[str]) -> Target:
    with corpus.read() as conn:
        unknown = erased.unknown_ids(conn, ids)
    unknown -= find.ids_in(corpus.vault, sorted(unknown))
    if unknown:
        more = f" and {len(unknown) - 1} more are" if len(unknown) > 1 else " is"
        raise UsageError(f"utterance {min(unknown)}{more} unknown, and nothing was erased; correct the list")
    return Target(tuple(ids))


def _of_account(corpus: Corpus, account: str, called: str) -> tuple[set[str], str | None, list[str]]:
    held = find.find_account(corpus.vault, account)
    speaker = held.speaker_id
    if speaker is None:
        raise UsageError(f"{called} is unknown: nothing is held of it, and nothing was erased; correct the name")
    if held.state != "held":
        when = f"was erased on {held.erased_at:%Y-%m-%d}" if held.erased_at else "has no utterance yet"
        held_of_it = "keyed hashes alone are held of it" if held.erased_at else "its consent or rows that wait are held"
        return (
            set(),
            speaker,
            [f"{called} {when}: {held_of_it}; a row of it that waits, such as for its clip, stays out"],
        )
    with corpus.read() as conn:
        ids = set(erased.of_speaker(conn, speaker))
    return ids | set(find.of_speaker(corpus.vault, speaker)), speaker, []


def _of_device(corpus: Corpus, serial: str, called: str) -> tuple[set[str], str | None, list[str]]:
    with progress.track("reading serial numbers", None, "utterances") as advance:
        found = find.of_device(corpus.vault, serial, advance)
    notes = [] if found.utterance_ids else [f"no utterance of {called} is held; is the serial number right?"]
    if found.unreadable:
        notes.append(f"{found.unreadable} serial numbers can't be decrypted, so some may be of {called}")
    return set(found.utterance_ids), None, notes

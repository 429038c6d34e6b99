"""What is held about a customer, for a customer who asks: facts, who heard what when, what learned, consents over time.

It is read through the door with the purpose `access`, by a privacy officer, and each look is a row of the audit chains.
Content is read only where it is asked for.
"""

from __future__ import annotations

import base64
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, get_args

from annotation.assignment import PeopleSettings
from corpus import door
from corpus.audio.wav import wav_bytes
from corpus.errors import Refused, UsageError
from corpus.handle import Corpus
from corpus.storage.content_codec import Content, Part
from corpus.tables import datasets
from corpus.tables import held as held_records
from corpus.tables.held import Heard, HeldRow, Learner
from corpus.tables.people import holder
from corpus.vault import find, stated_consent
from corpus.vault import held as held_vault
from corpus.vault.held import HeldKey, Stated
from corpus.vault.stated_consent import Use
from flows.runtime import progress
from flows.runtime.results import Result

PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""Everything that the door has of an utterance."""

GONE: Final = ("erased", "expired")
"""States of utterances of which ids, times and counts alone are left."""


@dataclass(frozen=True, slots=True)
class HeldContent(Result):
    """What was said in an utterance, and what people and models took it for; content.

    Attributes:
        transcript, intent: of the current label; None without one.
        drafts: texts that models wrote, the likeliest first.
        answers: transcripts of annotators.
        clip: the recording as a WAV file in base64; None where it can't be read.
    """

    transcript: str | None
    intent: str | None
    drafts: tuple[str, ...]
    answers: tuple[str, ...]
    clip: str | None


@dataclass(frozen=True, slots=True)
class HeldUtterance(Result):
    """What is held of one utterance; content only where it was asked for.

    Attributes:
        utterance_id: its id.
        received_at, consent, left: see `corpus.vault.held.HeldKey`; the uses in the order of their names.
        facts: from the records; None where the vault alone knows it.
        heard_by: by how many people it was heard.
        heard_at: when.
        handed_to: to how many people its task was given.
        content: where it was asked for, and the door opened it.
    """

    utterance_id: str
    received_at: datetime | None
    consent: tuple[str, ...]
    left: tuple[str, ...]
    facts: HeldRow | None
    heard_by: int
    heard_at: tuple[datetime, ...]
    handed_to: int
    content: HeldContent | None = None


@dataclass(frozen=True, slots=True)
class AccessReport(Result):
    """What is held about an account.

    Attributes:
        speaker: its pseudonym.
        state: `held`, `waiting` where rows wait or a consent alone is held, or `erased`.
        erased_at: when it was erased; None where it was not.
        at: when this was looked up.
        by: who did.
        utterances: by time of arrival.
        heard: how many of them were heard.
        people: by how many people altogether.
        seconds: how long those that are still there are together [s].
        uses: by use, whether it may be made now, since when, of how many utterances.
        notice: version of the notice that the customer saw, where it was stated apart from rows.
        stated: consents that were withdrawn or agreed to apart from what each utterance was ingested with.
        learned: versions that learned from them.
        datasets: how many datasets that were handed out have one of them.
        devices: how many devices they are from.
        serials: serial numbers of these; None where content was not asked for.
        closed: how many of them the door did not open, by reason; None where content was not asked for.
    """

    speaker: str
    state: Literal["waiting", "erased", "held"]
    at: datetime
    by: str
    utterances: tuple[HeldUtterance, ...]
    heard: int
    people: int
    seconds: float
    uses: Mapping[str, Use]
    stated: tuple[Stated, ...]
    learned: tuple[Learner, ...]
    datasets: int
    devices: int
    notice: str | None = None
    erased_at: datetime | None = None
    serials: tuple[str, ...] | None = None
    closed: Mapping[str, int] | None = None


def officer(people: PeopleSettings) -> str:
    """Return the login of the user who runs the command, who is a privacy officer.

    It is that of the process's user, whatever a variable of the environment or an option says.

    Raises:
        Refused: the user is none.
    """
    uid = os.getuid()
    try:
        login = pwd.getpwuid(uid).pw_name
    except KeyError:  # the user of a container may have no name
        login = str(uid)
    if login not in people.privacy_officers:
        raise Refused(
            f"{login} is no privacy officer, and nothing was read: name the login in people.privacy_officers of the"
            " file of settings, or ask one who is named there"
        )
    return login


def access(corpus: Corpus, people: PeopleSettings, account: str, *, content: bool) -> AccessReport:
    """Return what is held about an account, after the look is in the audit chain.

    Args:
        corpus: the handle.
        people: who the privacy officers are.
        account: as manifests have it.
        content: also read what was said, and the serial numbers of devices.

    Raises:
        Refused: the user is no privacy officer.
        UsageError: the vault does not know the account.
    """
    login = officer(people)
    known = find.find_account(corpus.vault, account)
    if known.state == "unknown" or known.speaker_id is None:
        raise UsageError("there is no such account in the vault; nothing is held of it, or its spelling is another")
    keys = held_vault.held_keys(corpus.vault, known.speaker_id)
    ids = sorted(keys)
    held_vault.record_access(corpus.vault, known.speaker_id, ids, holder(login), content=content)
    with corpus.read() as conn:
        facts = held_records.rows(conn, ids)
        heard = held_records.heard(conn, ids)
        learned = held_records.learners(conn, ids)
        copies = datasets.holding(conn, ids)
    utterances = _utterances(keys, facts, heard)
    serials = held_vault.serials(corpus.vault, ids)
    consents = None if known.state == "erased" else stated_consent.account_consent(corpus.vault, account)
    report = AccessReport(
        speaker=known.speaker_id,
        state=known.state,
        at=corpus.clock(),
        by=login,
        utterances=utterances,
        heard=sum(each.heard_by > 0 for each in utterances),
        people=len(set().union(*(each.people for each in heard.values()))),
        seconds=sum(each.facts.seconds for each in utterances if each.facts and each.facts.state not in GONE),
        uses={} if consents is None else consents.uses,
        stated=tuple(held_vault.stated(corpus.vault, known.speaker_id)),
        learned=tuple(learned),
        datasets=len(copies),
        devices=len(serials),
        notice=None if consents is None else consents.notice,
        erased_at=known.erased_at,
    )
    return _with_content(corpus, report, holder(login), serials) if content else report


def _utterances(
    keys: Mapping[str, HeldKey], facts: Mapping[str, HeldRow], heard: Mapping[str, Heard]
) -> tuple[HeldUtterance, ...]:
    found = [
        HeldUtterance(
            utterance_id=utterance_id,
            received_at=key.received_at,
            consent=tuple(sorted(key.consent)),
            left=tuple(sorted(key.left)) if key.destroyed_at is None else (),
            facts=facts.get(utterance_id),
            heard_by=len(heard[utterance_id].people),
            heard_at=tuple(heard[utterance_id].times),
            handed_to=len(heard[utterance_id].handed_to),
        )
        for utterance_id, key in keys.items()
    ]
    return tuple(sorted(found, key=lambda each: (str(each.facts and each.facts.arrived_at), each.utterance_id)))


def _with_content(corpus: Corpus, report: AccessReport, actor: str, serials: Sequence[str]) -> AccessReport:
    """Return the report with what the door opens for `access`; what was set aside stays closed."""
    ids = [each.utterance_id for each in report.utterances]
    with corpus.read() as conn:
        closed = door.closures(corpus, conn, ids, "access", actor)
    opened = door.open(corpus, ids, "access", actor=actor, parts=PARTS, strict=False)
    found = {
        content.utterance.utterance_id: _content(content)
        for content in progress.over(opened, "reading content", len(ids) - len(closed), "clips")
    }
    counts: dict[str, int] = {}
    for why in closed.values():
        counts[why] = counts.get(why, 0) + 1
    filled = tuple(replace(each, content=found.get(each.utterance_id)) for each in report.utterances)
    return replace(report, utterances=filled, serials=tuple(serials), closed=counts)


def _content(content: Content) -> HeldContent:
    clip = None if content.audio is None else wav_bytes(content.audio, content.sample_rate)
    return HeldContent(
        transcript=content.label.transcript if content.label else None,
        intent=content.label.intent if content.label else None,
        drafts=tuple(each.text for each in content.hypotheses or ()),
        answers=tuple(each.transcript for each in content.annotations if each.transcript is not None),
        clip=None if clip is None else base64.b64encode(clip).decode(),
    )

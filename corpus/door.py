"""The door: the only code that decrypts somebody's speech, their transcripts and their labels.

Each call first checks every utterance (erased, quarantine, consent, retention, lease), then writes the audit rows, then
streams the content. A program's batch is one audit row with the digest of its ids. A person who listens to clips causes
one audit row for each clip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args

import sqlalchemy as sa

from corpus.errors import Damaged, DoorClosed, RecordError
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.base import Purpose, digest
from corpus.records.inventory import named_now
from corpus.storage import audit_chain, cipher, packs
from corpus.storage import content_codec as contents
from corpus.storage.content_codec import Content, Part, seal_name
from corpus.storage.database import fetch_among, reading, writing
from corpus.storage.records_schema import answers, labels, leases, scores, utterances
from corpus.storage.records_schema import audit as audit_table
from corpus.storage.records_schema import parts as parts_table
from corpus.tables.inventory import names_now
from corpus.tables.leases import ANYONE, PERSON
from corpus.tables.retention import retention_limits
from corpus.tables.utterances import as_location, as_utterance
from corpus.text import normalise_with_spans
from corpus.vault import consent, vault

CONSENT_FOR: Final[dict[Purpose, str]] = {
    "score": "score",
    "annotate": "annotate",
    "train": "train",
    "judge": "annotate",
}
"""Consent that each purpose needs. Judging compares a model with annotations, so it needs the consent to annotate.

`access` is that of customers who ask what is held about them: it needs no consent and ends with no retention.
"""


REMEDIES: Final = {
    "unknown": "check the id",
    "erased": "it was deleted for good; drop it from the list",
    "quarantine": "it was set aside; drop it from the list",
    "consent": "its customer does not allow this use; drop it from the list",
    "retention": "it is older than the retention allows; drop it from the list",
    "lease": "export its round again, which grants a new lease to what is open or overdue",
}
"""What to do about each reason for which an utterance stays closed."""

BATCH: Final = 128
"""Number of utterances that are in memory at once; 128 clips of 30 s take about 250 MB."""


def open(
    corpus: Corpus,
    utterance_ids: Sequence[str],
    purpose: Purpose,
    *,
    actor: str = "earmark",
    parts: Sequence[Part] = ("audio",),
    strict: bool = True,
    versions: tuple[str, str] | None = None,
    label_revisions: Mapping[str, int] | None = None,
) -> Iterator[Content]:
    """Check utterances, record the opening, and return an iterator over their content in the given order.

    Args:
        corpus: the handle.
        utterance_ids: (N,) without repeats.
        purpose: what the content is used for; `judge` needs the consent to annotate, `access` none.
        actor: `person:<id>` for a person, who also needs a lease to annotate; otherwise the name of a program.
        parts: one or more of `audio`, `hypotheses`, `annotations`, `label`. Hypotheses have the names in use,
            also where the intent model that made them knows former ones.
        strict: True to refuse the batch if one utterance is closed; False to leave closed ones out and count them, and
            to give damaged ones to the handle's `on_damaged`.
        versions: ASR and intent version of the hypotheses; None for the latest that scored each utterance.
        label_revisions: revision of the label by utterance id; the current label is used for ids that are not in it.

    Raises:
        DoorClosed: `strict`, and an utterance is closed; nothing was opened.
        RecordError: a purpose or part is unknown, or an id appears twice.
        Damaged: an utterance can't be decrypted, and it is `strict` or nobody is told of damage; raised while the
            content is streamed.
    """
    _check_arguments(utterance_ids, purpose, parts)
    with writing(corpus.records) as conn:
        audit_chain.lock(conn, audit_table)
        closed = closures(corpus, conn, utterance_ids, purpose, actor)
        if strict and closed:
            first = next(i for i in utterance_ids if i in closed)
            raise DoorClosed(first, closed[first], REMEDIES[closed[first]])
        opened = [i for i in utterance_ids if i not in closed]
        audit_chain.append_many(conn, audit_table, "open", actor, _details(opened, closed, purpose, actor, parts))
    return _stream(corpus, opened, frozenset(parts), versions, label_revisions or {}, strict)


def closures(
    corpus: Corpus, conn: sa.Connection, utterance_ids: Sequence[str], purpose: Purpose, actor: str = "earmark"
) -> dict[str, str]:
    """Return, by id, why an utterance would stay closed; ids that would be opened are left out."""
    closed: dict[str, str] = {}
    oldest, oldest_labelled = retention_limits(corpus)
    labelled = labels.c.utterance_id.is_not(None)
    columns = [utterances.c[name] for name in ("utterance_id", "state", "arrived_at", "expired_as")]
    statement = sa.select(*columns, labelled).outerjoin(
        labels, sa.and_(labels.c.utterance_id == utterances.c.utterance_id, labels.c.current)
    )
    rows = {row[0]: row for row in fetch_among(conn, statement, utterances.c.utterance_id, utterance_ids)}
    is_access = purpose == "access"
    needed = CONSENT_FOR.get(purpose)
    allowed = [True] * len(utterance_ids) if needed is None else _consenting(corpus, utterance_ids, needed)
    leased = _leased(corpus, conn, utterance_ids, actor) if purpose == "annotate" and _is_person(actor) else None
    for utterance_id, consents in zip(utterance_ids, allowed, strict=True):
        row = rows.get(utterance_id)
        if row is None:
            closed[utterance_id] = "unknown"
        elif row[3] is not None:
            closed[utterance_id] = "retention"
        elif row[1] == "erased":
            closed[utterance_id] = "erased"
        elif row[1] != "accepted" and not (is_access and corpus.settings.access_set_aside):
            closed[utterance_id] = "quarantine"
        elif not consents:
            closed[utterance_id] = "consent"
        elif not is_access and row[2] < (oldest_labelled if row[4] else oldest):
            closed[utterance_id] = "retention"
        elif leased is not None and utterance_id not in leased:
            closed[utterance_id] = "lease"
    return closed


def _consenting(corpus: Corpus, utterance_ids: Sequence[str], needed: str) -> list[bool]:
    return [bool(each) for each in consent.consenting(corpus.vault, utterance_ids, needed)]


def _check_arguments(utterance_ids: Sequence[str], purpose: str, parts: Sequence[str]) -> None:
    if purpose not in get_args(Purpose):
        raise RecordError(f"purpose {purpose!r} is unknown; known are {', '.join(get_args(Purpose))}")
    unknown = sorted(set(parts) - set(get_args(Part)))
    if unknown or not parts:
        raise RecordError(f"parts must be some of {', '.join(get_args(Part))}, not {', '.join(unknown) or 'none'}")
    if len(set(utterance_ids)) != len(utterance_ids):
        raise RecordError("an utterance appears twice among those to open; name each once")


def _is_person(actor: str) -> bool:
    return actor.startswith(PERSON)


def _leased(corpus: Corpus, conn: sa.Connection, ids: Sequence[str], actor: str) -> set[str]:
    statement = sa.select(leases.c.utterance_id).where(
        leases.c.holder.in_([actor, ANYONE]), leases.c.purpose == "annotate", leases.c.until > corpus.clock()
    )
    return {row.utterance_id for row in fetch_among(conn, statement, leases.c.utterance_id, ids)}


def _details(
    opened: Sequence[str], closed: Mapping[str, str], purpose: str, actor: str, parts: Sequence[str]
) -> list[Mapping[str, Any]]:
    common: dict[str, Any] = {"purpose": purpose, "parts": sorted(set(parts))}
    if _is_person(actor):
        return [{"utterance_id": utterance_id, **common} for utterance_id in opened]
    if not opened and not closed:
        return []
    skipped = {"skipped": dict(sorted(Counter(closed.values()).items()))} if closed else {}
    return [{"count": len(opened), "digest": digest(sorted(opened)), **common, **skipped}]


Bad: TypeAlias = dict[str, Damaged]
"""What can't be read of the utterances of a batch, by id; the first of each."""


def _stream(
    corpus: Corpus,
    ids: Sequence[str],
    parts: frozenset[Part],
    versions: tuple[str, str] | None,
    revisions: Mapping[str, int],
    strict: bool,
) -> Iterator[Content]:
    on_damaged = None if strict else corpus.on_damaged
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        bad: Bad = {}
        keys = vault.data_keys(corpus.vault, batch, bad)
        erased = [i for i in batch if i not in keys and i not in bad]  # erased since the check
        if strict and erased:
            raise DoorClosed(erased[0], "erased", REMEDIES["erased"])
        batch = [i for i in batch if i in keys or i in bad]
        with reading(corpus.records) as conn:
            rows = {
                row.utterance_id: row
                for row in fetch_among(conn, sa.select(utterances), utterances.c.utterance_id, batch)
            }
            hypotheses = _hypotheses(conn, keys, versions, bad) if "hypotheses" in parts else {}
            annotations = _annotations(conn, keys, bad) if "annotations" in parts else {}
            labels_by_id = _labels(conn, keys, revisions, bad) if "label" in parts else {}
        sealed = _audio(corpus, [rows[i] for i in keys if i in rows], bad) if "audio" in parts else {}
        for utterance_id in batch:
            utterance = as_utterance(rows[utterance_id])
            data = _decrypted(keys, utterance_id, sealed.pop(utterance_id, None), "audio", bad)
            if utterance_id in bad:
                if on_damaged is None:
                    raise bad[utterance_id]
                on_damaged(bad[utterance_id])
                continue
            yield Content(
                utterance=utterance,
                audio=None if data is None else contents.decode_audio(data, utterance),
                sample_rate=utterance.sample_rate,
                hypotheses=hypotheses.get(utterance_id),
                annotations=tuple(annotations.get(utterance_id, ())),
                label=labels_by_id.get(utterance_id),
            )


def _decrypted(keys: Mapping[str, bytes], utterance_id: str, data: bytes | None, what: str, bad: Bad) -> bytes | None:
    """Return the plaintext of a ciphertext; None where there is none, or where it is bad, which is written down."""
    if data is None:
        return None
    try:
        return cipher.decrypt(keys[utterance_id], data, seal_name(utterance_id, what))
    except Damaged as error:
        bad.setdefault(utterance_id, error)
        return None


def _audio(corpus: Corpus, rows: Sequence[sa.Row[Any]], bad: Bad) -> dict[str, bytes]:
    """Return the ciphertexts of clips by id; a pack that is missing or too short costs its own clips alone."""
    sealed, lost = packs.read_all(corpus.fs, corpus.root, _located(rows))
    if lost:  # an erasure may have moved these clips to another pack between the query and the read
        with reading(corpus.records) as conn:
            found = list(fetch_among(conn, sa.select(utterances), utterances.c.utterance_id, list(lost)))
        again, lost = packs.read_all(corpus.fs, corpus.root, _located(found))
        sealed |= again
    for utterance_id, error in lost.items():
        bad.setdefault(utterance_id, error)
    return sealed


def _located(rows: Sequence[sa.Row[Any]]) -> list[tuple[str, packs.Location]]:
    return [(row.utterance_id, location) for row in rows if (location := as_location(row)) is not None]


def _hypotheses(
    conn: sa.Connection, keys: Mapping[str, bytes], versions: tuple[str, str] | None, bad: Bad
) -> dict[str, tuple[Hypothesis, ...]]:
    statement = (
        sa.select(scores, parts_table.c.seq)
        .join(parts_table, parts_table.c.path == scores.c.part)
        .where(scores.c.hypotheses.is_not(None))
    )
    if versions is not None:
        statement = statement.where(scores.c.asr_version == versions[0], scores.c.intent_version == versions[1])
    found = sorted(fetch_among(conn, statement, scores.c.utterance_id, list(keys)), key=lambda row: int(row.seq))
    latest = {row.utterance_id: row for row in found}
    names = names_now(conn)
    hypotheses: dict[str, tuple[Hypothesis, ...]] = {}
    for i, row in latest.items():
        plain = _decrypted(keys, i, row.hypotheses, f"hypotheses/{row.asr_version}/{row.intent_version}", bad)
        if plain is not None:
            hypotheses[i] = tuple(named_now(each, names) for each in contents.decode_hypotheses(plain))
    return hypotheses


def _annotations(conn: sa.Connection, keys: Mapping[str, bytes], bad: Bad) -> dict[str, list[Annotation]]:
    found = fetch_among(conn, sa.select(answers), answers.c.utterance_id, list(keys))
    ordered = sorted(found, key=lambda row: (row.task_id, row.annotator_id, row.revision, row.variant))
    annotations: dict[str, list[Annotation]] = {}
    for row in ordered:
        name = f"annotation/{row.task_id}/{row.annotator_id}/{row.revision}"
        plain = _decrypted(keys, row.utterance_id, row.content, name, bad)
        if plain is None:
            continue
        transcript, slots, proposal, question = contents.decode_texts(plain)
        annotations.setdefault(row.utterance_id, []).append(
            Annotation(
                task_id=row.task_id,
                annotator_id=row.annotator_id,
                ask=row.ask,
                verdict=row.verdict,
                transcript=transcript,
                intent=row.intent,
                slots=slots,
                lead_time=row.lead_time,
                revision=row.revision,
                proposal=proposal,
                question=question,
            )
        )
    return annotations


def _in_the_form_of_today(
    transcript: str | None, slots: tuple[SlotSpan, ...]
) -> tuple[str | None, tuple[SlotSpan, ...]]:
    """Return a stored text and its slots in the normal form of today; a release of before may have had another."""
    if transcript is None or transcript.isascii():
        return transcript, slots
    try:
        return normalise_with_spans(transcript, slots)
    except RecordError:  # a slot of which today's form leaves nothing
        return transcript, slots


def _labels(conn: sa.Connection, keys: Mapping[str, bytes], revisions: Mapping[str, int], bad: Bad) -> dict[str, Label]:
    found: dict[str, Label] = {}
    for row in fetch_among(conn, sa.select(labels), labels.c.utterance_id, list(keys)):
        utterance_id = row.utterance_id
        if not (row.revision == revisions[utterance_id] if utterance_id in revisions else row.current):
            continue
        plain = _decrypted(keys, utterance_id, row.content, f"label/{row.revision}", bad)
        if plain is None:
            continue
        transcript, slots = _in_the_form_of_today(*contents.decode_texts(plain)[:2])
        found[utterance_id] = Label(
            utterance_id,
            transcript,
            row.intent,
            slots,
            row.agreement,
            row.annotators,
            row.revision,
            row.slots_complete,
        )
    return found

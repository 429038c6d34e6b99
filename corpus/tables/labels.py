"""Labels: their revisions, which of them is current, and why their utterances were chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.annotations import Label
from corpus.records.base import canonical_json
from corpus.records.inventory import NameKind
from corpus.storage import cipher
from corpus.storage.content_codec import encode_texts, mac, seal_name
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.operations import Operation
from corpus.storage.records_schema import answers, labels, operations, rounds, selections, utterances
from corpus.tables import inventory
from corpus.tables.annotations import latest_answers
from corpus.tables.rounds import NO_NIGHT
from corpus.text import normalise
from corpus.vault import vault

if TYPE_CHECKING:
    from corpus.handle import Corpus

Source = Literal["annotators", "manifest", "held_out"]


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A current label without its texts, and why its utterance was chosen.

    Attributes:
        source: `annotators`; or, for a label that was ingested, `manifest`, or `held_out` if it is for judging only.
        reason: `held_out` if it was ingested for judging only; `audit` if any round drew it for the audit share;
            otherwise the reason of the latest round of a night; "" if it was never chosen. A question that was asked
            again is no choice.
        round, inclusion_prob: of the selection with that reason; "" and 1 if it was never chosen.
        reliability: estimated reliability of its annotators, in [0, 1]; 1 until they are reviewed.
    """

    utterance_id: str
    revision: int
    has_transcript: bool
    has_intent: bool
    agreement: float
    annotators: int
    source: str
    reason: str
    round: str
    inclusion_prob: float
    split: str
    speaker_id: str
    reliability: float = 1.0

    @property
    def judges(self) -> bool:
        """Return whether models are judged on it; no model is then trained on it."""
        return self.reason in ("audit", "held_out")


@dataclass(frozen=True, slots=True)
class Draw:
    """The round that drew an utterance for what it is for, and the probability with which it did."""

    round: str
    inclusion_prob: float


def put_labels(
    corpus: Corpus, op: Operation, new_labels: Sequence[Label], source: Source = "annotators"
) -> dict[str, int]:
    """Store each label as the current one of its utterance, in a revision above the last.

    Names of intents and slots are stored with the labels.

    A label of annotators keeps its revision, which is the number of their answers, unless the last revision is as high.
    Other labels get the last revision plus 1.

    Returns:
        Number of labels by outcome. `new`; `superseded` (replaced an earlier one); `unchanged` (equal to the current
        label: no new revision); `kept` (not stored, because an ingested label does not replace one of annotators);
        `erased` (of an erased utterance).

    Raises:
        RecordError: an utterance appears twice, or is unknown.
    """
    ids = [label.utterance_id for label in new_labels]
    if len(set(ids)) != len(ids):
        raise RecordError("an utterance has two labels in one merge; give each once")
    stored_ids = {
        row[0] for row in fetch_among(op.conn, sa.select(utterances.c.utterance_id), utterances.c.utterance_id, ids)
    }
    missing = next((i for i in ids if i not in stored_ids), None)
    if missing is not None:
        raise RecordError(f"utterance {missing} is unknown and can't be labelled; ingest it first")
    keys = vault.data_keys(corpus.vault, ids)
    last = {
        row.utterance_id: row
        for row in _by_revision(fetch_among(op.conn, sa.select(labels), labels.c.utterance_id, ids))
    }
    counts: Counter[str] = Counter({"new": 0, "superseded": 0, "unchanged": 0, "kept": 0, "erased": 0})
    rows: list[dict[str, Any]] = []
    for label in new_labels:
        outcome, row = _label_row(label, last.get(label.utterance_id), keys, source)
        counts[outcome] += 1
        if row is not None:
            rows.append(row | {"operation_id": op.operation_id})
    replaced = [{"id": row["utterance_id"]} for row in rows if row["revision"] > 1]
    if replaced:
        update = sa.update(labels).where(labels.c.utterance_id == sa.bindparam("id"), labels.c.current)
        op.conn.execute(update.values(current=False), replaced)
    insert_new(op.conn, labels, rows)
    _add_names(corpus, op, new_labels, source)
    return dict(counts)


def _add_names(corpus: Corpus, op: Operation, new_labels: Sequence[Label], source: Source) -> None:
    """Store the names of intents and slots of labels: they stay in the inventory whatever a configuration says later.

    An ingested label may have a former name or another spelling of one, so labels with new names are settled anew.
    """
    given: dict[NameKind, set[str]] = {
        "intent": {label.intent for label in new_labels if label.intent},
        "slot": {slot.name for label in new_labels for slot in label.slots},
    }
    stored, now = inventory.stored_names(op.conn), corpus.clock()
    for kind, names in given.items():
        new = names - set(stored[kind].sources)
        inventory.add_names(op.conn, kind, new, "labels", now)
        if new and source != "annotators":
            inventory.unsettle(op.conn)


def text_marks(corpus: Corpus, given: Iterable[Label]) -> dict[str, str]:
    """Return a keyed digest of the normalised transcript of each label that has one, by id: texts can be compared.

    It is keyed by the utterance, so equal texts of two have different marks, and an erasure takes its meaning.
    """
    texts = {label.utterance_id: label.transcript for label in given if label.transcript is not None}
    keys = vault.data_keys(corpus.vault, list(texts))
    return {i: mac(keys[i], normalise(text).encode())[:32] for i, text in texts.items() if i in keys}


def withdraw(conn: sa.Connection, ids: Sequence[str]) -> None:
    """Withdraw the current labels of the utterances; their revisions stay stored, and the next label is one above."""
    if ids:
        update = sa.update(labels).where(labels.c.utterance_id == sa.bindparam("id"), labels.c.current)
        conn.execute(update.values(current=False), [{"id": i} for i in ids])


def withdrawn(conn: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the last revision of those utterances whose label was withdrawn, by id."""
    columns = (labels.c.utterance_id, labels.c.revision, labels.c.current)
    last = {row.utterance_id: row for row in _by_revision(fetch_among(conn, sa.select(*columns), columns[0], ids))}
    return {i: row.revision for i, row in sorted(last.items()) if not row.current}


def _by_revision(rows: Iterable[sa.Row[Any]]) -> list[sa.Row[Any]]:
    """Return the rows sorted by utterance and revision, so that the highest revision comes last."""
    return sorted(rows, key=lambda row: (row.utterance_id, row.revision))


def current(
    conn: sa.Connection, ids: Sequence[str] | None = None, reasons: Sequence[str] | None = None
) -> list[LabelRow]:
    """Return the current labels of utterances that are neither set aside nor erased, sorted by id.

    Args:
        conn: a connection on the records.
        ids: only these utterances; all where None.
        reasons: only utterances that were chosen for these reasons ("" for never chosen); all where None.
    """
    statement = (
        sa.select(labels, utterances.c.split, utterances.c.speaker_id)
        .join(utterances, utterances.c.utterance_id == labels.c.utterance_id)
        .where(labels.c.current, utterances.c.state == "accepted")
    )
    rows = list(conn.execute(statement) if ids is None else fetch_among(conn, statement, labels.c.utterance_id, ids))
    reason_of = _selections(conn, [row.utterance_id for row in rows])
    reason_of |= dict.fromkeys(held_out(conn, [row.utterance_id for row in rows]), ("held_out", "", 1.0))
    found = []
    for row in sorted(rows, key=lambda r: str(r.utterance_id)):
        reason, round_, inclusion_prob = reason_of.get(row.utterance_id, ("", "", 1.0))
        if reasons is None or reason in reasons:
            found.append(
                LabelRow(
                    utterance_id=row.utterance_id,
                    revision=row.revision,
                    has_transcript=row.has_transcript,
                    has_intent=row.intent is not None,
                    agreement=row.agreement,
                    annotators=row.annotators,
                    source=row.source,
                    reason=reason,
                    round=round_,
                    inclusion_prob=inclusion_prob,
                    split=row.split,
                    speaker_id=row.speaker_id,
                )
            )
    return found


def draws(conn: sa.Connection, ids: Sequence[str]) -> dict[str, Draw]:
    """Return how each utterance was drawn, whatever became of its label since.

    One that was never chosen, or ingested for judging only, stands for itself: it has no round and probability 1.
    """
    drawn = _selections(conn, ids)
    alone = set(held_out(conn, ids))
    return {i: Draw(*drawn[i][1:]) if i in drawn and i not in alone else Draw("", 1.0) for i in ids}


def judging(conn: sa.Connection) -> list[LabelRow]:
    """Return the current labels that judge models, as `current` does, without reading all others; sorted by id."""
    drawn = sa.select(selections.c.utterance_id).join(rounds, rounds.c.round == selections.c.round)
    audit = drawn.where(selections.c.reason == "audit", rounds.c.night != NO_NIGHT)
    held_out = sa.select(labels.c.utterance_id).where(labels.c.source == "held_out")
    ids = set(conn.execute(audit).scalars()) | set(conn.execute(held_out).scalars())
    return [row for row in current(conn, sorted(ids)) if row.judges]


def other_revisions(conn: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return how many revisions of each label come from no answer, but a manifest, a review or the inventory, by id."""
    without_answer = sa.exists().where(
        operations.c.operation_id == labels.c.operation_id, operations.c.act.in_(["review", "inventory"])
    )
    statement = sa.select(labels.c.utterance_id).where(sa.or_(labels.c.source != "annotators", without_answer))
    counts = Counter(row.utterance_id for row in fetch_among(conn, statement, labels.c.utterance_id, ids))
    return dict(sorted(counts.items()))


def newest_ingested(conn: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the revision of the newest ingested label, by id of those utterances that have one."""
    columns = (labels.c.utterance_id, labels.c.revision)
    rows = fetch_among(conn, sa.select(*columns).where(labels.c.source != "annotators"), columns[0], ids)
    return {row.utterance_id: row.revision for row in _by_revision(rows)}


def current_intents(conn: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return the intent of the current label of each utterance, by id; those without one are missing."""
    statement = sa.select(labels.c.utterance_id, labels.c.intent).where(labels.c.current, labels.c.intent.is_not(None))
    return {row.utterance_id: row.intent for row in fetch_among(conn, statement, labels.c.utterance_id, ids)}


def ingested_revisions(conn: sa.Connection) -> dict[str, int]:
    """Return the revision of the ingested label of utterances about which annotators have answered, by id."""
    answered = sa.exists().where(answers.c.utterance_id == labels.c.utterance_id)
    statement = sa.select(labels.c.utterance_id, sa.func.max(labels.c.revision).label("revision"))
    rows = conn.execute(statement.where(labels.c.source != "annotators", answered).group_by(labels.c.utterance_id))
    return {row.utterance_id: row.revision for row in rows}


def ever_labelled(conn: sa.Connection) -> set[str]:
    """Return the ids of utterances with any stored label, from any source, current or not."""
    return set(conn.execute(sa.select(labels.c.utterance_id)).scalars())


def held_out(conn: sa.Connection, ids: Sequence[str]) -> list[str]:
    """Return the ids that were ingested for judging only; later answers of annotators do not change that."""
    statement = sa.select(labels.c.utterance_id).where(labels.c.source == "held_out").distinct()
    return [row.utterance_id for row in fetch_among(conn, statement, labels.c.utterance_id, ids)]


def _label_row(
    label: Label, last: sa.Row[Any] | None, keys: Mapping[str, bytes], source: Source
) -> tuple[str, dict[str, Any] | None]:
    """Return the outcome of a label and its new row, None where no revision is added; `last` is its last revision."""
    utterance_id = label.utterance_id
    if utterance_id not in keys:
        return "erased", None
    key = keys[utterance_id]
    if last is not None and source != "annotators" and last.source != source:
        return "kept", None
    plain = encode_texts(label.transcript, label.slots)
    open_slots = [] if label.slots_complete else ["slots are incomplete"]  # complete ones: the bytes of older versions
    clear = canonical_json([label.intent, label.agreement, label.annotators, source, *open_slots]).encode()
    content_mac = mac(key, clear + plain)
    last_revision = 0 if last is None else last.revision
    answers_counted = label.revision if source == "annotators" else 0
    same = last is not None and last.current and last.content_mac == content_mac
    if same and answers_counted <= last_revision:
        return "unchanged", None
    revision = max(last_revision + 1, answers_counted)
    row = {
        "utterance_id": utterance_id,
        "revision": revision,
        "current": True,
        "has_transcript": label.transcript is not None,
        "intent": label.intent,
        "slots_complete": label.slots_complete,
        "agreement": label.agreement,
        "annotators": label.annotators,
        "source": source,
        "content": cipher.encrypt(key, plain, seal_name(utterance_id, f"label/{revision}")),
        "content_mac": content_mac,
    }
    return "new" if last is None else "superseded", row


def _selections(conn: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str, float]]:
    """Return reason, round and inclusion probability by id; `audit` wins, since no model may be trained on it.

    Rounds that ask again are left out: they change neither what a row is for nor how it was drawn.
    """
    statement = sa.select(
        selections.c.utterance_id, selections.c.reason, selections.c.round, selections.c.inclusion_prob, rounds.c.seq
    ).join(rounds, sa.and_(rounds.c.round == selections.c.round, rounds.c.night != NO_NIGHT))
    found = fetch_among(conn, statement, selections.c.utterance_id, ids)
    ordered = sorted(found, key=lambda row: (row.reason == "audit", row.seq))
    return {row.utterance_id: (row.reason, row.round, row.inclusion_prob) for row in ordered}


def minutes_so_far(conn: sa.Connection) -> float:
    """Return the time that annotators took for all latest answers [min]."""
    return round(sum(row.lead_time for row in latest_answers(conn)) / 60.0, 3)

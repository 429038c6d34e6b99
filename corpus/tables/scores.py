"""Scores: which models scored an utterance, their hypotheses, and where its statistics are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from corpus.errors import Damaged, RecordError
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Floats
from corpus.records.predictions import Predictions
from corpus.storage import cipher
from corpus.storage.content_codec import encode_hypotheses, seal_name
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.operations import Operation, Overtaken
from corpus.storage.prediction_parts import Part, Placement, read_column, read_parts, verified, write_part
from corpus.storage.records_schema import doomed, parts, scores, utterances
from corpus.vault import vault

if TYPE_CHECKING:
    from corpus.handle import Corpus


def unscored(conn: sa.Connection, ids: Sequence[str], asr_version: str, intent_version: str) -> list[str]:
    """Return the ids that this pair of models has not scored, in their order."""
    done = _scored(conn, ids, asr_version, intent_version)
    return [i for i in ids if i not in done]


def transcribed(conn: sa.Connection, ids: Sequence[str], asr_version: str, intent_version: str) -> set[str]:
    """Return those of the ids of which this pair of models has stored hypotheses."""
    statement = sa.select(scores.c.utterance_id).where(
        scores.c.asr_version == asr_version,
        scores.c.intent_version == intent_version,
        scores.c.hypotheses.is_not(None),
    )
    return {row.utterance_id for row in fetch_among(conn, statement, scores.c.utterance_id, ids)}


@dataclass(frozen=True, slots=True)
class WrittenScores:
    """Statistics whose part is written, and that no row names yet.

    Attributes:
        predictions: of the utterances that were unscored and not erased; None for none.
        part: the part with them.
    """

    predictions: Predictions | None
    part: Part | None


def write(corpus: Corpus, predictions: Predictions) -> WrittenScores:
    """Write the statistics that `put` will store to a part, before its operation locks the records.

    Raises:
        RecordError: an utterance is unknown; the message names the first.
    """
    with corpus.read() as conn:
        kept = _to_store(corpus, conn, predictions)
    return WrittenScores(kept, None if kept is None else write_part(corpus.fs, corpus.root, kept))


def put(
    corpus: Corpus,
    op: Operation,
    predictions: Predictions,
    hypotheses: Mapping[str, Sequence[Hypothesis]],
    seconds: float | None = None,
    written: WrittenScores | None = None,
) -> int:
    """Store statistics in a part and hypotheses encrypted; return how many utterances are newly scored.

    Utterances that this pair of models has scored already, and those erased meanwhile, are left out.

    Args:
        corpus: the handle.
        op: the operation.
        predictions: statistics of N utterances.
        hypotheses: by utterance id.
        seconds: how long scoring all N took [s]; None where it was not measured.
        written: what `write` returned; None to write the part here, while the records are locked.

    Raises:
        RecordError: an utterance is unknown; the message names the first.
        Overtaken: some were scored or erased since `write`.
    """
    kept = _to_store(corpus, op.conn, predictions)
    if kept is None:
        return 0
    share, predictions = len(kept) / len(predictions), kept
    ids = predictions.utterance_ids.tolist()
    versions = {"asr_version": predictions.asr_version, "intent_version": predictions.intent_version}
    if written is None:
        part = write_part(corpus.fs, corpus.root, predictions)
    elif written.part is not None and _ids_in(written) == ids:
        part = written.part
    else:
        raise Overtaken
    keys = vault.data_keys(corpus.vault, ids)
    seq = op.conn.execute(sa.select(sa.func.coalesce(sa.func.max(parts.c.seq), 0))).scalar_one() + 1
    row = {"path": part.path, "seq": seq, "rows": part.rows, "sha256": part.sha256, "operation_id": op.operation_id}
    row["seconds"] = None if seconds is None else seconds * share
    insert_new(op.conn, parts, [row | versions])
    what = f"hypotheses/{predictions.asr_version}/{predictions.intent_version}"
    sealed = {
        i: cipher.encrypt(keys[i], encode_hypotheses(hypotheses[i]), seal_name(i, what))
        for i in ids
        if i in hypotheses and i in keys
    }
    insert_new(
        op.conn,
        scores,
        [
            {"utterance_id": i, "part": part.path, "row": position, "hypotheses": sealed.get(i), **versions}
            for position, i in enumerate(ids)
        ],
    )
    return len(ids)


def _to_store(corpus: Corpus, conn: sa.Connection, predictions: Predictions) -> Predictions | None:
    """Return the statistics of utterances that are not scored yet and not erased; None where there are none.

    Raises:
        RecordError: an utterance is unknown; the message names the first.
    """
    ids = predictions.utterance_ids.tolist()
    state = sa.select(utterances.c.utterance_id, utterances.c.state)
    states = {row.utterance_id: row.state for row in fetch_among(conn, state, utterances.c.utterance_id, ids)}
    missing = next((i for i in ids if i not in states), None)
    if missing is not None:
        raise RecordError(f"utterance {missing} is unknown and can't be scored; ingest it first")
    keys = vault.ids_with_key(corpus.vault, ids)
    done = _scored(conn, ids, predictions.asr_version, predictions.intent_version)
    kept = [row for row, i in enumerate(ids) if i in keys and i not in done and states[i] != "erased"]
    if not kept:
        return None
    return predictions if len(kept) == len(ids) else predictions.take(np.array(kept, dtype=np.intp))


def scored_in(conn: sa.Connection, part: str) -> tuple[tuple[str, str], list[str]] | None:
    """Return the pair of models that scored a part, and its utterances in the order of its rows.

    None where there is no such part.
    """
    versions = conn.execute(sa.select(parts.c.asr_version, parts.c.intent_version).where(parts.c.path == part)).first()
    if versions is None:
        return None
    ids = conn.execute(sa.select(scores.c.utterance_id).where(scores.c.part == part).order_by(scores.c.row)).scalars()
    return (versions[0], versions[1]), list(ids)


def write_again(corpus: Corpus, old: str, predictions: Predictions) -> WrittenScores:
    """Write statistics of a damaged part that were computed again, before `replace_part` locks the records.

    Args:
        corpus: the handle.
        old: path of the damaged part.
        predictions: of utterances of the part; what was erased since is left out.
    """
    with corpus.read() as conn:
        there = _ids_of_part(conn, old)
    kept = [row for row, i in enumerate(predictions.utterance_ids.tolist()) if i in there]
    if not kept:
        return WrittenScores(None, None)
    predictions = predictions.take(np.array(kept, dtype=np.intp))
    return WrittenScores(predictions, write_part(corpus.fs, corpus.root, predictions))


def replace_part(op: Operation, old: str, written: WrittenScores) -> int:
    """Put statistics that were computed again in place of those of a damaged part; return of how many utterances.

    Hypotheses stay as they are. An utterance of the part that is not among the new ones counts as unscored.

    Args:
        op: the operation.
        old: path of the damaged part.
        written: what `write_again` returned.

    Raises:
        Overtaken: an utterance of the part was erased since `write_again`, or the part was replaced.
    """
    there, ids = _ids_of_part(op.conn, old), _ids_in(written)
    found = op.conn.execute(sa.select(parts).where(parts.c.path == old)).first()
    if found is None or not there.issuperset(ids):
        raise Overtaken
    new = old
    if written.part is not None:
        new = written.part.path
        changed = {"path": new, "rows": len(ids), "sha256": written.part.sha256, "operation_id": op.operation_id}
        insert_new(op.conn, parts, [dict(found._mapping) | changed])
        one = (scores.c.utterance_id == sa.bindparam("id"), scores.c.part == old)
        values = {"part": new, "row": sa.bindparam("position")}
        op.conn.execute(
            sa.update(scores).where(*one).values(**values), [{"id": i, "position": k} for k, i in enumerate(ids)]
        )
    lost = [{"id": i} for i in sorted(there - set(ids))]
    if lost:
        op.conn.execute(
            sa.delete(scores).where(scores.c.utterance_id == sa.bindparam("id"), scores.c.part == old), lost
        )
    if new != old or not ids:
        op.conn.execute(sa.delete(parts).where(parts.c.path == old))
        insert_new(op.conn, doomed, [{"path": old}])
    return len(ids)


def _ids_in(written: WrittenScores) -> list[str]:
    return [] if written.predictions is None else written.predictions.utterance_ids.tolist()


def _ids_of_part(conn: sa.Connection, part: str) -> set[str]:
    return set(conn.execute(sa.select(scores.c.utterance_id).where(scores.c.part == part)).scalars())


def seconds_a_clip(conn: sa.Connection, asr_version: str, intent_version: str) -> float | None:
    """Return how long this pair of models took to score a clip on average [s]; None where that was never measured.

    Where the pair has no time, that of the same speech model beside another intent model counts: nearly all of the time
    is its own.
    """
    columns = (parts.c.intent_version, sa.func.sum(parts.c.seconds), sa.func.sum(parts.c.rows))
    measured = (parts.c.asr_version == asr_version, parts.c.seconds.is_not(None), parts.c.rows > 0)
    rows = conn.execute(sa.select(*columns).where(*measured).group_by(columns[0]))
    found = {row[0]: (float(row[1]), int(row[2])) for row in rows}
    pairs = [found[intent_version]] if intent_version in found else list(found.values())
    if not pairs:
        return None
    return sum(seconds for seconds, _ in pairs) / sum(clips for _, clips in pairs)


def predictions(corpus: Corpus, ids: Sequence[str], asr_version: str, intent_version: str) -> Predictions:
    """Return the statistics of the utterances in the order of the ids, as this pair of models scored them.

    Raises:
        RecordError: there are no ids, an id appears twice, or one was not scored; the message names the first.
        Damaged: a part is missing or not what was written.
    """
    by_part = _ids_by_part(corpus, ids, asr_version, intent_version)
    position = {str(i): row for row, i in enumerate(ids)}
    placements = [
        Placement(
            part, np.array(list(rows.values()), dtype=np.int64), np.array([position[i] for i in rows], dtype=np.int64)
        )
        for part, rows in sorted(by_part.items())
    ]
    return read_parts(corpus.fs, corpus.root, placements)


def sound_predictions(corpus: Corpus, ids: Sequence[str], asr_version: str, intent_version: str) -> Predictions | None:
    """Return the statistics of the utterances, but of those in damaged parts; None where that leaves none.

    Each damaged part is given to the handle's `on_damaged`.

    Raises:
        RecordError: as `predictions`.
        Damaged: a part is damaged, and the handle tells nobody.
    """
    try:
        return predictions(corpus, ids, asr_version, intent_version)
    except Damaged:
        if corpus.on_damaged is None:
            raise
    left: set[str] = set()
    for part, rows in sorted(_ids_by_part(corpus, ids, asr_version, intent_version).items()):
        if (error := _damage(corpus, part)) is not None:
            corpus.on_damaged(error)
            left |= set(rows)
    kept = [i for i in ids if i not in left]
    return predictions(corpus, kept, asr_version, intent_version) if kept else None


def _damage(corpus: Corpus, part: str) -> Damaged | None:
    try:
        verified(corpus.fs, corpus.root, part)
    except Damaged as error:
        return error
    return None


def _ids_by_part(
    corpus: Corpus, ids: Sequence[str], asr_version: str, intent_version: str
) -> dict[str, dict[str, int]]:
    """Return by part which of the utterances it has, and in which row.

    Raises:
        RecordError: there are no ids, an id appears twice, or one was not scored; the message names the first.
    """
    wanted = {str(i): None for i in ids}
    if not wanted or len(wanted) != len(ids):
        raise RecordError("predictions need at least one utterance; name each once")
    statement = sa.select(scores.c.utterance_id, scores.c.part, scores.c.row).where(
        scores.c.asr_version == asr_version, scores.c.intent_version == intent_version
    )
    found: dict[str, dict[str, int]] = {}
    with corpus.read() as conn:
        for utterance_id, part, row in fetch_among(conn, statement, scores.c.utterance_id, list(wanted)):
            found.setdefault(part, {})[utterance_id] = row
            wanted.pop(utterance_id, None)
    if wanted:
        raise RecordError(
            f"utterance {next(iter(wanted))} was not scored by asr {asr_version} and intent {intent_version};"
            " score it first"
        )
    return found


def column(corpus: Corpus, ids: Sequence[str], name: str) -> dict[str, float]:
    """Return one of `ASR_COLUMNS` by utterance id, from the latest scores; utterances without scores are left out.

    So are those whose part is damaged, which is given to the handle's `on_damaged`.

    Raises:
        Damaged: a part is missing or not what was written, and the handle tells nobody.
    """
    statement = sa.select(scores.c.utterance_id, scores.c.part, scores.c.row, parts.c.seq).join(
        parts, parts.c.path == scores.c.part
    )
    with corpus.read() as conn:
        found = sorted(fetch_among(conn, statement, scores.c.utterance_id, ids), key=lambda row: int(row.seq))
    latest = {row.utterance_id: (row.part, row.row) for row in found}
    values: dict[str, Floats] = {}
    for path in sorted({part for part, _ in latest.values()}):
        try:
            values[path] = read_column(corpus.fs, corpus.root, path, name)
        except Damaged as error:
            if corpus.on_damaged is None:
                raise
            corpus.on_damaged(error)
    return {i: float(values[part][row]) for i, (part, row) in sorted(latest.items()) if part in values}


def first_versions(conn: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the pair (asr_version, intent_version) that scored each utterance first, by id."""
    columns = (scores.c.utterance_id, parts.c.asr_version, parts.c.intent_version, parts.c.seq)
    statement = sa.select(*columns).join(parts, parts.c.path == scores.c.part)
    found = sorted(fetch_among(conn, statement, scores.c.utterance_id, ids), key=lambda row: -int(row.seq))
    return {row.utterance_id: (row.asr_version, row.intent_version) for row in found}


def draft_versions(conn: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return the speech model whose transcript is the draft of each utterance, the latest, by id; without one, none."""
    columns = (scores.c.utterance_id, scores.c.asr_version, parts.c.seq)
    statement = sa.select(*columns).join(parts, parts.c.path == scores.c.part).where(scores.c.hypotheses.is_not(None))
    found = sorted(fetch_among(conn, statement, scores.c.utterance_id, ids), key=lambda row: int(row.seq))
    return {row.utterance_id: row.asr_version for row in found}


def _scored(conn: sa.Connection, ids: Sequence[str], asr_version: str, intent_version: str) -> set[str]:
    statement = sa.select(scores.c.utterance_id).where(
        scores.c.asr_version == asr_version, scores.c.intent_version == intent_version
    )
    return {row.utterance_id for row in fetch_among(conn, statement, scores.c.utterance_id, ids)}

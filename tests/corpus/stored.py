"""A small corpus to test on: made-up customers, real databases, real packs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Selection
from corpus.records.arrivals import Hypothesis, SlotSpan, Utterance, Wake
from corpus.records.predictions import ASR_COLUMNS, Predictions
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.storage.content_codec import encode_audio
from corpus.storage.operations import Operation
from corpus.storage.packs import PackWriter
from corpus.tables import rounds, scores, utterances
from corpus.vault import consent as consent_vault
from corpus.vault import identity, vault

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = frozenset(consent_vault.CONSENTS)


def corpus_at(home: Path, now: datetime = NOON + timedelta(days=1), **settings: object) -> Corpus:
    return open_corpus(CorpusSettings.model_validate({"home": home, **settings}), clock=lambda: now)


def samples_of(number: int) -> np.ndarray:
    """A clip of its own for each number, exact in PCM16."""
    length = 1600 + number % 7
    values = np.random.default_rng(number).integers(-3000, 3000, length)
    return (values / 32768).astype(np.float32)


def arrive(
    corpus: Corpus,
    count: int,
    *,
    start: int = 0,
    speakers: int = 3,
    consent: frozenset[str] = ALL,
    arrived_at: datetime = NOON,
    operation_id: str = "ingest/0",
) -> list[str]:
    """Leave `count` utterances of accounts account-0.. stored; return their ids, in order of arrival."""
    numbers = range(start, start + count)
    arrivals = [
        vault.Arrival(
            identity.utterance_id(corpus.vault, f"event-{n}"),
            f"account-{n % speakers}",
            consent,
            arrived_at + timedelta(seconds=n),
            f"serial-{n % speakers}",
        )
        for n in numbers
    ]
    admitted = admit(corpus.vault, arrivals, operation_id)
    keys = vault.data_keys(corpus.vault, list(admitted))
    records = [
        (_utterance(corpus, arrival, admitted[i], n), keys[i], encode_audio(samples_of(n)))
        for n, arrival in zip(numbers, arrivals, strict=True)
        if (i := arrival.utterance_id) in admitted
    ]
    with corpus.operation(operation_id, "ingest") as op:
        if not op.done:
            op.result = {"accepted": len(put(corpus, op, records))}
    return [arrival.utterance_id for arrival in arrivals]


def admit(filed: identity.Vault, arrivals: Sequence[vault.Arrival], operation_id: str) -> dict[str, str]:
    """Leave the arrivals in the vault; return speaker ids by utterance id."""
    with vault.admitting(filed, arrivals, operation_id) as admitted:
        return {i: entry.speaker_id for i, entry in admitted.items()}


def put(corpus: Corpus, op: Operation, records: Sequence[utterances.Arrived]) -> list[str]:
    """Store utterances with their audio, but those that are stored already; return the ids that are new."""
    stored = utterances.stored_ids(op.conn, [utterance.utterance_id for utterance, _, _ in records])
    fresh = [each for each in records if each[0].utterance_id not in stored]
    with PackWriter(corpus.fs, corpus.root, corpus.settings.pack_bytes) as writer:
        written = utterances.write_audio(writer, fresh)
        return utterances.put(op, written, *writer.placed())


def _utterance(corpus: Corpus, arrival: vault.Arrival, speaker_id: str, number: int) -> Utterance:
    return Utterance(
        utterance_id=arrival.utterance_id,
        speaker_id=speaker_id,
        arrived_at=arrival.arrived_at,
        sample_rate=16000,
        num_samples=len(samples_of(number)),
        locale="en-GB" if number % 2 else "en-US",
        device_type="speaker",
        wake=Wake("hey", 0.5) if number % 2 else Wake(button=True),
        split=identity.split_of(corpus.vault, speaker_id, corpus.settings.split),
        attributes={"room": f"room-{number % 4}"} if number % 3 else {},
    )


def predictions_of(
    ids: Sequence[str], seed: int = 0, versions: tuple[str, str] = ("1", "1"), classes: int = 5, width: int = 16
) -> Predictions:
    rng = np.random.default_rng(seed)
    n = len(ids)
    embeddings = rng.normal(size=(n, width))
    return Predictions(
        utterance_ids=np.array(ids, dtype=np.str_),
        asr_version=versions[0],
        intent_version=versions[1],
        intents=tuple(f"intent-{c}" for c in range(classes)),
        intent_probs=rng.dirichlet(np.ones(classes), n).astype(np.float32),
        intent_logsumexp=rng.normal(size=n).astype(np.float32),
        entropy_given_hypothesis=rng.random(n).astype(np.float32),
        pass_disagreement=np.zeros(n, np.float32),
        embeddings=(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32),
        asr=rng.normal(size=(n, len(ASR_COLUMNS))).astype(np.float32),
    )


def heard(utterance_id: str) -> tuple[Hypothesis, ...]:
    text = f"whisper {utterance_id[:6]}"
    return (Hypothesis(text, 0.75, "intent-0", (SlotSpan("what", 0, 7),)), Hypothesis("whisker", 0.25, "intent-1"))


def score(corpus: Corpus, ids: Sequence[str], operation_id: str = "score/0", **kwargs: object) -> Predictions:
    predictions = predictions_of(ids, **kwargs)  # type: ignore[arg-type]
    with corpus.operation(operation_id, "score") as op:
        if not op.done:
            op.result = {"scored": scores.put(corpus, op, predictions, {i: heard(i) for i in ids})}
    return predictions


def choose(corpus: Corpus, ids: Sequence[str], round_: str = "night-1", reason: str = "uncertain") -> Selection:
    m = len(ids)
    selection = Selection(
        round=round_,
        utterance_ids=np.array(ids, dtype=np.str_),
        reasons=np.array([reason] * m, dtype=np.str_),
        asks=np.array(["transcribe"] * m, dtype=np.str_),
        scores=np.linspace(1, 0.5, m),
        inclusion_probs=np.full(m, 0.25),
        costs=np.full(m, 12.5),
    )
    with corpus.operation(f"sample/{round_}", "sample") as op:
        if not op.done:
            rounds.put_selection(op.conn, selection, "2026-03-01", {"clips": 20}, 100)
    return selection


def accept_again(conn: sa.Connection, ids: Sequence[str]) -> int:
    """Leave utterances that were set aside accepted, as if they never had been; return how many that were."""
    at = schema.utterances.c
    rows = sa.and_(at.utterance_id.in_(ids), at.state == "set_aside")
    return conn.execute(sa.update(schema.utterances).where(rows).values(state="accepted", state_reason="")).rowcount


def state_reasons(conn: sa.Connection, state: str) -> dict[str, int]:
    """Return how many utterances are in a state, by reason."""
    at = schema.utterances.c
    rows = conn.execute(sa.select(at.state_reason, sa.func.count()).where(at.state == state).group_by(at.state_reason))
    return {reason: int(number) for reason, number in rows}

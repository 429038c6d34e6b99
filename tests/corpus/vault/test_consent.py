"""Consent in the vault: a withdrawal counts for all that arrived or was received until its receipt."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError
from corpus.handle import Corpus
from corpus.storage import audit_chain, database
from corpus.vault import consent as consent_vault
from corpus.vault import identity, vault, vault_schema
from tests.corpus.stored import ALL, NOON, admit
from tests.corpus.vault.test_vault import arrival

SCORE = frozenset({"score"})


def test_consent_is_what_was_allowed_then_and_still_is(corpus: Corpus) -> None:
    rows = [
        arrival(corpus, "e1", consent=ALL, at=NOON),
        arrival(corpus, "e2", consent=frozenset({"score", "train"}), at=NOON + timedelta(hours=1)),
        arrival(corpus, "e3", "bob", consent=frozenset({"annotate"})),
    ]
    admit(corpus.vault, rows, "op")
    ids = [row.utterance_id for row in rows]
    found = consent_vault.consents(corpus.vault, [*ids, "unknown"])
    assert [found[i] for i in ids] == [{"score", "train"}, {"score", "train"}, {"annotate"}]
    assert found["unknown"] == frozenset()
    assert consent_vault.consenting(corpus.vault, [*ids, "unknown"], "score").tolist() == [True, True, False, False]
    assert consent_vault.consenting(corpus.vault, [], "score").tolist() == []


def test_a_late_arrival_does_not_bring_an_old_consent_back(corpus: Corpus) -> None:
    admit(corpus.vault, [arrival(corpus, "new", consent=frozenset(), at=NOON)], "op1")
    late = arrival(corpus, "old", consent=ALL, at=NOON - timedelta(days=1))
    admit(corpus.vault, [late], "op2")
    assert consent_vault.consents(corpus.vault, [late.utterance_id])[late.utterance_id] == frozenset()


def test_withdrawing_narrows_at_once_and_never_widens(corpus: Corpus) -> None:
    row = arrival(corpus, "e", consent=frozenset({"score", "annotate"}))
    admit(corpus.vault, [row], "op")
    consent_vault.set_consent(corpus.vault, "ada", ["score"], NOON + timedelta(hours=1), "desk")
    assert consent_vault.consents(corpus.vault, [row.utterance_id])[row.utterance_id] == {"score"}
    consent_vault.set_consent(corpus.vault, "ada", consent_vault.CONSENTS, NOON + timedelta(hours=2), "desk")
    assert consent_vault.consents(corpus.vault, [row.utterance_id])[row.utterance_id] == {"score"}
    with pytest.raises(RecordError, match="no such account"):
        consent_vault.set_consent(corpus.vault, "nobody", [], NOON, "desk")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    words=st.lists(
        st.tuples(st.integers(0, 3), st.frozensets(st.sampled_from(consent_vault.CONSENTS))), min_size=2, max_size=5
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_inside_a_batch_does_not_change_consent(
    corpus: Corpus, words: list[tuple[int, frozenset[str]]], order: Random
) -> None:
    found: list[list[frozenset[str]]] = []
    for _ in range(2):
        account = f"account-{uuid.uuid4()}"
        rows = [
            replace(
                arrival(corpus, f"{account}/{n}", account, consent, NOON + timedelta(hours=hour)),
                received_at=NOON + timedelta(hours=1),
            )
            for n, (hour, consent) in enumerate(words)
        ]
        shuffled = list(rows)
        if found:
            order.shuffle(shuffled)
        admit(corpus.vault, shuffled, "op")
        consents = consent_vault.consents(corpus.vault, [row.utterance_id for row in rows])
        found.append([consents[row.utterance_id] for row in rows])
    assert found[0] == found[1]


def test_a_withdrawal_from_before_the_first_utterance_counts_until_its_time(corpus: Corpus) -> None:
    consent_vault.apply_statements(corpus.vault, {"ada": SCORE}, NOON)
    rows = [arrival(corpus, f"e{hour}", at=NOON + timedelta(hours=hour)) for hour in (-1, 0, 1)]
    speakers = admit(corpus.vault, rows, "op")
    assert list(consent_vault.consents(corpus.vault, [row.utterance_id for row in rows]).values()) == [
        SCORE,
        SCORE,
        ALL,
    ]
    assert {vault.speaker_of(corpus.vault, "ada")} == set(speakers.values())


def test_an_account_without_utterances_is_a_keyed_hash_with_the_times_of_its_withdrawals(corpus: Corpus) -> None:
    consent_vault.apply_statements(corpus.vault, {"ada": SCORE, "bob": ALL}, NOON)
    key = identity.account_key(corpus.vault, "ada")
    speaker = identity.pseudonym(corpus.vault, key, 1)
    with database.reading(corpus.vault.engine) as conn:
        stored = [tuple(row) for row in conn.execute(sa.select(vault_schema.accounts))]
    assert stored == [(key, 1, speaker, None, None, NOON, NOON, None, None, None, None)]
    assert vault.speaker_of(corpus.vault, "ada") is None
    assert len([*audit_chain.verified_leaves(corpus.vault.engine, vault_schema.audit)]) == 1


def test_every_statement_that_closes_something_is_one_audit_row(corpus: Corpus) -> None:
    speakers = admit(corpus.vault, [arrival(corpus, "e")], "op")
    for hours, stated in enumerate([SCORE, SCORE, frozenset(), ALL, SCORE], 1):
        consent_vault.apply_statements(corpus.vault, {"ada": stated}, NOON + timedelta(hours=hours), "import")
    rows = audit_chain.show(corpus.vault.engine, vault_schema.audit, 9)
    (speaker,) = speakers.values()
    with database.reading(corpus.vault.engine) as conn:
        received = conn.execute(sa.select(vault_schema.keys.c.received_at)).scalar_one().isoformat()
    assert [(row.act, row.actor, row.detail) for row in rows if row.act == "consent"] == [
        ("consent", "import", {"speaker_id": speaker, "consent": ["score"], "until": received}),
        ("consent", "import", {"speaker_id": speaker, "consent": [], "until": received}),
    ]


def test_a_clock_that_was_set_back_leaves_nothing_open_that_was_received_before(corpus: Corpus) -> None:
    row = replace(arrival(corpus, "e"), received_at=NOON + timedelta(hours=1))
    admit(corpus.vault, [row], "op")
    consent_vault.apply_statements(corpus.vault, {"ada": SCORE}, NOON - timedelta(days=1))
    assert consent_vault.consents(corpus.vault, [row.utterance_id])[row.utterance_id] == SCORE


def test_what_an_utterance_came_with_is_known_after_a_withdrawal(corpus: Corpus) -> None:
    row = arrival(corpus, "e", consent=frozenset({"score", "annotate"}))
    admit(corpus.vault, [row], "op")
    consent_vault.set_consent(corpus.vault, "ada", [], NOON + timedelta(hours=1), "desk")
    assert consent_vault.ingested_consents(corpus.vault, [row.utterance_id, "unknown"]) == {
        row.utterance_id: {"score", "annotate"}
    }
    found = consent_vault.withdrawn(corpus.vault)
    assert found == {row.utterance_id: consent_vault.Withdrawn(found[row.utterance_id].speaker_id, frozenset())}


def test_an_account_without_utterances_can_withdraw_more(corpus: Corpus) -> None:
    consent_vault.apply_statements(corpus.vault, {"ada": SCORE}, NOON)
    consent_vault.set_consent(corpus.vault, "ada", [], NOON, "desk")
    row = arrival(corpus, "e", at=NOON)
    admit(corpus.vault, [row], "op")
    assert consent_vault.consents(corpus.vault, [row.utterance_id])[row.utterance_id] == frozenset()


def test_a_forgotten_account_keeps_what_it_withdraws_later(corpus: Corpus) -> None:
    speakers = admit(corpus.vault, [arrival(corpus, "e")], "op1")
    forgotten_at, day = NOON + timedelta(days=1), timedelta(days=1)
    vault.forget(corpus.vault, *speakers.values(), "desk", forgotten_at)
    consent_vault.apply_statements(corpus.vault, {"ada": SCORE}, forgotten_at + 2 * day)
    with database.reading(corpus.vault.engine) as conn:
        (stored,) = conn.execute(sa.select(vault_schema.accounts))
    assert (stored.score_ended_at, stored.train_ended_at) == (None, forgotten_at + 2 * day)
    with pytest.raises(RecordError, match="no such account"):
        consent_vault.set_consent(corpus.vault, "ada", [], forgotten_at + 3 * day, "desk")
    rows = [arrival(corpus, f"back {days}", at=forgotten_at + days * day) for days in (1, 3)]
    admit(corpus.vault, rows, "op2")
    assert list(consent_vault.consents(corpus.vault, [row.utterance_id for row in rows]).values()) == [SCORE, ALL]

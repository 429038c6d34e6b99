from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from corpus.vault import consent
from flows.reports.audit_log import audit_rows
from flows.reports.chosen_drafts import ACTOR, drafts_of
from flows.runtime.settings import load_settings
from tests.corpus.stored import NOON, arrive, corpus_at, heard, score


def test_drafts_come_through_the_door_for_annotation_with_one_audit_row(tmp_path: Path):
    corpus = corpus_at(tmp_path / "home", NOON + timedelta(days=1))
    ids = arrive(corpus, 3)
    score(corpus, ids[:2])
    consent.set_consent(corpus.vault, "account-1", frozenset({"score"}), NOON + timedelta(hours=1), "test")
    assert drafts_of(corpus, ids) == {ids[0]: heard(ids[0])[0].text}
    corpus.close()
    settings = load_settings(None, [f"corpus.home='{tmp_path / 'home'}'"])
    opened = [row for row in audit_rows(settings, 20) if row.actor == ACTOR]
    assert [(row.act, row.detail["purpose"], row.detail["count"]) for row in opened] == [("open", "annotate", 2)]

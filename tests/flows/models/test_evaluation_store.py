"""Reports of versions before and after an intent or a slot is named otherwise: a name is no error."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus import door
from corpus.handle import Corpus
from corpus.records.evaluation import EvaluationReport
from corpus.records.inventory import NameKind, make_names
from corpus.tables import reports as reports_table
from flows.demo import DemoReport
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluate import evaluate
from flows.models.evaluation_store import evaluate_versions, named_now, stored_report
from flows.models.known_texts import champions_on_labels
from flows.models.traffic_estimate import TrafficEstimate
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import inventory
from flows.steps.estimate import estimate_traffic
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from tests.flows.judged_home import report_of


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


def judge(corpus: Corpus, settings: Settings) -> EvaluationReport:
    """Return the report of the intent champion on the audit rows, as labels and names are now."""
    audit, champion = audit_set(corpus, settings.promotion, "intent"), registry.champion(corpus, "intent")
    how = settings.score.transcribe
    return evaluate_versions(corpus, settings.home, how, audit, [champion])[champion.version]


def change(corpus: Corpus, settings: Settings, do: str, kind: NameKind, *names: str) -> inventory.InventoryChange:
    """Rename or merge names."""
    act = {"rename": inventory.rename, "merge": inventory.merge_names}[do]
    return act(corpus, settings.home, settings.inventory, settings.people, kind, *names)


def rates(estimate: TrafficEstimate) -> dict[str, float]:
    return {name: rate.value for name, rate in estimate.rates.items() if rate is not None}


def same_results(found: EvaluationReport, expected: EvaluationReport) -> None:
    for name in ("utterance_ids", "correct", "slot_counts", "success", "confidence"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def names_of(report: EvaluationReport, column: str) -> list[str]:
    return [report.intents[code] for code in getattr(report, column).tolist()]


def test_an_intent_with_another_name_changes_no_figure(settings: Settings):
    with opened(settings) as corpus:
        before, on_labels = judge(corpus, settings), champions_on_labels(corpus, settings.home, settings.promotion)
        traffic = rates(estimate_traffic(corpus, settings, None, None))
        right = Counter(name for name, ok in zip(names_of(before, "truth"), before.correct, strict=True) if ok)
        (old, count), *_ = right.most_common(1)
        assert count > 0  # else a name could not be seen in the figures
        assert change(corpus, settings, "rename", "intent", old, "named otherwise").labels
        after = judge(corpus, settings)
        assert after.eval_set_id != before.eval_set_id
        same_results(after, before)
        renamed = ["named otherwise" if name == old else name for name in names_of(before, "predicted")]
        assert names_of(after, "predicted") == renamed
        assert champions_on_labels(corpus, settings.home, settings.promotion) == on_labels
        assert rates(estimate_traffic(corpus, settings, None, None)) == traffic
        asr = registry.champion(corpus, "asr")
        audit = audit_set(corpus, settings.promotion, "asr")
        report = evaluate(corpus, settings.home, settings.score.transcribe, audit, asr).report
        on_intents = dict(zip(after.utterance_ids.tolist(), after.success.tolist(), strict=True))
        on_words = zip(report.utterance_ids.tolist(), report.success.tolist(), strict=True)
        assert all(success == on_intents[i] for i, success in on_words if i in on_intents)


def test_a_slot_with_another_name_changes_no_figure(settings: Settings):
    with opened(settings) as corpus:
        before = judge(corpus, settings)
        assert before.slot_counts[:, 0].sum() > 0
        audit = audit_set(corpus, settings.promotion, "intent")
        named = {slot.name for label in audit.labels.values() for slot in label.slots}
        for number, name in enumerate(sorted(named)):
            change(corpus, settings, "rename", "slot", name, f"slot-{number}")
        same_results(judge(corpus, settings), before)


def test_two_intents_that_the_model_confuses_are_no_error_once_they_are_one(settings: Settings):
    with opened(settings) as corpus:
        before = judge(corpus, settings)
        pairs = zip(names_of(before, "truth"), names_of(before, "predicted"), strict=True)
        confused = Counter(pair for pair in pairs if pair[0] != pair[1] and "other" not in pair)
        assert confused
        (truth, predicted), count = confused.most_common(1)[0]
        change(corpus, settings, "merge", "intent", predicted, truth)
        after = judge(corpus, settings)
        assert (after.correct >= before.correct).all()
        assert after.correct.sum() >= before.correct.sum() + count
        change(corpus, settings, "rename", "intent", truth, "both")  # what was merged goes along
        same_results(judge(corpus, settings), after)


def test_a_name_that_only_the_model_has_is_read_as_what_it_was_merged_into(settings: Settings):
    """No label changes, so that nothing but the names says that the version is to be judged again."""
    with opened(settings) as corpus:
        before = judge(corpus, settings)
        assert change(corpus, settings, "merge", "intent", "of no label", names_of(before, "truth")[0]).labels == 0
        assert judge(corpus, settings).eval_set_id != before.eval_set_id


def test_drafts_are_shown_with_the_names_in_use(settings: Settings):
    with opened(settings) as corpus:
        ids = judge(corpus, settings).utterance_ids.tolist()
        old = [c.hypotheses[0] for c in door.open(corpus, ids, "judge", parts=("hypotheses",)) if c.hypotheses]
        name = Counter(draft.intent for draft in old if draft.intent != "other").most_common(1)[0][0]
        slot = Counter(slot.name for draft in old for slot in draft.slots).most_common(1)[0][0]
        change(corpus, settings, "rename", "intent", name, "named otherwise")
        change(corpus, settings, "rename", "slot", slot, "slot otherwise")
        new = [c.hypotheses[0] for c in door.open(corpus, ids, "judge", parts=("hypotheses",)) if c.hypotheses]
        expected = ["named otherwise" if draft.intent == name else draft.intent for draft in old]
        assert [draft.intent for draft in new] == expected
        spans = [[("slot otherwise" if s.name == slot else s.name, s.start) for s in draft.slots] for draft in old]
        assert [[(s.name, s.start) for s in draft.slots] for draft in new] == spans


def test_a_stored_report_has_the_names_of_now(settings: Settings):
    with opened(settings) as corpus:
        before = judge(corpus, settings)
        old = names_of(before, "truth")[0]
        change(corpus, settings, "rename", "intent", old, "named otherwise")
        with corpus.read() as conn:
            found = stored_report(conn, "intent", before.version, before.eval_set_id)
            kept = reports_table.report(conn, "intent", before.version, before.eval_set_id)
        assert found is not None
        assert kept is not None
        same_results(found, before)
        assert names_of(found, "truth")[0] == "named otherwise"
        assert names_of(kept, "truth")[0] == old
        one = named_now(before, make_names((), dict.fromkeys(before.intents, "all the same")))
        assert one.correct.all()
        assert one.intents == ("all the same",)


def test_a_report_with_merged_intents_counts_the_success_of_both_models_anew():
    right, wrong = (2, 0, 0), (1, 0, 1)
    rows = [  # truth, predicted, slots, success, and what it is once `b` is `a`
        ("a", "b", right, 0, 1),
        ("a", "b", wrong, 0, 0),
        ("a", "a", right, 1, 1),
        ("a", "b", (0, 0, 0), -1, -1),  # without a transcript it was not judged
        ("c", "a", right, 0, 0),
    ]
    names = ("a", "b", "c")
    ids = [f"u{k}" for k in range(len(rows))]
    report = report_of("1", ids, "set")
    columns = {
        "truth": np.array([names.index(row[0]) for row in rows]),
        "predicted": np.array([names.index(row[1]) for row in rows]),
        "correct": np.array([row[0] == row[1] for row in rows]),
        "slot_counts": np.array([row[2] for row in rows]),
        "success": np.array([row[3] for row in rows]),
    }
    intent = replace(report, kind="intent", intents=names, **columns)
    merged = make_names((), {"b": "a"})
    found = named_now(intent, merged)
    assert found.success.tolist() == [row[4] for row in rows]
    assert named_now(intent, make_names((), {"b": "otherwise"})).success.tolist() == [row[3] for row in rows]
    spoken = replace(report, intents=names, truth=columns["truth"], success=columns["success"])
    assert named_now(spoken, merged).success.tolist() == [-1] * len(rows)  # it lacks what the intent model understood
    assert named_now(spoken, make_names((), {"unheard of": "d"})).success.tolist() == [row[3] for row in rows]


def test_a_stored_report_knows_a_text_that_was_corrected_to_one_of_the_same_length(settings: Settings):
    with opened(settings) as corpus:
        audit, champion = audit_set(corpus, settings.promotion, "asr"), registry.champion(corpus, "asr")
        evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [champion])
        with corpus.read() as conn:
            report = stored_report(conn, "asr", champion.version, audit.eval_set_id)
        assert report is not None
        assert dict(zip(report.utterance_ids.tolist(), report.marks.tolist(), strict=True)) == audit.marks
        assert len(report.take(report.words > 1).marks) == (report.words > 1).sum()

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import RecordError, Refused, SettingsError
from corpus.records.annotations import Selection
from sampling import from_arrays
from sampling.budget import AnswersPerRow
from sampling.calibration import Calibrator, fit_calibrator
from sampling.cost import AskCost, CostModel, ask_costs
from sampling.estimation import horvitz_thompson_mean
from sampling.example_pools import pool_of, predictions_of, unit
from sampling.selection import SamplingSettings, choose, choose_explained
from sampling.strategies.registry import STRATEGIES
from tests.sampling.pools import with_column


def chosen(pool, *, labels=100, audit_so_far=0, night="r1", **options) -> Selection:
    made = SamplingSettings(**{"floor": 40} | options)
    return round_of(pool, made, round=night, labels_so_far=labels, audit_rows_so_far=audit_so_far)


def round_of(pool, made: SamplingSettings, **facts) -> Selection:
    """Choose as a nightly round does."""
    return choose_explained(pool, made, **facts).selection


def as_bytes(selection: Selection) -> bytes:
    arrays = (selection.utterance_ids, selection.reasons, selection.asks)
    numbers = (selection.scores, selection.inclusion_probs, selection.costs)
    return b"".join(a.astype("U32").tobytes() for a in arrays) + b"".join(a.tobytes() for a in numbers)


def rows_of(pool, selection):
    at = {name: row for row, name in enumerate(pool.utterance_ids.tolist())}
    return np.array([at[name] for name in selection.utterance_ids.tolist()])


def check_caps(pool, selection, settings_: SamplingSettings) -> None:
    rows = rows_of(pool, selection)
    ceiling = max(settings_.floor, int(settings_.max_fraction * len(pool) + 1e-9))
    assert len(rows) <= min(ceiling, len(pool), settings_.clips or len(pool))
    assert np.unique(pool.speaker_ids[rows], return_counts=True)[1].max() <= settings_.max_per_speaker
    if settings_.minutes is not None:
        assert selection.costs.sum() <= settings_.minutes * 60 + 1e-9
    trains = selection.reasons != "audit"
    assert (pool.splits[rows[trains]] != "test").all()
    assert (selection.inclusion_probs[trains] == 1).all()
    assert (selection.asks[~trains] == "transcribe").all()
    if settings_.near_duplicate is not None and trains.sum() > 1:
        similar = pool.embeddings[rows[trains]] @ pool.embeddings[rows[trains]].T
        assert (similar[~np.eye(len(similar), dtype=bool)] < settings_.near_duplicate + 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 150),
    speakers=st.integers(1, 30),
    seed=st.integers(0, 10_000),
    options=st.fixed_dictionaries(
        {
            "strategy": st.sampled_from([*STRATEGIES, "power:entropy", "top:energy", "cluster_margin:expected_wer"]),
            "clips": st.one_of(st.none(), st.integers(1, 200)),
            "minutes": st.one_of(st.none(), st.floats(2.0, 20.0)),
            "floor": st.integers(1, 60),
            "max_fraction": st.sampled_from([0.0, 0.002, 0.3, 1.0]),
            "audit_share": st.sampled_from([0.0, 0.15, 1.0]),
            "audit_share_while_few": st.sampled_from([0.0, 0.5]),
            "max_per_speaker": st.integers(1, 4),
            "novel_share": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
            "near_duplicate": st.sampled_from([None, 0.6, 0.98]),
        }
    ),
    labels=st.sampled_from([0, 100]),
)
def test_every_choice_is_within_every_cap_and_independent_of_the_order_of_rows(n, speakers, seed, options, labels):
    pool = pool_of(n, seed=seed, speakers=speakers)
    made = SamplingSettings(seed=seed, **options)
    try:
        first = round_of(pool, made, round="r1", labels_so_far=labels)
    except Refused:
        assert made.audit_share == 0.0 or (pool.splits == "test").all()
        return
    check_caps(pool, first, made)
    shuffled = pool.take(np.random.default_rng(seed).permutation(n))
    assert as_bytes(round_of(shuffled, made, round="r1", labels_so_far=labels)) == as_bytes(first)


def test_the_same_round_gives_the_same_bytes_and_another_round_or_seed_others():
    pool = pool_of()
    first = as_bytes(chosen(pool))
    assert as_bytes(chosen(pool)) == first
    assert as_bytes(chosen(pool, seed=1)) != first
    assert as_bytes(chosen(pool, night="r2")) != first


def test_ids_are_returned_and_never_positions():
    pool = pool_of()
    part = pool.take(np.arange(100, 300))
    assert set(chosen(part).utterance_ids.tolist()) <= set(part.utterance_ids.tolist())


def test_rows_stand_most_valuable_first():
    selection = chosen(pool_of())
    assert (np.diff(selection.scores) <= 0).all()


def test_the_budget_is_used_and_the_shares_hold():
    selection = chosen(pool_of(), audit_so_far=1000)
    assert Counter(selection.reasons.tolist()) == {"audit": 6, "uncertain": 30, "novel": 4}


def test_the_audit_share_is_larger_while_audit_rows_are_few_and_never_overshoots():
    def audit(so_far):
        return Counter(chosen(pool_of(), audit_so_far=so_far).reasons.tolist())["audit"]

    assert [audit(so_far) for so_far in (0, 140, 149, 150)] == [20, 10, 6, 6]


def test_the_audit_share_is_drawn_over_all_speakers_whatever_else_is_chosen():
    pool = pool_of()
    draws = []
    for strategy, duplicate in (("random", None), ("badge", 0.5)):
        selection = chosen(pool, strategy=strategy, near_duplicate=duplicate)
        audit = selection.reasons == "audit"
        draws.append((sorted(selection.utterance_ids[audit].tolist()), sorted(selection.inclusion_probs[audit])))
        assert (selection.inclusion_probs[audit] < 1).all()
        assert set(pool.splits[rows_of(pool, selection)[audit]].tolist()) > {"train"}
    assert draws[0] == draws[1]


def test_the_logged_probabilities_are_true_for_whole_rounds():
    pool, hits, expected = pool_of(60, speakers=15), np.zeros(60), np.zeros(60)
    for night in range(250):
        selection = chosen(pool, floor=10, night=f"r{night}", strategy="random", novel_share=0.0)
        audit = selection.reasons == "audit"
        rows = rows_of(pool, selection)[audit]
        hits[rows] += 1
        expected[rows] = selection.inclusion_probs[audit]
    error = np.sqrt(np.maximum(expected * (1 - expected), 1e-9) / 250)
    assert (np.abs(hits / 250 - expected) <= 4.5 * error + 1e-9).all()


def test_the_weighted_estimate_of_whole_rounds_is_unbiased():
    """Rounds choose by curves, quotas and strategy, and estimates from their audit share are true of the pool."""
    pool, rng = pool_of(80, speakers=25, seed=4), np.random.default_rng(8)
    errors = rng.poisson(np.minimum(pool.predictions.column("expected_errors"), 4.0)).astype(float)
    curves = {"expected_errors": fit_calibrator(np.repeat(np.arange(6.0), 10), np.repeat(np.arange(6.0) / 2, 10))}
    made = SamplingSettings(floor=16, audit_share=0.5, slice_quotas={"locale": {"en-US": 0.1}}, max_per_speaker=4)
    means, plain, everything = [], [], []
    for night in range(200):
        selection = round_of(pool, made, round=f"r{night}", labels_so_far=100, calibrators=curves)
        rows, audit = rows_of(pool, selection), selection.reasons == "audit"
        means.append(horvitz_thompson_mean(errors[rows[audit]], selection.inclusion_probs[audit], 80))
        plain.append(errors[rows[audit]].mean())
        everything.append(errors[rows].mean())
    bound = 4 * np.std(means) / np.sqrt(200)
    assert np.mean(means) == pytest.approx(errors.mean(), abs=bound)
    assert abs(np.mean(everything) - errors.mean()) > 4 * np.std(everything) / np.sqrt(200)  # it is not for show


def cohort_pool(count=20):
    pool = pool_of(400, speakers=200)
    names = np.full(400, "", dtype="<U32")
    names[np.flatnonzero(pool.splits == "train")[:count]] = "cohort-1"
    return replace(pool, slices={**pool.slices, "cohort": names})


def test_cohorts_get_their_share_and_never_more_than_the_caps_allow():
    pool = cohort_pool()
    selection = chosen(pool, audit_so_far=999)  # 34 clips are not audit rows
    served = rows_of(pool, selection)[selection.reasons == "slice"]
    assert len(served) == 4
    assert (pool.slices["cohort"][served] == "cohort-1").all()
    check_caps(pool, selection, SamplingSettings(floor=40))
    more = chosen(pool, audit_so_far=999, cohorts={"share": 0.5})
    assert Counter(more.reasons.tolist())["slice"] == 17
    assert "slice" not in chosen(pool, cohorts={"share": 0.0}).reasons
    few = chosen(cohort_pool(2), audit_so_far=999, cohorts={"share": 0.5})
    assert Counter(few.reasons.tolist())["slice"] <= 2
    assert len(few) == 40
    assert chosen(pool, audit_so_far=999, minutes=3.0, cohorts={"share": 1.0}).costs.sum() <= 180


def test_what_the_chosen_are_expected_to_hold_is_said():
    choice = choose_explained(pool_of(), SamplingSettings(), round="r1", labels_so_far=100)
    assert choice.expected[0] > choice.expected[1] > 0
    pool = replace(pool_of(50), splits=np.full(50, "test"))
    assert choose_explained(pool, SamplingSettings(), round="r1").expected[0] is None


def test_a_number_that_is_not_finite_stops_the_round_before_anything_is_chosen():
    pool = pool_of()
    with pytest.raises(RecordError, match=f"utterance {pool.utterance_ids[7]}"):
        replace(pool.predictions, intent_logsumexp=np.where(np.arange(300) == 7, np.nan, 0.0).astype(np.float32))
    lost = {"expected_errors": Calibrator((0.0, 1.0), (0.0, np.inf))}
    with pytest.raises(RecordError, match="score of utterance"):
        round_of(pool, SamplingSettings(), round="r1", calibrators=lost)


def test_novel_rows_are_far_from_labelled_rows():
    pool = pool_of()
    far = np.argsort(pool.embeddings @ pool.embeddings[0])[:150]
    known = np.delete(pool.embeddings, far, axis=0)
    selection = chosen(replace(pool, known_embeddings=known), near_duplicate=None)
    rows = rows_of(pool, selection)
    nearest = (pool.embeddings @ known.T).max(axis=1)
    assert nearest[rows[selection.reasons == "novel"]].mean() < nearest[far].mean()


def test_rows_chosen_before_are_not_asked_again():
    pool = pool_of()
    before = chosen(pool)
    again = chosen(replace(pool, chosen=np.isin(pool.utterance_ids, before.utterance_ids)), night="r2")
    assert not set(before.utterance_ids.tolist()) & set(again.utterance_ids.tolist())


def test_few_labels_call_for_typical_rows():
    pool = pool_of()
    cold, typical, warm = chosen(pool, labels=0), chosen(pool, strategy="typiclust"), chosen(pool, labels=100)
    assert as_bytes(cold) == as_bytes(typical)
    assert as_bytes(cold) != as_bytes(warm)


def test_uncertain_rows_have_more_expected_errors_than_the_pool():
    pool = pool_of(1000, speakers=200)
    selection = chosen(pool)
    everything = round_of(
        pool,
        SamplingSettings(strategy="random", max_fraction=1.0, max_per_speaker=1000),
        round="all",
        labels_so_far=100,
    )
    uncertain = selection.scores[selection.reasons == "uncertain"]
    assert uncertain.min() > np.median(everything.scores)


def test_quotas_are_met_and_named():
    pool = pool_of()
    selection = chosen(pool, slice_quotas={"locale": {"en-IN": 0.4}, "device_type": {"phone": 0.5}}, audit_so_far=999)
    rows = rows_of(pool, selection)[selection.reasons != "audit"]
    assert (pool.slices["locale"][rows] == "en-IN").sum() >= math.ceil(0.4 * len(rows))
    assert (pool.slices["device_type"][rows] == "phone").sum() >= math.ceil(0.5 * len(rows))
    assert "slice" in selection.reasons


def test_a_quota_of_a_locale_is_met_however_the_locale_is_written():
    canonical = chosen(pool_of(), slice_quotas={"locale": {"en-IN": 0.4}}, audit_so_far=999)
    written = chosen(pool_of(), slice_quotas={"locale": {"EN_in": 0.4}}, audit_so_far=999)
    assert canonical.utterance_ids.tolist() == written.utterance_ids.tolist()
    with pytest.raises(ValidationError, match="one locale is written in two ways"):
        SamplingSettings(slice_quotas={"locale": {"en_IN": 0.4, "en-IN": 0.1}})
    with pytest.raises(ValidationError, match="'indian' is no language tag"):
        SamplingSettings(slice_quotas={"locale": {"indian": 0.4}})


def test_quotas_that_one_row_can_serve_twice_are_served_so():
    pool = pool_of(600, speakers=200)
    quotas = {"locale": {"en-US": 1.0}, "device_type": {"phone": 1.0}}
    selection = chosen(pool, slice_quotas=quotas, audit_so_far=999, clips=20)
    rows = rows_of(pool, selection)[selection.reasons != "audit"]
    assert (pool.slices["locale"][rows] == "en-US").all()
    assert (pool.slices["device_type"][rows] == "phone").all()


def test_caps_that_conflict_are_named():
    with pytest.raises(SettingsError, match=r"locale=en-IN asks for 20 clips, of which \d+ fit: .*max_per_speaker 3"):
        chosen(pool_of(100), slice_quotas={"locale": {"en-IN": 1.0}})
    with pytest.raises(SettingsError, match="slice 'dialect' is unknown; known are device_type, locale"):
        chosen(pool_of(), slice_quotas={"dialect": {"scots": 0.1}})
    with pytest.raises(SettingsError, match=r"max_fraction 0\.002 with floor 0 allows no clip of 300"):
        chosen(pool_of(), floor=0)
    with pytest.raises(SettingsError, match=r"minutes 0\.01 buys no label: the cheapest costs \d+ s"):
        chosen(pool_of(), minutes=0.01)


def test_minutes_are_used_up_by_cost():
    pool = pool_of()
    choice = choose_explained(pool, SamplingSettings(minutes=4.0), round="r1", labels_so_far=100)
    assert 200 < choice.seconds <= 240
    assert 1 < len(choice.selection) < 40
    assert "minutes" in choice.notes[0]
    cheap = AskCost(base=0.5, per_second=0.0, per_token=0.0)
    model = CostModel(transcribe=cheap, label_intent=cheap)
    more = round_of(pool, SamplingSettings(minutes=4.0), round="r1", labels_so_far=100, cost_model=model)
    assert len(more) == 40


@pytest.mark.parametrize("novel", [0.0, 0.5])
def test_minutes_hold_where_the_best_rows_are_the_dearest(novel):
    predictions = predictions_of(300)
    errors = predictions.column("expected_errors")
    pool = pool_of(predictions=with_column(predictions, "duration", 1.0 + 8.0 * errors))
    selection = chosen(pool, strategy="top:expected_errors", minutes=4.0, novel_share=novel)
    assert 200 < selection.costs.sum() <= 240


def test_the_fraction_and_the_floor_bound_a_night():
    assert len(chosen(pool_of(500, speakers=300), floor=3, max_fraction=0.01)) == 5
    assert len(chosen(pool_of(500, speakers=300), floor=30, max_fraction=0.01)) == 30
    assert len(chosen(pool_of(12, speakers=300), floor=40)) <= 12


def test_a_budget_over_the_pool_takes_what_the_caps_allow():
    choice = choose_explained(
        pool_of(12, speakers=30), SamplingSettings(clips=500, audit_share=1.0), round="r1", labels_so_far=100
    )
    assert len(choice.selection) == 12
    assert (choice.selection.inclusion_probs == 1).all()
    assert choice.notes[0] == "500 clips were asked for; the pool allows 12"


def test_what_keeps_a_round_small_is_said():
    predictions = predictions_of(100, vectors=np.repeat(unit(np.ones((1, 8))), 100, axis=0))
    pool = replace(pool_of(100, predictions=predictions), splits=np.full(100, "train"))
    choice = choose_explained(pool, SamplingSettings(audit_share_while_few=0.0, novel_share=0.0), round="r1")
    assert Counter(choice.selection.reasons.tolist()) == {"audit": 6, "uncertain": 1}
    assert choice.notes == ("7 of 40 clips fit; the rest is kept out by near_duplicate 0.98 (93)",)


def test_each_row_that_is_kept_out_is_counted_by_what_keeps_it_out():
    """Of four speakers with room left, all rows are of the test split: no cap keeps them out."""
    pool = pool_of(60, speakers=6)
    of_test = np.isin(pool.speaker_ids, np.unique(pool.speaker_ids)[:4])
    pool = replace(pool, splits=np.where(of_test, "test", "train"))
    sampling = SamplingSettings(clips=20, audit_share=0.05, audit_share_while_few=0.05, near_duplicate=None)
    choice = choose_explained(pool, sampling, round="r1", labels_so_far=100)
    taken = np.isin(pool.predictions.utterance_ids, choice.selection.utterance_ids)
    test, capped = int((of_test & ~taken).sum()), int((~of_test & ~taken).sum())
    assert (choice.selection.reasons == "audit").sum() == 1
    assert (test, capped) > (30, 0)
    assert choice.notes == (
        f"{len(choice.selection)} of 20 clips fit; the rest is kept out by the test split, which is drawn from for the "
        f"audit alone ({test}), max_per_speaker 3 ({capped})",
    )


def test_equal_scores_and_one_class_have_an_outcome():
    predictions = predictions_of(100, probs=np.ones((100, 1), np.float32))
    pool = pool_of(100, predictions=replace(predictions, asr=np.zeros_like(predictions.asr)))
    for strategy in STRATEGIES:
        assert len(chosen(pool, strategy=strategy, max_per_speaker=9)) == 40


def test_an_empty_pool_is_one_clear_error():
    with pytest.raises(RecordError, match="round r1: the pool is empty"):
        chosen(pool_of(0))
    with pytest.raises(RecordError, match="chosen from before"):
        chosen(replace(pool_of(5), chosen=np.ones(5, bool)))


def test_a_pool_without_train_rows_gives_the_audit_share_or_a_refusal():
    pool = pool_of(50)
    pool = replace(pool, splits=np.full(50, "test"))
    assert set(chosen(pool).reasons.tolist()) == {"audit"}
    with pytest.raises(Refused, match="no utterance fits the caps together"):
        chosen(pool, audit_share=0.0, audit_share_while_few=0.0)


def test_errors_for_unknown_names_list_the_names():
    with pytest.raises(SettingsError, match="strategy 'best' is unknown; known are badge"):
        chosen(pool_of(), strategy="best")
    with pytest.raises(SettingsError, match="measure 'best' is unknown; known are disagreement"):
        chosen(pool_of(), strategy="top:best")


@pytest.mark.parametrize(
    "options",
    [
        {"clips": 0},
        {"minutes": 0.0},
        {"minutes": math.nan},
        {"audit_share": 1.5},
        {"max_per_speaker": 0},
        {"near_duplicate": 0.0},
        {"slice_quotas": {"locale": {"en": 0.7, "de": 0.7}}},
        {"clip": 3},
    ],
)
def test_bad_settings_are_refused(options):
    with pytest.raises(ValidationError):
        SamplingSettings(**options)


# --- for a notebook ---------------------------------------------------------------------------------------------------


def test_sixty_of_four_thousand_plain_rows_are_sixty_and_none_is_an_audit_row():
    rng = np.random.default_rng(0)
    plain = from_arrays.predictions_of(range(4000), rng.dirichlet(np.ones(5), 4000), rng.normal(size=(4000, 16)))
    for labels in (0, 500):
        selection = choose(plain, SamplingSettings(clips=60), labels_so_far=labels)
        assert Counter(selection.reasons.tolist()) == {"uncertain": 54, "novel": 6}
        assert (selection.inclusion_probs == 1).all()
    assert len(choose(plain, SamplingSettings(clips=2000, near_duplicate=None))) == 2000


def test_audit_rows_are_drawn_where_they_are_asked_for():
    pool = pool_of(1000, speakers=400)
    asked = choose(pool, SamplingSettings(clips=60, audit_share=0.15))
    assert Counter(asked.reasons.tolist())["audit"] == 9
    few = choose(pool, SamplingSettings(clips=60, audit_share=0.15, audit_share_while_few=0.5))
    assert Counter(few.reasons.tolist())["audit"] == 30
    enough = SamplingSettings(clips=60, audit_share=0.15, audit_share_while_few=0.5)
    assert Counter(choose(pool, enough, audit_rows_so_far=999).reasons.tolist())["audit"] == 9


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        (SamplingSettings(clips=60), r"30 of 60 clips fit; the rest is kept out by max_per_speaker 3"),
        (
            SamplingSettings(clips=60, max_fraction=0.01),
            r"60 clips were asked for; max_fraction 0\.01 with floor 40 .* 40",
        ),
        (SamplingSettings(clips=400), r"400 clips were asked for; the pool allows 300"),
        (SamplingSettings(clips=20, minutes=0.5), r"kept out by .*minutes"),
        (SamplingSettings(clips=20, near_duplicate=0.05), r"kept out by near_duplicate 0\.05"),
    ],
)
def test_a_cap_that_prevents_what_was_asked_is_named(settings_, message):
    pool = replace(pool_of(300, speakers=10), splits=np.full(300, "train"))
    with pytest.raises(Refused, match=message):
        choose(pool, settings_, labels_so_far=100)


def test_a_notebook_says_how_many():
    with pytest.raises(SettingsError, match=r"say how many, such as SamplingSettings\(clips=60\)"):
        choose(pool_of(), SamplingSettings(strategy="random"))
    assert len(choose(pool_of(), SamplingSettings(floor=20, max_fraction=0.0), labels_so_far=100)) == 20
    assert choose(pool_of(), SamplingSettings(minutes=2.0), labels_so_far=100).costs.sum() <= 120


def test_known_embeddings_count_as_labels():
    pool = pool_of(400, speakers=400)
    known = replace(pool, known_embeddings=pool.embeddings[:60])
    made = SamplingSettings(clips=20)
    assert as_bytes(choose(known, made)) == as_bytes(choose(known, made, labels_so_far=60))
    assert as_bytes(choose(known, made)) != as_bytes(choose(known, made, labels_so_far=0))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(30, 150),
    seed=st.integers(0, 1000),
    minutes=st.floats(5, 40),
    audit=st.integers(1, 3),
    other=st.integers(1, 2),
    asked_before=st.integers(0, 200),
)
def test_the_minutes_bound_every_answer_that_is_asked_for(
    n: int, seed: int, minutes: float, audit: int, other: int, asked_before: int
):
    pool = pool_of(n, seed=seed)
    made = SamplingSettings(minutes=minutes, floor=n)
    answers = AnswersPerRow(audit=audit, other=other)
    choice = choose_explained(
        pool, made, round="r1", audit_rows_so_far=asked_before, labels_so_far=100, answers=answers
    )
    selection, rows = choice.selection, rows_of(pool, choice.selection)
    seconds = {ask: ask_costs(CostModel(), ask, pool.predictions)[rows] for ask in ("transcribe", "label_intent")}
    once = np.where(selection.asks == "transcribe", seconds["transcribe"], seconds["label_intent"])
    drawn = selection.reasons == "audit"
    assert np.allclose(selection.costs, once * np.where(drawn, audit, other))
    assert choice.seconds == pytest.approx(selection.costs.sum())
    assert choice.seconds <= minutes * 60 + 1e-6


@given(
    n=st.integers(20, 120),
    seed=st.integers(0, 99),
    clips=st.integers(3, 60),
    audit=st.integers(1, 3),
    other=st.integers(1, 3),
    share=st.floats(0.0, 1.0),
    asked_before=st.integers(0, 200),
)
@settings(max_examples=40, deadline=None)
def test_the_clips_bound_every_answer_that_is_asked_for(
    n: int, seed: int, clips: int, audit: int, other: int, share: float, asked_before: int
):
    pool = pool_of(n, seed=seed)
    made = SamplingSettings(clips=clips, floor=n, audit_share=share, audit_share_while_few=share)
    answers = AnswersPerRow(audit=audit, other=other)
    choice = choose_explained(
        pool, made, round="r1", audit_rows_so_far=asked_before, labels_so_far=100, answers=answers
    )
    drawn = choice.selection.reasons == "audit"
    assert choice.answers == np.where(drawn, audit, other).sum() <= clips
    if (audit, other) == (1, 1):
        assert choice.budget.clips == min(clips, n)


def test_twenty_clips_are_twenty_answers_of_people():
    pool = pool_of(400, seed=1, speakers=200, skew=0.1)
    answers = AnswersPerRow(audit=2, other=1)
    choice = choose_explained(pool, SamplingSettings(clips=20), round="r1", labels_so_far=100, answers=answers)
    audit = int((choice.selection.reasons == "audit").sum())
    assert (len(choice.selection), audit, choice.answers) == (13, 7, 20)
    with pytest.raises(SettingsError, match="clips 2 allows no clip, as 3 people answer each"):
        choose_explained(pool, SamplingSettings(clips=2), round="r1", answers=AnswersPerRow(audit=3, other=3))


def test_answers_by_two_leave_half_of_the_planned_rows_to_learn_from():
    pool = pool_of(150, seed=1, speakers=60, skew=0.1)
    made = SamplingSettings(minutes=12, clips=40)
    choice = choose_explained(pool, made, round="r1", labels_so_far=100, answers=AnswersPerRow(audit=2, other=1))
    audit = int((choice.selection.reasons == "audit").sum())
    assert 0.3 <= audit / len(choice.selection) <= 0.7

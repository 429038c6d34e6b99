from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import gates
from corpus.errors import RecordError
from corpus.records.evaluation import EvaluationReport
from training.evaluation.gate import PromotionSettings, alpha_at, decide, most_negative_flips
from training.evaluation.gate_text import decision_text
from training.evaluation.intervals import IntervalSettings, report_interval


def report(kind, version, speakers, *, errors=None, words=None, correct=None, eval_set_id="e" * 64):
    n = len(speakers)
    zeros = np.zeros(n, dtype=np.int64)
    return EvaluationReport(
        kind=kind,
        version=version,
        eval_set_id=eval_set_id,
        utterance_ids=np.array([f"u{row:05}" for row in range(n)], dtype=np.str_),
        speaker_ids=np.array(speakers, dtype=np.str_),
        errors=zeros if errors is None else np.asarray(errors, dtype=np.int64),
        words=zeros if words is None else np.asarray(words, dtype=np.int64),
        char_errors=zeros,
        chars=zeros,
        correct=np.zeros(n, dtype=bool) if correct is None else np.asarray(correct, dtype=bool),
        confidence=np.ones(n, dtype=np.float32),
        slot_counts=np.zeros((n, 3), dtype=np.int64),
    )


def asr_pair(rng, speakers=30, rows=8, before=0.15, after=0.15, stay=0.7):
    """Return two models with equal results on the share `stay` of the rows and independent errors elsewhere."""
    names = np.repeat(np.arange(speakers).astype(str), rows)
    words = rng.integers(2, 9, len(names))
    ease = np.repeat(rng.uniform(0.5, 1.5, speakers), rows)
    old = rng.binomial(words, np.clip(before * ease, 0, 1))
    own = rng.binomial(words, np.clip(after * ease, 0, 1))
    same = rng.random(len(names)) < stay
    new = np.where(same & (before == after), old, own)
    return report("asr", "1", names, errors=old, words=words), report("asr", "2", names, errors=new, words=words)


def only(each, rows):
    return report(each.kind, each.version, each.speaker_ids[rows], errors=each.errors[rows], words=each.words[rows])


LOOSE = PromotionSettings(max_negative_flips_asr=1.0, max_negative_flips_intent=1.0)
QUICK = LOOSE.model_copy(update={"interval": IntervalSettings(resamples=500, tail_draws=5)})


def test_alpha_is_spent_once_over_all_looks():
    assert alpha_at(0.05, 1) == pytest.approx(0.025)
    assert sum(alpha_at(0.05, look) for look in range(1, 20_000)) == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(RecordError, match="look 0"):
        alpha_at(0.05, 0)


def test_equal_models_are_promoted_at_most_as_often_as_alpha_says():
    rng = np.random.default_rng(17)
    promoted = [decide(*asr_pair(rng), look=1, settings=QUICK).promotes for _ in range(200)]
    assert sum(promoted) <= 0.05 * 200


def test_equal_models_that_are_looked_at_every_night_are_still_seldom_promoted():
    rng = np.random.default_rng(19)
    ever = 0
    for _ in range(40):
        pair = asr_pair(rng, speakers=30, rows=12)
        night = np.arange(len(pair[0])) % 12 // 3
        for look in range(1, 4):
            if decide(*(only(each, night < look + 1) for each in pair), look, QUICK).promotes:
                ever += 1
                break
    assert ever <= 0.05 * 40


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_gates_over_five_nights_seldom_promote_what_is_no_better(kind):
    """The benchmark's gates with fewer draws: speakers differ, each model is better for some, and slices decide."""
    quick = PromotionSettings(interval=IntervalSettings(resamples=400, tail_draws=8))
    firsts = [gates.gate(kind, seed, 0.0, quick) for seed in range(60)]
    assert sum(first["gate"] > 0 for first in firsts) <= 0.05 * len(firsts)
    gained = [gates.gate(kind, seed, 0.4, quick) for seed in range(3)]
    assert all(first["gate"] > 0 for first in gained)


def test_a_clear_gain_is_promoted():
    decision = decide(*asr_pair(np.random.default_rng(1), before=0.30, after=0.10), look=1, settings=LOOSE)
    assert decision.decision == "promote"
    assert decision.difference.high < 0
    assert decision.alpha_used == pytest.approx(0.025)
    assert decision.reasons == ("the whole 97.5 % interval of the difference is on the better side",)


def test_a_planted_regression_is_refused_and_called_worse():
    decision = decide(*asr_pair(np.random.default_rng(2), before=0.10, after=0.25), look=1)
    assert decision.decision == "refuse"
    assert "the challenger is worse" in decision.reasons
    assert any("rows became worse and" in reason and "above the cap" in reason for reason in decision.reasons)


def test_the_same_outputs_are_refused_with_a_difference_of_zero():
    old, _ = asr_pair(np.random.default_rng(3))
    decision = decide(old, report("asr", "2", old.speaker_ids, errors=old.errors, words=old.words), look=1)
    assert decision.decision == "refuse"
    assert (decision.difference.value, decision.difference.low, decision.difference.high) == (0.0, 0.0, 0.0)


def test_too_few_rows_or_speakers_are_indicative_however_clear_the_gain():
    rng = np.random.default_rng(4)
    few_rows = decide(*asr_pair(rng, speakers=30, rows=3, before=0.5, after=0.02), look=1)
    few_speakers = decide(*asr_pair(rng, speakers=23, rows=20, before=0.5, after=0.02), look=1)
    just_enough = decide(*asr_pair(rng, speakers=24, rows=20, before=0.5, after=0.02), 1, LOOSE)
    assert (few_rows.decision, few_speakers.decision) == ("indicative", "indicative")
    assert "90 audit rows, 100 are needed" in few_rows.reasons[0]
    assert "23 speakers, 24 are needed" in few_speakers.reasons[0]
    assert few_rows.difference.high < 0
    assert just_enough.decision == "promote"


def test_what_is_missing_is_named_after_the_rows_that_judge():
    few = asr_pair(np.random.default_rng(4), speakers=12, rows=5, before=0.5, after=0.02)
    decision = decide(*few, 1, PromotionSettings(judged_on="held_out"))
    assert decision.reasons[:2] == (
        "60 held-out rows, 100 are needed; bring more labels that judge (held_out: true)",
        "12 speakers, 24 are needed; bring held-out rows of more speakers",
    )
    assert "judged on 60 rows of 12 speakers" in decision_text(decision)


def test_a_gain_that_is_paid_for_by_one_slice_is_refused():
    rng = np.random.default_rng(5)
    old, new = asr_pair(rng, speakers=60, rows=10, before=0.35, after=0.08)
    far = np.arange(len(old)) % 60 < 12
    hurt = np.where(far, np.minimum(old.errors + 1, old.words), new.errors)
    new = report("asr", "2", old.speaker_ids, errors=hurt, words=old.words)
    slices = {"device_type": np.where(far, "far field", "near")}
    decision = decide(old, new, 1, LOOSE, slices)
    assert decision.difference.high < 0
    assert decision.decision == "refuse"
    (reason,) = (each for each in decision.reasons if each.startswith("slice device_type=far field is worse by "))
    assert reason.endswith(f" points, margin {100 * LOOSE.slice_margin:.1f}")
    assert {row.value: row.verdict for row in decision.slices} == {"far field": "harmed", "near": "not worse"}
    assert decide(old, new, 1, LOOSE).decision == "promote"


def test_a_small_slice_proves_nothing_but_harm():
    rng = np.random.default_rng(6)
    old, new = asr_pair(rng, speakers=40, rows=10, before=0.30, after=0.10)
    rare = np.arange(len(old)) % 10 == 0
    slices = {"locale": np.where(rare, "en-IE", "en-GB")}
    decision = decide(old, new, 1, LOOSE, slices)
    assert decision.decision == "promote"
    assert {row.value: row.verdict for row in decision.slices} == {"en-IE": "small", "en-GB": "not worse"}
    hurt = report("asr", "2", old.speaker_ids, errors=np.where(rare, old.words, new.errors), words=old.words)
    assert decide(old, hurt, 1, LOOSE, slices).slices[1].verdict == "harmed"
    assert [row.level for row in decision.slices] == pytest.approx([0.9, 0.9])


def test_small_slices_share_one_level_and_the_text_says_which():
    old, new = asr_pair(np.random.default_rng(6), speakers=40, rows=10, before=0.30, after=0.10)
    rare = np.arange(len(old)) % 20 // 4 * (np.arange(len(old)) % 4 == 0)  # four of 20 rows each, the rest together
    decision = decide(old, new, 1, LOOSE, {"accent": rare.astype(str)})
    small = [row for row in decision.slices if row.verdict == "small"]
    assert len(small) == 4
    assert [row.level for row in small] == pytest.approx([0.975] * 4)
    lines = [line for line in decision_text(decision).splitlines() if line.endswith("  small")]
    assert [line.split()[-3:] for line in lines] == [["97.5", "%", "small"]] * 4


def test_every_figure_of_a_decision_counts_a_row_by_its_weight():
    rng = np.random.default_rng(12)
    old, new = asr_pair(rng, speakers=30, rows=8, before=0.3, after=0.2)
    weights = rng.choice([1.0, 5.0, 40.0], len(old))
    half = np.where(np.arange(len(old)) % 2, "odd", "even")
    decision = decide(old, new, 1, LOOSE, {"locale": half}, weights)

    def rate(each: EvaluationReport, rows: np.ndarray) -> float:
        return float((weights * each.errors)[rows].sum() / (weights * each.words)[rows].sum())

    everywhere = np.ones(len(old), bool)
    before, after = rate(old, everywhere), rate(new, everywhere)
    assert (decision.champion.value, decision.challenger.value) == pytest.approx((before, after))
    assert decision.difference.value == pytest.approx(after - before)
    assert [row.value for row in decision.slices] == ["even", "odd"]
    for row in decision.slices:
        before, after = (rate(each, half == row.value) for each in (old, new))
        assert (row.champion, row.challenger) == pytest.approx((before, after))
        assert row.difference.value == pytest.approx(after - before)


def test_what_decides_is_the_traffic_and_not_the_sample():
    """Half of the rows stand for nine tenths of the traffic; the challenger is worse there and better elsewhere."""
    names, common = np.repeat(np.arange(40).astype(str), 10), np.arange(400) % 10 < 5
    old = report("intent", "1", names, correct=common)
    new = report("intent", "2", names, correct=~common)
    better = decide(old, new, 1, LOOSE, weights=np.where(common, 1.0, 9.0))
    worse = decide(old, new, 1, LOOSE, weights=np.where(common, 9.0, 1.0))
    assert better.decision == "promote"
    assert better.difference.value == pytest.approx(-0.8)
    assert "the challenger is worse" in worse.reasons
    assert worse.difference.value == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("speakers", "rows", "large"), [(12, 120, True), (11, 120, False), (20, 100, True), (20, 99, False)]
)
def test_a_slice_is_large_with_enough_rows_of_enough_speakers(speakers: int, rows: int, large: bool):
    inside = np.arange(rows) % speakers
    names = np.concatenate([inside.astype(str), np.arange(100, 500).astype(str)])
    words = np.full(len(names), 5)
    old = report("asr", "1", names, errors=np.full(len(names), 2), words=words)
    new = report("asr", "2", names, errors=np.full(len(names), 1), words=words)
    slices = {"locale": np.where(np.arange(len(names)) < rows, "de-AT", "de-DE")}
    verdicts = {row.value: row.verdict for row in decide(old, new, 1, LOOSE, slices).slices}
    assert verdicts == {"de-AT": "not worse" if large else "small", "de-DE": "not worse"}


def test_a_slice_of_one_row_says_too_few():
    old, new = asr_pair(np.random.default_rng(6), speakers=40, rows=10, before=0.30, after=0.10)
    one = np.where(np.arange(len(old)) == 0, "alone", "others")
    text = decision_text(decide(old, new, 1, LOOSE, {"accent": one}))
    assert "too few" in next(line for line in text.splitlines() if "accent=alone" in line)
    assert "[-100.0, +100.0]" not in text


def test_a_large_slice_that_could_be_worse_by_more_than_the_margin_is_refused():
    old, new = asr_pair(np.random.default_rng(8), speakers=60, rows=10, before=0.35, after=0.10)
    far = np.arange(len(old)) % 5 == 0
    errors = np.where(far, np.random.default_rng(9).permutation(old.errors[far]).repeat(5)[: len(old)], new.errors)
    new = report("asr", "2", old.speaker_ids, errors=np.minimum(errors, old.words), words=old.words)
    decision = decide(old, new, 1, LOOSE, {"device_type": np.where(far, "far field", "near")})
    assert decision.slices[0].verdict == "not shown"
    assert decision.decision == "refuse"


def intent_pair(right_before, right_after):
    """Return reports on 400 rows, ten of each speaker; the arguments are which of a speaker's ten rows are right."""
    names, row = np.repeat(np.arange(40).astype(str), 10), np.arange(400) % 10
    before, after = np.isin(row, right_before), np.isin(row, right_after)
    return report("intent", "1", names, correct=before), report("intent", "2", names, correct=after)


def test_intents_that_gain_on_the_whole_but_flip_too_many_are_refused():
    pair = intent_pair([0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7, 8])  # of each ten, one worse and two better
    assert decide(*pair, 1).flip_cap == pytest.approx(0.1)
    assert decide(*pair, 1).measure == "intent_error"
    strict = PromotionSettings(negative_flips_per_positive=0.4)
    decision = decide(*pair, 1, strict)
    assert (decision.negative_flips, decision.positive_flips) == (40, 80)
    assert decision.difference.high < 0
    assert decision.decision == "refuse"
    assert decision.reasons == ("40 of 400 rows became worse and 80 better, above the cap of 32 worse rows",)
    assert decide(*pair, 1).decision == "promote"
    assert decide(*pair, 1, strict.model_copy(update={"max_negative_flips_intent": 0.1})).decision == "promote"


def test_a_poor_champion_is_replaced_by_what_helps_twice_as_many_as_it_harms():
    """A real case: intent error 81.8 -> 67.8 %, of 121 rows 23 better and 11 worse, which is 9.1 % of all rows."""
    names = np.arange(121).astype(str)
    row = np.arange(121)
    before, after = row < 22, (row >= 11) & (row < 45)
    old, new = (report("intent", v, names, correct=right) for v, right in (("1", before), ("2", after)))
    decision = decide(old, new, 1, PromotionSettings(alpha=0.2))
    assert (decision.negative_flips, decision.positive_flips) == (11, 23)
    assert not any("became worse" in reason for reason in decision.reasons)
    old_rule = decide(old, new, 1, PromotionSettings(alpha=0.2, negative_flips_per_positive=0.0))
    assert "11 of 121 rows became worse and 23 better, above the cap of 6 worse rows" in old_rule.reasons


def test_a_champion_with_few_errors_is_protected_by_the_share_of_all_rows_alone():
    """Where 4 % of the rows are wrong, fewer can become better than the share allows to become worse."""
    settings = PromotionSettings()
    assert most_negative_flips("intent", 1000, 40, settings) == pytest.approx(50)
    assert most_negative_flips("asr", 1000, 40, settings) == pytest.approx(120)
    assert most_negative_flips("intent", 1000, 500, settings) == pytest.approx(250)


def test_reports_of_different_sets_are_not_compared():
    old, new = asr_pair(np.random.default_rng(1))
    other = report("asr", "2", old.speaker_ids, errors=new.errors, words=old.words, eval_set_id="f")
    with pytest.raises(RecordError, match="different sets"):
        decide(old, other, 1)


def test_a_decision_is_json_and_a_text_for_people():
    old, new = asr_pair(np.random.default_rng(1), before=0.3, after=0.1)
    decision = decide(old, new, 2, LOOSE, {"locale": np.where(np.arange(len(old)) % 2, "en-GB", "en-US")})
    plain = json.loads(json.dumps(decision.as_json(), allow_nan=False))
    assert plain["decision"] == "promote"
    assert plain["difference"]["value"] == decision.difference.value
    assert plain["slices"][0]["verdict"] == "not worse"
    assert plain["reasons"] == list(decision.reasons)
    assert plain["measure"] == "wer"
    at_its_level = LOOSE.interval.model_copy(update={"alpha": decision.alpha_used})
    assert decision.champion == report_interval(old, at_its_level)
    assert decision.challenger == report_interval(new, at_its_level)
    assert decision.champion.high > report_interval(old, LOOSE.interval).high
    text = decision_text(decision)
    assert text.startswith("asr 2 against champion 1: PROMOTE")
    assert decision.reasons == ("the whole 99.17 % interval of the difference is on the better side",)
    assert "small ones (below 100 rows or 12 speakers) can only show harm" in text
    assert "look 2, intervals at 99.17 %" in text
    assert "locale=en-GB" in text
    worse, rows = decision.negative_flips, len(old)
    assert f"rows that became worse {worse} ({100 * worse / rows:.1f} %, cap 100.0 % of all rows)" in text
    for row in decision.slices:
        line = next(line for line in text.splitlines() if f"={row.value} " in line)
        assert line.split()[3:7] == [f"{100 * row.champion:.1f}", "%", f"{100 * row.challenger:.1f}", "%"]
        difference = 100 * row.difference.value, 100 * row.difference.low, 100 * row.difference.high
        assert "{:+.1f} [{:+.1f}, {:+.1f}]".format(*difference) in line
        assert line.split()[-3:] == ["%", "not", "worse"]
        assert line.split()[-4] == "90"  # a one-sided test at 5 %
    assert f"champion      {100 * decision.champion.value:.1f} % [{100 * decision.champion.low:.1f}, " in text


def test_an_indicative_decision_names_no_look_as_it_spends_none():
    old, new = asr_pair(np.random.default_rng(1), speakers=5, rows=4)
    text = decision_text(decide(old, new, 2))
    assert "INDICATIVE" in text
    assert "  no look is spent, intervals at 99.17 %" in text
    assert "look 2" not in text

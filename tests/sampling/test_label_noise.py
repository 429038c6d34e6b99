"""Label noise: planted errors come first, order means nothing, and what can't be judged is never suspect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.label_noise import (
    MOST_CHANCE,
    chance_of_error,
    confident_learning,
    fold_numbers,
    intent_doubt,
    labels_elsewhere,
    neighbour_votes,
    out_of_fold,
    ranked,
    text_features,
    towards,
    transcript_scores,
)

WORDS = {
    "lights": "turn on the kitchen light lamp bright dim",
    "music": "play some jazz song album loud artist",
    "weather": "will it rain snow sunny forecast tomorrow",
}


def corpus_of(
    count: int, seed: int = 0, wrong: int = 0, words: int = 4
) -> tuple[list[str], list[str], list[str], set[str]]:
    """Return ids, texts and intents of a corpus that words alone separate, and the ids of its wrong labels."""
    rng = np.random.default_rng(seed)
    names = sorted(WORDS)
    ids = [f"u{k:04d}" for k in range(count)]
    true = [names[k % len(names)] for k in range(count)]
    texts = [" ".join(rng.choice(WORDS[name].split(), words)) for name in true]
    planted = {ids[k] for k in rng.permutation(count)[:wrong].tolist()}
    intents = [
        names[(names.index(name) + 1) % len(names)] if i in planted else name for i, name in zip(ids, true, strict=True)
    ]
    return ids, texts, intents, planted


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_of_a_separable_corpus_are_first(seed: int):
    ids, texts, intents, planted = corpus_of(240, seed, wrong=12)
    found = intent_doubt(ids, text_features([texts]), intents, ids)
    first = {ids[k] for k in np.argsort(found.rank)[:12]}
    assert first == planted
    assert found.noise == pytest.approx(12 / 240, abs=0.01)
    wrong = np.array([i in planted for i in ids])
    assert found.scores[wrong].min() > 0.3 > 0.2 > found.scores[~wrong].max()
    assert found.confident[wrong].all()
    assert not found.confident[~wrong].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_neither_order_nor_size_takes_a_score_out_of_its_range(seed: int, count: int):
    ids, texts, intents, _ = corpus_of(count, seed, wrong=count // 10)
    speakers = [f"s{k % 7}" for k in range(count)]
    found = intent_doubt(ids, text_features([texts]), intents, speakers)
    assert ((found.scores >= 0) & (found.scores <= MOST_CHANCE)).all()
    assert found.judged.sum() or not found.noise
    assert sorted(found.rank.tolist()) == list(range(count))
    turned = np.random.default_rng(seed).permutation(count)
    pick = [turned.tolist()] if count else []
    for order in pick:
        again = intent_doubt(
            [ids[k] for k in order],
            text_features([texts])[order],
            [intents[k] for k in order],
            [speakers[k] for k in order],
        )
        assert again.rank.tolist() == found.rank[order].tolist()
        np.testing.assert_array_equal(again.scores, found.scores[order])


def test_equal_rows_are_ranked_by_their_ids():
    ids, texts, intents, _ = corpus_of(60)
    speakers = [f"s{k % 6}" for k in range(60)]
    ids, texts = [*ids, "b", "a", "c"], [*texts, *["play some rain"] * 3]
    intents, speakers = [*intents, *["lights"] * 3], [*speakers, *["s1"] * 3]
    found = intent_doubt(ids, text_features([texts]), intents, speakers)
    assert [ids[k] for k in np.argsort(found.rank)[:3]] == ["a", "b", "c"]


@pytest.mark.parametrize("intents", [[], ["a"], ["a", "a", "a"]])
def test_where_nothing_can_be_compared_nothing_is_judged(intents: list[str]):
    ids = [f"u{k}" for k in range(len(intents))]
    found = intent_doubt(ids, text_features([["play"] * len(ids)]), intents, ids)
    assert not found.judged.any()
    assert not found.scores.any()
    assert found.noise == 0


def test_an_intent_of_one_speaker_alone_is_not_judged_and_not_suspect():
    ids, texts, intents, _ = corpus_of(60)
    speakers = [f"s{k % 7}" for k in range(60)]
    alone = [k for k in range(60) if speakers[k] == "s0"]
    intents = ["only here" if k in alone else name for k, name in enumerate(intents)]
    found = intent_doubt(ids, text_features([texts]), intents, speakers)
    assert not found.judged[alone].any()
    assert not found.scores[alone].any()
    assert found.judged[[k for k in range(60) if k not in alone]].all()


@pytest.mark.parametrize(("labels", "judged"), [(1, 0), (2, 0), (3, 3), (4, 4)])
def test_an_intent_with_one_or_two_labels_is_not_judged(labels: int, judged: int):
    ids, texts, intents, _ = corpus_of(60)
    intents = [*intents[: 60 - labels], *["rare"] * labels]
    found = intent_doubt(ids, text_features([texts]), intents, ids)
    rare = np.array([name == "rare" for name in intents])
    assert found.judged[rare].sum() == judged
    assert found.judged[~rare].all()
    assert not found.scores[~found.judged].any()


@pytest.mark.parametrize("seed", range(6))
def test_of_few_labels_that_are_all_right_none_is_surely_wrong(seed: int):
    """Rare intents whose texts share words with frequent ones: their models are poor, and their labels are right."""
    rng = np.random.default_rng(seed)
    names = [f"i{k}" for k in range(9)]
    sizes = (14, 10, 6, 4, 3, 3, 2, 2, 1)
    common = ["please", "could", "you", "now", "for", "me", "the", "a", "my"]
    texts, intents = [], []
    for name, size in zip(names, sizes, strict=True):
        for _ in range(size):
            texts.append(" ".join([*rng.choice(common, 5), f"{name}{rng.integers(3)}"]))
            intents.append(name)
    ids = [f"u{k:03d}" for k in range(len(texts))]
    found = intent_doubt(ids, text_features([texts]), intents, ids)
    assert found.scores.max() < 0.7
    assert found.noise < 0.2
    one_less = intent_doubt(ids[1:], text_features([texts[1:]]), intents[1:], ids[1:])
    both = found.judged[1:] & one_less.judged
    assert np.abs(one_less.scores - found.scores[1:])[both].max() < 0.3


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0.005, 0.5), st.floats(0, 1), st.floats(0, 1))
def test_less_evidence_is_nearer_to_the_usual_chance(chance: float, usual: float, less: float, more: float):
    less, more = sorted((less, more))
    few, many = towards(np.array([chance, chance]), usual, np.array([less, more]))
    assert abs(few - usual) <= abs(many - usual) + 1e-12
    assert towards(np.array([chance]), usual, np.zeros(1))[0] == pytest.approx(usual)


def test_labels_elsewhere_leave_out_those_of_the_own_fold():
    labels, folds = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2])
    assert labels_elsewhere(labels, 2, folds).tolist() == [1, 1, 2, 1, 1]


def test_other_peoples_answers_raise_and_lower_the_chance():
    ids, texts, intents, planted = corpus_of(120, wrong=6)
    features = text_features([texts])
    row, right = ids.index(min(planted)), next(k for k, i in enumerate(ids) if i not in planted)
    plain = intent_doubt(ids, features, intents, ids)
    votes = [int(k == row) for k in range(120)]
    assert intent_doubt(ids, features, intents, ids, agreeing=votes).scores[row] < plain.scores[row]
    votes = [int(k == right) for k in range(120)]
    assert intent_doubt(ids, features, intents, ids, dissenting=votes).scores[right] > plain.scores[right]


def test_a_speaker_is_in_one_fold_and_folds_are_alike_in_size():
    speakers = [f"s{k % 13}" for k in range(260)]
    folds = fold_numbers(speakers)
    assert all(len({int(f) for f, s in zip(folds, speakers, strict=True) if s == who}) == 1 for who in set(speakers))
    assert np.ptp(np.bincount(folds, minlength=5)) <= 20
    turned = fold_numbers(speakers[::-1])
    np.testing.assert_array_equal(turned[::-1], folds)


def test_no_row_is_judged_by_a_model_that_saw_it():
    """A label that only the row itself supports is improbable, however much its own features say it."""
    features = np.eye(12)
    labels = np.array([0, 1] * 6, np.intp)
    probs, judged = out_of_fold(features, labels, 2, fold_numbers([str(k) for k in range(12)]))
    assert judged.all()
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    assert probs[np.arange(12), labels].max() < 0.6


def test_neighbours_vote_by_similarity_and_a_row_not_for_itself():
    features = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    votes = neighbour_votes(features, np.array([0, 1, 2], np.intp), 3, count=2)
    np.testing.assert_allclose(votes.sum(axis=1), 1.0)
    assert votes[0].argmax() == 1  # 0.8 similar; the third is not at all
    assert votes[0, 0] < 0.01
    assert votes[1, 0] / votes[1, 2] == pytest.approx(0.8 / 0.6, rel=0.01)


def test_confident_learning_counts_by_the_thresholds_of_the_classes():
    """Northcutt et al. 2021: class 0 is usually certain and class 1 seldom, so 0.45 is enough for class 1 alone."""
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.6, 0.4], [0.55, 0.45], [0.5, 0.5]])
    labels = np.array([0, 0, 0, 1, 1, 1], np.intp)  # thresholds: mean of .9 .9 .55 = .783; of .4 .45 .5 = .45
    wrong, share = confident_learning(probs, labels)
    assert wrong.tolist() == [False, False, True, False, False, False]
    # joint counts: label 0: two counted as 0, one as 1, of 3 rows; label 1: two counted as 1, of 3 rows
    assert share == pytest.approx(1 / 6)


def test_the_chance_of_an_error_is_that_of_a_simulation():
    """Draw true classes from p, flip a share of them, and count wrong labels where the model's q is the same."""
    rng = np.random.default_rng(0)
    p, noise, classes = 0.3, 0.1, 3
    true = rng.random(400_000) < p  # of the class in question
    flipped = rng.random(400_000) < noise
    to_it = rng.random(400_000) < 0.5  # one of the two other classes
    labelled = (true & ~flipped) | (~true & flipped & to_it)
    q = labelled.mean()
    wrong = (labelled & ~true).sum() / labelled.sum()
    assert chance_of_error(np.array([q]), noise, classes)[0] == pytest.approx(wrong, abs=0.01)


def test_a_less_probable_label_is_never_less_suspect():
    chances = chance_of_error(np.linspace(0, 1, 200), 0.05, 7)
    assert (np.diff(chances) <= 1e-12).all()
    assert chances[0] == pytest.approx(1.0)
    assert chances[-1] == 0.0


def test_transcripts_are_ordered_by_cost_and_each_judge_has_its_own_scale():
    costs = np.array([0.0, 0.2, 9.0, 12.0, 14.0, 30.0])
    scores = transcript_scores(costs, ["asr/2", "asr/2", "asr/2", "asr/1", "asr/1", "asr/1"])
    assert (np.diff(scores[:3]) > 0).all()
    assert (np.diff(scores[3:]) > 0).all()
    assert scores[2] > 0.5 > scores[3]  # 9 nats are much for the good model, 12 usual for the poor one
    assert ((scores >= 0) & (scores < 1)).all()
    assert ranked(np.array(["b", "a", "c"]), np.array([0.5, 0.5, 0.9])).tolist() == [2, 1, 0]
    assert transcript_scores(np.zeros(0), []).tolist() == []


@given(st.integers(2, 40), st.integers(1, 9), st.integers(0, 999))
def test_the_rows_that_vote_are_those_of_a_whole_sort_however_many_are_in_memory(rows: int, count: int, seed: int):
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 3, (rows, 3)).astype(float)  # few values, so that many are equally similar
    labels = rng.integers(0, 3, rows).astype(np.intp)
    taken = min(count, rows - 1)
    near = features @ features.T
    np.fill_diagonal(near, -np.inf)
    places = np.argsort(-near, axis=1, kind="stable")[:, :taken]
    votes = np.zeros((rows, 3))
    for k, chosen in enumerate(places):
        np.add.at(votes[k], labels[chosen], near[k, chosen])
    wanted = (votes + 1e-3) / (votes.sum(axis=1, keepdims=True) + 3e-3)
    for cells in (1, 100, 1 << 24):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sampling.label_noise.CELLS", cells)
            np.testing.assert_allclose(neighbour_votes(features, labels, 3, count), wanted, atol=1e-12)

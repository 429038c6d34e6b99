from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene, MajorityVote

from annotation.dawid_skene import Confusions, DawidSkeneSettings, learn_confusions

ACCURACY = {"ann": 0.95, "bob": 0.9, "cid": 0.85, "dan": 0.55, "eve": 0.35}


def votes(items: int, classes: int, seed: int, per_item: int = 3) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
    """Return votes of five people of different accuracy, three on each item, and the truth."""
    rng = np.random.default_rng(seed)
    found, truth = [], {}
    for i in range(items):
        true = int(rng.integers(classes))
        truth[f"i{i:04d}"] = f"c{true}"
        for who in rng.choice(sorted(ACCURACY), per_item, replace=False):
            wrong = (true + int(rng.integers(1, classes))) % classes
            found.append((f"i{i:04d}", str(who), f"c{true if rng.random() < ACCURACY[str(who)] else wrong}"))
    return found, truth


def winners(model: Confusions, given: list[tuple[str, str, str]]) -> dict[str, str]:
    by_item: dict[str, list[tuple[str, str]]] = {}
    for item, who, value in given:
        by_item.setdefault(item, []).append((who, value))
    return {i: max(sorted(model.posterior(rows).items()), key=lambda x: x[1])[0] for i, rows in by_item.items()}


def wrong(found: dict[str, str], truth: dict[str, str]) -> float:
    return sum(found[item] != truth[item] for item in truth) / len(truth)


@pytest.mark.parametrize("classes", [4, 12])
def test_it_finds_the_truth_about_as_often_as_crowd_kit_and_more_often_than_the_majority(classes: int) -> None:
    given, truth = votes(600, classes, seed=classes)
    table = pd.DataFrame(given, columns=["task", "worker", "label"])
    theirs = DawidSkene(n_iter=50).fit_predict(table).to_dict()
    majority = MajorityVote().fit_predict(table).to_dict()
    ours = winners(learn_confusions(given), given)
    assert wrong(ours, truth) <= wrong(theirs, truth) + 0.01
    assert wrong(ours, truth) < wrong(majority, truth)
    assert sum(ours[item] == theirs[item] for item in truth) >= 0.9 * len(truth)


def test_people_are_distinguished_and_the_order_of_the_votes_does_not_matter() -> None:
    given, _ = votes(400, 8, seed=1)
    model = learn_confusions(given)
    assert sorted(ACCURACY, key=model.accuracy.get, reverse=True) == sorted(ACCURACY)
    for who, accuracy in ACCURACY.items():
        assert model.accuracy[who] == pytest.approx(accuracy, abs=0.1)
    mixed = [*given, *given[:50]]
    random.Random(3).shuffle(mixed)
    assert learn_confusions(mixed) == model


def test_a_confusion_of_two_values_is_learned_even_where_the_rest_is_right() -> None:
    given = [(f"i{k}", who, value) for k in range(60) for who in ("ann", "bob") for value in [f"c{k % 4}"]]
    given += [(f"i{k}", "eve", "c1" if k % 4 == 0 else f"c{k % 4}") for k in range(60)]
    model = learn_confusions(given)
    assert model.likelihood("eve", "c1", "c0") > 0.6
    assert model.likelihood("eve", "c2", "c2") > 0.9
    assert model.confidence([("eve", "c1")]) < 0.65
    assert model.confidence([("eve", "c2")]) > 0.85
    assert model.posterior([("eve", "c1"), ("ann", "c0")])["c0"] > 0.9


def test_whoever_always_says_the_same_has_said_nothing() -> None:
    given = [(f"i{k}", who, f"c{k % 10}") for k in range(80) for who in ("ann", "bob")]
    given += [(f"i{k}", "eve", "c0") for k in range(80)]
    model = learn_confusions(given)
    assert model.confidence([("eve", "c0")]) < 0.3
    assert model.relative_accuracy("eve") < 0.2


def test_who_answers_alone_agrees_with_nobody() -> None:
    assert learn_confusions([("i1", "ann", "c0"), ("i2", "bob", "c1")]).accuracy == {}
    gold = learn_confusions([("i1", "ann", "c0")], known={"i1": "c1"})
    assert gold.accuracy["ann"] < DawidSkeneSettings().accuracy


def test_without_a_record_equal_voices_tie_and_two_outvote_one() -> None:
    model = Confusions(classes=20)
    assert model.posterior([("ann", "a"), ("bob", "b")]) == {"a": 0.5, "b": 0.5}
    assert model.posterior([("ann", "a"), ("bob", "b"), ("cid", "a")])["a"] > 0.98
    assert model.confidence([("ann", "a")]) == pytest.approx(0.9)
    assert model.posterior([]) == {}


def test_it_comes_back_from_json() -> None:
    given, _ = votes(60, 5, seed=2)
    model = learn_confusions(given)
    again = Confusions.from_json(model.as_json())
    for row in given:
        assert again.likelihood(row[1], row[2], "c0") == pytest.approx(model.likelihood(row[1], row[2], "c0"), abs=1e-4)


def test_likelihoods_are_a_distribution_over_the_values() -> None:
    given, _ = votes(200, 6, seed=4)
    model = learn_confusions(given)
    for who in (*ACCURACY, "stranger"):
        for true in ("c0", "c5"):
            assert sum(model.likelihood(who, f"c{k}", true) for k in range(6)) == pytest.approx(1.0, abs=0.02)


def test_renamed_values_leave_every_number_as_it_is() -> None:
    given, _ = votes(200, 4, seed=2)
    names = {"c0": "x", "c1": "c2", "c2": "c1"}
    model = learn_confusions(given).renamed(lambda name: names.get(name, name))
    anew = learn_confusions([(item, who, names.get(value, value)) for item, who, value in given])
    assert model.accuracy == pytest.approx(anew.accuracy, abs=1e-5)
    assert model.prior == pytest.approx(anew.prior, abs=1e-5)
    back = {new: old for old, new in names.items()}
    assert model.renamed(lambda name: back.get(name, name)) == learn_confusions(given)


def test_of_values_that_are_one_now_the_confusion_counts_as_right() -> None:
    sure = {f"i{k}": f"c{k % 4}" for k in range(200)}
    given = [(item, "bob", "c1" if true == "c0" and int(item[1:]) % 3 else true) for item, true in sure.items()]

    def current(name: str) -> str:
        return "c0" if name == "c1" else name

    model = learn_confusions(given, sure).renamed(current)
    anew = learn_confusions(
        [(item, who, current(value)) for item, who, value in given], {i: current(true) for i, true in sure.items()}
    )
    assert model.classes == anew.classes == 3
    assert model.accuracy == pytest.approx(anew.accuracy)
    assert model.rows["bob"] == anew.rows["bob"]
    assert model.wrong["bob"] == {}
    assert learn_confusions(given, sure).accuracy["bob"] < model.accuracy["bob"] - 0.1

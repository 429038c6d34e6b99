"""Dawid-Skene: the confusions of each annotator, estimated from answers of several people to the same items.

The estimate is sparse: the truth of an item is one of the values that somebody gave, and only confusions that occur are
stored. So time and memory grow with the number of answers, not with the square of the inventory.
Source: A. P. Dawid and A. M. Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm,
Applied Statistics 28, 1979; smoothed towards a model in which each person has one accuracy, and one distribution of
wrong values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Floats = npt.NDArray[np.float64]
Vote = tuple[str, str, str]
"""Item, annotator, value."""

LEAST: Final = 1e-9

MOST: Final = 1.0 - 1e-4
"""Highest accuracy of a person."""


class DawidSkeneSettings(BaseModel):
    """How confusions are estimated.

    Attributes:
        accuracy: Accuracy of a person without compared answers.
        strength: Weight of this `accuracy` against a person's own, as a number of answers.
        row_strength: Weight of a person's accuracy against their answers to one value, as a number of answers.
        rounds: Most rounds of the EM algorithm.
        tolerance: The algorithm ends when no posterior changes by more than this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    accuracy: float = Field(default=0.9, gt=0.0, lt=1.0)
    strength: float = Field(default=4.0, ge=0.0, le=1e6)
    row_strength: float = Field(default=4.0, ge=0.0, le=1e6)
    rounds: int = Field(default=50, ge=1, le=10_000)
    tolerance: float = Field(default=1e-6, gt=0.0, le=1.0)


@dataclass(frozen=True, slots=True)
class Confusions:
    """Confusions of annotators who name values of one inventory.

    Attributes:
        classes: number of values in the inventory, at least 2.
        prior: value -> share of the items whose true value it is.
        answers: annotator id -> expected number of compared answers.
        accuracy: annotator id -> probability of naming the true value.
        wrong: annotator id -> value -> expected number of wrong answers with this value.
        rows: annotator id -> true value -> given value -> expected number of answers.
        settings: of the estimate.
    """

    classes: int = 2
    prior: Mapping[str, float] = field(default_factory=dict)
    answers: Mapping[str, float] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    wrong: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    settings: DawidSkeneSettings = field(default_factory=DawidSkeneSettings)

    def likelihood(self, annotator: str, given: str, true: str) -> float:
        """Return p(the annotator names `given` | the true value is `true`)."""
        accuracy = self.accuracy.get(annotator, self.settings.accuracy)
        wrong = self.wrong.get(annotator, {})
        flat, total = 1.0 / self.classes, sum(wrong.values()) + 1.0
        share, others = (wrong.get(given, 0.0) + flat) / total, 1.0 - (wrong.get(true, 0.0) + flat) / total
        expected = accuracy if given == true else (1.0 - accuracy) * min(1.0, share / max(others, flat))
        row = self.rows.get(annotator, {}).get(true, {})
        strength = max(self.settings.row_strength, LEAST)
        return max((row.get(given, 0.0) + strength * expected) / (sum(row.values()) + strength), LEAST)

    def relative_accuracy(self, annotator: str) -> float:
        """Return the accuracy above chance, relative to that of a person without compared answers; 0 or more."""
        usual, chance = self.settings.accuracy, 1.0 / self.classes
        accuracy = self.accuracy.get(annotator, usual)
        return max(0.0, (accuracy - chance) / (usual - chance)) if usual > chance else 1.0

    def posterior(self, votes: Iterable[tuple[str, str]]) -> dict[str, float]:
        """Return the probability of each given value, by value.

        Args:
            votes: annotator id and value; their order does not matter.
        """
        ordered = sorted(votes)
        values = sorted({value for _, value in ordered})
        if not values:
            return {}
        logs = [sum(log(self.likelihood(person, given, true)) for person, given in ordered) for true in values]
        odds = [exp(value - max(logs)) for value in logs]
        return {value: odd / sum(odds) for value, odd in zip(values, odds, strict=True)}

    def confidence(self, votes: Iterable[tuple[str, str]]) -> float:
        """Return the probability of the likeliest given value, among all values of the inventory.

        `posterior` compares the given values with each other alone. Here, a person who always names the same value adds
        no confidence in it.

        Args:
            votes: annotator id and value, at least one.
        """
        ordered = sorted(votes)
        values = sorted({value for _, value in ordered} | set(self.prior))
        unseen = max(0, self.classes - len(values))
        logs = [sum(log(self.likelihood(person, given, true)) for person, given in ordered) for true in values]
        top = max(logs)
        weight = [exp(value - top) for value in logs]
        given_values = {value for _, value in ordered}
        best = max(w for value, w in zip(values, weight, strict=True) if value in given_values)
        other = sum(log(self.likelihood(person, given, "")) for person, given in ordered) if unseen else top
        return best / (sum(weight) + unseen * exp(other - top))

    def renamed(self, current: Callable[[str], str]) -> Confusions:
        """Return the confusions with other names of the values; where two values are one now, their numbers are added.

        Answers that named the other one of the two were wrong and are right now. Where each value stays a value of its
        own, every number stays as it is.

        Args:
            current: returns the name that a value has now.
        """
        values = {*self.prior, *(name for row in self.wrong.values() for name in row)}
        values |= {name for rows in self.rows.values() for true, row in rows.items() for name in (true, *row)}
        names = {value: current(value) for value in sorted(values)}
        if all(value == name for value, name in names.items()):
            return self
        joined = len(names) - len(set(names.values()))
        rows: dict[str, dict[str, dict[str, float]]] = {}
        for person, by_true in self.rows.items():
            for true, row in by_true.items():
                _add(rows.setdefault(person, {}).setdefault(names[true], {}), row, names)
        found = replace(
            self,
            classes=max(2, self.classes - joined),
            prior=_add({}, self.prior, names),
            wrong={person: _add({}, row, names) for person, row in self.wrong.items()},
            rows=rows,
        )
        return found._with_right_answers(self) if joined else found

    def _with_right_answers(self, before: Confusions) -> Confusions:
        """Return these confusions, in which values were joined, with what is right now counted as right."""
        wrong: dict[str, dict[str, float]] = {}
        accuracy = dict(self.accuracy)
        for person, rows in self.rows.items():
            right_now = sum(row.get(true, 0.0) for true, row in rows.items())
            right = sum(row.get(true, 0.0) for true, row in before.rows[person].items())
            if right_now - right > LEAST:
                total = self.answers.get(person, 0.0) + self.settings.strength
                accuracy[person] = min(MOST, accuracy[person] + (right_now - right) / max(total, LEAST))
            wrong[person] = {}
            for true, row in rows.items():
                _add(wrong[person], {given: count for given, count in row.items() if given != true}, {})
        return replace(self, accuracy=accuracy, wrong=wrong)

    def as_json(self) -> dict[str, Any]:
        """Return the confusions as a JSON object with rounded numbers, to be stored."""
        return {
            "classes": self.classes,
            "prior": _rounded(self.prior),
            "answers": _rounded(self.answers),
            "accuracy": _rounded(self.accuracy),
            "wrong": {person: _rounded(row) for person, row in self.wrong.items()},
            "rows": {person: {true: _rounded(row) for true, row in rows.items()} for person, rows in self.rows.items()},
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Confusions:
        """Return the confusions from the JSON object of `as_json`."""
        return cls(**{**value, "settings": DawidSkeneSettings.model_validate(value["settings"])})


def _add(to: dict[str, float], row: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Add the numbers of a row to another one by the names of today, and return it."""
    for value, number in row.items():
        name = names.get(value, value)
        to[name] = to.get(name, 0.0) + number
    return to


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(number), 6) for name, number in sorted(row.items())}


def learn_confusions(
    votes: Iterable[Vote],
    known: Mapping[str, str] | None = None,
    classes: int = 0,
    settings: DawidSkeneSettings | None = None,
) -> Confusions:
    """Return the confusions of the annotators, estimated from their votes; the order of the votes does not matter.

    Only items with answers of two people, or with a known true value, are used.

    Args:
        votes: one for each item and annotator.
        known: item -> true value, where it is known.
        classes: size of the inventory; raised to the number of values that occur.
        settings: see `DawidSkeneSettings`.
    """
    settings, known = settings or DawidSkeneSettings(), known or {}
    ordered = sorted(set(votes))
    people: dict[str, int] = {}
    for item, _, _ in ordered:
        people[item] = people.get(item, 0) + 1
    ordered = [vote for vote in ordered if people[vote[0]] > 1 or vote[0] in known]
    if not ordered:
        return Confusions(classes=max(2, classes), settings=settings)
    table = _Table(ordered, known)
    posterior = table.majority()
    for _ in range(settings.rounds):
        estimate = table.estimate(posterior, max(2, classes, len(table.values)), settings)
        updated = table.posterior(estimate)
        change = float(np.abs(updated - posterior).max())
        posterior = updated
        if change <= settings.tolerance:
            break
    return table.by_name(posterior, max(2, classes, len(table.values)), settings)


@dataclass(frozen=True, slots=True)
class _Estimate:
    prior: Floats  # (C,)
    accuracy: Floats  # (A,)
    likelihood: Floats  # (T,) of each triple's answer if its candidate is true


class _Table:
    """The votes as index arrays: a pair is (item, candidate value), a triple is (pair, vote on that item)."""

    def __init__(self, votes: Sequence[Vote], known: Mapping[str, str]) -> None:
        items = sorted({item for item, _, _ in votes})
        self.annotators = sorted({person for _, person, _ in votes})
        truths = {known[item] for item in items if item in known}
        self.values = sorted({value for _, _, value in votes} | truths)
        item_of, person_of, value_of = (
            {name: i for i, name in enumerate(names)} for names in (items, self.annotators, self.values)
        )
        by_item: list[list[tuple[int, int]]] = [[] for _ in items]
        for item, person, value in votes:
            by_item[item_of[item]].append((person_of[person], value_of[value]))
        pairs: list[tuple[int, int]] = []
        triples: list[tuple[int, int, int]] = []
        for i, given in enumerate(by_item):
            truth = known.get(items[i])
            candidates = [value_of[truth]] if truth is not None else sorted({value for _, value in given})
            for candidate in candidates:
                triples += [(len(pairs), person, value) for person, value in given]
                pairs.append((i, candidate))
        self.items, self.truth = (np.array(column, dtype=np.intp) for column in zip(*pairs, strict=True))
        self.pair, self.person, self.given = (np.array(column, dtype=np.intp) for column in zip(*triples, strict=True))
        self.right = self.given == self.truth[self.pair]
        self.size = len(items)
        c = len(self.values)
        self.row, row = np.unique(self.person * c + self.truth[self.pair], return_inverse=True)
        self.cell, cell = np.unique((self.person * c + self.truth[self.pair]) * c + self.given, return_inverse=True)
        self.row_of, self.cell_of = row.astype(np.intp), cell.astype(np.intp)

    def majority(self) -> Floats:
        """Return the share of votes for each pair's candidate, (P,)."""
        votes = np.bincount(self.pair, self.right, len(self.items)).astype(np.float64)
        return self._normalised(votes)

    def _normalised(self, weight: Floats) -> Floats:
        """Return the weights of the candidates, (P,), divided by their sum over each item."""
        total = np.bincount(self.items, weight, self.size)[self.items]
        return np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1.0)

    def estimate(self, posterior: Floats, classes: int, settings: DawidSkeneSettings) -> _Estimate:
        """Return the estimate of the annotators under the posteriors: the M step."""
        weight = posterior[self.pair]
        n, c = len(self.annotators), len(self.values)
        prior = np.bincount(self.truth, posterior, c)
        right = np.bincount(self.person, weight * self.right, n)
        total = np.bincount(self.person, weight, n)
        accuracy = np.clip(
            (right + settings.strength * settings.accuracy) / np.maximum(total + settings.strength, LEAST),
            1.0 / (4 * classes), MOST,
        )  # fmt: skip
        wrong = self._wrong_shares(weight, classes)
        wrong_given, wrong_true = wrong[self.person, self.given], wrong[self.person, self.truth[self.pair]]
        share = np.minimum(1.0, wrong_given / np.maximum(1.0 - wrong_true, 1.0 / classes))
        expected = np.where(self.right, accuracy[self.person], (1.0 - accuracy[self.person]) * share)
        rows = np.bincount(self.row_of, weight, len(self.row))[self.row_of]
        cells = np.bincount(self.cell_of, weight, len(self.cell))[self.cell_of]
        strength = max(settings.row_strength, LEAST)
        likelihood = np.maximum((cells + strength * expected) / (rows + strength), LEAST)
        return _Estimate(prior / prior.sum(), accuracy, likelihood)

    def _wrong_shares(self, weight: Floats, classes: int) -> Floats:
        """Return the share of each value among each person's wrong answers, (A, C), with one flat answer added."""
        wrong = self._wrong(weight)
        shares: Floats = (wrong + 1.0 / classes) / (wrong.sum(axis=1, keepdims=True) + 1.0)
        return shares

    def _wrong(self, weight: Floats) -> Floats:
        """Return the expected number of each person's wrong answers by value, (A, C)."""
        n, c = len(self.annotators), len(self.values)
        counts = np.bincount(self.person * c + self.given, weight * ~self.right, n * c)
        return counts.astype(np.float64).reshape(n, c)

    def posterior(self, estimate: _Estimate) -> Floats:
        """Return the probability of each candidate, (P,), with a uniform prior: the E step.

        With the frequencies as prior, frequent intents would win ties that a third person should decide.
        """
        logs = np.bincount(self.pair, np.log(estimate.likelihood), len(self.items))
        top = np.full(self.size, -np.inf)
        np.maximum.at(top, self.items, logs)
        return self._normalised(np.exp(logs - top[self.items]))

    def by_name(self, posterior: Floats, classes: int, settings: DawidSkeneSettings) -> Confusions:
        """Return the confusions under the posteriors, by annotator id and value."""
        estimate = self.estimate(posterior, classes, settings)
        weight = posterior[self.pair]
        cells = np.bincount(self.cell_of, weight, len(self.cell))
        rows: dict[str, dict[str, dict[str, float]]] = {}
        c = len(self.values)
        for code, count in zip(self.cell.tolist(), cells.tolist(), strict=True):
            person, true, given = code // (c * c), code // c % c, code % c
            if count > LEAST:
                by_true = rows.setdefault(self.annotators[person], {}).setdefault(self.values[true], {})
                by_true[self.values[given]] = count
        answers = np.bincount(self.person, weight, len(self.annotators))
        return Confusions(
            classes=classes,
            prior=dict(zip(self.values, estimate.prior.tolist(), strict=True)),
            answers=dict(zip(self.annotators, answers.tolist(), strict=True)),
            accuracy=dict(zip(self.annotators, estimate.accuracy.tolist(), strict=True)),
            wrong={
                person: {value: count for value, count in zip(self.values, row, strict=True) if count > LEAST}
                for person, row in zip(self.annotators, self._wrong(weight).tolist(), strict=True)
            },
            rows=rows,
            settings=settings,
        )

"""Dawid-Skene: who names what how reliably, learned from the answers that several people gave to the same items.

Sparse: the truth of an item is sought among the values that somebody gave, and of a person's confusions only those
that occur are kept. So time and memory follow the answers, not the square of the inventory.
Source: A. P. Dawid and A. M. Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm,
Applied Statistics 28, 1979; smoothed towards a model with one accuracy and one taste for wrong values a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Vote = tuple[str, str, str]
"""Item, annotator, value."""

LEAST: Final = 1e-9


class DawidSkeneSettings(BaseModel):
    """How confusions are learned.

    Attributes:
        accuracy: Accuracy of a person of whom nothing is known.
        strength: How many answers this belief is worth against a person's own.
        row_strength: How many answers a person's accuracy is worth against their answers to one value.
        rounds: Most rounds of the EM algorithm.
        tolerance: The algorithm ends when no posterior moves by more than this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: float = Field(default=0.9, gt=0.0, lt=1.0)
    strength: float = Field(default=4.0, ge=0.0)
    row_strength: float = Field(default=4.0, ge=0.0)
    rounds: int = Field(default=50, ge=1)
    tolerance: float = Field(default=1e-6, gt=0.0)


@dataclass(frozen=True, slots=True)
class Confusions:
    """What is known of people who name values of one inventory.

    Attributes:
        classes: how many values there are, at least 2.
        prior: value -> share of the items whose truth it is.
        answers: annotator -> answers that could be compared.
        accuracy: annotator -> probability of naming the truth.
        wrong: annotator -> value -> expected count of that person's wrong answers which were it.
        rows: annotator -> true value -> given value -> expected count.
        settings: what it was learned with.
    """

    classes: int = 2
    prior: Mapping[str, float] = field(default_factory=dict)
    answers: Mapping[str, float] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    wrong: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    settings: DawidSkeneSettings = field(default_factory=DawidSkeneSettings)

    def likelihood(self, annotator: str, given: str, true: str) -> float:
        """Return p(the annotator says `given` | the truth is `true`)."""
        accuracy = self.accuracy.get(annotator, self.settings.accuracy)
        wrong = self.wrong.get(annotator, {})
        flat, total = 1.0 / self.classes, sum(wrong.values()) + 1.0
        taste, left = (wrong.get(given, 0.0) + flat) / total, 1.0 - (wrong.get(true, 0.0) + flat) / total
        expected = accuracy if given == true else (1.0 - accuracy) * min(1.0, taste / max(left, flat))
        row = self.rows.get(annotator, {}).get(true, {})
        strength = max(self.settings.row_strength, LEAST)
        return max((row.get(given, 0.0) + strength * expected) / (sum(row.values()) + strength), LEAST)

    def worth(self, annotator: str) -> float:
        """Return the accuracy above chance, relative to that of a person of whom nothing is known; 0 or more."""
        usual, chance = self.settings.accuracy, 1.0 / self.classes
        accuracy = self.accuracy.get(annotator, usual)
        return max(0.0, (accuracy - chance) / (usual - chance)) if usual > chance else 1.0

    def posterior(self, votes: Iterable[tuple[str, str]]) -> dict[str, float]:
        """Return the probability of each value that was given, by value; equal voices count equally.

        Args:
            votes: annotator and value. Their order does not matter.
        """
        ordered = sorted(votes)
        values = sorted({value for _, value in ordered})
        if not values:
            return {}
        logs = [sum(log(self.likelihood(who, given, true)) for who, given in ordered) for true in values]
        odds = [exp(value - max(logs)) for value in logs]
        return {value: odd / sum(odds) for value, odd in zip(values, odds, strict=True)}

    def confidence(self, votes: Iterable[tuple[str, str]]) -> float:
        """Return the probability of the likeliest value that was given, against every value there is.

        Unlike `posterior`, which weighs the given values against each other, it asks what else could have been meant:
        whoever says the same whatever they hear has said nothing.

        Args:
            votes: annotator and value, at least one.
        """
        ordered = sorted(votes)
        values = sorted({value for _, value in ordered} | set(self.prior))
        unseen = max(0, self.classes - len(values))
        logs = [sum(log(self.likelihood(who, given, true)) for who, given in ordered) for true in values]
        top = max(logs)
        weight = [exp(value - top) for value in logs]
        given_values = {value for _, value in ordered}
        best = max(w for value, w in zip(values, weight, strict=True) if value in given_values)
        other = sum(log(self.likelihood(who, given, "")) for who, given in ordered) if unseen else top
        return best / (sum(weight) + unseen * exp(other - top))

    def as_json(self) -> dict[str, Any]:
        """Return the whole as a JSON object, numbers rounded, so that it can be stored."""
        return {
            "classes": self.classes,
            "prior": _rounded(self.prior),
            "answers": _rounded(self.answers),
            "accuracy": _rounded(self.accuracy),
            "wrong": {who: _rounded(row) for who, row in self.wrong.items()},
            "rows": {who: {true: _rounded(row) for true, row in rows.items()} for who, rows in self.rows.items()},
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Confusions:
        """Return what `as_json` was called on."""
        return cls(**{**value, "settings": DawidSkeneSettings.model_validate(value["settings"])})


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(number), 6) for name, number in sorted(row.items())}


def learn_confusions(
    votes: Iterable[Vote],
    known: Mapping[str, str] | None = None,
    classes: int = 0,
    settings: DawidSkeneSettings | None = None,
) -> Confusions:
    """Return what the votes tell of the people who gave them, whatever the order they come in.

    An item counts where two people answered, or where its truth is known: who answers alone agrees with nobody.

    Args:
        votes: one for each item and annotator.
        known: item -> truth, of gold clips.
        classes: size of the inventory; never less than the values that occur.
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
        moved = table.posterior(estimate)
        change = float(np.abs(moved - posterior).max())
        posterior = moved
        if change <= settings.tolerance:
            break
    return table.named(posterior, max(2, classes, len(table.values)), settings)


@dataclass(frozen=True, slots=True)
class _Estimate:
    prior: Floats  # (C,)
    accuracy: Floats  # (A,)
    likelihood: Floats  # (T,) of each triple's answer under its candidate


class _Table:
    """The votes as index arrays: pairs are (item, candidate truth), triples are (pair, vote on that item)."""

    def __init__(self, votes: Sequence[Vote], known: Mapping[str, str]) -> None:
        items = sorted({item for item, _, _ in votes})
        self.annotators = sorted({who for _, who, _ in votes})
        truths = {known[item] for item in items if item in known}
        self.values = sorted({value for _, _, value in votes} | truths)
        item_of, who_of, value_of = (
            {name: i for i, name in enumerate(n)} for n in (items, self.annotators, self.values)
        )
        by_item: list[list[tuple[int, int]]] = [[] for _ in items]
        for item, who, value in votes:
            by_item[item_of[item]].append((who_of[who], value_of[value]))
        pairs: list[tuple[int, int]] = []
        triples: list[tuple[int, int, int]] = []
        for i, given in enumerate(by_item):
            truth = known.get(items[i])
            candidates = [value_of[truth]] if truth is not None else sorted({value for _, value in given})
            for candidate in candidates:
                triples += [(len(pairs), who, value) for who, value in given]
                pairs.append((i, candidate))
        self.items, self.truth = (np.array(column, dtype=np.intp) for column in zip(*pairs, strict=True))
        self.pair, self.who, self.given = (np.array(column, dtype=np.intp) for column in zip(*triples, strict=True))
        self.right = self.given == self.truth[self.pair]
        self.size = len(items)
        c = len(self.values)
        self.row, row = np.unique(self.who * c + self.truth[self.pair], return_inverse=True)
        self.cell, cell = np.unique((self.who * c + self.truth[self.pair]) * c + self.given, return_inverse=True)
        self.row_of, self.cell_of = row.astype(np.intp), cell.astype(np.intp)

    def majority(self) -> Floats:
        """Return the share of the votes of each pair's candidate, (P,)."""
        votes = np.bincount(self.pair, self.right, len(self.items)).astype(np.float64)
        return self._normalised(votes)

    def _normalised(self, weight: Floats) -> Floats:
        total = np.bincount(self.items, weight, self.size)[self.items]
        return np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1.0)

    def estimate(self, posterior: Floats, classes: int, settings: DawidSkeneSettings) -> _Estimate:
        """The M step: what the posteriors say of the people."""
        weight = posterior[self.pair]
        n, c = len(self.annotators), len(self.values)
        prior = np.bincount(self.truth, posterior, c)
        right = np.bincount(self.who, weight * self.right, n)
        total = np.bincount(self.who, weight, n)
        accuracy = np.clip(
            (right + settings.strength * settings.accuracy) / np.maximum(total + settings.strength, LEAST),
            1.0 / (4 * classes), 1.0 - 1e-4,
        )  # fmt: skip
        taste = self._taste(weight, classes)
        flat_given, flat_true = taste[self.who, self.given], taste[self.who, self.truth[self.pair]]
        share = np.minimum(1.0, flat_given / np.maximum(1.0 - flat_true, 1.0 / classes))
        expected = np.where(self.right, accuracy[self.who], (1.0 - accuracy[self.who]) * share)
        rows = np.bincount(self.row_of, weight, len(self.row))[self.row_of]
        cells = np.bincount(self.cell_of, weight, len(self.cell))[self.cell_of]
        strength = max(settings.row_strength, LEAST)
        likelihood = np.maximum((cells + strength * expected) / (rows + strength), LEAST)
        return _Estimate(prior / prior.sum(), accuracy, likelihood)

    def _taste(self, weight: Floats, classes: int) -> Floats:
        """Return which values each person's wrong answers are, (A, C); one flat wrong answer is added to each."""
        wrong = self._wrong(weight)
        taste: Floats = (wrong + 1.0 / classes) / (wrong.sum(axis=1, keepdims=True) + 1.0)
        return taste

    def _wrong(self, weight: Floats) -> Floats:
        n, c = len(self.annotators), len(self.values)
        counts = np.bincount(self.who * c + self.given, weight * ~self.right, n * c)
        return counts.astype(np.float64).reshape(n, c)

    def posterior(self, estimate: _Estimate) -> Floats:
        """The E step: how likely each candidate is, (P,). All values are equally likely beforehand.

        A prior of the traffic would let frequent intents win ties that a third person should settle.
        """
        logs = np.bincount(self.pair, np.log(estimate.likelihood), len(self.items))
        top = np.full(self.size, -np.inf)
        np.maximum.at(top, self.items, logs)
        return self._normalised(np.exp(logs - top[self.items]))

    def named(self, posterior: Floats, classes: int, settings: DawidSkeneSettings) -> Confusions:
        """Return the estimate under the posteriors by names."""
        estimate = self.estimate(posterior, classes, settings)
        weight = posterior[self.pair]
        cells = np.bincount(self.cell_of, weight, len(self.cell))
        rows: dict[str, dict[str, dict[str, float]]] = {}
        c = len(self.values)
        for code, count in zip(self.cell.tolist(), cells.tolist(), strict=True):
            who, true, given = code // (c * c), code // c % c, code % c
            if count > LEAST:
                by_true = rows.setdefault(self.annotators[who], {}).setdefault(self.values[true], {})
                by_true[self.values[given]] = count
        answers = np.bincount(self.who, weight, len(self.annotators))
        return Confusions(
            classes=classes,
            prior=dict(zip(self.values, estimate.prior.tolist(), strict=True)),
            answers=dict(zip(self.annotators, answers.tolist(), strict=True)),
            accuracy=dict(zip(self.annotators, estimate.accuracy.tolist(), strict=True)),
            wrong={
                who: {value: count for value, count in zip(self.values, row, strict=True) if count > LEAST}
                for who, row in zip(self.annotators, self._wrong(weight).tolist(), strict=True)
            },
            rows=rows,
            settings=settings,
        )

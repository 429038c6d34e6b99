"""Calibration of intent probabilities by one temperature (Guo et al. 2017), fitted to texts with labelled intents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from corpus.records.inventory import Names
from training.intent.fit import IntentExample

if TYPE_CHECKING:
    from training.intent.model import IntentModel

TEMPERATURES: Final = np.exp(np.linspace(np.log(0.25), np.log(8.0), 200))
"""The temperatures that are tried; a grid is exact enough and can't diverge."""


def fit_temperature(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.intp], weights: npt.NDArray[np.float64] | None = None
) -> float:
    """Return the temperature in [0.25, 8] at which the targets are likeliest.

    Args:
        logits: (N, C) logits of the intents.
        targets: (N,) column of the true intent.
        weights: (N,) weights of the texts; None for equal ones.
    """
    wide = logits.astype(np.float64)
    share = np.ones(len(wide)) if weights is None else weights
    losses = []
    for temperature in TEMPERATURES:
        scaled = wide / temperature
        top = scaled.max(axis=1)
        normaliser = np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top
        losses.append(float((share * (normaliser - scaled[np.arange(len(wide)), targets])).sum()))
    return float(TEMPERATURES[int(np.argmin(losses))])


def calibrated(model: IntentModel, rows: Sequence[IntentExample], names: Names | None = None) -> IntentModel:
    """Return the model with a temperature fitted to the rows; rows with intents that it does not have are ignored.

    Args:
        model: of intents.
        rows: texts with their intents.
        names: what former names mean now; of several outputs that are one name now, the likeliest is the right one.
    """
    from training.intent.model import classify

    meant = names or Names()
    index: dict[str, list[int]] = {}
    for place, name in enumerate(model.intents):
        index.setdefault(meant.current(name), []).append(place)
    usable = [row for row in rows if meant.current(row.intent) in index]
    if not usable:
        return model
    logits = classify(model, [row.text for row in usable]).logits
    right = [index[meant.current(row.intent)] for row in usable]
    targets = np.array([max(places, key=of_row.__getitem__) for places, of_row in zip(right, logits, strict=True)])
    return replace(model, temperature=fit_temperature(logits, targets, np.array([row.weight for row in usable])))

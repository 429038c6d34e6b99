"""Convex heads: both heads of an intent model at their only optimum, over an encoder that stays as it is.

Each head is a multinomial logistic regression that departs from the head it had: a quadratic penalty on the departure
makes the optimum unique, so that the same labels give the same head whatever their order, and a label that is left out
leaves no trace in a fit without it. The strength of the penalty is chosen by cross-validation over utterances.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import nn

from training.intent.fit import DRAFT, IntentExample, tags_in
from training.intent.model import IntentModel, text_batches
from training.intent.network import one_thread_if_small
from training.intent.slot_tags import UNTAGGED
from training.loop.work import Epoch, LoopResult, OnEpoch, Progress

Wide = npt.NDArray[np.float64]

PENALTIES: Final = (1.0, 0.1, 1e-2, 1e-3, 1e-4)
"""Strengths of the penalty that are tried, per row."""

FOLDS: Final = 4

COPIES: Final = 4
"""How many epochs' texts are learned at once, each with other recognition errors; fewer where there are many labels."""

MOST_ROWS: Final = 4_000
"""About how many rows are enough to choose a penalty; more copies than fit into it are not drawn."""

BATCH_TOKENS: Final = 4_096


@dataclass(frozen=True, slots=True)
class HeadRows:
    """R rows that a head learns from.

    Attributes:
        features: (R, D) what the head sees.
        targets: (R,) the right output.
        weights: (R,) weight of each row.
        groups: (R,) number of the utterance, which is wholly in one fold.
        start: (R, K) logits of the head as it was.
    """

    features: Wide
    targets: npt.NDArray[np.intp]
    weights: Wide
    groups: npt.NDArray[np.intp]
    start: Wide

    def take(self, rows: npt.NDArray[np.bool_]) -> HeadRows:
        """Return some of the rows."""
        return HeadRows(
            self.features[rows], self.targets[rows], self.weights[rows], self.groups[rows], self.start[rows]
        )


def fit_heads(
    model: IntentModel,
    draw: Callable[[int], Sequence[IntentExample]],
    slot_weight: float,
    seed: int,
    on_progress: Progress | None = None,
    dev_error: Callable[[], float] | None = None,
    on_epoch: OnEpoch | None = None,
) -> LoopResult:
    """Fit both heads of a model, in place; the encoder is not changed.

    Args:
        model: its inventory has to contain every intent and slot already.
        draw: returns the examples of an epoch, counted from 0.
        slot_weight: 0: the slot head stays as it is.
        seed: seed of the folds.
        on_progress: called after each fit with fits done, fits in all, and the loss.
        dev_error: returns the error on the dev examples.
        on_epoch: called at the end, as after an only epoch.
    """
    began = time.monotonic()
    first = list(draw(0))
    copies = max(1, min(COPIES, MOST_ROWS // max(1, len(first))))
    rows = sorted((row for epoch in range(copies) for row in (draw(epoch) if epoch else first)), key=_order)
    total, done = 2 * (FOLDS * len(PENALTIES) + 1), 0

    def note(loss: float) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(min(done, total), total, loss)

    with one_thread_if_small(model.network):
        intents, tags = _head_rows(model, rows)
        loss = _fit_head(model.network.intent_head, intents, seed, note)
        if slot_weight and len(tags.targets):
            _fit_head(model.network.slot_head, tags, seed, note)
    if on_epoch is not None:
        error = dev_error() if dev_error is not None else None
        on_epoch(Epoch(1, 1, loss, error, time.monotonic() - began, 0.0))
    return LoopResult(losses=(loss,), steps=done)


def optimum(rows: HeadRows, penalty: float, begin: Wide | None = None) -> tuple[Wide, float]:
    """Return the departure from the head as it was, (D + 1, K) with the bias last, and the mean loss [nats].

    It minimises the weighted mean of the cross entropy plus penalty / 2 times the sum of its squares, by L-BFGS
    (Liu & Nocedal 1989). The bias is penalised like the rest, so that an output without rows is finite.

    Args:
        rows: features that have a mean square of about 1.
        penalty: above 0.
        begin: where the search begins; None: at no departure.
    """
    inputs = np.concatenate([rows.features, np.ones((len(rows.features), 1))], axis=1)
    shape = inputs.shape[1], rows.start.shape[1]
    share = rows.weights / rows.weights.sum()
    at = np.arange(len(inputs))

    def value(flat: Wide) -> tuple[float, Wide]:
        weights = flat.reshape(shape)
        logits = rows.start + inputs @ weights
        log_probs = logits - logsumexp(logits, axis=1, keepdims=True)
        slope = np.exp(log_probs)
        slope[at, rows.targets] -= 1.0
        gradient = inputs.T @ (slope * share[:, None]) + penalty * weights
        loss = -float(share @ log_probs[at, rows.targets]) + 0.5 * penalty * float((weights**2).sum())
        return loss, gradient.ravel()

    first = np.zeros(shape) if begin is None else begin
    found = minimize(value, first.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 300, "gtol": 1e-6})
    departure = found.x.reshape(shape)
    return departure, float(found.fun) - 0.5 * penalty * float((departure**2).sum())


def chosen_penalty(rows: HeadRows, seed: int, note: Callable[[float], None] | None = None) -> float:
    """Return the penalty with the least loss on held-out folds of utterances; of few utterances the second largest."""
    groups = np.unique(rows.groups)
    if len(groups) < 2 * FOLDS:
        return PENALTIES[1]
    order = np.random.default_rng([seed, 32]).permutation(len(groups))
    if len(rows.targets) > MOST_ROWS:  # enough to choose by
        kept = groups[order[: max(2 * FOLDS, len(groups) * MOST_ROWS // len(rows.targets))]]
        return chosen_penalty(rows.take(np.isin(rows.groups, kept)), seed, note)
    fold = np.empty(len(groups), dtype=np.intp)
    fold[order] = np.arange(len(groups)) % FOLDS
    of_row = fold[np.searchsorted(groups, rows.groups)]
    losses = np.zeros(len(PENALTIES))
    for held in range(FOLDS):
        learned, asked = rows.take(of_row != held), rows.take(of_row == held)
        begin = None
        for place, penalty in enumerate(PENALTIES):
            begin, loss = optimum(learned, penalty, begin)
            losses[place] += _loss(asked, begin)
            if note is not None:
                note(loss)
    return PENALTIES[int(losses.argmin())]


def _loss(rows: HeadRows, departure: Wide) -> float:
    """Return the weighted sum of the cross entropy [nats]."""
    logits = rows.start + rows.features @ departure[:-1] + departure[-1]
    log_probs = logits - logsumexp(logits, axis=1, keepdims=True)
    return -float(rows.weights @ log_probs[np.arange(len(logits)), rows.targets])


def _fit_head(head: nn.Linear, rows: HeadRows, seed: int, note: Callable[[float], None]) -> float:
    """Fit a head in place; return its mean loss on the rows [nats]."""
    middle = rows.features.mean(axis=0)
    scale = float(np.sqrt(((rows.features - middle) ** 2).mean())) or 1.0
    scaled = HeadRows((rows.features - middle) / scale, rows.targets, rows.weights, rows.groups, rows.start)
    departure, loss = optimum(scaled, chosen_penalty(scaled, seed, note))
    note(loss)
    weight = departure[:-1] / scale
    with torch.no_grad():
        head.weight += torch.as_tensor(weight.T, dtype=head.weight.dtype, device=head.weight.device)
        head.bias += torch.as_tensor(departure[-1] - middle @ weight, dtype=head.bias.dtype, device=head.bias.device)
    return loss


def _head_rows(model: IntentModel, rows: Sequence[IntentExample]) -> tuple[HeadRows, HeadRows]:
    """Return what the intent head learns from, a row a text, and the slot head, a row a word whose tag is known."""
    groups = np.unique([row.utterance_id.removesuffix(DRAFT) for row in rows], return_inverse=True)[1]
    index = {name: place for place, name in enumerate(model.intents)}
    pooled = np.zeros((len(rows), model.network.intent_head.in_features))
    logits = np.zeros((len(rows), len(model.intents)))
    words: list[Wide] = []
    word_logits: list[Wide] = []
    word_facts: list[tuple[int, int]] = []  # number of the text, tag
    for places, batch, encoding in text_batches(model, [row.text for row in rows], BATCH_TOKENS):
        with torch.inference_mode():
            intent, tags, mean = model.network(**batch)
            hidden = model.network.encoder(**batch).last_hidden_state
        pooled[places], logits[places] = mean.double().cpu().numpy(), intent.double().cpu().numpy()
        for at, number in enumerate(places):
            known = np.array(tags_in(model, encoding, at, rows[number]))
            tagged_at = np.flatnonzero(known != UNTAGGED)
            words.append(hidden[at, tagged_at].double().cpu().numpy())
            word_logits.append(tags[at, tagged_at].double().cpu().numpy())
            word_facts += [(number, int(tag)) for tag in known[tagged_at]]
    weights = np.array([row.weight for row in rows], dtype=np.float64)
    targets = np.array([index[row.intent] for row in rows], dtype=np.intp)
    numbers, tagged = np.array(word_facts, dtype=np.intp).reshape(-1, 2).T
    return (
        HeadRows(pooled, targets, weights, groups, logits),
        HeadRows(np.concatenate(words), tagged, weights[numbers], groups[numbers], np.concatenate(word_logits)),
    )


def _order(row: IntentExample) -> tuple[str, str, str]:
    return row.utterance_id, row.text, row.intent

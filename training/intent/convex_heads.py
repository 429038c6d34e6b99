"""Convex heads: both heads of an intent model at their only optimum, over an encoder that stays as it is.

Each head is a multinomial logistic regression that departs from the head it had: a quadratic penalty on the departure
makes the optimum unique, so that the same labels give the same head whatever their order, and a label that is left out
leaves no trace in a fit without it. Intents are read from the encoder, from the vectors of words and from the n-grams
of the labelled texts; slots from the encoder's tokens, with a penalty that cross-validation over utterances chooses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import nn

from training.intent.fit import DRAFT, IntentExample, tags_in
from training.intent.model import IntentModel, text_batches
from training.intent.network import JointIntentModel, one_thread_if_small
from training.intent.slot_tags import UNTAGGED
from training.intent.temperature import fit_temperature
from training.intent.text_branch import ngram_table
from training.loop.work import Epoch, LoopResult, OnEpoch, Progress

Wide = npt.NDArray[np.float64]

PENALTIES: Final = (1.0, 0.1, 1e-2, 1e-3, 1e-4)
"""Strengths of the penalty that are tried, per row."""

FOLDS: Final = 4

INVERSE_PENALTY: Final = 20.0
"""Inverse strength of the penalty on what gives the intents, per text: the C of scikit-learn's logistic regression."""

ENCODER, ENCODER_BESIDE_WORDS, WORD_VECTORS = 1.0, 0.3, 0.5
"""Length of an encoder's output, the same of one that comes with vectors of words, and of the mean of these, beside
n-grams of length 1: features that are longer are penalised less."""

COPIES: Final = 4
"""How many epochs' texts the slots learn at once, each with other recognition errors; fewer of many labels."""

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
        ngrams: (R, U) further features, few of which are not 0; None: there are none.
    """

    features: Wide
    targets: npt.NDArray[np.intp]
    weights: Wide
    groups: npt.NDArray[np.intp]
    start: Wide
    ngrams: Any = None

    def take(self, rows: npt.NDArray[np.bool_]) -> HeadRows:
        """Return some of the rows."""
        return HeadRows(
            self.features[rows],
            self.targets[rows],
            self.weights[rows],
            self.groups[rows],
            self.start[rows],
            None if self.ngrams is None else self.ngrams[rows],
        )


def fit_heads(
    model: IntentModel,
    plain: Sequence[IntentExample],
    draw: Callable[[int], Sequence[IntentExample]],
    slot_weight: float,
    seed: int,
    calibrate_from: int,
    on_progress: Progress | None = None,
    dev_error: Callable[[], float] | None = None,
    on_epoch: OnEpoch | None = None,
) -> tuple[LoopResult, float]:
    """Fit both heads of a model, in place; the encoder is not changed. Return the result and the new temperature.

    Args:
        model: its inventory has to contain every intent and slot already.
        plain: the examples as they are, which the intents are learned from: imitated recognition errors only hide the
            few n-grams that labels teach.
        draw: returns the examples of an epoch with imitated recognition errors, counted from 0, for the slots.
        slot_weight: 0: the slot head stays as it is.
        seed: seed of the folds.
        calibrate_from: number of utterances from which on a temperature is fitted, to held-out folds of them.
        on_progress: called after each fit with fits done, fits in all, and the loss.
        dev_error: returns the error on the dev examples.
        on_epoch: called at the end, as after an only epoch.
    """
    began = time.monotonic()
    total, done = FOLDS * len(PENALTIES) + 2, 0

    def note(loss: float) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(min(done, total), total, loss)

    with one_thread_if_small(model.network):
        loss, temperature = _fit_intents(model, sorted(plain, key=_order), seed, calibrate_from)
        note(loss)
        if slot_weight:
            words = _word_rows(model, _copies(draw))
            if len(words.targets):
                _fit_slots(model.network.slot_head, words, seed, note)
    if on_epoch is not None:
        error = dev_error() if dev_error is not None else None
        on_epoch(Epoch(1, 1, loss, error, time.monotonic() - began, 0.0))
    return LoopResult(losses=(loss,), steps=done), temperature


def _copies(draw: Callable[[int], Sequence[IntentExample]]) -> list[IntentExample]:
    first = list(draw(0))
    copies = max(1, min(COPIES, MOST_ROWS // max(1, len(first))))
    return sorted((row for epoch in range(copies) for row in (draw(epoch) if epoch else first)), key=_order)


def optimum(rows: HeadRows, penalty: float, begin: Wide | None = None) -> tuple[Wide, float]:
    """Return the departure from the head as it was, (U + D + 1, K) with the bias last, and the mean loss [nats].

    It minimises the weighted mean of the cross entropy plus penalty / 2 times the sum of its squares, by L-BFGS
    (Liu & Nocedal 1989). The bias is penalised like the rest, so that an output without rows is finite.

    Args:
        rows: features that have a mean square of about 1.
        penalty: above 0.
        begin: where the search begins; None: at no departure.
    """
    dense = np.concatenate([rows.features, np.ones((len(rows.features), 1))], axis=1)
    few = sparse.csr_matrix((len(dense), 0)) if rows.ngrams is None else rows.ngrams
    count, turned = few.shape[1], few.T.tocsr()
    shape = count + dense.shape[1], rows.start.shape[1]
    share = rows.weights / rows.weights.sum()
    at = np.arange(len(dense))

    def value(flat: Wide) -> tuple[float, Wide]:
        weights = flat.reshape(shape)
        logits = rows.start + few @ weights[:count] + dense @ weights[count:]
        log_probs = logits - logsumexp(logits, axis=1, keepdims=True)
        slope = np.exp(log_probs)
        slope[at, rows.targets] -= 1.0
        slope *= share[:, None]
        gradient = np.concatenate([turned @ slope, dense.T @ slope]) + penalty * weights
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
    if len(rows.targets) > MOST_ROWS:  # enough to choose by
        order = np.random.default_rng([seed, 32]).permutation(len(groups))
        kept = groups[order[: max(2 * FOLDS, len(groups) * MOST_ROWS // len(rows.targets))]]
        return chosen_penalty(rows.take(np.isin(rows.groups, kept)), seed, note)
    of_row = _folds(rows.groups, seed)
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


def held_out_logits(rows: HeadRows, seed: int) -> tuple[Wide, npt.NDArray[np.bool_]]:
    """Return the logits (R, K) of each row by the intents' optimum without its fold, and whether that was taught it.

    An intent of few labels may lie in one fold of utterances alone.
    """
    of_row, logits = _folds(rows.groups, seed), np.zeros_like(rows.start)
    taught = np.zeros(len(of_row), dtype=bool)
    for held in range(FOLDS):
        learned, asked = rows.take(of_row != held), rows.take(of_row == held)
        departure, _ = optimum(learned, _intent_penalty(learned.weights))
        logits[of_row == held] = _logits(asked, departure)
        taught[of_row == held] = np.isin(asked.targets, learned.targets)
    return logits, taught


def _folds(groups: npt.NDArray[np.intp], seed: int) -> npt.NDArray[np.intp]:
    """Return the fold of each row, (R,); all rows of an utterance are in one."""
    names = np.unique(groups)
    fold = np.empty(len(names), dtype=np.intp)
    fold[np.random.default_rng([seed, 32]).permutation(len(names))] = np.arange(len(names)) % FOLDS
    return fold[np.searchsorted(names, groups)]


def _intent_penalty(weights: Wide) -> float:
    return 1.0 / (INVERSE_PENALTY * float(weights.sum()))


def _logits(rows: HeadRows, departure: Wide) -> Wide:
    few = 0 if rows.ngrams is None else rows.ngrams.shape[1]
    logits: Wide = rows.start + rows.features @ departure[few:-1] + departure[-1]
    return logits if rows.ngrams is None else logits + rows.ngrams @ departure[:few]


def _loss(rows: HeadRows, departure: Wide) -> float:
    """Return the weighted sum of the cross entropy [nats]."""
    logits = _logits(rows, departure)
    log_probs = logits - logsumexp(logits, axis=1, keepdims=True)
    return -float(rows.weights @ log_probs[np.arange(len(logits)), rows.targets])


def _fit_slots(head: nn.Linear, rows: HeadRows, seed: int, note: Callable[[float], None]) -> float:
    """Fit the slot head in place; return its mean loss on the rows [nats]."""
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


def _fit_intents(
    model: IntentModel, rows: Sequence[IntentExample], seed: int, calibrate_from: int
) -> tuple[float, float]:
    """Fit what gives the intents, in place; return its mean loss on the rows [nats] and its temperature.

    Pseudo-labels have no part in the temperature: they mostly agree with the model, which would make it overconfident.
    """
    network = model.network
    network.set_ngrams(*ngram_table([row.text for row in rows]))
    learned = _intent_rows(model, rows)
    ngrams, width = network.config.ngrams, network.intent_head.in_features
    length = ENCODER_BESIDE_WORDS if network.config.words else ENCODER
    scale = np.full(learned.features.shape[1], WORD_VECTORS)
    pooled = np.sqrt((learned.features[:, :width] ** 2).sum(axis=1).mean())
    scale[:width] = length / max(float(pooled), 1e-12)
    scaled = replace(learned, features=scale * learned.features)
    departure, loss = optimum(scaled, _intent_penalty(scaled.weights))
    temperature = model.temperature
    if len(np.unique(scaled.groups)) >= max(FOLDS, calibrate_from):
        held_out, known = held_out_logits(scaled, seed)
        known &= np.array([not row.pseudo for row in rows])
        if len(np.unique(scaled.groups[known])) >= calibrate_from:
            chosen = scaled.take(known)
            temperature = fit_temperature(held_out[known].astype(np.float32), chosen.targets, chosen.weights)
    change, bias = departure[ngrams:-1] * scale[:, None], departure[-1]
    with torch.no_grad():
        for weights, added in (
            (network.text.ngram_head, departure[:ngrams]),
            (network.intent_head.weight, change[:width].T),
            (network.text.word_head, change[width:]),
            (network.intent_head.bias, bias),
        ):
            weights += torch.as_tensor(added, dtype=weights.dtype, device=weights.device)
    return loss, temperature


def _intent_rows(model: IntentModel, rows: Sequence[IntentExample]) -> HeadRows:
    """Return what the intents are learned from, a row a text: what the encoder says, the mean word and the n-grams."""
    network, index = model.network, {name: place for place, name in enumerate(model.intents)}
    width = network.intent_head.in_features
    features = np.zeros((len(rows), width + network.config.word_width))
    logits = np.zeros((len(rows), len(model.intents)))
    for places, batch, _ in text_batches(model, [row.text for row in rows], BATCH_TOKENS):
        with torch.inference_mode():
            intent, _, mean = network(**batch)
        features[places, :width], logits[places] = mean.double().cpu().numpy(), intent.double().cpu().numpy()
        features[places, width:] = batch["texts"].words.double().cpu().numpy()
    targets = np.array([index[row.intent] for row in rows], dtype=np.intp)
    return HeadRows(features, targets, _weights(rows), _groups(rows), logits, _ngrams(network, rows))


def _word_rows(model: IntentModel, rows: Sequence[IntentExample]) -> HeadRows:
    """Return what the slot head learns from, a row a word whose tag is known."""
    words: list[Wide] = []
    logits: list[Wide] = []
    facts: list[tuple[int, int]] = []  # number of the text, tag
    for places, batch, encoding in text_batches(model, [row.text for row in rows], BATCH_TOKENS):
        with torch.inference_mode():
            _, tags, _ = model.network(**batch)
            tokens = {key: batch[key] for key in ("input_ids", "attention_mask")}
            hidden = model.network.encoder(**tokens).last_hidden_state
        for at, number in enumerate(places):
            known = np.array(tags_in(model, encoding, at, rows[number]))
            tagged_at = np.flatnonzero(known != UNTAGGED)
            words.append(hidden[at, tagged_at].double().cpu().numpy())
            logits.append(tags[at, tagged_at].double().cpu().numpy())
            facts += [(number, int(tag)) for tag in known[tagged_at]]
    numbers, tagged = np.array(facts, dtype=np.intp).reshape(-1, 2).T
    return HeadRows(
        np.concatenate(words), tagged, _weights(rows)[numbers], _groups(rows)[numbers], np.concatenate(logits)
    )


def _weights(rows: Sequence[IntentExample]) -> Wide:
    return np.array([row.weight for row in rows], dtype=np.float64)


def _groups(rows: Sequence[IntentExample]) -> npt.NDArray[np.intp]:
    """Return the number of each row's utterance."""
    return np.unique([row.utterance_id.removesuffix(DRAFT) for row in rows], return_inverse=True)[1]


def _ngrams(network: JointIntentModel, rows: Sequence[IntentExample]) -> sparse.csr_matrix:
    """Return the weights of the n-grams of each text, (R, U)."""
    columns, weights = network.text.ngrams_of([row.text for row in rows])
    ends = np.cumsum([0, *(len(found) for found in columns)])
    shape = len(rows), network.config.ngrams
    return sparse.csr_matrix((np.concatenate(weights), np.concatenate(columns), ends), shape=shape)


def _order(row: IntentExample) -> tuple[str, str, str]:
    return row.utterance_id, row.text, row.intent

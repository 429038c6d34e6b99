"""Plain, slow versions of the algorithms as in the papers, to compare the fast ones with."""

from __future__ import annotations

import numpy as np


def farthest_first(embeddings, count, scores, covered):
    """Sener & Savarese 2018, Algorithm 1: all distances to all centres before every pick."""
    centres, rows = [np.asarray(c, np.float64) for c in covered], []
    points = embeddings.astype(np.float64)
    while len(rows) < count:
        nearest = np.full(len(points), np.inf)
        for centre in centres:
            nearest = np.minimum(nearest, ((points - centre) ** 2).sum(axis=1))
        nearest[nearest < 2e-6] = 0
        nearest[rows] = -np.inf
        rows.append(max(range(len(points)), key=lambda i: (nearest[i], scores[i], -i)))
        centres.append(points[rows[-1]])
    return rows


def is_farthest_first(rows, embeddings, scores, covered, slack=2e-6):
    """Return whether each row is as far from all centres before it as any other, but for the rounding of float32."""
    points = embeddings.astype(np.float64)
    nearest = np.full(len(points), np.inf)
    for centre in covered:
        nearest = np.minimum(nearest, ((points - np.asarray(centre, np.float64)) ** 2).sum(axis=1))
    for made, row in enumerate(rows):
        left = np.delete(np.arange(len(points)), rows[:made])
        if not made and not len(covered):
            farthest = row == left[np.argmax(scores)]
        else:
            farthest = row in left and nearest[row] >= nearest[left].max() - slack
        if not farthest:
            return False
        nearest = np.minimum(nearest, ((points - points[row]) ** 2).sum(axis=1))
    return True


def race(points, first, count, rng):
    """D² sampling with the same random numbers: all distances and rates are computed at every pick."""
    rates = ((points - points[first]) ** 2).sum(axis=1)
    rates[rates < 1e-6 * ((points**2).sum(axis=1) + (points[first] ** 2).sum())] = 0
    patience = rng.exponential(size=len(points))
    left, rows = patience.copy(), [first]
    while len(rows) < count:
        rings = np.array([rest / rate if rate > 0 else np.inf for rest, rate in zip(left, rates, strict=True)])
        row = int(np.argmin(rings))
        if np.isinf(rings[row]):
            return rows + [int(i) for i in np.argsort(patience) if i not in rows][: count - len(rows)]
        left -= rates * rings[row]
        rates = np.minimum(rates, ((points - points[row]) ** 2).sum(axis=1))
        rates[row] = 0
        rows.append(row)
    return rows


def gradients(probs, embeddings):
    """Ash et al. 2020: (p - onehot) x, one long row an example."""
    residual = probs.astype(np.float64)
    residual[np.arange(len(probs)), probs.argmax(axis=1)] -= 1
    return (residual[:, :, None] * embeddings[:, None, :]).reshape(len(probs), -1)


def badge(probs, embeddings, count, rng):
    written_out = gradients(probs, embeddings)
    return race(written_out, int(np.argmax((written_out**2).sum(axis=1))), count, rng)


def coverage(embeddings, rows, covered):
    """sum_i max_j (1 + x_i . x_j) over the rows and what is covered."""
    chosen = np.concatenate([embeddings[rows], covered]).astype(np.float64)
    return (1 + embeddings.astype(np.float64) @ chosen.T).max(axis=1, initial=0).sum()


def best_coverage(embeddings, rows, covered):
    """Nemhauser et al. 1978: the largest value of the function with one more row, computed again for every row."""
    others = [i for i in range(len(embeddings)) if i not in rows]
    return max(coverage(embeddings, [*rows, i], covered) for i in others)


def typicality(embeddings, assigned, neighbours):
    """Hacohen et al. 2022: one over the mean distance to the nearest of the same cluster."""
    out = np.zeros(len(embeddings))
    for i, row in enumerate(embeddings.astype(np.float64)):
        others = [j for j in np.flatnonzero(assigned == assigned[i]) if j != i]
        if others:
            distance = np.sqrt(((embeddings[others].astype(np.float64) - row) ** 2).sum(axis=1))
            out[i] = 1 / (np.sort(distance)[:neighbours].mean() + 1e-6)
    return out


def cluster_proportional(assigned, scores, count):
    """The best of every cluster, its share by largest remainders."""
    sizes = np.bincount(assigned)
    exact = count * sizes / sizes.sum()
    shares = np.floor(exact).astype(int)
    for k in sorted(range(len(sizes)), key=lambda k: (-(exact[k] - shares[k]), k))[: count - shares.sum()]:
        shares[k] += 1
    rows = []
    for k, share in enumerate(shares):
        members = sorted(np.flatnonzero(assigned == k), key=lambda i: -scores[i])
        rows += [int(i) for i in members[:share]]
    return rows


def typiclust(assigned, covered, typical, count):
    """Hacohen et al. 2022: the most typical row of the largest cluster that is covered least, one pick at a time."""
    sizes, turns, rows = np.bincount(assigned, minlength=len(covered)), list(covered), []
    while len(rows) < count:
        left = [i for i in range(len(assigned)) if i not in rows]
        open_to = {k: [i for i in left if assigned[i] == k] for k in {int(assigned[i]) for i in left}}
        heads = {k: max(members, key=lambda i: (typical[i], -i)) for k, members in open_to.items()}
        best = min(heads, key=lambda k: (turns[k], -sizes[k], -typical[heads[k]], heads[k]))
        rows.append(heads[best])
        turns[best] += 1
    return rows

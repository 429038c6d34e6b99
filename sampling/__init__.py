"""Chooses the few utterances that are worth a person's time, and estimates without bias from the audit share.

In reading order: `pool` (what there is to choose from) and `arrays` (the same from plain arrays), `measures` and
`calibration` (how uncertain), `cost` (how dear), `worth` (which label to buy and what it is worth a second), `audit`
(the probability sample that judges), `strategies` (which rows) with their algorithms `lazy`, `spread`, `kcenter`,
`badge`, `clusters`, `facility` and `diversity`, `budget` (how many), `basket` (every cap), `selection` (the whole
choice), `estimation` (what the audit share says). `plugin_checks` holds the rules that every strategy and measure
keeps, those of other packages too, and `example_pools` the made-up pools that they are tried on.

From a notebook, with nothing but numpy, scipy and scikit-learn loaded:

    >>> import numpy as np
    >>> from sampling.pool import Pool
    >>> from sampling.selection import SamplingSettings, choose
    >>> rng = np.random.default_rng(0)
    >>> probs, vectors = rng.dirichlet(np.ones(5), 200), rng.normal(size=(200, 16))
    >>> pool = Pool.from_arrays(range(200), probs, vectors, duration=np.full(200, 2.0))
    >>> chosen = choose(pool, SamplingSettings(clips=10), round="monday", labels_so_far=100)
    >>> len(chosen), sorted(set(chosen.reasons.tolist()))
    (10, ['audit', 'novel', 'uncertain'])
"""

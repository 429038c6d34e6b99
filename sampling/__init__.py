"""Choice of the few utterances that people label, and unbiased estimates from the audit share.

In reading order:

- `pool`: the rows to choose from; `from_arrays` makes them from plain arrays.
- `measures` and `calibration`: how uncertain a row is. `cost`: how many seconds a label takes. `utility`: which label
  to buy, and how many errors it resolves per second.
- `budget`: how many rows. `audit_sample`: the probability sample that judges.
- `strategies`: which rows. `near_duplicates` and `capped_batch`: the limits on them. `selection`: the whole choice,
  and `choice_summary` its numbers.
- After labelling: `findings` and `reliability` (scores against labels), `cohorts` (hidden groups with more errors),
  `estimation` and `traffic_rates` (rates of the whole traffic), `stopping_rule` (whether more labels help).
- Simulation on labelled corpora: `simulation`, `learning_curves`, `replay_summary`.
- Plugins: `plugin_checks` (rules for every strategy and measure, also of other packages) and `example_pools` (made-up
  pools that the rules are tried on).

In a notebook, this needs only numpy, scipy and scikit-learn:

    >>> import numpy as np
    >>> from sampling.pool import Pool
    >>> from sampling.selection import SamplingSettings, choose
    >>> rng = np.random.default_rng(0)
    >>> probs, vectors = rng.dirichlet(np.ones(5), 200), rng.normal(size=(200, 16))
    >>> pool = Pool.from_arrays(range(200), probs, vectors, duration=np.full(200, 2.0))
    >>> chosen = choose(pool, SamplingSettings(clips=10), round="monday", labels_so_far=100)
    >>> len(chosen), sorted(set(chosen.reasons.tolist()))
    (10, ['novel', 'uncertain'])
"""

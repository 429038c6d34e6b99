"""Chooses the few utterances that are worth a person's time, and estimates without bias from the audit share.

In reading order: `pool` (what there is to choose from), `measures` and `calibration` (how uncertain), `cost` (how
dear), `worth` (which label to buy and what it is worth a second), `audit` (the probability sample that judges),
`strategies` (which rows) with their algorithms `lazy`, `spread`, `kcenter`, `badge`, `clusters`, `facility` and
`diversity`, `budget` (how many), `basket` (every cap), `selection` (the whole choice), `estimation` (what the audit
share says).
"""

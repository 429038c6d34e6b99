"""Runs, figures and model versions in MLflow; no production code outside of this package imports MLflow.

Open the store with `store.open_tracking`, log a run with `runs.tracked_run`, and register its model with
`registry.register`. Only ids, settings, counts and figures are logged, never content of utterances.
"""

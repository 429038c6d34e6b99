"""Runs, figures and model versions in MLflow. Nothing outside this package imports MLflow or matplotlib.

Open the store with `store.open_tracking`, log a run with `runs.tracked_run`, register what it made with
`registry.register`. Ids, settings, counts and figures go in; content never does.
"""

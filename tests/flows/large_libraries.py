"""What takes most of the time of a command to import, imported once by the process that commands fork.

Prefect is not among it: it reads the environment, in which a command names its server, when it is imported.
"""

from __future__ import annotations

import gc
import importlib
import os

from corpus import hub_access

LIBRARIES = (
    "pytest",  # whose module is the main one again in each process that is forked
    "numpy",
    "scipy.stats",
    "scipy.sparse",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
    "yaml",
    "rich.table",
    "cryptography.hazmat.primitives.ciphers.aead",
    "corpus.audio.torchaudio_guard",  # before transformers
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.processing_auto",
    "transformers.models.parakeet.modeling_parakeet",
    "transformers.models.parakeet.processing_parakeet",
    "mlflow.tracking.client",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.models",
    "mlflow.artifacts",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "flows.cli.main",
    "flows.runtime.settings",  # whose models take half a second to build
    "flows.runtime.session",
    "flows.reports.compare",
    "flows.reports.doctor",
    "flows.reports.status",
    "flows.steps.retrain_plan",
    "flows.steps.sample",
)

OFFLINE = {"HF_HUB_OFFLINE": "1", hub_access.KEPT_OFF: "1"}
"""What `corpus.hub_access.keep_off_hub` sets, before the libraries read it."""

os.environ |= {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", **OFFLINE}
for each in LIBRARIES:
    importlib.import_module(each)
gc.freeze()  # what is here to stay is neither looked through nor copied by every collection of a fork

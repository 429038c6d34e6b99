"""The libraries whose import takes most of the time of a command, imported once by the process that commands fork."""

from __future__ import annotations

import importlib
import os

from corpus import hub_access

LIBRARIES = (
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
)

OFFLINE = {"HF_HUB_OFFLINE": "1", hub_access.KEPT_OFF: "1"}
"""What `corpus.hub_access.keep_off_hub` sets, before the libraries read it."""

os.environ |= {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", **OFFLINE}
for each in LIBRARIES:
    importlib.import_module(each)

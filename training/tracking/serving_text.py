"""What both kinds of served versions need: the MLflow pyfunc around a model.

`training.tracking.export` joins the normal form, this file and that of a kind into one `serving.py`, which is beside
the files of every registered version and runs on machines without earmark: the parts import nothing of earmark but each
other, read only safetensors and JSON, and run no code of the model's folder. Some parts of earmark are repeated there
(word confidence, the joint head, the text branch, slots); tests check that both give the same results.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc import PythonModel

LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def guard_torchaudio() -> None:
    """Import torchaudio without its native library if that can't be loaded; call this before importing transformers."""
    if "torchaudio" in sys.modules:
        return
    try:
        importlib.import_module("torchaudio")
    except ModuleNotFoundError:
        return
    except OSError:
        for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
            del sys.modules[name]
        stand_in: Any = types.ModuleType("torchaudio._extension")
        stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False
        stand_in.fail_if_no_align = lambda function: function
        stand_in.is_stand_in = True
        sys.modules["torchaudio._extension"] = stand_in
        importlib.import_module("torchaudio")


class Served(PythonModel):  # type: ignore[misc]
    """The model version in the folder, as MLflow loads and calls it.

    Args:
        make: returns the function from a table of `audio` or `text` to the answers, of the model in a folder.
    """

    def __init__(self, make: Callable[[Path], Any]) -> None:
        self.make = make

    def load_context(self, context: Any) -> None:
        """Load the model."""
        guard_torchaudio()
        self.answer = self.make(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return one row of results for each row of `audio` or `text`."""
        return pd.DataFrame(self.answer(model_input))

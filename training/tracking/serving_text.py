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

import numpy as np
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
        """Return one row of results for each row of `audio` or `text`, in a table or in another form, see `cells`."""
        return pd.DataFrame(self.answer(model_input))


# --- what is asked ----------------------------------------------------------------------------------------------------


def texts_of(asked: Any) -> list[str]:
    """Return the texts of a table with a column `text`, of rows with that key, of one such row, or of a list of texts.

    Raises:
        ValueError: there is no such column, or a text is no string; the message has the row and the type, never the
            value.
    """
    if isinstance(asked, str):
        asked = [asked]
    texts = []
    for row, text in cells(asked, "text", several=True):
        if not isinstance(text, str):
            raise ValueError(f"{row}: text is {kind_of(text)}; give a string")
        texts.append(text)
    return texts


def clips_of(asked: Any, rate: int) -> list[Any]:
    """Return the clips, float32 samples, of a table with a column `audio`, of rows with that key, or of a list.

    Raises:
        ValueError: there is no such column, or a clip is no sequence of finite samples in [-1, 1]; the message has the
            row and the type, never a value.
    """
    clips = []
    wanted = f"give finite samples in [-1, 1] at {rate} Hz, of one channel"
    for row, samples in cells(asked, "audio", several=False):
        if not isinstance(samples, list | tuple | np.ndarray):
            raise ValueError(f"{row}: audio is {kind_of(samples)}; {wanted}")
        try:
            clip = np.asarray(samples)
        except ValueError:
            raise ValueError(f"{row}: audio has parts of unequal length; {wanted}") from None
        if clip.ndim != 1 or not len(clip):
            what = "no sample" if clip.ndim == 1 else f"{clip.ndim} dimensions"
            raise ValueError(f"{row}: audio has {what}; {wanted}")
        if clip.dtype.kind not in "fiu":
            odd = next((each for each in samples if not isinstance(each, float | int) or isinstance(each, bool)), clip)
            raise ValueError(f"{row}: audio holds a sample that is {kind_of(odd)}; {wanted}")
        if not np.isfinite(clip).all() or (clip.dtype.kind in "iu" and np.abs(clip.astype(np.float64)).max() > 1):
            raise ValueError(f"{row}: audio holds {clip.dtype} samples that are not finite or beyond 1; {wanted}")
        clips.append(clip.astype(np.float32))
    return clips


def cells(asked: Any, column: str, *, several: bool) -> list[tuple[str, Any]]:
    """Return the cells of a column, each with the name of its row: a number from 0, and the table's own index.

    Args:
        asked: a table, a mapping of the column to its cells or to one, or a list of cells or of such mappings.
        column: its name.
        several: whether a list in a mapping is several cells; else it is one, such as samples. A list of lists is.
    """
    if isinstance(asked, pd.Series):
        asked = asked.to_frame(column)
    if isinstance(asked, pd.DataFrame):
        if column not in asked:
            raise ValueError(f"the column {column} is missing; give a table that has it")
        names = [row_name(number, index) for number, index in enumerate(asked.index)]
        return list(zip(names, asked[column].tolist(), strict=True))
    if isinstance(asked, dict):
        if column not in asked:
            raise ValueError(f"the key {column} is missing; give it one entry a row")
        given = asked[column]
        listed = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim > 0)
        nested = listed and len(given) > 0 and isinstance(given[0], list | tuple | np.ndarray)
        given = list(given) if nested or (listed and several) else [given]
        return [(f"row {number}", unboxed(each)) for number, each in enumerate(given)]
    if not isinstance(asked, list | tuple) and not (isinstance(asked, np.ndarray) and asked.ndim):
        raise ValueError(f"the input is {kind_of(asked)}; give a table with a column {column}")
    found = []
    for number, each in enumerate(asked):
        if isinstance(each, dict) and column not in each:
            raise ValueError(f"row {number}: {column} is missing")
        found.append((f"row {number}", unboxed(each[column] if isinstance(each, dict) else each)))
    return found


def unboxed(value: Any) -> Any:
    """Return the value of an array without dimensions, which MLflow's server makes of the cells of `instances`."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def row_name(number: int, index: Any) -> str:
    """Return the name of a row: its number, and its index where that is another number; a text may be content."""
    other = isinstance(index, int | np.integer) and index != number
    return f"row {number} (index {index})" if other else f"row {number}"


def kind_of(value: Any) -> str:
    """Return what a message says of a value: its type, and whether it stands for a missing one."""
    name = type(value).__name__
    missing = bool(pd.api.types.is_scalar(value) and pd.isna(value))
    return f"missing ({name})" if missing else f"of the type {name}"

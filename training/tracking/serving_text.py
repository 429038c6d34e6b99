"""What both kinds of served versions need: the MLflow pyfunc around a model, and the normal form of texts.

`training.tracking.export` joins this file and that of a kind into one `serving.py`, which is beside the files of every
registered version and runs on machines without earmark: the parts import nothing of earmark but each other, read only
safetensors and JSON, and run no code of the model's folder. Some parts of earmark are repeated there (the normal form,
word confidence, the joint head, the text branch, slots); tests check that both give the same results.
"""

from __future__ import annotations

import importlib
import re
import sys
import types
import unicodedata
from collections.abc import Callable, Iterator
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


APOSTROPHES = frozenset("'`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201b\u2032\uff07")


def normalise(text: str) -> str:
    """Return the normal form `earmark-1`: NFKC, lower case, words of letters, digits and inner apostrophes."""
    loose = re.sub(r"(?<![^ '])'|'(?![^ '])", " ", "".join(_characters(text)))
    return " ".join(part for part in loose.split(" ") if part)


def _characters(text: str) -> Iterator[str]:
    """Yield letters, marks and digits in lower case, `'` for apostrophes, and a space for everything else."""
    for cluster in _clusters(text):
        if cluster in APOSTROPHES:
            yield "'"
            continue
        has_base = False  # an accent without a base character is dropped
        for char in _lower(cluster):
            category = unicodedata.category(char)[0]
            has_base = category in "LN" or (category == "M" and has_base)
            yield char if has_base else " "


def _clusters(text: str) -> Iterator[str]:
    """Yield the parts of a text that NFKC treats separately (Unicode Standard Annex #15, section 9)."""
    cluster = ""
    for char in text:
        if unicodedata.category(char) == "Cf":
            continue
        first = unicodedata.normalize("NFKD", char)[0]
        joins = unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"
        if cluster and (not joins or char in APOSTROPHES or cluster in APOSTROPHES):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


def _lower(cluster: str) -> str:
    """Return the cluster in lower case and NFKC, repeated until both hold."""
    for _ in range(4):
        lowered = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).lower())
        if lowered == cluster:
            break
        cluster = lowered
    return cluster

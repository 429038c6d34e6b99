"""Export of a version as an MLflow model that can be served: the files that MLflow's pyfunc needs around the model.

The folder of a version has `MLmodel`, a copy of `serving.py`, requirements and a made-up example; the model's own files
are in `model/`, once. earmark itself reads `model/` alone and never runs the files around it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus import normal_form
from corpus.normal_form import NORMALISER
from corpus.records.base import Kind

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

CODE = "serving.py"
"""File beside a version's files with the code that serves it."""

PARTS: Mapping[str, str] = {"asr": "serving_speech.py", "intent": "serving_intent.py"}
"""By kind, the file that is joined to the normal form and to what both kinds need."""

NOT_IN_A_LATER_ONE = ("from __future__ ", "from training.", "from corpus.")
"""How the lines begin that only separate files need: the first files have what they import."""

INNER = "model"
"""Folder of the model's own files in that of a version."""

SERVING_TAG = "earmark.serving_sha256"
"""Tag of a version: digest of the code beside its files. Versions without it have their files in the outer folder."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "asr": ("mlflow", "numpy", "pandas", "safetensors", "tokenizers", "torch", "torchaudio", "transformers"),
    "intent": ("mlflow", "numpy", "pandas", "safetensors", "tokenizers", "torch", "transformers"),
}
"""By kind, the packages that `serving.py` and the models of transformers import."""

EXAMPLE_SECONDS = 0.25
EXAMPLE_TEXT = "turn on the light in the kitchen"


def serving_code(kind: Kind) -> bytes:
    """Return the code that serves versions of a kind, one file that imports nothing of earmark."""
    here = Path(__file__)
    files = (Path(normal_form.__file__), here.with_name("serving_text.py"), here.with_name(PARTS[kind]))
    first, *later = (file.read_text(encoding="utf-8").splitlines(keepends=True) for file in files)
    own = [[line for line in lines if not line.startswith(NOT_IN_A_LATER_ONE)] for lines in later]
    return "\n\n".join("".join(lines) for lines in (first, *own)).encode()


def serving_digest(kind: Kind) -> str:
    """Return the SHA-256 of the code that serves versions of a kind, the value of `SERVING_TAG`."""
    return hashlib.sha256(serving_code(kind)).hexdigest()


def write_wrapper(folder: Path, kind: Kind, model_folder: Path, digest: str, run_id: str, artifact_path: str) -> None:
    """Write all files of a servable version except the model's own files, which belong into `INNER`.

    The files have no path of this machine and no content of utterances: the example is a tone or a made-up sentence.

    Args:
        folder: an empty folder to write to.
        kind: kind of the model.
        model_folder: the model's own files; only the sample rate is read from them.
        digest: digest of the model's own files.
        run_id: run that gets the files as an artifact.
        artifact_path: folder of the artifact in the run.
    """
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    rate = sample_rate(model_folder) if kind == "asr" else None
    (folder / CODE).write_bytes(serving_code(kind))
    _write_environment(folder, pinned(kind))
    columns, row = example(kind, rate)
    table = {"columns": columns, "data": [row]}
    (folder / "input_example.json").write_text(json.dumps(table))
    (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_split": table}))
    facts = {"kind": kind, "model_digest": digest, "normaliser": NORMALISER, "serving_sha256": serving_digest(kind)}
    model = Model(
        artifact_path=artifact_path,
        run_id=run_id,
        model_uuid=digest[:32],
        signature=signature(kind),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        metadata=facts | ({"sample_rate": rate} if rate else {}) | _decoders(model_folder),
    )
    add_to_model(
        model,
        loader_module="mlflow.pyfunc.loaders.code_model",
        model_code_path=CODE,
        python_env="python_env.yaml",
        conda_env="conda.yaml",
        artifacts={"model": {"path": INNER, "uri": INNER}},
        streamable=False,
    )
    model.save(str(folder / "MLmodel"))


def _decoders(model_folder: Path) -> dict[str, str]:
    """Return how a version with a beam decodes in earmark and where it is served; nothing for other versions."""
    has_beam = (model_folder / "decoder" / "beam.json").is_file()
    return {"decoder": "beam", "served_decoder": "greedy"} if has_beam else {}


def _write_environment(folder: Path, requirements: Sequence[str]) -> None:
    """Write Python and packages that a version needs, in the three forms that MLflow reads."""
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
    python = platform.python_version()
    (folder / "python_env.yaml").write_text(f"python: {python}\ndependencies:\n- -r requirements.txt\n")
    conda = {"channels": ["conda-forge"], "dependencies": [f"python={python}", "pip", {"pip": list(requirements)}]}
    (folder / "conda.yaml").write_text(json.dumps(conda, indent=1) + "\n")  # JSON is YAML


def signature(kind: Kind) -> ModelSignature:
    """Return the columns of the output with their types.

    The input has none: MLflow would print the request in its message, or turn a missing text into one, so the code that
    serves checks every row itself.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array, Object, Property

    text, confidence = ColSpec(DataType.string, "text"), ColSpec(DataType.double, "confidence")
    if kind == "asr":
        return ModelSignature(outputs=Schema([text, confidence]))
    slot = Object(
        [
            Property("name", DataType.string),
            Property("start", DataType.long),
            Property("end", DataType.long),
            Property("value", DataType.string),
        ]
    )
    answer = [text, ColSpec(DataType.string, "intent"), confidence, ColSpec(Array(slot), "slots")]
    return ModelSignature(outputs=Schema(answer))


def example(kind: Kind, rate: int | None) -> tuple[list[str], list[Any]]:
    """Return the columns and one row of example input: a tone at the sample rate [Hz], or a sentence."""
    if kind == "intent":
        return ["text"], [EXAMPLE_TEXT]
    time = np.arange(int(EXAMPLE_SECONDS * (rate or 16_000))) / (rate or 16_000)
    return ["audio"], [np.round(0.2 * np.sin(2 * np.pi * 440 * time), 4).tolist()]


def sample_rate(model_folder: Path) -> int:
    """Return the sample rate of a speech model's feature extractor [Hz]; 16,000 if its files do not give one."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        file = model_folder / name
        if file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
            rate = settings.get("sampling_rate") or settings.get("feature_extractor", {}).get("sampling_rate")
            if rate:
                return int(rate)
    return 16_000


def pinned(kind: Kind) -> list[str]:
    """Return the packages that serving needs with their installed versions, without build suffixes such as `+cpu`."""
    found = []
    for name in NEEDED[kind]:
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:  # for example mlflow-skinny is installed in place of mlflow
            found.append(name)
    return found

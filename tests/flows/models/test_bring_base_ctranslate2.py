"""A Whisper in CTranslate2's format comes into the home by the command, converted and checked, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flows.models import registry
from tests.flows.homes import earmark
from tests.training.ctranslate2_writer import stored_as, switches, whisper_variables, write_file, write_folder
from tests.training.families import whisper
from tests.training.tiny import tone_clip
from training.asr.loading import load_asr
from training.asr.transcribe import best_texts
from training.loop.model_files import weights_digest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """What writes a folder of a tiny Whisper with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, processor = whisper(tmp_path_factory.mktemp("source"))

    def write(folder: Path, version: int = 6) -> Path:
        write_folder(folder, model, processor.tokenizer, "float16")
        variables = stored_as(whisper_variables(model), "float16") | switches(2)
        (folder / "model.bin").write_bytes(write_file(variables, version=version).content)
        return folder

    return write


def test_a_folder_in_ctranslate2s_format_becomes_a_base_in_transformers(
    written: Callable[[Path], Path], tmp_path: Path
):
    folder, home = written(tmp_path / "whisper-theirs"), tmp_path / "home"
    done = earmark("base", "add", str(folder), "--language", "English", "--json", EARMARK_HOME=str(home))
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["name"], facts["kind"], facts["family"]) == ("whisper-theirs", "asr", "whisper")
    assert facts["languages"] == ["en"]
    base = home / "bases" / "whisper-theirs"
    assert facts["digest"] == weights_digest(base)
    assert facts["safe"]["loop.learning_rate"] == 1e-3  # as small as this one is
    assert not (base / "model.bin").exists()
    assert isinstance(best_texts(load_asr(base), [tone_clip("stop")])[0], str)
    assert not (home / "mlflow.db").exists()


@pytest.mark.parametrize("what", ["cut", "version", "vocabulary"])
def test_one_that_is_damaged_or_unknown_adds_nothing_and_says_why_in_one_line(
    what: str, written: Callable[..., Path], tmp_path: Path
):
    folder, home = written(tmp_path / "theirs", 9 if what == "version" else 6), tmp_path / "home"
    if what == "cut":
        weights = folder / "model.bin"
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif what == "vocabulary":
        (folder / "tokenizer.json").unlink()
    done = earmark("base", "add", str(folder), "--language", "en", EARMARK_HOME=str(home))
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("earmark: ")]
    said = {
        "cut": "model.bin",
        "version": "version 9 of the format",
        "vocabulary": "no tokenizer.json and no vocabulary",
    }
    assert len(errors) == 1
    assert said[what] in errors[0]
    assert "Traceback" not in done.stderr
    assert "unforeseen" not in done.stderr
    assert not list(registry.added_bases(home).glob("*"))

"""Sizes that the weights' files can't have are refused before anything is built of them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.errors import Damaged, EarmarkError
from flows.models import registry
from tests.training.families import family_folder
from tests.training.tiny import tiny_asr_folder
from tests.training.tiny_intent import tiny_intent
from training.asr.loading import load_asr
from training.intent.model import load_intent, save_intent
from training.loop.config_sizes import check_folder

LONGEST = 30.0
"""Time in which a size is refused [s]; to build one of these takes hours, or more memory than there is."""

NAMES = {
    "whisper": (
        "num_hidden_layers",
        "encoder_layers",
        "decoder_layers",
        "vocab_size",
        "d_model",
        "max_source_positions",
    ),
    "parakeet": ("vocab_size", "encoder_config.num_hidden_layers", "encoder_config.subsampling_conv_channels"),
    "moonshine": ("encoder_num_hidden_layers", "hidden_size"),
    "intent": ("encoder.num_hidden_layers", "encoder.vocab_size", "encoder.max_position_embeddings", "ngrams"),
}


def folder_of(name: str, home: Path) -> Path:
    if name == "intent":
        save_intent(tiny_intent(), home / name)
        return home / name
    return tiny_asr_folder(home / name) if name == "parakeet" else family_folder(name, home / name)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_sizes_that_no_memory_holds_are_refused_at_once_and_named(name: str, tmp_path: Path):
    folder = folder_of(name, tmp_path)
    load: Callable[[Path], object] = load_intent if name == "intent" else load_asr
    load(folder)  # with the imports, which are no part of the time
    path = folder / "config.json"
    before = path.read_text()
    for key in NAMES[name]:
        *parts, last = key.split(".")
        for value in (1_000_000_000, -1, *(() if key == "ngrams" else (0,))):
            document = json.loads(before)
            branch = document
            for part in parts:
                branch = branch[part]
            branch[last] = value
            path.write_text(json.dumps(document))
            started = time.monotonic()
            with pytest.raises(EarmarkError) as refused:
                load(folder)
            assert time.monotonic() - started < LONGEST
            assert "\n" not in str(refused.value)
            if value > 0:
                assert isinstance(refused.value, Damaged)
                assert "restore config.json, or the weights that belong to it" in str(refused.value)
    path.write_text(before)
    load(folder)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_the_bases_that_come_with_earmark_pass(kind: str, tmp_path: Path):
    check_folder(registry.BASES / kind)
    folder = shutil.copytree(registry.BASES / kind, tmp_path / "copy")
    (folder / "config.json").write_text('{"vocab_size": 1000000}')
    with pytest.raises(Damaged, match=r"vocab_size is 1000000 in config\.json, and the files of its weights have no"):
        check_folder(folder)


def test_a_label_that_is_called_like_a_size_is_none(tmp_path: Path):
    folder = folder_of("parakeet", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["label2id"] = {"dim": 0, "more_layers": 1_000_000}
    (folder / "config.json").write_text(json.dumps(config))
    check_folder(folder)

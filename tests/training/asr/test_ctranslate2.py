"""Whisper in CTranslate2's format becomes the model of transformers that it was made from, or one line of error."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from corpus.errors import Damaged, EarmarkError, SettingsError, UsageError
from tests.training.ctranslate2_writer import (
    TIED,
    stored_as,
    switches,
    whisper_variables,
    write_file,
    write_folder,
)
from tests.training.families import whisper
from tests.training.tiny import tone_clip
from training.asr.ctranslate2 import convert, main
from training.asr.loading import load_asr
from training.asr.model import extract_features
from training.asr.seq2seq_prompts import decoding_rules
from training.asr.transcribe import best_texts, token_text

CLIP = tone_clip("stop", 0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, processor = whisper(tmp_path_factory.mktemp("source"))
        with torch.no_grad():
            for parameter in model.parameters():  # untrained ones are too small for a difference to show
                parameter += 0.2 * torch.randn(parameter.shape)
    return model.eval(), processor


@pytest.fixture
def folder(source, tmp_path):
    write_folder(tmp_path / "given", source[0], source[1].tokenizer, "float32")
    return tmp_path / "given"


def logits(model, asr) -> np.ndarray:
    with torch.inference_mode():
        return model(**extract_features(asr, [CLIP]), decoder_input_ids=torch.arange(60, 80)[None]).logits.numpy()


@pytest.mark.parametrize(
    ("kind", "off"), [("float32", 1e-6), ("float16", 2e-3), ("bfloat16", 3e-2), ("int16", 1e-2), ("int8", 5e-2)]
)
def test_what_was_converted_computes_what_it_was_made_from(kind, off, source, tmp_path):
    write_folder(tmp_path / "given", source[0], source[1].tokenizer, kind)
    made = convert(tmp_path / "given", tmp_path / "out")
    asr = load_asr(tmp_path / "out")
    wanted, found = logits(source[0], asr), logits(asr.model, asr)
    assert wanted.std() > 0.5
    assert np.abs(found - wanted).max() < off * np.abs(wanted).max()
    assert made.shape.heads == (2, 2)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


@pytest.mark.parametrize("listed", [False, True])
def test_its_tokenizer_and_its_decoding_rules_come_along(listed, source, tmp_path):
    write_folder(tmp_path / "given", source[0], source[1].tokenizer, "float16", listed=listed)
    convert(tmp_path / "given", tmp_path / "out")
    asr = load_asr(tmp_path / "out")
    ids = asr.tokenizer("play some music", add_special_tokens=False)["input_ids"]
    assert ids == source[1].tokenizer("play some music", add_special_tokens=False)["input_ids"]
    assert token_text(asr, ids) == "play some music"
    rules = decoding_rules(asr)
    assert asr.tokenizer.convert_ids_to_tokens(list(rules.prefix)) == ["<|startoftranscript|>", "<|notimestamps|>"]
    assert 7 in rules.never
    assert rules.never_first == (32,)
    assert best_texts(asr, [CLIP]) == best_texts(asr, [CLIP])


def test_parts_are_joined_in_their_order(folder, tmp_path):
    convert(folder, tmp_path / "whole")
    content = (folder / "model.bin").read_bytes()
    (folder / "model.bin").unlink()
    for number in range(11):  # part 10 comes after part 9
        piece = -(-len(content) // 11)
        (folder / f"model.bin.part{number + 1}").write_bytes(content[number * piece : (number + 1) * piece])
    joined = convert(folder, tmp_path / "joined")
    assert joined.digest == convert_digest(tmp_path / "whole")
    (folder / "model.bin.part4").unlink()
    with pytest.raises(SettingsError, match="no parts"):
        convert(folder, tmp_path / "gap")


def convert_digest(folder: Path) -> str:
    from training.loop.model_files import weights_digest

    return weights_digest(folder)


def test_without_stored_heads_they_are_64_wide(source, tmp_path, folder):
    variables = stored_as(whisper_variables(source[0]), "float32")
    (folder / "model.bin").write_bytes(write_file(variables).content)
    with pytest.raises(Damaged, match="num_heads is 0, which does not divide the width 32"):
        convert(folder, tmp_path / "out")


# --- what is no model -------------------------------------------------------------------------------------------------


def refusal(folder: Path, out: Path, capsys) -> str:
    """The one line that the command prints; nothing is written and little memory is taken."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    tracemalloc.start()
    with pytest.raises(EarmarkError) as caught:
        convert(folder, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * size + 2_000_000
    assert main([str(folder), str(out)]) == caught.value.exit_status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"ctranslate2: {caught.value}\n"
    assert printed.err.count("\n") == 1
    assert not out.exists()
    return printed.err


def test_a_file_that_is_cut_anywhere_is_damage(source, folder, tmp_path, capsys):
    written = write_file(stored_as(whisper_variables(source[0]), "int8") | switches(2))
    for end in [0, 1, *written.ends[:-1], len(written.content) - 1]:
        (folder / "model.bin").write_bytes(written.content[:end])
        assert "ends within" in refusal(folder, tmp_path / "out", capsys)
    (folder / "model.bin").write_bytes(bytes(written.content) + b"\0")
    assert "1 bytes follow" in refusal(folder, tmp_path / "out", capsys)


@pytest.mark.parametrize("value", [0xFF, 0x7F, 0])
def test_a_byte_that_lies_takes_no_memory(value, source, folder, tmp_path, capsys):
    """Each byte outside the weights in turn: counts, lengths, names, shapes and types."""
    written = write_file(stored_as(whisper_variables(source[0]), "int8") | switches(2))
    starts = [0, *written.ends[:-1]]
    fields = [start for start, end in zip(starts, written.ends, strict=True) if end - start < 100]
    refused = 0
    tracemalloc.start()
    for place in fields:
        content = bytearray(written.content)
        for at in range(place, min(place + 4, len(content))):
            content[at] = value
        (folder / "model.bin").write_bytes(content)
        status = main([str(folder), str(tmp_path / f"out{place}")])
        assert len(capsys.readouterr().err.splitlines()) == (status != 0)
        assert (tmp_path / f"out{place}").exists() == (status == 0)
        refused += status != 0
    assert tracemalloc.get_traced_memory()[1] < 4 * len(written.content) + 8_000_000
    tracemalloc.stop()
    assert refused > 0.8 * len(fields)


def edited(source, **changes):
    variables = stored_as(whisper_variables(source[0]), "float32") | switches(2)
    for name, stored in changes.pop("variables", {}).items():
        if stored is None:
            del variables[name]
        else:
            variables[name] = stored
    return write_file(variables, changes.pop("aliases", TIED), **changes).content


BIAS = "encoder/layer_0/self_attention/linear_0/bias"
ONES = np.ones(96, np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 3}, "version 3 of the format is not read, only 4, 5, 6"),
        ({"version": 7}, "version 7 of the format"),
        ({"spec": "TransformerSpec"}, "the model is a 'TransformerSpec'"),
        ({"revision": 2}, "revision 2 of WhisperSpec"),
        ({"variables": {"decoder/layer_norm/beta": None}}, "variable decoder/layer_norm/beta is missing"),
        ({"variables": {"encoder/conv1/weight": None}}, "variable encoder/conv1/weight is missing"),
        ({"variables": {"decoder/rotary": ("float32", ONES)}}, "variable decoder/rotary is unknown"),
        ({"variables": {"encoder/layer_2/ffn/linear_0/bias": ("float32", ONES)}}, "layer_2/ffn/linear_0/bias is unk"),
        ({"variables": {BIAS: ("float32", ONES[:95])}}, r"has the shape \(95,\), not \(96,\)"),
        ({"variables": {BIAS: ("float32", ONES)}}, "a bias of keys"),
        ({"variables": {BIAS: ("float32", ONES * np.nan)}}, "not finite"),
        ({"variables": {BIAS: ("int8", ONES.astype(np.int8))}}, "is int8 and has no scale"),
        ({"variables": {BIAS: ("int32", ONES.astype(np.int32))}}, "is int32, packed"),
        ({"variables": {"decoder/activation": ("int8", np.int8([0])[0])}}, "decoder/activation is 0"),
        ({"variables": {"encoder/num_heads": ("int16", np.int16([5])[0])}}, "num_heads is 5"),
        ({"aliases": (("decoder/projection/weight", "nowhere"),)}, "leads nowhere or is taken"),
        ({"aliases": (("decoder/projection/weight", "encoder/conv1/weight"),)}, "is not the embedding"),
        ({"aliases": (*TIED, *TIED)}, "is taken"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(changes, message, source, folder, tmp_path, capsys):
    (folder / "model.bin").write_bytes(edited(source, **changes))
    with pytest.raises(EarmarkError, match=message):
        convert(folder, tmp_path / "out")
    refusal(folder, tmp_path / "out", capsys)


BARE = '{"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": []}'


def test_aliases_do_not_make_a_small_file_large(source, folder, tmp_path, capsys):
    variables = stored_as(whisper_variables(source[0]), "float32") | switches(2)
    layer = [name for name in variables if name.startswith("decoder/layer_0/")]
    copies = [(name.replace("layer_0", f"layer_{number}"), name) for number in range(1, 300) for name in layer]
    (folder / "model.bin").write_bytes(write_file(variables, [*TIED, *copies]).content)
    assert "smaller than a model of its sizes" in refusal(folder, tmp_path / "out", capsys)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "no such file"),
        ("config.json", "[]", "no JSON object"),
        ("config.json", '{"suppress_ids": [266]}', "no list of tokens below"),
        ("config.json", '{"suppress_ids": 1, "suppress_ids": 2}', "is not JSON"),
        ("config.json", "[" * 100_000, "is not JSON"),
        ("config.json", " " * 1_100_000, "more than 1048576"),
        ("tokenizer.json", None, "no tokenizer.json and no vocabulary"),
        ("tokenizer.json", "{}", "no byte-pair model"),
        ("tokenizer.json", BARE.replace("[]", '[{"content": []}]'), "a token has no text"),
        ("tokenizer.json", BARE.replace("0", "true"), "or no whole number"),
        ("tokenizer.json", BARE, "no token <|endoftext|>"),
        ("model.bin", None, "no model.bin"),
    ],
)  # fmt: skip
def test_a_file_beside_it_that_is_wrong_is_named(name, content, message, folder, tmp_path, capsys):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert message in refusal(folder, tmp_path / "out", capsys)


def test_a_folder_that_exists_is_left_alone(folder, tmp_path):
    with pytest.raises(UsageError, match="exists"):
        convert(folder, folder)
    assert (folder / "model.bin").exists()
    assert json.loads((folder / "config.json").read_text())["suppress_ids"] == [7]

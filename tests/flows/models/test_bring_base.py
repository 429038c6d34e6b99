"""A base comes into the home checked and whole, or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.errors import EarmarkError, Refused, UsageError
from flows.models import registry
from flows.models.base_catalog import entry_of
from flows.models.bring_base import add_base
from flows.models.model_check import check_base
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.homes import earmark
from tests.hub_server import hub_server
from tests.training.families import family_folder
from tests.training.tiny import tiny_asr_folder
from tests.training.tiny_intent import tiny_intent
from training.asr.arpa import to_arpa
from training.asr.beam_files import read_decoder, write_decoder
from training.asr.language_model import build_ngrams
from training.asr.loading import load_asr
from training.asr.word_beam import BeamSettings, DecoderFiles
from training.intent.model import save_intent
from training.loop.base_facts import read_facts
from training.loop.model_files import weights_digest
from training.tracking.version_files import folder_digest


def names_in(home: Path) -> list[str]:
    return sorted(path.name for path in registry.added_bases(home).glob("*"))


def test_a_folder_becomes_a_base_with_its_facts_and_without_files_that_could_run_code(tmp_path: Path):
    folder = tiny_asr_folder(tmp_path / "theirs")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Theirs\n")
    for name in ("pytorch_model.bin", "modeling_theirs.py"):
        (folder / name).write_bytes(b"\x80")
    home = tmp_path / "home"
    added = add_base(home, str(folder))
    facts = added.facts
    assert (facts.name, facts.kind, facts.source, facts.licence) == ("theirs", "asr", "folder theirs", "mit")
    assert (facts.family, facts.sampling_rate) == ("parakeet_ctc", 16000)
    assert facts.digest == weights_digest(folder)
    assert facts.parameters == pytest.approx(load_asr(folder).model.num_parameters() / 1e6, rel=0.2)
    assert read_facts(added.folder) == facts
    assert not {"pytorch_model.bin", "modeling_theirs.py"} & {path.name for path in added.folder.iterdir()}
    again = add_base(home, str(folder))
    assert (again.already, names_in(home)) == (True, ["theirs"])
    with pytest.raises(Refused, match="--name"):
        add_base(home, str(tiny_asr_folder(tmp_path / "other", seed=1)), name="theirs")
    assert read_facts(added.folder).digest == facts.digest
    with pytest.raises(UsageError, match="--name"):
        add_base(home, str(folder), name="../theirs")


def test_a_base_comes_with_its_decoder(tmp_path: Path):
    pytest.importorskip("flashlight.lib.text")
    folder, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    decoder = DecoderFiles(
        BeamSettings(width=7), to_arpa(build_ngrams([("turn it on", 1.0)])), ("dua lipa",), {"de-AT": ("grete",)}
    )
    write_decoder(folder, decoder)
    added = add_base(home, str(folder))
    assert read_decoder(added.folder) == decoder
    assert folder_digest(added.folder) == folder_digest(folder)
    assert add_base(home, str(folder)).already
    write_decoder(folder, replace(decoder, phrases=()))
    with pytest.raises(Refused, match="other files"):
        add_base(home, str(folder))


def test_the_kind_is_found_by_the_configuration(tmp_path: Path):
    save_intent(tiny_intent(), tmp_path / "words")
    assert add_base(tmp_path / "home", str(tmp_path / "words")).facts.kind == "intent"
    assert (
        add_base(tmp_path / "home", str(registry.BASES / "intent"), name="own").folder.joinpath("replay.jsonl").exists()
    )


def test_a_folder_that_does_not_load_leaves_nothing(tmp_path: Path):
    folder = tiny_asr_folder(tmp_path / "theirs")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EarmarkError, match="theirs") as refused:
        add_base(tmp_path / "home", str(folder))
    assert ".tmp-" not in str(refused.value)
    assert names_in(tmp_path / "home") == []
    with pytest.raises(UsageError, match="neither in the catalogue"):
        add_base(tmp_path / "home", "nowhere")
    with pytest.raises(UsageError, match="commit"):
        add_base(tmp_path / "home", "owner/name")


def test_a_whisper_of_several_languages_is_told_which_one_it_writes(tmp_path: Path):
    folder = family_folder("whisper", tmp_path)
    general = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({k: v for k, v in general.items() if k != "language"}))
    home = tmp_path / "home"
    with pytest.raises(UsageError, match="2 languages: give --language"):
        add_base(home, str(folder), name="many")
    with pytest.raises(UsageError, match="it knows de, en"):
        add_base(home, str(folder), name="many", language="fr")
    added = add_base(home, str(folder), name="many", language="de")
    assert (added.facts.languages, added.changed) == (("de",), ("it writes de",))
    assert load_asr(added.folder).model.generation_config.language == "de"


def test_a_tokenizer_of_capitals_takes_texts_in_lower_case(tmp_path: Path):
    """Such as that of facebook/wav2vec2-base-960h, which would otherwise spell no label."""
    folder = family_folder("wav2vec2", tmp_path)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    upper = {token.upper() if len(token) == 1 else token: place for token, place in vocabulary.items()}
    (folder / "vocab.json").write_text(json.dumps(upper))
    with pytest.raises(UsageError, match="lower case"):
        check_base(folder, "asr")
    added = add_base(tmp_path / "home", str(folder))
    assert added.changed == ("its tokenizer takes texts in lower case",)
    tokenizer = load_asr(added.folder).tokenizer
    assert tokenizer.decode(tokenizer("turn it on")["input_ids"]) == "turn it on"


@pytest.mark.slow
def test_the_catalogue_is_fetched_at_its_commit_and_a_wrong_commit_or_a_cut_download_adds_nothing(tmp_path: Path):
    entry = entry_of("whisper-base")
    assert entry is not None
    assert entry.commit is not None
    folder = family_folder("whisper", tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    home = tmp_path / "home"
    with hub_server() as hub:
        hub.models[(str(entry.hub_id), entry.commit)] = folder
        where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "EARMARK_HOME": str(home)}
        where |= {"HF_HUB_ETAG_TIMEOUT": "120", "HF_HUB_DOWNLOAD_TIMEOUT": "120"}  # of a machine that is busy
        wrong = earmark("base", "add", f"{entry.hub_id}@{'b' * 40}", **where)
        assert wrong.returncode == 2
        assert f"has no commit {'b' * 40}" in wrong.stderr
        hub.cut.add("model.safetensors")
        cut = earmark("base", "add", "whisper-base", "--language", "en", **where)
        assert cut.returncode == 2
        assert "can't be had from the hub" in cut.stderr
        assert len([line for line in cut.stderr.splitlines() if line.startswith("earmark: ")]) == 1
        assert names_in(home) == []
        hub.cut.clear()
        hub.served.clear()
        done = earmark("base", "add", "whisper-base", "--language", "en", "--json", **where)
    assert done.returncode == 0, done.stderr
    assert hub.served == ["model.safetensors"]  # the other files were there, and the pickle is not wanted
    facts = json.loads(done.stdout)
    assert (facts["source"], facts["commit"], facts["licence"]) == (entry.hub_id, entry.commit, "MIT")
    assert facts["safe"]["interpolate"] == 0.0  # of the catalogue; the tiny model itself would take 0.5
    assert facts["window"] == 2.0
    assert weights_digest(home / "bases" / "whisper-base") == facts["digest"] == weights_digest(folder)
    shutil.rmtree(tmp_path / "cache")
    show = earmark("base", "list", "--json", EARMARK_HOME=str(home))
    assert {each["name"] for each in json.loads(show.stdout) if each["in_home"]} == {"embedded", "whisper-base"}


@pytest.mark.slow
def test_a_base_from_the_hub_comes_with_its_decoder(tmp_path: Path):
    pytest.importorskip("flashlight.lib.text")
    folder, home, commit = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home", "c" * 40
    decoder = DecoderFiles(BeamSettings(), to_arpa(build_ngrams([("turn it on", 1.0)])), (), {"de-AT": ("grete",)})
    write_decoder(folder, decoder)
    with hub_server() as hub:
        hub.models["their/base", commit] = folder
        where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "EARMARK_HOME": str(home)}
        where |= {"HF_HUB_ETAG_TIMEOUT": "120", "HF_HUB_DOWNLOAD_TIMEOUT": "120"}
        done = earmark("base", "add", f"their/base@{commit}", **where)
    assert done.returncode == 0, done.stderr
    assert read_decoder(home / "bases" / "base") == decoder


@pytest.mark.slow
def test_a_hub_id_in_the_settings_is_fetched_by_the_command_that_needs_it_and_never_again(tmp_path: Path):
    commit = "a" * 40
    models = ("--set", "models.asr=openai/whisper-base", "--set", f"models.asr_revision={commit}")
    with hub_server() as hub:
        hub.models["openai/whisper-base", commit] = family_folder("whisper", tmp_path)
        where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "EARMARK_HOME": str(tmp_path / "home")}
        where |= {"HF_HUB_ETAG_TIMEOUT": "120", "HF_HUB_DOWNLOAD_TIMEOUT": "120"}
        received = earmark("ingest", str(write(tmp_path / "m.jsonl", [row(tmp_path, 1)])), **where)
        assert received.returncode == 0, received.stderr
        forbidden = earmark("score", *models, HF_HUB_OFFLINE="1", EARMARK_KEPT_OFF_HUB="", **where)
        assert (forbidden.returncode, hub.served) == (2, [])
        done = earmark("score", *models, **where)
        assert done.returncode == 0, done.stderr
        assert "model.safetensors" in hub.served
    again = earmark("score", *models, **where)  # the hub is gone
    assert again.returncode == 0, again.stderr

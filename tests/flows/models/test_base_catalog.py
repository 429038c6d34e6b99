"""The catalogue of bases that earmark knows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.errors import SettingsError
from flows.models import registry
from flows.models.base_catalog import catalogue, comes_with_earmark, entry_of
from flows.models.model_check import check_base
from flows.runtime.settings_layers import find_file
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings
from training.loop.base_facts import FILE, family_of, parameters_of
from training.tracking.version_files import FACTS, folder_digest


def test_every_base_has_a_commit_a_licence_and_settings_that_there_are():
    names = [(each.kind, each.name) for each in catalogue()]
    assert len(set(names)) == len(names) == 10
    for each in catalogue():
        assert registry.NAME.fullmatch(each.name)
        assert each.licence in ("MIT", "Apache-2.0")
        assert (each.hub_id is None) == (each.commit is None) == (each.name == registry.EMBEDDED)
        model = AsrFinetuneSettings if each.kind == "asr" else IntentFinetuneSettings
        for key, value in each.safe.items():
            *groups, last = key.split(".")
            model.model_validate({groups[0]: {last: value}} if groups else {last: value})
    assert entry_of("openai/whisper-tiny.en") == entry_of("tiny-en")
    assert entry_of("embedded") is None


def test_the_embedded_bases_are_what_the_catalogue_says():
    for each in catalogue():
        if each.hub_id is None:
            folder = registry.BASES / each.kind
            assert family_of(folder) == each.family
            assert round(parameters_of(folder) / 1e6, 1) == each.parameters
            assert folder_digest(folder) == each.digest, "made anew: check it, then write its digest into the catalogue"
            assert comes_with_earmark(each.kind, folder_digest(folder))
            check_base(folder, each.kind)  # what a home then leaves out
    assert FACTS == FILE


def test_a_copy_of_the_embedded_base_with_one_other_byte_is_checked_like_any(tmp_path: Path):
    folder = tmp_path / "intent"
    shutil.copytree(registry.BASES / "intent", folder)
    assert comes_with_earmark("intent", folder_digest(folder))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert not comes_with_earmark("intent", folder_digest(folder))
    assert not comes_with_earmark("asr", folder_digest(registry.BASES / "intent"))


def test_the_catalogue_is_no_file_of_settings():
    with pytest.raises(SettingsError, match=r"come with earmark are demo, fsdd, production$"):
        find_file(Path("catalogue"))

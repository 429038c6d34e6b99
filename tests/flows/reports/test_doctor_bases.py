"""The doctor asks no hub, reads no file of a base twice, and counts no live addition as a left one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpus.handle import open_corpus
from flows.models.base_models import ensure_champions
from flows.reports.doctor import examine
from flows.runtime.settings import load_settings
from tests.training.tiny import tiny_asr_folder
from training.tracking import version_files

COMMIT = "a" * 40


def test_no_hub_is_asked_and_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = tmp_path / "home"
    theirs = tiny_asr_folder(tmp_path / "theirs")
    settings = load_settings(None, [f"corpus.home={home}", f"models.asr={theirs}"])
    corpus = open_corpus(settings.corpus)
    try:
        ensure_champions(corpus, home, settings.models, settings.tracking)
    finally:
        corpus.close()
    hashed: Counter[Path] = Counter()
    digest = version_files.hashlib.file_digest

    def counted(stream: Any, name: str) -> Any:
        hashed[Path(stream.name).resolve()] += 1
        return digest(stream, name)

    monkeypatch.setattr(version_files.hashlib, "file_digest", counted)
    examine(settings, repair=False)
    weights = {path: count for path, count in hashed.items() if path.name == "model.safetensors"}
    assert theirs / "model.safetensors" in weights
    assert set(weights.values()) == {1}
    asked = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *where, **_: asked.append(where) or [])
    monkeypatch.setattr("socket.socket.connect", lambda _, where: asked.append(where))
    hub = ("models.asr=openai/whisper-base", f"models.asr_revision={COMMIT}")
    examine(load_settings(None, [f"corpus.home={home}", *hub]), repair=False, dry_run=True)
    examine(load_settings(None, [f"corpus.home={home}", *hub]), repair=True)
    assert [where for where in asked if "huggingface" in str(where)] == []

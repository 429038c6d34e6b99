"""A home of labelled clips that say their texts, with tiny bases: trainings of both kinds take a second."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Label
from corpus.storage.content_codec import encode_audio
from corpus.tables import labels
from corpus.vault import identity, vault
from flows.models.base_models import ensure_champions
from flows.runtime.settings import Settings, load_settings
from tests.corpus.stored import ALL, _utterance, admit, choose, put
from tests.training.tiny import TEXTS, tiny_asr_folder, tone_clip
from tests.training.tiny_intent import tiny_intent
from training.intent.model import save_intent

INTENTS = ("lights", "lights", "clock", "music", "clock", "call")
"""The intent of each of the texts."""

CLIPS, SPEAKERS, AUDIT = 72, 24, 12


def labelled_home(folder: Path, *overrides: str) -> Settings:
    """Return the settings of a new home in the folder; 12 of its 72 labelled clips were drawn for the audit."""
    save_intent(tiny_intent(), folder / "intent-base")
    tiny_asr_folder(folder / "asr-base")
    settings = settings_of(folder, *overrides)
    corpus = open_corpus(settings.corpus)
    ids = _arrive(corpus)
    choose(corpus, ids[:AUDIT], reason="audit")
    with corpus.operation("label", "merge") as op:
        given = [Label(i, TEXTS[n % 6], INTENTS[n % 6], (), 1.0, 1, 1) for n, i in enumerate(ids)]
        labels.put_labels(corpus, op, given)
    ensure_champions(corpus, settings.home, settings.models, settings.tracking)
    corpus.close()
    return settings


def settings_of(folder: Path, *overrides: str) -> Settings:
    """Return the settings of the home that `labelled_home` made in the folder."""
    return load_settings(None, pairs_of(folder, *overrides))


def pairs_of(folder: Path, *overrides: str) -> list[str]:
    """Return the same settings as values of `--set`."""
    return [
        f"corpus.home={folder / 'home'}",
        'corpus.split={"train": 0.6, "dev": 0.4, "test": 0.0}',
        f"models.asr={folder / 'asr-base'}",
        f"models.intent={folder / 'intent-base'}",
        "tracking.system_seconds=0",
        *overrides,
    ]


def _arrive(corpus: Corpus) -> list[str]:
    now = datetime.now(UTC) - timedelta(hours=9)
    arrivals = [
        vault.Arrival(
            identity.utterance_id(corpus.vault, f"event-{n}"),
            f"account-{n % SPEAKERS}",
            ALL,
            now + timedelta(seconds=n),
            f"serial-{n % SPEAKERS}",
        )
        for n in range(CLIPS)
    ]
    admitted = admit(corpus.vault, arrivals, "ingest/0")
    keys = vault.data_keys(corpus.vault, list(admitted))
    records = []
    for n, arrival in enumerate(arrivals):
        # to the numbers of PCM16, in which clips are stored
        clip = (np.round(tone_clip(TEXTS[n % 6], n) * 32767) / 32768).astype(np.float32)
        utterance = _utterance(corpus, arrival, admitted[arrival.utterance_id], n)
        entry = (replace(utterance, num_samples=len(clip)), keys[arrival.utterance_id], encode_audio(clip))
        records.append(entry)
    with corpus.operation("ingest/0", "ingest") as op:
        op.result = {"accepted": len(put(corpus, op, records))}
    return [arrival.utterance_id for arrival in arrivals]

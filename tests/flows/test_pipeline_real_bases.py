"""Real speech and a real speech model, by the commands of docs/real-models.md in a smaller form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.flows.homes import earmark
from tests.real_bases import folder_of

pytestmark = pytest.mark.bases

FSDD = Path(__file__).resolve().parents[3] / "shared" / "data" / "fsdd"
WORDS = ("two", "three", "six", "eight", "nine")
"""Of which Whisper writes the digits."""
LEARNED, JUDGING = ("george", "nicolas"), ("jackson", "theo")
SETTINGS = {
    "score": {"transcribe": {"window": 12, "draws": 1}},
    "asr": {"loop": {"window": 12, "epochs": 3, "batch_seconds": 12}},  # a clip a step: few clips need many
    "promotion": {"judged_on": "held_out"},
}


def write_manifest(path: Path) -> None:
    """Write for each word two clips of two speakers to learn from, and one of two others that judge."""
    rows = [
        json.loads(line) for name in ("train", "test") for line in (FSDD / f"{name}.jsonl").read_text().splitlines()
    ]
    chosen = [
        {
            "audio": str(FSDD / row["audio"]), "account": row["speaker"], "locale": "en-US", "device_type": "phone",
            "consent": ["score", "annotate", "train"], "notice": "v1", "wake": {"button": True},
            "arrived_at": f"2026-11-29T09:00:{row['take']:02d}Z", "event_id": row["audio"],
            "text": row["text"], "intent": f"dial_{row['text']}", "held_out": row["speaker"] in JUDGING,
        }
        for row in rows
        if row["text"] in WORDS and row["speaker"] in (*LEARNED, *JUDGING)
        if row["take"] < (1 if row["speaker"] in JUDGING else 2)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen))


def run(config: Path, *words: str) -> str:
    done = earmark(*words, "--config", str(config))
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout


def test_real_clips_teach_a_real_base_to_write_their_words(tmp_path: Path):
    if not FSDD.is_dir():
        pytest.skip(f"the Free Spoken Digit Dataset is not at {FSDD}")
    config, manifest = tmp_path / "earmark.yaml", tmp_path / "manifest.jsonl"
    corpus = {"home": str(tmp_path / "home"), "split": {"train": 1.0, "dev": 0.0, "test": 0.0}}
    config.write_text(yaml.safe_dump(SETTINGS | {"corpus": corpus}))
    write_manifest(manifest)
    run(config, "base", "add", str(folder_of("whisper-tiny.en")), "--name", "tiny-en", "--language", "en")
    run(config, "base", "use", "tiny-en")
    assert "rows accepted  30" in run(config, "ingest", str(manifest))
    base = json.loads(run(config, "score", "--json"))["champions"]["asr"]
    assert base["error_numbers"] < base["error"] - 0.2  # it writes "2" for "two", which a reader of figures must see
    retrained = run(config, "retrain", "asr")
    assert "bring held-out rows of more speakers" in retrained
    assert "next: earmark compare asr/champion asr/2; to use it now: earmark promote asr/2 --force" in retrained
    assert "promoted" in run(config, "promote", "asr/2", "--force", "--why", "it writes the words")
    before, after = (rate["value"] for rate in json.loads(run(config, "compare", "asr/1", "asr/2", "--json"))["rates"])
    assert after <= 0.2 < 0.6 < before


def test_the_draws_of_a_real_base_are_calibrated_on_labelled_clips_before_it_scores(tmp_path: Path):
    if not FSDD.is_dir():
        pytest.skip(f"the Free Spoken Digit Dataset is not at {FSDD}")
    config, manifest = tmp_path / "earmark.yaml", tmp_path / "manifest.jsonl"
    settings = {"score": {"transcribe": {"window": 4, "draws": 1}}, "promotion": {"judged_on": "held_out"}}
    corpus = {"home": str(tmp_path / "home"), "split": {"train": 1.0, "dev": 0.0, "test": 0.0}}
    config.write_text(yaml.safe_dump(settings | {"corpus": corpus}))
    write_manifest(manifest)
    run(config, "base", "add", str(folder_of("whisper-tiny.en")), "--name", "tiny-en", "--language", "en")
    run(config, "base", "use", "tiny-en")
    assert "rows accepted  30" in run(config, "ingest", str(manifest))
    found = earmark("score", "--config", str(config))
    assert found.returncode == 0, found.stderr[-1500:]
    line = re.search(
        r"asr/\d+: alternative texts are drawn at temperature (\S+): they expect (\d+) wrong words in 20 labelled clips"
        r" that have (\d+)",
        found.stderr + found.stdout,
    )
    assert line is not None
    assert 0.4 < float(line[1]) < 1.2
    assert int(line[3]) >= 10

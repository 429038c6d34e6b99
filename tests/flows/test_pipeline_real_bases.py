"""Real speech and real weights, by the commands of docs/real-models.md in a smaller form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.flows.homes import earmark
from tests.real_bases import folder_of

pytestmark = pytest.mark.bases

FSDD = Path(__file__).resolve().parents[3] / "shared" / "data" / "fsdd"
WORDS = ("two", "eight")
"""Of which Whisper writes the digits."""
LEARNED, JUDGING = ("george", "nicolas"), ("jackson", "theo")
SETTINGS = {
    "corpus": {"split": {"train": 1.0, "dev": 0.0, "test": 0.0}},
    "score": {"transcribe": {"window": 12, "draws": 2}},
    "asr": {"loop": {"window": 12, "epochs": 3}},
    "promotion": {"judged_on": "held_out"},
}


def write_manifest(path: Path) -> None:
    """Write clips of two speakers to learn from, and of two others that judge: 5 a word and speaker."""
    rows = [
        json.loads(line) for name in ("train", "test") for line in (FSDD / f"{name}.jsonl").read_text().splitlines()
    ]
    chosen = [
        {
            "audio": str(FSDD / row["audio"]), "account": row["speaker"], "locale": "en-US", "device_type": "phone",
            "consent": ["score", "annotate", "train"], "wake": {"button": True},
            "arrived_at": f"2026-11-29T09:00:{row['take']:02d}Z", "event_id": row["audio"],
            "text": row["text"], "intent": f"dial_{row['text']}", "held_out": row["speaker"] in JUDGING,
        }
        for row in rows
        if row["text"] in WORDS and row["speaker"] in (*LEARNED, *JUDGING) and row["take"] < 5
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen))


def run(config: Path, *words: str) -> str:
    done = earmark(*words, "--config", str(config))
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout


def test_real_clips_teach_real_bases_to_write_and_to_understand_them(tmp_path: Path):
    if not FSDD.is_dir():
        pytest.skip(f"the Free Spoken Digit Dataset is not at {FSDD}")
    config, manifest = tmp_path / "earmark.yaml", tmp_path / "manifest.jsonl"
    config.write_text(yaml.safe_dump(SETTINGS | {"corpus": {**SETTINGS["corpus"], "home": str(tmp_path / "home")}}))
    write_manifest(manifest)
    run(config, "base", "add", str(folder_of("whisper-tiny.en")), "--name", "tiny-en", "--language", "en")
    run(config, "base", "add", str(folder_of("minilm")), "--name", "minilm")
    run(config, "base", "use", "tiny-en")
    run(config, "base", "use", "minilm")
    assert "rows accepted  40" in run(config, "ingest", str(manifest))
    asr, intent = json.loads(run(config, "score", "--json"))["champions"].values()
    assert asr["error"] > 0.5  # "2" is not "two"
    assert asr["error_numbers"] < asr["error"] - 0.2
    assert intent["named"] == 0.0
    for kind, reason in (("asr", "writes the words"), ("intent", "knows the intents")):
        assert "bring held-out rows of more speakers" in run(config, "retrain", kind)
        assert "promoted" in run(config, "promote", f"{kind}/2", "--force", "--why", reason)
    run(config, "score")
    found = json.loads(run(config, "status", "--json"))["champions"]
    assert found["asr"]["error"] < 0.2
    assert found["intent"]["error"] < 0.2

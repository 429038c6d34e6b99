"""Manifests with one odd row between two good ones, through the real ingest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from corpus.handle import Corpus
from corpus.ingest.ingest import IngestReport, IngestSettings, ingest
from corpus.vault import event_ids
from tests.corpus.recordings import encoded, tone

NOW = datetime.now(UTC)
NAME = "planted-name"  # stands in every row; no message may hold it
_numbers = count(1)


def row(**changes: Any) -> dict[str, Any]:
    """Return a good row; its recording is `good.wav`."""
    number = next(_numbers)
    return {
        "audio": "good.wav",
        "account": f"{NAME}-{number % 3}",
        "device_serial": f"{NAME}-serial",
        "locale": "en-GB",
        "device_type": "speaker",
        "consent": ["score", "annotate", "train"],
        "notice": "v1",
        "wake": {"word": "computer", "score": 0.9},
        "arrived_at": (NOW - timedelta(days=1, seconds=number)).isoformat(),
        "event_id": f"{NAME}-event-{number}",
    } | changes


def line(**changes: Any) -> bytes:
    return json.dumps(row(**changes)).encode() + b"\n"


def utterance_of(corpus: Corpus, account: str, event_id: str) -> str:
    """Return the utterance id of an account's event."""
    return event_ids.utterance_ids(corpus.vault, [(account, event_id)])[account, event_id]


def good_recording(folder: Path) -> None:
    (folder / "good.wav").write_bytes(encoded(tone()))


def arrives(corpus: Corpus, manifest: Path) -> tuple[IngestReport, list[str]]:
    """Return what became of a manifest, once its counts agree, and what was said, once it is fit to be shown."""
    report = ingest(corpus, manifest, IngestSettings())
    said = [f"manifest line {line} is refused: {reason}: {detail}" for line, reason, detail in report.refused_lines]
    assert report.received == report.accepted + sum(report.refused.values())
    assert len(said) == min(20, sum(report.refused.values()))
    for message in said:
        assert message.startswith("manifest line ")
        assert message.isprintable()  # one line, and nothing that moves a cursor
        assert ";" in message  # the remedy
        assert NAME not in message
        assert "good.wav" not in message
        assert str(manifest.parent) not in message
    return report, said


def becomes(corpus: Corpus, folder: Path, *odd: bytes) -> tuple[str, str]:
    """Return what becomes of odd lines between two good rows, `accepted` or the reason, and the first message."""
    good_recording(folder)
    manifest = folder / f"manifest-{next(_numbers)}.jsonl"
    manifest.write_bytes(line() + b"".join(odd) + line())
    report, said = arrives(corpus, manifest)
    assert report.received == 2 + len(odd)
    if not said:
        assert report.accepted == report.received
        return "accepted", ""
    assert report.accepted == 2
    assert said[0].startswith("manifest line 2 is refused: ")
    (reason,) = report.refused
    return reason, said[0]


def recording_becomes(corpus: Corpus, folder: Path, data: bytes) -> str:
    """Return what becomes of a recording that stands between two good ones."""
    (folder / "odd.wav").write_bytes(data)
    outcome, message = becomes(corpus, folder, line(audio="odd.wav"))
    assert "odd.wav" not in message
    assert outcome == "accepted" or "field audio: " in message
    return outcome

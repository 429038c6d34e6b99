"""A labelled corpus as traffic: the labels of some speakers are known at the start, other clips arrive night by night.

The folder must hold `train.jsonl` and `test.jsonl` with the columns `audio` (relative to the folder), `speaker`, `text`
and `intent`, and optionally `slots` and others. The test rows are held out: for judging models, never for training.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from corpus.errors import UsageError
from corpus.locales import canonical_locale
from corpus.settings import MOST_SEED
from corpus.storage.json_lines import read_objects
from corpus.synthetic.nights import NOTICE, NightFiles

NEEDED: Final = ("audio", "speaker", "text", "intent")

Use = Literal["known", "held_out", "unlabelled"]
"""What the labels of a row are for: training from the start, judging, or nothing, as annotators give them later."""


class LabelledSettings(BaseModel):
    """How a labelled corpus becomes nights, for `earmark demo --corpus`.

    Attributes:
        folder: Folder of the corpus; null where there is none.
        start_speakers: Speakers whose training rows are known labels before the first night.
        nights: Number of nights over which the other speakers' training rows arrive, an equal share of every speaker a
            night.
        first_night: Day of the first night; the rows with known labels arrive on the day before.
        locale: Locale of every row.
        device_type: Device type of every row.
        attributes: Columns that become slices.
        seed: Seed of the draw that assigns clips to nights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    folder: Path | None = None
    start_speakers: tuple[str, ...] = ()
    nights: int = Field(default=3, ge=1, le=10_000)
    first_night: date = date(2026, 11, 2)
    locale: Annotated[str, AfterValidator(canonical_locale)] = "en-US"
    device_type: str = "microphone"
    attributes: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


def labelled_window(settings: LabelledSettings, night: int) -> tuple[datetime, datetime]:
    """Return start and end (exclusive) of a night in UTC; night 0 is the day on which the known labels arrive."""
    day = settings.first_night + timedelta(days=night - 1)
    begin = datetime.combine(day, time(), UTC)
    return begin, begin + timedelta(days=1)


def write_labelled_night(folder: Path, settings: LabelledSettings, night: int) -> NightFiles:
    """Write `night-NNN/manifest.jsonl` and `truth/night-NNN.jsonl`; the audio stays in the corpus.

    Args:
        folder: folder of all nights; created if missing.
        settings: the corpus and how it is split into nights.
        night: 0 for the known labels and the held-out rows, then 1 to `settings.nights`.

    Raises:
        UsageError: the corpus is missing, a row lacks a column, or a start speaker is unknown.
    """
    manifest = folder / f"night-{night:03d}" / "manifest.jsonl"
    truth = folder / "truth" / f"night-{night:03d}.jsonl"
    train = _rows(settings, "train")
    start_speakers = set(settings.start_speakers)
    unknown = start_speakers - {row["speaker"] for row in train}
    if unknown:
        raise UsageError(
            f"labelled.start_speakers: train.jsonl has no row of {sorted(unknown)[0]}; give speakers of the corpus"
        )
    if night == 0:
        start = [row for row in train if row["speaker"] in start_speakers]
        rows = list(_arrivals(settings, 0, start, "known"))
        rows += _arrivals(settings, 0, _rows(settings, "test"), "held_out")
    else:
        others = [row for row in train if row["speaker"] not in start_speakers]
        rows = list(_arrivals(settings, night, _share(others, settings, night), "unlabelled"))
    _write(manifest, rows)
    _write(truth, (_truth(row) for row in train if row["speaker"] not in start_speakers))
    return NightFiles(manifest, truth, {"command": len(rows)})


def speakers_of(settings: LabelledSettings) -> list[str]:
    """Return the speakers of the training rows, sorted."""
    return sorted({row["speaker"] for row in _rows(settings, "train")})


def _rows(settings: LabelledSettings, name: str) -> list[dict[str, Any]]:
    assert settings.folder is not None
    path = settings.folder / f"{name}.jsonl"
    try:
        content = path.read_bytes()
    except OSError:
        raise UsageError(f"the labelled corpus has no {name}.jsonl that can be read; check labelled.folder") from None
    rows = list(read_objects(content, path.name))
    for number, row in rows:
        missing = [key for key in (*NEEDED, *settings.attributes) if key not in row]
        if missing:
            raise UsageError(f"{name}.jsonl row {number} has no {missing[0]}; a row needs {', '.join(NEEDED)}")
    return [row for _, row in rows]


def _share(rows: Sequence[dict[str, Any]], settings: LabelledSettings, night: int) -> list[dict[str, Any]]:
    """Return the rows of one night: an equal share of every speaker's rows, in a random order."""
    found = []
    for speaker in sorted({row["speaker"] for row in rows}):
        spoken = [row for row in rows if row["speaker"] == speaker]
        order = np.random.default_rng([settings.seed, *speaker.encode()]).permutation(len(spoken))
        found += [spoken[k] for k in np.array_split(order, settings.nights)[night - 1].tolist()]
    return found


def _arrivals(
    settings: LabelledSettings, night: int, rows: Iterable[dict[str, Any]], use: Use
) -> Iterator[dict[str, Any]]:
    """Yield a manifest row for each row of the corpus, one a second."""
    begin, _ = labelled_window(settings, night)
    assert settings.folder is not None
    for second, row in enumerate(rows):
        arrival = {
            "audio": str((settings.folder / row["audio"]).resolve()),
            "account": row["speaker"],
            "locale": settings.locale,
            "device_type": settings.device_type,
            "consent": ["score", "annotate", "train"],
            "notice": NOTICE,
            "wake": {"button": True},
            "arrived_at": (begin + timedelta(seconds=second)).isoformat(),
            "event_id": row["audio"],
            "attributes": {name: str(row[name]) for name in settings.attributes},
        }
        if use != "unlabelled":
            arrival |= {"text": row["text"], "intent": row["intent"], "slots": row.get("slots", [])}
            arrival |= {"held_out": use == "held_out"}
        yield arrival


def _truth(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "account": row["speaker"],
        "event_id": row["audio"],
        "text": row["text"],
        "intent": row["intent"],
        "slots": row.get("slots", []),
        "verdict": "labelled",
    }


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

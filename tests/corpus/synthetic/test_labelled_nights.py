"""A labelled corpus as nights: what is known first, what arrives when, and what is held out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import UsageError
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.synthetic import read_truth
from corpus.synthetic.labelled_nights import LabelledSettings, labelled_window, speakers_of, write_labelled_night
from corpus.synthetic.nights import wav
from corpus.tables import labels, utterances
from tests.corpus.arrivals import utterance_of
from tests.corpus.stored import corpus_at

SPEAKERS = ("ann", "bob", "cy")


def write_corpus(folder: Path) -> LabelledSettings:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, takes in (("train", range(2, 8)), ("test", range(2))):
        rows = []
        for speaker in SPEAKERS:
            for take in takes:
                audio = f"{speaker}-{take}.wav"
                (folder / audio).write_bytes(wav(rng.uniform(-0.1, 0.1, 8000).astype(np.float32), 8000))
                rows.append({"audio": audio, "speaker": speaker, "accent": "x", "text": "one", "intent": "digit_one"})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return LabelledSettings(folder=folder, start_speakers=("ann",), nights=3, attributes=("accent",))


def test_each_clip_arrives_once_and_only_the_first_night_is_known(tmp_path: Path):
    settings = write_corpus(tmp_path / "corpus")
    corpus = corpus_at(tmp_path / "home", labelled_window(settings, 3)[1])
    arrived = []
    for night in range(settings.nights + 1):
        files = write_labelled_night(tmp_path / "nights", settings, night)
        report = ingest(corpus, files.manifest, IngestSettings())
        assert report.accepted == report.received
        with corpus.read() as conn:
            arrived.append(len(utterances.in_window(conn, *labelled_window(settings, night))))
    assert arrived == [6 + 6, 4, 4, 4]  # ann's training rows and all test rows, then a third of the two others' rows
    with corpus.read() as conn:
        held = labels.current(conn)
        assert len(held) == 12
        assert sum(row.judges for row in held) == 6
    truth = read_truth([files.truth])
    known = {row.utterance_id for row in held}
    assert len(truth) == 12
    assert known.isdisjoint(utterance_of(corpus, *event) for event in truth)
    assert speakers_of(settings) == sorted(SPEAKERS)
    corpus.close()


def test_the_same_settings_write_the_same_nights(tmp_path: Path):
    settings = write_corpus(tmp_path / "corpus")
    one, two = (write_labelled_night(tmp_path / name, settings, 2).manifest.read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_speakers": ("zoe",)}, "no row of zoe"),
        ({"attributes": ("age",)}, "row 1 has no age"),
        ({"folder": Path("nowhere")}, "no train.jsonl"),
    ],
)
def test_a_corpus_that_does_not_fit_is_one_line(tmp_path: Path, change: dict[str, object], message: str):
    settings = write_corpus(tmp_path / "corpus").model_copy(update=change)
    with pytest.raises(UsageError, match=message):
        write_labelled_night(tmp_path / "nights", settings, 0)

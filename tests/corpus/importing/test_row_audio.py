"""Samples as numbers: whole numbers are scaled by their width, and what is no sample is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.audio.decode import decode
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from corpus.importing.open_source import open_source
from corpus.importing.row_audio import recording_of, wav

TONE = np.sin(2 * np.pi * 300 * np.arange(3200) / 16_000)
FULL = {"i1": 2**7, "i2": 2**15, "i4": 2**31, "u1": 2**7, "u2": 2**15}


def heard(samples: Any) -> Any:
    return decode(wav(samples, 16_000), AudioSettings())[0]


def stored(kind: str, volume: float) -> Any:
    """Return the tone in whole numbers of a type; without a sign, silence is in the middle."""
    middle = FULL[kind] if kind[0] == "u" else 0
    return np.round(TONE * volume * (FULL[kind] - 1) + middle).astype(kind)


@given(st.sampled_from(sorted(FULL)), st.floats(0.05, 0.95))
def test_whole_numbers_are_scaled_by_their_width(kind: str, volume: float) -> None:
    np.testing.assert_allclose(heard(stored(kind, volume)), TONE * volume, atol=1.5 / min(FULL[kind], 2**15))


@given(st.sampled_from((16, 24, 32)), st.floats(0.3, 0.95))
def test_whole_numbers_in_a_list_are_scaled_by_their_size(bits: int, volume: float) -> None:
    samples = np.round(TONE * volume * (2 ** (bits - 1) - 1)).astype(np.int64)
    for given_as in (samples, samples.tolist(), samples.astype(np.float64)):
        np.testing.assert_allclose(heard(given_as), TONE * volume, atol=2**-14)


def test_a_quiet_recording_of_16_bits_that_is_stored_wider_is_not_silent() -> None:
    samples = np.round(TONE * 1_000)
    for kind in ("i2", "i4", "i8"):
        np.testing.assert_allclose(heard(samples.astype(kind)), TONE * 1_000 / 2**15, atol=2**-14)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floats_stay_as_they_are(kind: str) -> None:
    np.testing.assert_allclose(heard((TONE * 0.5).astype(kind)), TONE * 0.5, atol=1e-3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (TONE > 0, "other values than numbers"),
        (["0.1"] * 3200, "other values than numbers"),
        (TONE + 0.5j, "other values than numbers"),
        ([None] * 3200, "other values than numbers"),
        ([[0.1], [0.1, 0.2]], "no samples"),
        (TONE * 9830.4, "samples up to .*, where full scale is 1; scale them"),
        ([2**40] * 3200, "more than 32 bits"),
    ],
)
def test_what_is_no_sample_is_refused_and_nothing_of_it_is_dropped(samples: Any, message: str) -> None:
    with pytest.raises(AudioRefused, match=message) as caught:
        wav(samples, 16_000)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u1", "u2"])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_width_is_known_from_a_parquet_column(tmp_path: Path, kind: str, channels: int) -> None:
    samples = stored(kind, 0.4)
    numbers = pa.list_(pa.from_numpy_dtype(np.dtype(kind)))
    form = numbers if channels == 1 else pa.list_(numbers)
    array = samples.tolist() if channels == 1 else [samples.tolist()] * 2
    sound = pa.array(
        [{"array": array, "sampling_rate": 16_000}, None], pa.struct([("array", form), ("sampling_rate", pa.int64())])
    )
    pq.write_table(pa.table({"audio": sound}), tmp_path / "x.parquet")
    source = open_source(str(tmp_path / "x.parquet"), None, None, tmp_path)
    (_, row), (_, empty) = source.rows({"audio"})
    assert isinstance(row, dict)
    assert isinstance(empty, dict)
    found, _ = decode(recording_of(row["audio"], source, AudioSettings()), AudioSettings())
    np.testing.assert_allclose(found, TONE * 0.4, atol=1.5 / min(FULL[kind], 2**15))
    assert empty["audio"] is None


def test_samples_in_json_lines_are_scaled(tmp_path: Path) -> None:
    sound = {"array": stored("i2", 0.4).tolist(), "sampling_rate": 16_000}
    (tmp_path / "x.jsonl").write_text(json.dumps({"audio": sound}) + "\n")
    source = open_source(str(tmp_path / "x.jsonl"), None, None, tmp_path)
    ((_, row),) = source.rows({"audio"})
    assert isinstance(row, dict)
    found, _ = decode(recording_of(row["audio"], source, AudioSettings()), AudioSettings())
    np.testing.assert_allclose(found, TONE * 0.4, atol=2**-14)

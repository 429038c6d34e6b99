"""Corpora of the hub: what `datasets` finds in a repository is read as the same folder on this machine is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import labelled_sources as labelled
from tests.hub_server import hub_server

pytestmark = pytest.mark.slow

COMMIT = "d" * 40
SEEDS = range(4)

READ = """
import json, sys
from pathlib import Path
from corpus.audio.limits import AudioSettings
from corpus.importing.open_source import open_source
from corpus.importing.row_audio import recording_of
source = open_source(sys.argv[1], None, None, Path(sys.argv[2]))
rows = [row for _, row in source.rows(set(source.columns))]
clips = [len(recording_of(row.pop("audio"), source, AudioSettings())) for row in rows]
print(json.dumps([source.kind, source.columns, source.classes, source.total, rows, clips], default=list))
"""


def read(source: str, cache: Path, **environment: str) -> list[Any]:
    """Read a corpus in a process of its own: the hub's client reads its address when it is imported."""
    command = [sys.executable, "-c", READ, source, str(cache)]
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=told, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def from_hub(folder: Path, tmp_path: Path) -> list[Any]:
    with hub_server() as hub:
        hub.datasets["their/clips", COMMIT] = folder
        where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache")}
        where |= {"HF_HUB_ETAG_TIMEOUT": "120", "HF_HUB_DOWNLOAD_TIMEOUT": "120"}
        return read(f"their/clips@{COMMIT}", tmp_path / "work", **where)


@pytest.mark.parametrize("write", [labelled.audiofolder, labelled.class_folders])
def test_an_audio_folder_on_the_hub_is_read_as_on_this_machine(tmp_path: Path, write: Any) -> None:
    folder = tmp_path / "repository"
    write(folder, SEEDS)
    kind, *found = from_hub(folder, tmp_path)
    kind_here, *here = read(str(folder), tmp_path / "work")
    assert (kind, kind_here, found) == ("hub", "audiofolder", here)
    assert (found[2], found[4]) == (len(SEEDS), [len(labelled.clip(seed)) for seed in SEEDS])


def test_the_cells_of_a_csv_file_on_the_hub_stay_as_they_are_written(tmp_path: Path) -> None:
    folder = labelled.audiofolder(tmp_path / "repository", range(2))
    (folder / "metadata.csv").unlink()
    cells = ["001,0042", "1e5,NA"]
    lines = [f"hf://datasets/their/clips@{COMMIT}/{seed}.wav,{cell}" for seed, cell in enumerate(cells)]
    (folder / "train.csv").write_text("\n".join(["audio,speaker,text", *lines]) + "\n")
    for clip in folder.glob("*.wav"):
        clip.rename(clip.with_suffix(".bin"))  # else they are an AudioFolder
    (folder / "train.csv").write_text((folder / "train.csv").read_text().replace(".wav", ".bin"))
    rows = from_hub(folder, tmp_path)[4]
    assert rows == [{"speaker": "001", "text": "0042"}, {"speaker": "1e5", "text": "NA"}]

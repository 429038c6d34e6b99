"""Content on S3: what only a network can get wrong; packs, parts, scores and erasure run their own tests on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import fsspec
import numpy as np
import pytest

from corpus import door
from corpus.errors import SettingsError, Unreachable
from corpus.storage import files
from corpus.tables import orphans, utterances
from tests import s3
from tests.corpus.stored import arrive, corpus_at, samples_of, score

NO_AGE = timedelta(seconds=-60)


@pytest.fixture
def wire(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3.Wire]:
    """A way to the server that can be cut; whoever goes it gives up at once."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = s3.Wire(s3_server)
    with s3.reached(made.endpoint):
        yield made
    made.close()


def test_the_same_bytes_lie_in_a_folder_and_on_s3(tmp_path: Path, bucket: str) -> None:
    """A home that is copied to S3 with its databases is the same corpus."""
    folder = corpus_at(tmp_path)
    ids = arrive(folder, 5)
    before = score(folder, ids)
    remote, root = files.connect(bucket)
    for path, _ in files.listing(folder.fs, folder.root):
        files.store(remote, root, path, files.load(folder.fs, folder.root, path))
    folder.close()
    moved = corpus_at(tmp_path, content_url=bucket)
    more = arrive(moved, 5, start=5, operation_id="ingest/1")
    assert (orphans.orphans(moved, NO_AGE), orphans.missing(moved)) == ([], [])
    for number, content in enumerate(door.open(moved, ids + more, "score", parts=("audio",))):
        assert content.audio is not None
        np.testing.assert_array_equal(content.audio, samples_of(number))
    np.testing.assert_array_equal(before.utterance_ids, ids)


def whole_again(home: Path, bucket: str, count: int) -> None:
    """Nothing of a cut upload is to be seen, and the same step brings everything."""
    corpus = corpus_at(home, content_url=bucket)
    assert list(files.listing(corpus.fs, corpus.root)) == []
    with corpus.read() as conn:
        assert utterances.counts(conn)["accepted"] == 0
    ids = arrive(corpus, count)
    assert len(list(door.open(corpus, ids, "score", parts=("audio",)))) == count
    assert (orphans.orphans(corpus, NO_AGE), orphans.missing(corpus)) == ([], [])
    corpus.close()


def test_an_upload_that_the_network_cuts_leaves_nothing(tmp_path: Path, bucket: str, wire: s3.Wire) -> None:
    corpus = corpus_at(tmp_path, content_url=bucket)
    wire.limit = 20_000
    with pytest.raises(Unreachable, match="nothing is lost") as caught:
        arrive(corpus, 20)
    assert "\n" not in str(caught.value)
    assert wire.reached.is_set()
    wire.limit = None
    corpus.close()
    whole_again(tmp_path, bucket, 20)


UPLOAD = """
import sys
from pathlib import Path
from tests.corpus.stored import arrive, corpus_at
arrive(corpus_at(Path(sys.argv[1]), content_url=sys.argv[2]), 20)
"""


def test_a_client_that_is_killed_in_the_middle_of_an_upload_leaves_nothing(
    tmp_path: Path, bucket: str, wire: s3.Wire
) -> None:
    corpus_at(tmp_path, content_url=bucket).close()
    wire.limit, wire.hang = 20_000, True
    command = [sys.executable, "-c", UPLOAD, str(tmp_path), bucket]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert wire.reached.wait(60)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -9
    wire.limit = None
    whole_again(tmp_path, bucket, 20)


@pytest.mark.slow
def test_an_upload_in_many_pieces_that_is_cut_leaves_nothing_visible(bucket: str, wire: s3.Wire) -> None:
    fs, root = files.connect(bucket)
    wire.limit = 20 << 20  # of a connection; each piece of 50 MB has its own
    with pytest.raises(Unreachable):
        files.store(fs, root, "audio/big.pack", bytes(150 << 20))
    wire.limit = None
    assert list(files.listing(fs, root)) == []
    files.store(fs, root, "audio/big.pack", bytes(150 << 20))
    assert [path for path, _ in files.listing(fs, root)] == ["audio/big.pack"]


def test_what_is_wrong_with_the_store_is_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no bucket none-such; make it"):
        files.connect("s3://none-such/content")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with s3.reached("http://127.0.0.1:1"), pytest.raises(Unreachable, match="check that it runs"):
        files.connect(bucket)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3.forget_clients()
    with pytest.raises(Unreachable, match="credentials"):
        files.connect(bucket)
    monkeypatch.undo()
    s3.forget_clients()


def test_what_fsspec_is_told_of_a_store_stays(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"s3": {"addressing_style": "path"}, "read_timeout": 7}
    told = {**fsspec.config.conf.get("s3", {}), "config_kwargs": given}
    monkeypatch.setitem(fsspec.config.conf, "s3", told)
    fs, _ = files.connect(bucket, timeout=12)
    assert fs.config_kwargs["s3"] == {"addressing_style": "path"}
    assert (fs.config_kwargs["read_timeout"], fs.config_kwargs["connect_timeout"]) == (7, 4)

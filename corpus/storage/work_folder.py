"""Work folder of a run, for the files that `datasets` and the Hugging Face hub client would put in a user's cache."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Final

_PREFIX: Final = "import-"
_CURRENT: ContextVar[Path | None] = ContextVar("earmark_scratch", default=None)


@contextlib.contextmanager
def scratch(home: Path | None) -> Iterator[Path]:
    """Make a private folder as the only cache of `datasets`, and remove it at the end of the block.

    Folders that killed imports left are removed, too. Inner blocks use the folder of the outer one. The outer block
    must begin before `datasets` is first imported, because it reads the environment only then.

    Args:
        home: EARMARK_HOME; None for the machine's folder of temporary files.
    """
    outer = _CURRENT.get()
    if outer is not None:
        yield outer
        return
    place, fresh = (None, False) if home is None else (home / "work", not home.exists())
    if place is not None:
        for needed in (place.parent, place):
            needed.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unused in _of_killed_imports(place):
            shutil.rmtree(unused, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    token = _CURRENT.set(folder)
    try:
        with _environment(folder):
            yield folder
    finally:
        _CURRENT.reset(token)
        shutil.rmtree(folder, ignore_errors=True)
        if place is not None:
            with contextlib.suppress(OSError):  # other runs use the folder, or the home is no longer empty
                place.rmdir()
                if fresh:
                    place.parent.rmdir()


def clear(home: Path) -> int:
    """Remove everything in the home's work folder but the folders of running imports; return how many folders.

    Weights and checkpoints of killed trainings may have learned from any speaker, so an erasure removes them.
    """
    place = home / "work"
    trainings = [folder for folder in place.glob("*") if not folder.match(f"{_PREFIX}[0-9]*-*")]
    removed = [*trainings, *_of_killed_imports(place)]
    for folder in removed:
        shutil.rmtree(folder, ignore_errors=True)
    return len(removed)


def _of_killed_imports(place: Path) -> list[Path]:
    """Return the folders of imports that were killed."""
    return [folder for folder in place.glob(f"{_PREFIX}[0-9]*-*") if not _alive(int(folder.name.split("-")[1]))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _environment(cache: Path) -> Iterator[None]:
    variables = {
        f"HF_{name}_CACHE": str(cache / name.lower()) for name in ("HUB", "DATASETS", "ASSETS", "XET", "MODULES")
    }
    variables |= {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "true"}
    variables["USE_TORCH"] = "0"  # otherwise `datasets` loads torch, which takes seconds and is not needed
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

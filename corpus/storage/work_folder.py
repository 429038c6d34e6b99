"""A folder of the run's own, for what `datasets` and the hub's client would keep in a user's cache."""

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
_SCRATCH: ContextVar[Path | None] = ContextVar("earmark_scratch", default=None)


@contextlib.contextmanager
def scratch(home: Path | None) -> Iterator[Path]:
    """Give a folder of 0700 that is all `datasets` may cache in, gone afterwards, with what killed runs left behind.

    The first one of a process holds for all inside it, and must come before `datasets` is first imported, which reads
    its environment only then.

    Args:
        home: EARMARK_HOME; None takes the machine's folder of temporary files.
    """
    outer = _SCRATCH.get()
    if outer is not None:
        yield outer
        return
    place, fresh = (None, False) if home is None else (home / "work", not home.exists())
    if place is not None:
        for made in (place.parent, place):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in _imports(place):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    token = _SCRATCH.set(folder)
    try:
        with _environment(folder):
            yield folder
    finally:
        _SCRATCH.reset(token)
        shutil.rmtree(folder, ignore_errors=True)
        if place is not None:
            with contextlib.suppress(OSError):  # others are at work there, or the home holds something by now
                place.rmdir()
                if fresh:
                    place.parent.rmdir()


def clear(home: Path) -> int:
    """Leave nothing in the home's work folder but what imports that run hold; return how many folders went.

    What lies there may have learned from anyone: weights of killed trainings, and checkpoints to go on from.
    """
    place = home / "work"
    learned = [left for left in place.glob("*") if not left.match(f"{_PREFIX}[0-9]*-*")]
    gone = [*learned, *_imports(place)]
    for left in gone:
        shutil.rmtree(left, ignore_errors=True)
    return len(gone)


def _imports(place: Path) -> list[Path]:
    """Return what imports left there that were killed."""
    return [left for left in place.glob(f"{_PREFIX}[0-9]*-*") if not _alive(int(left.name.split("-")[1]))]


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
    ours = {f"HF_{name}_CACHE": str(cache / name.lower()) for name in ("HUB", "DATASETS", "ASSETS", "XET", "MODULES")}
    ours |= {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "true"}
    ours["USE_TORCH"] = "0"  # else each stream loads it for seconds, and an import learns nothing
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

"""Who asks the Hugging Face hub: what fetches something from it for the user, and no library by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

KEPT_OFF: Final = "EARMARK_KEPT_OFF_HUB"
"""Set where earmark, and not its user, has set `HF_HUB_OFFLINE`."""

_FORBIDDEN: Final[ContextVar[bool]] = ContextVar("forbidden", default=False)
"""Whether a block of `without_hub` runs."""


def keep_off_hub() -> None:
    """Keep the libraries of this process and of its children from asking the hub, but for blocks of `asking_hub`.

    Where the user has set `HF_HUB_OFFLINE`, nothing changes.
    """
    if "HF_HUB_OFFLINE" not in os.environ:
        os.environ["HF_HUB_OFFLINE"] = os.environ[KEPT_OFF] = "1"


@contextmanager
def asking_hub() -> Iterator[None]:
    """Let the hub's client ask within the block, unless the user or a block of `without_hub` has forbidden it."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    if _FORBIDDEN.get():
        constants.HF_HUB_OFFLINE = True
    elif os.environ.get(KEPT_OFF):
        constants.HF_HUB_OFFLINE = False  # the client reads the variable only when it is imported
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


@contextmanager
def without_hub() -> Iterator[None]:
    """Keep everything within the block from asking the hub, also blocks of `asking_hub`; what was fetched is found."""
    token = _FORBIDDEN.set(True)
    try:
        yield
    finally:
        _FORBIDDEN.reset(token)


def is_hub_forbidden() -> bool:
    """Return whether a block of `without_hub` runs."""
    return _FORBIDDEN.get()

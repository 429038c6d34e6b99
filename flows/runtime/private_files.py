"""Files that only their owner may read, whichever library or server writes them."""

from __future__ import annotations

import os
from typing import Final

PRIVATE: Final = 0o077
"""Rights that no file and no folder gets, those of the group and of others."""


def make_files_private() -> None:
    """From now on this process, and those that it starts, make files that only their owner may read."""
    os.umask(PRIVATE)

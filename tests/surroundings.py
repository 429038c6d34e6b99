"""The environment of a test process, left as it was found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests import s3


@contextmanager
def environment_kept() -> Iterator[None]:
    """The environment is afterwards as it was before, but for how an S3 server is reached.

    That one lives as long as its worker: who is first to ask for it may do so inside.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        server = {name: os.environ[name] for name in s3.environment("") if name in os.environ}
        os.environ.clear()
        os.environ.update(before | server)

"""Files of the content store: each appears complete under its final name or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from corpus.errors import SettingsError, Unreachable
from corpus.storage.durable_write import TEMPORARY, write_file
from corpus.storage.store_faults import fault_of, is_fault
from corpus.user_paths import expanded

ATTEMPTS: Final = 3
"""How often a request to S3 is made before it has failed."""

FOLDERS: Final = ("audio", "parts")


def connect(url: str, timeout: float = 30.0) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a folder or fsspec URL, and the root in it.

    Args:
        url: of the content store.
        timeout: how long a store on S3 that is silent is waited for, over all attempts of one request [s].

    Raises:
        SettingsError: the protocol is unknown, its package is not installed, or there is no such bucket.
        Unreachable: the store does not answer, or refuses the credentials.
    """
    if "://" not in url and not url.startswith(("file:", "local:")):  # `::` in the name of a folder chains nothing
        return LocalFileSystem(), str(expanded(url).absolute())
    try:
        fs, root = fsspec.core.url_to_fs(url, **_given_up_after(url, timeout))
    except (ValueError, ImportError) as error:
        raise SettingsError(f"content_url can't be used: {error}") from error
    root = str(root).rstrip("/")
    if "s3" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
        fs.retries = 1  # botocore makes the attempts; each of them again would multiply the time
        _find_bucket(fs, root.split("/")[0])
    return fs, root


def _given_up_after(url: str, timeout: float) -> dict[str, Any]:
    """Return the options with which a store on S3 gives up in that time; other stores have their own ways.

    What fsspec's own configuration sets stays: without `s3.addressing_style` there is no way to some servers.
    """
    if not url.startswith(("s3://", "s3a://")):
        return {}
    one = max(1.0, timeout / ATTEMPTS)
    retries = {"total_max_attempts": ATTEMPTS, "mode": "standard"}
    options: dict[str, Any] = {"connect_timeout": one, "read_timeout": one, "retries": retries}
    for protocol in ("s3", "s3a"):
        options |= fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
    return {"config_kwargs": options}


def _find_bucket(fs: fsspec.AbstractFileSystem, bucket: str) -> None:
    """Check that the bucket exists and answers; otherwise only the first upload would fail, after many attempts."""
    try:
        with answering(fs):
            fs.info(bucket)
    except FileNotFoundError:
        raise SettingsError(f"content_url: there is no bucket {bucket}; make it, or fix the URL") from None


@contextlib.contextmanager
def answering(fs: fsspec.AbstractFileSystem) -> Iterator[None]:
    """Turn errors of a remote store into `Unreachable`, except `FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # each store's client has its own tree of errors
        if isinstance(fs, LocalFileSystem):
            if isinstance(error, OSError) and is_fault(error):
                raise fault_of(error, "the content store") from error
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise Unreachable(
            f"the content store does not answer as it should ({reason}); nothing is lost,"
            " check that it runs and that the credentials are right, then run the command again; corpus.store_timeout"
            " is how long it is waited for"
        ) from error


def digest_name(data: bytes) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of `data`, as the name of a file that never changes."""
    return hashlib.sha256(data).hexdigest()[:32]


def store(fs: fsspec.AbstractFileSystem, root: str, path: str, *pieces: bytes) -> None:
    """Store the pieces durably in `root/path`; a kill leaves the old state and at most a temporary file.

    An object store writes an object completely or not at all, so only local files need a temporary name.
    """
    target = f"{root}/{path}"
    if not isinstance(fs, LocalFileSystem):
        with answering(fs):
            fs.pipe_file(target, b"".join(pieces))
        return
    with answering(fs):
        write_file(Path(target), pieces)


def load(fs: fsspec.AbstractFileSystem, root: str, path: str) -> bytes:
    """Return the bytes of one file."""
    with answering(fs):
        data: bytes = fs.cat_file(f"{root}/{path}")
    return data


def load_span(fs: fsspec.AbstractFileSystem, root: str, path: str, start: int, end: int) -> bytes:
    """Return the bytes [start, end) of one file with one request; fewer if the file is shorter."""
    with answering(fs):
        try:
            data: bytes = fs.cat_file(f"{root}/{path}", start=start, end=end)
        except OSError as error:
            if error.errno == errno.EINVAL:  # S3's answer if the span starts after the end of the file
                return b""
            raise
    return data


def remove(fs: fsspec.AbstractFileSystem, root: str, path: str) -> None:
    """Remove the file `root/path` if it exists."""
    with contextlib.suppress(FileNotFoundError), answering(fs):
        fs.rm_file(f"{root}/{path}")


def unfinished(path: str) -> bool:
    """Return whether a file is incomplete, because a step was killed while it wrote the file."""
    return path.rsplit("/", 1)[-1].startswith(TEMPORARY)


def listing(fs: fsspec.AbstractFileSystem, root: str) -> Iterator[tuple[str, datetime]]:
    """Yield the path (below `root`) and the time of the last change of every file in the store."""
    fs.invalidate_cache()  # other processes may have stored and removed files
    for folder in FOLDERS:
        with answering(fs):
            found = fs.find(f"{root}/{folder}", detail=True)
        for name, info in sorted(found.items()):
            yield name[len(root) + 1 :], _changed(info)


def sizes(fs: fsspec.AbstractFileSystem, root: str) -> dict[str, int]:
    """Return the size of every file in the store by its path below `root` [bytes]."""
    fs.invalidate_cache()
    found: dict[str, int] = {}
    for folder in FOLDERS:
        with answering(fs):
            listed = fs.find(f"{root}/{folder}", detail=True)
        found |= {name[len(root) + 1 :]: int(info["size"]) for name, info in listed.items()}
    return found


def _changed(info: dict[str, object]) -> datetime:
    # File systems name the time differently. A file without a time counts as new, so that it is not swept too early.
    value = info.get("mtime", info.get("LastModified", info.get("created")))
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.now(UTC)

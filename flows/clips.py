"""Clips for annotators' browsers: each hearing is checked at the door and put on the audit chain, and no copy is made.

A task in Label Studio names an address of this server, signed for one task, one person and a time. So no audio lies on
the annotation server, what is withdrawn is silent at once, and a stolen address ends by itself.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from corpus import door
from corpus.errors import DoorClosed, EarmarkError, Refused
from corpus.handle import Corpus
from corpus.store import people, rounds
from flows import progress
from flows.session import opened
from flows.settings import Settings


def clip_url(corpus: Corpus, base: str, task_id: str, who: str, until: datetime) -> str:
    """Returns the address at which a person hears the clip of a task until then.

    Args:
        corpus: holds the secret that signs it.
        base: where browsers reach the clip server.
        task_id: of the clip.
        who: annotator; "" for whoever sees the task.
        until: when the address ends.
    """
    end = int(until.timestamp())
    return (
        f"{base.rstrip('/')}/clips/{task_id}.wav?who={quote(who)}&until={end}&sign={_sign(corpus, task_id, who, end)}"
    )


def _sign(corpus: Corpus, task_id: str, who: str, end: int) -> str:
    key = hmac.digest(corpus.vault.secrets["event"], b"earmark clip addresses", "sha256")
    return hmac.digest(key, f"{task_id}/{who}/{end}".encode(), "sha256").hex()[:40]


def clip_of(corpus: Corpus, path: str) -> bytes | None:
    """Returns the WAV bytes that an address names; None where it is wrong, over, or the clip may not be heard."""
    import soundfile

    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    task_id, who = parts.path.removeprefix("/clips/").removesuffix(".wav"), query.get("who", "")
    if not query.get("until", "").isascii() or not query.get("until", "").isdigit():
        return None
    end = int(query["until"])
    if not hmac.compare_digest(_sign(corpus, task_id, who, end), query.get("sign", "")):
        return None
    if datetime.fromtimestamp(end, UTC) <= corpus.clock():
        return None
    with corpus.read() as conn:
        utterance_id = rounds.utterance_of(conn, task_id)
    if utterance_id is None:
        return None
    try:
        content = next(iter(door.open(corpus, [utterance_id], "annotate", actor=people.holder(who or "anybody"))))
    except (DoorClosed, StopIteration):
        return None
    made = io.BytesIO()
    soundfile.write(made, content.audio, content.sample_rate, subtype="PCM_16", format="WAV")
    return made.getvalue()


class _Handler(BaseHTTPRequestHandler):
    corpus: Corpus
    origin: str

    def do_GET(self) -> None:
        try:
            data = b"ok" if self.path == "/health" else clip_of(self.corpus, self.path)
        except EarmarkError:
            self._answer(503, b"")
            return
        self._answer(200 if data is not None else 404, data or b"")

    def do_OPTIONS(self) -> None:
        self._answer(204, b"")

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if self.path == "/health" else "audio/wav")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Access-Control-Allow-Origin", self.origin)
        self.send_header("Access-Control-Allow-Headers", "range")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Logs nothing: addresses name tasks and people, and the audit chain has it already."""


def serve_clips(settings: Settings, host: str, port: int) -> None:
    """Clips are heard until the process is stopped, by pages of Label Studio alone.

    Raises:
        Refused: the address is taken.
    """
    parts = urlsplit(settings.label_studio.url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else "*"
    with opened(settings, create=False) as corpus:
        try:
            with clip_server(corpus, host, port, origin) as address, contextlib.suppress(KeyboardInterrupt):
                progress.note(f"clips at {address}, for pages of {origin}; stop with Ctrl-C")
                threading.Event().wait()
        except OSError as error:
            raise Refused(f"no clips at {host}:{port}: {type(error).__name__}; choose another --port") from None


@contextmanager
def clip_server(corpus: Corpus, host: str, port: int, origin: str = "*") -> Iterator[str]:
    """Clips are heard at the given address until the block ends.

    Args:
        corpus: the handle.
        host: name or address to listen on.
        port: 0 for any that is free.
        origin: of the pages that may play them, such as https://label-studio.example.org.
    """
    handler = type("Handler", (_Handler,), {"corpus": corpus, "origin": origin})
    server = ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The clip server: play clips in annotators' browsers without a copy of the audio.

A task in Label Studio has a signed link to this server (`flows.tasks.clip_address`), which is exchanged for a session
(`flows.tasks.clip_session`). The door checks each request for audio, also for a part of it or once more, and records it
on the audit chain, so a clip whose consent is withdrawn can't be played any more.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from corpus import door
from corpus.audio.wav import wav_bytes
from corpus.errors import DoorClosed, EarmarkError, Refused
from corpus.handle import Corpus
from corpus.tables import people, rounds, utterances
from flows.runtime import progress
from flows.tasks.clip_address import is_valid
from flows.tasks.clip_session import ClipLink, ClipSessions

WAV_HEADER = 44
"""Bytes before the samples of a 16-bit mono WAV file."""

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
PATIENCE = 5
"""How long answers may continue after the server is stopped [s]."""


def clip_app(corpus: Corpus, origin: str = "*") -> Starlette:
    """Return the application that answers signed links `/clips/TASK.wav`, the sessions behind them, and `/health`.

    Args:
        corpus: the handle.
        origin: origin of the pages that may play clips, such as https://label-studio.example.org.
    """
    sessions = ClipSessions(corpus.clock)

    def health(request: Request) -> Response:
        return PlainTextResponse("ok", headers=HEADERS)

    def exchange(request: Request) -> Response:
        return _exchange(corpus, sessions, request)

    def clip(request: Request) -> Response:
        return _answer(corpus, sessions, request)

    def unavailable(request: Request, error: Exception) -> Response:
        return Response(status_code=503, headers=HEADERS)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/clips/session/{token}.wav", clip),
            Route("/clips/{task_id}.wav", exchange),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=[origin],
                allow_methods=["GET", "HEAD"],
                allow_headers=["Range"],
                expose_headers=["Accept-Ranges", "Content-Length", "Content-Range"],
            )
        ],
        exception_handlers={EarmarkError: unavailable},
    )


def _exchange(corpus: Corpus, sessions: ClipSessions, request: Request) -> Response:
    """Send the browser of a valid link to its session; 404 where the link is wrong or over."""
    task_id, query = request.path_params["task_id"], request.query_params
    annotator_id, until = query.get("who", ""), query.get("until", "")
    if not is_valid(corpus, task_id, annotator_id, until, query.get("sign", "")):
        return Response(status_code=404, headers=HEADERS)
    token = sessions.exchange(ClipLink(task_id, annotator_id, int(until)), _client(request))
    # relative, as a proxy may have put this server below a path of its own
    return Response(status_code=307, headers={**HEADERS, "Location": f"session/{token}.wav"})


def _client(request: Request) -> str:
    """Return what tells the browser of a request from others: its address, as a proxy gives it, and its name."""
    address = request.client.host if request.client else ""
    names = ("x-forwarded-for", "user-agent")
    return "\n".join([address, *(request.headers.get(name, "") for name in names)])


def _answer(corpus: Corpus, sessions: ClipSessions, request: Request) -> Response:
    """Return the clip of a session or a part of it; 404 where the session is no more, or the door is closed.

    A HEAD request is checked like a GET request, but opens no audio.
    """
    link = sessions.of(request.path_params["token"], _client(request))
    if link is None:
        return Response(status_code=404, headers=HEADERS)
    task_id, actor = link.task_id, people.holder(link.annotator_id or "anybody")
    if request.method == "HEAD":
        size = _wav_size(corpus, task_id, actor)
        if size is None:
            return Response(status_code=404, headers=HEADERS)
        headers = {**HEADERS, "Accept-Ranges": "bytes", "Content-Length": str(size)}
        return Response(media_type="audio/wav", headers=headers)
    data = _wav_bytes(corpus, task_id, actor)
    if data is None:
        return Response(status_code=404, headers=HEADERS)
    return _part_of(data, request.headers.get("range"))


def _wav_size(corpus: Corpus, task_id: str, actor: str) -> int | None:
    """Return the size of a task's clip as a WAV file [bytes]; None where the door is closed."""
    with corpus.read() as conn:
        utterance_id = rounds.utterance_of(conn, task_id)
        if utterance_id is None or door.closures(corpus, conn, [utterance_id], "annotate", actor):
            return None
        (utterance,) = utterances.get(conn, [utterance_id])
    return WAV_HEADER + 2 * utterance.num_samples


def _wav_bytes(corpus: Corpus, task_id: str, actor: str) -> bytes | None:
    """Return a task's clip as a WAV file, opened for the person; None where the door is closed."""
    with corpus.read() as conn:
        utterance_id = rounds.utterance_of(conn, task_id)
    if utterance_id is None:
        return None
    try:
        content = next(iter(door.open(corpus, [utterance_id], "annotate", actor=actor)))
    except (DoorClosed, StopIteration):
        return None
    return wav_bytes(content.audio, content.sample_rate)


def _part_of(data: bytes, wanted: str | None) -> Response:
    """Return the bytes that a Range header asks for (RFC 9110, section 14): 206, or 416 outside of the file.

    Several ranges at once and ranges in other units are answered with the whole file, as the RFC allows.
    """
    headers = {**HEADERS, "Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=\s*(\d{0,12})-(\d{0,12})\s*", wanted or "", re.ASCII)
    if match is None or match.group(1, 2) == ("", ""):
        return Response(data, media_type="audio/wav", headers=headers)
    first, last = match.group(1, 2)
    if first and last and int(last) < int(first):  # an invalid range is ignored, as the RFC asks
        return Response(data, media_type="audio/wav", headers=headers)
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, media_type="audio/wav", headers=headers)


def serve_clips(corpus: Corpus, studio_url: str, host: str, port: int) -> None:
    """Serve clips to the pages of Label Studio until the process is stopped.

    Args:
        corpus: the handle.
        studio_url: address of Label Studio, whose pages alone may play clips; pages of any server may where "".
        host: name or address to listen on.
        port: 0 for any free port.

    Raises:
        Refused: the address is taken.
    """
    parts = urlsplit(studio_url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else "*"
    try:
        with clip_server(corpus, host, port, origin) as address, contextlib.suppress(KeyboardInterrupt):
            progress.note(f"clips at {address}, for pages of {origin}; stop with Ctrl-C")
            threading.Event().wait()
    except OSError as error:
        raise Refused(f"no clips at {host}:{port}: {type(error).__name__}; choose another --port") from None


@contextmanager
def clip_server(corpus: Corpus, host: str, port: int, origin: str = "*") -> Iterator[str]:
    """Serve clips at the given address until the block ends; yield the address.

    Args:
        corpus: the handle.
        host: name or address to listen on.
        port: 0 for any free port.
        origin: origin of the pages that may play clips, such as https://label-studio.example.org.

    Raises:
        OSError: the address is taken.
    """
    listener = socket.create_server((host, port))
    # Nothing is logged: addresses contain tasks and people, and the audit chain records each request already.
    config = uvicorn.Config(
        clip_app(corpus, origin),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()

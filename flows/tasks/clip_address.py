"""Addresses of clips for annotators' browsers: each is signed for one task, one person and a time.

So no audio lies on the annotation server, and an address that was passed on ends by itself.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from corpus.errors import Refused
from corpus.handle import Corpus

MOST_DIGITS = 12
"""Of the end of an address [s since 1970]: more than any clock shows, and few enough to be a number at no cost."""


def clip_url(corpus: Corpus, base: str, task_id: str, who: str, until: datetime) -> str:
    """Return the address at which a person can listen to the clip of a task until then.

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


def is_valid(corpus: Corpus, task_id: str, who: str, until: str, sign: str) -> bool:
    """Return whether earmark signed an address with these parts, and its time is not over."""
    if not (until.isascii() and until.isdigit() and len(until) <= MOST_DIGITS):
        return False
    end = int(until)
    if not hmac.compare_digest(_sign(corpus, task_id, who, end).encode(), sign.encode()):
        return False
    return datetime.fromtimestamp(end, UTC) > corpus.clock()


def require_clips(base: str) -> None:
    """Check that clips are served.

    Args:
        base: where browsers reach the clip server.

    Raises:
        Refused: nothing answers there, so that nobody could listen to anything.
    """
    try:
        answer = httpx.get(f"{base.rstrip('/')}/health", timeout=10)
    except httpx.HTTPError:
        answer = None
    if answer is None or answer.text != "ok":
        raise Refused(
            f"no clips are served at {base.rstrip('/')}; start `earmark clips`, or set label_studio.clips_url"
        )


def _sign(corpus: Corpus, task_id: str, who: str, end: int) -> str:
    key = hmac.digest(corpus.vault.secrets["event"], b"earmark clip addresses", "sha256")
    return hmac.digest(key, f"{task_id}/{who}/{end}".encode(), "sha256").hex()[:40]

"""Addresses of clips for annotators' browsers: each is signed for one task and one person, until a time.

So the annotation server stores no audio, and an address that a person passes on ends at that time.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from corpus.errors import Refused
from corpus.handle import Corpus

MOST_DIGITS = 12
"""Most digits of an address's end [s since 1970]: enough for any date, and few enough to parse at once."""


def clip_url(corpus: Corpus, base: str, task_id: str, annotator_id: str, until: datetime) -> str:
    """Return the address at which a person can play the clip of a task until then.

    Args:
        corpus: has the secret that signs the address.
        base: address of the clip server for browsers.
        task_id: the task.
        annotator_id: the person; "" for anybody who sees the task.
        until: when the address ends.
    """
    end = int(until.timestamp())
    sign = _sign(corpus, task_id, annotator_id, end)
    return f"{base.rstrip('/')}/clips/{task_id}.wav?who={quote(annotator_id)}&until={end}&sign={sign}"


def is_valid(corpus: Corpus, task_id: str, annotator_id: str, until: str, sign: str) -> bool:
    """Return whether earmark signed an address with these parts and its time has not ended."""
    if not (until.isascii() and until.isdigit() and len(until) <= MOST_DIGITS):
        return False
    end = int(until)
    if not hmac.compare_digest(_sign(corpus, task_id, annotator_id, end).encode(), sign.encode()):
        return False
    return datetime.fromtimestamp(end, UTC) > corpus.clock()


def require_clips(base: str) -> None:
    """Check that the clip server answers.

    Args:
        base: address of the clip server for browsers.

    Raises:
        Refused: nothing answers there, so that no annotator could play a clip.
    """
    try:
        answer = httpx.get(f"{base.rstrip('/')}/health", timeout=10)
    except httpx.HTTPError:
        answer = None
    if answer is None or answer.text != "ok":
        raise Refused(
            f"no clips are served at {base.rstrip('/')}; start `earmark clips`, or set label_studio.clips_url"
        )


def _sign(corpus: Corpus, task_id: str, annotator_id: str, end: int) -> str:
    key = hmac.digest(corpus.vault.secrets["event"], b"earmark clip addresses", "sha256")
    return hmac.digest(key, f"{task_id}/{annotator_id}/{end}".encode(), "sha256").hex()[:40]

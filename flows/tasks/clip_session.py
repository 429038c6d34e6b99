"""Sessions of the clip server: a signed link is exchanged for a short session of its person, in which the clip plays.

The link stays in the annotation server for days, and may be passed on, logged or guessed from a screenshot. It has one
session at a time, so that two don't play from it at once unnoticed: the link takes its session over, and the older one
ends, as the address of a person changes with the network. The address of a session ends minutes after its last use.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

LENGTH: Final = timedelta(minutes=15)
"""How long a session lives after its last use."""


@dataclass(frozen=True, slots=True)
class ClipLink:
    """What a valid link says.

    Attributes:
        task_id: of the clip.
        annotator_id: the person; "" for anybody who sees the task.
        until: when the link ends [s since 1970].
    """

    task_id: str
    annotator_id: str
    until: int


@dataclass(frozen=True, slots=True)
class ClipSession:
    """A session: who plays which clip, from where, until when."""

    link: ClipLink
    client: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class ClipSessions:
    """The living sessions of a server, by token; they are in memory only, so a server that starts anew has none."""

    clock: Callable[[], datetime]
    living: dict[str, ClipSession] = field(default_factory=dict, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def exchange(self, link: ClipLink, client: str) -> str:
        """Return the token of a session for a valid link: that of its browser where one lives, else a new one.

        The new session of a person's link ends the one of before: where the person's address changed, nobody plays
        there any more.

        Args:
            link: what the link says.
            client: the browser, as far as the server can tell it from others.
        """
        now = self.clock()
        with self.lock:
            for token in [token for token, session in self.living.items() if session.ends <= now]:
                del self.living[token]
            same = {token: session for token, session in self.living.items() if session.link == link}
            for token, session in same.items():
                if session.client == client:
                    self.living[token] = _used(session, now)
                    return token
            if link.annotator_id:
                for token in same:
                    del self.living[token]
            token = secrets.token_urlsafe(24)
            self.living[token] = _used(ClipSession(link, client, now), now)
            return token

    def of(self, token: str, client: str) -> ClipLink | None:
        """Return what is played in a living session of this browser, which lives on; None where there is none."""
        now = self.clock()
        with self.lock:
            session = self.living.get(token)
            if session is None or session.ends <= now or session.client != client:
                return None
            self.living[token] = _used(session, now)
            return session.link


def _used(session: ClipSession, now: datetime) -> ClipSession:
    """Return the session after a use; it never outlives its link."""
    return replace(session, ends=min(now + LENGTH, datetime.fromtimestamp(session.link.until, UTC)))

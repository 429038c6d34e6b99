"""The clip server over real HTTP: who may listen, which part is sent, and what the audit chain holds of it."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from corpus import door
from corpus.errors import Refused
from corpus.storage import audit_chain
from corpus.storage.records_schema import audit as chain
from corpus.tables import erasure, rounds
from flows.tasks.clip_address import clip_url
from flows.tasks.clip_server import WAV_HEADER, clip_server, serve_clips
from flows.tasks.clip_session import LENGTH
from tests.flows.small_round import ROUND, World, round_of

PAGES = "https://label-studio.example.org"


def get(url: str, **options: Any) -> httpx.Response:
    """Play what is at a link, as a browser does, which follows it to its session."""
    return httpx.get(url, follow_redirects=True, **options)


def head(url: str) -> httpx.Response:
    return httpx.head(url, follow_redirects=True)


class Clips:
    """A home with a round of exported clips, and the server that plays them."""

    def __init__(self, world: World, base: str) -> None:
        self.world, self.base, self.before = world, base, 0
        with world.corpus.read() as conn:
            self.tasks = [row.task_id for row in rounds.tasks(conn, ROUND)]

    def url(self, number: int = 0, who: str = "", days: float = 1.0) -> str:
        until = self.world.now[0] + timedelta(days=days)
        return clip_url(self.world.corpus, self.base, self.tasks[number], who, until)

    def utterance(self, number: int = 0) -> str:
        with self.world.corpus.read() as conn:
            found = rounds.utterance_of(conn, self.tasks[number])
        assert found is not None
        return found

    def all_openings(self) -> list[tuple[str, str]]:
        rows = sorted(audit_chain.show(self.world.corpus.records, chain, 1000), key=lambda row: row.seq)
        return [(row.actor, row.detail["utterance_id"]) for row in rows if row.actor.startswith("person:")]

    def openings(self) -> list[tuple[str, str]]:
        """Return who opened which utterance to listen during the test, oldest first."""
        return self.all_openings()[self.before :]


@contextmanager
def clips_of(home: Path) -> Iterator[Clips]:
    with round_of(home, 3) as world:
        world.export()
        with clip_server(world.corpus, "127.0.0.1", 0, PAGES) as base:
            yield Clips(world, base)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clips]:
    with clips_of(tmp_path_factory.mktemp("clips") / "home") as made:
        yield made


@pytest.fixture
def clips(served: Clips) -> Iterator[Clips]:
    """The server as it is before any test: nothing opened since, and the clock at its start."""
    served.before = len(served.all_openings())
    start = served.world.now[0]
    yield served
    served.world.now[0] = start


def test_a_signed_address_gives_the_clip_and_leaves_one_audit_row(clips: Clips):
    answer = get(clips.url(who="ann maria"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "no-store"
    (content,) = door.open(clips.world.corpus, [clips.utterance()], "annotate")
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert rate == content.sample_rate
    assert samples == pytest.approx(content.audio, abs=1e-4)
    assert clips.openings() == [("person:ann maria", clips.utterance())]


def test_parts_put_together_are_the_whole(clips: Clips):
    url = clips.url()
    whole = get(url).content
    asked = ("bytes=0-99", "bytes=100-2047", "bytes=2048-")
    answers = [get(url, headers={"Range": part}) for part in asked]
    assert [answer.status_code for answer in answers] == [206, 206, 206]
    assert b"".join(answer.content for answer in answers) == whole
    assert answers[1].headers["content-range"] == f"bytes 100-2047/{len(whole)}"
    assert answers[1].headers["content-length"] == "1948"
    last = get(url, headers={"Range": "bytes=-10"})
    assert (last.status_code, last.content) == (206, whole[-10:])
    over = get(url, headers={"Range": f"bytes=10-{len(whole) + 50}"})
    assert (over.status_code, over.content) == (206, whole[10:])
    more = get(url, headers={"Range": f"bytes=-{len(whole) + 50}"})
    assert (more.status_code, more.content) == (206, whole)


def test_a_part_beyond_the_end_is_refused_with_the_length(clips: Clips):
    url = clips.url()
    size = len(get(url).content)
    for part in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        answer = get(url, headers={"Range": part})
        assert (answer.status_code, answer.content) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize("part", ["bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "bytes=0-1,5-6", "words=0-1", "0-1"])
def test_what_is_no_single_range_of_bytes_is_answered_with_the_whole(clips: Clips, part: str):
    url = clips.url()
    answer = get(url, headers={"Range": part})
    assert answer.status_code == 200
    assert answer.content == get(url).content


def test_each_part_is_checked_at_the_door_and_audited(clips: Clips):
    url = clips.url()
    for part in ("bytes=0-9", "bytes=10-19"):
        get(url, headers={"Range": part})
    assert clips.openings() == [("person:anybody", clips.utterance())] * 2


def test_a_head_request_tells_the_size_and_opens_nothing(clips: Clips):
    url = clips.url()
    answer = head(url)
    assert (answer.status_code, answer.content, answer.headers["accept-ranges"]) == (200, b"", "bytes")
    assert clips.openings() == []
    assert int(answer.headers["content-length"]) == len(get(url).content) > WAV_HEADER
    assert head(url.replace("who=", "who=eve")).status_code == 404


def test_a_forged_address_is_no_address(clips: Clips):
    url = clips.url(who="ann")
    sign = url.partition("sign=")[2]
    forged = [
        url.replace("who=ann", "who=eve"),
        url.replace("until=", "until=9"),
        url.replace("until=", "until=" + "9" * 5000),
        url.replace(clips.tasks[0], clips.tasks[1]),
        url.replace(sign, "0" * len(sign)),
        url.replace(sign, "%C3%A9"),
        url.replace("&sign=" + sign, ""),
        f"{clips.base}/clips/{clips.tasks[0]}.wav",
        f"{clips.base}/clips/",
        f"{clips.base}/elsewhere",
    ]
    assert {get(each).status_code for each in forged} == {404}
    assert {head(each).status_code for each in forged} == {404}
    assert clips.openings() == []


def test_an_address_whose_time_is_over_is_no_address(clips: Clips):
    url = clips.url(days=1.0)
    assert get(url).status_code == 200
    clips.world.after(2)
    assert get(url).status_code == 404
    assert get(clips.url(days=1.0)).status_code == 200, "the lease is longer than that address"


def test_without_a_lease_the_door_stays_closed(clips: Clips):
    clips.world.after(4)
    assert get(clips.url()).status_code == 404
    assert head(clips.url()).status_code == 404


def test_an_erased_clip_is_silent_at_once(clips: Clips):
    url, other = clips.url(2), clips.url(1)
    assert get(url).status_code == 200
    erasure.erase_utterances(clips.world.corpus, [clips.utterance(2)], reason="test")
    for part in ({}, {"Range": "bytes=0-9"}):
        assert get(url, headers=part).status_code == 404
    assert head(url).status_code == 404
    assert get(other).status_code == 200


def test_only_pages_of_the_annotation_server_may_read_what_is_sent(clips: Clips):
    asked = {"Origin": PAGES, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    allowed = httpx.options(clips.url(), headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == PAGES
    assert "range" in allowed.headers["access-control-allow-headers"].lower()
    played = get(clips.url(), headers={"Origin": PAGES})
    assert played.headers["access-control-allow-origin"] == PAGES
    elsewhere = get(clips.url(), headers={"Origin": "https://elsewhere.example.org"})
    assert "access-control-allow-origin" not in elsewhere.headers


def test_the_server_says_that_it_is_there_and_takes_no_other_request(clips: Clips):
    assert httpx.get(f"{clips.base}/health").text == "ok"
    assert httpx.post(clips.url()).status_code == 405
    assert httpx.delete(clips.url()).status_code == 405


def test_after_the_block_nobody_answers(clips: Clips):
    with httpx.Client() as kept:
        with clip_server(clips.world.corpus, "127.0.0.1", 0) as base:
            assert kept.get(f"{base}/health").text == "ok"  # its connection stays open and holds up nothing
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{base}/health")


def test_a_port_that_is_taken_is_said_in_one_line(clips: Clips):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"no clips at 127.0.0.1:{port}: OSError; choose another --port"):
            serve_clips(clips.world.corpus, "", "127.0.0.1", port)


def test_a_link_is_exchanged_for_a_session_of_its_person(clips: Clips):
    url = clips.url(who="ann")
    exchanged = httpx.get(url)
    assert (exchanged.status_code, exchanged.content) == (307, b"")
    assert clips.openings() == []  # nothing was played yet
    session = str(exchanged.url.join(exchanged.headers["location"]))
    assert "ann" not in session.partition("/clips/")[2]
    assert clips.tasks[0] not in session
    assert httpx.get(session).status_code == 200
    assert httpx.get(session, headers={"Range": "bytes=0-9"}).status_code == 206
    assert httpx.get(url).headers["location"] == exchanged.headers["location"]  # a page that is loaded again
    assert clips.openings() == [("person:ann", clips.utterance())] * 2
    stranger = {"User-Agent": "another browser"}
    assert httpx.get(session, headers=stranger).status_code == 404
    assert httpx.get(session.replace("session/", "session/x")).status_code == 404
    assert clips.openings() == [("person:ann", clips.utterance())] * 2


def test_a_link_takes_its_session_over_from_another_address_and_the_older_one_ends(clips: Clips):
    url, elsewhere = clips.url(1, who="ann"), {"X-Forwarded-For": "192.0.2.7"}
    before = str(get(url).url)
    after = get(url, headers=elsewhere)
    assert (after.status_code, str(after.url) == before) == (200, False)
    assert httpx.get(before).status_code == 404
    assert httpx.get(before, headers=elsewhere).status_code == 404
    assert httpx.get(str(after.url), headers=elsewhere).status_code == 200


def test_a_session_ends_a_while_after_its_last_use_and_with_its_link(clips: Clips):
    url = clips.url(1, who="ann")
    session = str(get(url).url)
    for _ in range(3):
        clips.world.now[0] += LENGTH * 0.9
        assert get(session).status_code == 200
    clips.world.now[0] += LENGTH
    assert get(session).status_code == 404
    assert get(url, headers={"User-Agent": "the browser at home"}).status_code == 200
    assert get(session).status_code == 404
    short = clips.url(1, who="ann", days=LENGTH / timedelta(days=2))
    session = str(get(short).url)
    clips.world.now[0] += LENGTH * 0.6
    assert get(session).status_code == 404


def test_several_may_play_what_anybody_may(clips: Clips):
    url = clips.url(1)
    first, second = (get(url, headers={"User-Agent": name}) for name in ("one", "two"))
    assert first.content == second.content
    assert first.url != second.url

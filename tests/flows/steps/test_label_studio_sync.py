"""Label Studio sync against a real server: which tasks are pushed, which answers are pulled, what is removed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation.label_studio import MODEL_VERSION
from corpus import door
from corpus.errors import Refused, Unreachable
from corpus.records.annotations import Annotation
from corpus.storage.database import writing
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, rounds, utterances
from flows.models.inventory import names_in_use
from flows.rounds.label_doubt import Suspect
from flows.steps import label_studio_sync as studio
from flows.steps.export import distribute
from flows.steps.suspects import ask_again
from flows.tasks.label_studio_client import StudioClient
from tests.flows.small_round import ROUND
from tests.flows.studio_home import CLIPS, Studio, area, choice, studio_at
from tests.label_studio import PASSWORD, USER, label_studio

pytestmark = pytest.mark.label_studio


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with label_studio(tmp_path_factory.mktemp("label-studio")) as address:
        yield address


@pytest.fixture
def at(server: str, tmp_path: Path) -> Iterator[Studio]:
    with studio_at(server, tmp_path / "home") as made:
        yield made


@pytest.fixture
def bare(server: str, tmp_path: Path) -> Iterator[Studio]:
    with studio_at(server, tmp_path / "home", push=False) as made:
        yield made


# --- tasks on the server ----------------------------------------------------------------------------------------------


def test_the_round_is_on_the_server_once_most_valuable_first_with_drafts_or_blind(at: Studio):
    rows = at.there()
    with at.world.corpus.read() as conn:
        chosen = [row.task_id for row in rounds.tasks(conn, ROUND)]
        shown = {row.task_id: row.draft_shown for row in rounds.tasks(conn, ROUND)}
    assert [row.task_id for row in sorted(rows, key=lambda row: row.number)] == chosen
    assert {row.task_id: bool(row.data["asr_text"]) for row in rows} == shown
    assert set(shown.values()) == {True, False}
    assert at.push() == studio.PushReport(sent=0, removed=0, open_there=CLIPS)
    project = at.client.projects()[at.settings.label_studio.title]
    assert at.client.call("GET", f"/api/projects/{project}")["model_version"] == MODEL_VERSION
    assert not list(at.settings.task_folder.rglob("*.wav"))


def test_every_hearing_is_checked_and_audited(at: Studio):
    from corpus.storage import audit_chain
    from corpus.storage.records_schema import audit as chain

    url = at.there()[0].data["audio"]
    heard = httpx.get(url, follow_redirects=True)  # to the session of this browser
    assert heard.content[:4] == b"RIFF"
    assert audit_chain.show(at.world.corpus.records, chain, 1)[0].actor == "person:anybody"
    assert httpx.get(url.replace("until=", "until=9")).status_code == 404
    assert httpx.get(url.replace("who=", "who=eve")).status_code == 404
    at.world.after(4)
    assert httpx.get(url, follow_redirects=True).status_code == 404


def test_what_nobody_may_hear_any_more_is_gone_and_silent(at: Studio):
    row = at.there()[0]
    at.answer(at.there()[1])
    with writing(at.world.corpus.records) as conn:
        utterances.set_aside(conn, [rounds.utterance_of(conn, row.task_id)], "critical_data")
    assert httpx.get(row.data["audio"], follow_redirects=True).status_code == 404
    at.world.sweep()
    assert at.settle() == studio.SettleReport(1)
    assert row.task_id not in {each.task_id for each in at.there()}
    assert at.pull().merged.labels == 1, "an answer that was not pulled yet was lost"
    at.world.after(4)
    at.world.sweep()
    at.settle()
    assert at.there() == []


def test_without_clips_nothing_is_sent(bare: Studio):
    deaf = bare.settings.label_studio.model_copy(update={"clips_url": "http://127.0.0.1:1"})
    with pytest.raises(Refused, match="start `earmark clips`"):
        studio.push(bare.world.corpus, bare.settings.model_copy(update={"label_studio": deaf}))


# --- what comes back --------------------------------------------------------------------------------------------------


def test_answers_become_labels_once_and_their_tasks_go(at: Studio):
    first, second, third, *_ = at.there()
    at.answer(first)
    at.answer(second, result=[choice("verdict", "Accidental activation")])
    at.answer(third, skipped=True)
    report = at.pull()
    assert (report.merged.labels, report.skipped_there) == (1, 1)
    assert report.merged.outcomes == {"accidental": 1, "labelled": 1}
    held = at.labels()
    again = at.pull()
    assert (again.merged.rows, at.labels()) == (report.merged.rows, held)
    assert at.settle() == studio.SettleReport(2)
    assert at.pull().merged.labels == 0
    assert at.labels() == held
    assert third.task_id in {row.task_id for row in at.there()}
    with at.world.corpus.read() as conn:
        assert {row.lead_time for row in annotations_table.latest_answers(conn)} == {4.5}
    assert at.push().sent == 0


def test_a_label_is_asked_about_again_on_the_server_and_stays_until_a_third_answer_decides(at: Studio):
    row = at.there()[0]
    at.answer(row)
    at.pull()
    at.settle()
    with at.world.corpus.read() as conn:
        (held,) = labels.current(conn)
    suspect = Suspect(utterance=held.utterance_id, kind="intent", score=0.9, reason="planted", annotators=("lead",))
    learned = at.settings.learned.model_copy(update={"answers": 0})  # this home's scores have no tokens
    asked = ask_again(at.world.corpus, at.settings.model_copy(update={"learned": learned}), [suspect])
    assert (asked.round, asked.asked) == ("again-1", 1)
    assert at.push().sent == 1
    with at.world.corpus.read() as conn:
        (task,) = rounds.tasks(conn, "again-1")
    (again,) = [each for each in at.there() if each.task_id == task.task_id]
    assert not again.data["asr_text"]  # blind
    at.answer(again, result=[choice("intent", "lights")])
    assert at.pull().merged.outcomes == {"conflict": 1}
    assert at.labels() == [(held.utterance_id, held.revision, held.annotators)]
    at.settle()
    assert at.push().sent == 1  # without that answer, for one more person
    at.world.merge(Annotation(task.task_id, "cid", "label_intent", "labelled", None, "lights"))
    (content,) = door.open(at.world.corpus, [held.utterance_id], "annotate", parts=("label",))
    assert content.label is not None
    assert (content.label.intent, content.label.transcript) == ("lights", "play some jazz")
    assert at.settle().removed == 1


def test_an_edit_is_a_new_revision_and_a_delete_before_the_pull_is_no_answer(at: Studio):
    row, other = at.there()[:2]
    number = at.answer(row, intent="other")
    gone = at.answer(other)
    at.client.call("DELETE", f"/api/annotations/{gone}/")
    at.pull()
    result = [area("transcript", "play some blues"), choice("intent", "other")]
    at.client.call("PATCH", f"/api/annotations/{number}/", json={"result": result})
    assert at.settle() == studio.SettleReport(0), "an edit that was not pulled yet was thrown away"
    assert at.pull().merged.labels == 1
    with at.world.corpus.read() as conn:
        (held,) = labels.current(conn)
    (content,) = door.open(at.world.corpus, [held.utterance_id], "annotate", parts=("label", "annotations"))
    assert content.label is not None
    assert content.label.transcript == "play some blues"
    assert len(content.annotations) == 2
    assert held.annotators == 1
    assert at.settle() == studio.SettleReport(1)


def test_a_slot_that_has_no_place_any_more_comes_back_to_be_marked_again(at: Studio):
    row = next(row for row in at.there() if row.data["asr_text"])
    words = row.data["asr_text"].split()
    value = {"start": 0, "end": len(words[0]), "text": words[0], "labels": ["room"]}
    marked = {"id": "s", "from_name": "slots", "to_name": "asr_text", "type": "labels", "value": value}
    at.answer(row, transcript="kitchen", more=[marked])
    report = at.pull()
    assert (report.merged.refused, report.asked_again, report.merged.labels) == ({"lost_slot": 1}, 1, 0)
    (again,) = [each for each in at.there() if each.task_id == row.task_id]
    assert (again.data["asr_text"], again.annotations) == ("kitchen", [])
    assert "mark the slots again" in again.data["heading"]
    value = {"start": 0, "end": 7, "text": "kitchen", "labels": ["room"]}
    at.answer(again, transcript="kitchen", more=[{**marked, "value": value}])
    assert at.pull().merged.labels == 1


# --- answers that can't be read ---------------------------------------------------------------------------------------


def mark(start: int, end: int, *names: str, number: int = 1) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": "", "labels": list(names or ("room",))}
    return {"id": f"s{number}", "from_name": "slots", "to_name": "asr_text", "type": "labels", "value": value}


SHOWN = "turn on, the kitchen light"
MARKS = {
    "that overlap": ([mark(9, 20), mark(13, 26, number=2)], "bad_span"),
    "of the same words": ([mark(13, 20), mark(13, 20, number=2)], "bad_span"),
    "with two names": ([mark(13, 20, "room", "device")], "bad_span"),
    "on a comma": ([mark(7, 8)], "bad_span"),
    "behind the text": ([mark(90, 99)], "bad_span"),
    "on half a word": ([mark(15, 18)], None),
}
"""What a person can mark, and why it is refused; None where it is read, as the whole word."""

DATA = (({"asr_text": None}, "bad_span"), ({"asr_text": 7}, "lost_slot"), ({"task_id": 7}, "unknown_task"))
"""What somebody who edits a task on the server can make of it, and why an answer with a mark is refused."""


def test_an_answer_of_any_form_that_the_server_takes_costs_itself_alone(at: Studio):
    change = at.client.call
    expected: dict[str, str | None] = {}
    places = iter(at.there())
    for marks, reason in MARKS.values():
        row = next(places)
        change("PATCH", f"/api/tasks/{row.number}/", json={"data": row.data | {"asr_text": SHOWN}})
        at.answer(row, transcript=SHOWN, more=marks)
        expected[row.task_id] = reason
    for data, reason in DATA:
        row = next(places)
        change("PATCH", f"/api/tasks/{row.number}/", json={"data": row.data | data})
        at.answer(row, more=[mark(0, 1)])
        expected[str(data.get("task_id", row.task_id))] = reason
    row, last = next(places), next(places)
    user = change("POST", "/api/users/", json={"email": f"{row.task_id}@example.org", "username": row.task_id[:20]})
    assert isinstance(user, dict)
    change("PATCH", f"/api/annotations/{at.answer(row)}/", json={"completed_by": user["id"]})
    change("DELETE", f"/api/users/{user['id']}/")
    at.answer(last)
    expected |= {row.task_id: "bad_field", last.task_id: None}

    report = at.pull()

    refused = {row.task_id: row.reason for row in report.merged.refused_lines}
    assert refused == {task_id: reason for task_id, reason in expected.items() if reason}
    assert (report.merged.annotations, report.asked_again) == (2, len(refused) - 1)  # not what earmark never asked
    there = {row.task_id: row for row in at.there()}
    assert len(there) == len(at.there()) == CLIPS
    assert {task_id for task_id in refused if not there[task_id].annotations} == {*refused} - {"7"}
    again = at.pull()
    assert (again.merged.annotations, again.merged.refused, again.asked_again) == (2, {}, 0)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_server_that_goes_down_anywhere_in_a_push_costs_only_time(bare: Studio):
    for requests in range(9):
        bare.line.cut_after(requests)
        with suppress(Unreachable):
            bare.push()
            break
    assert requests >= 3
    bare.line.cut_after(None)
    bare.push()
    rows = bare.there()
    assert len(rows) == len({row.task_id for row in rows}) == CLIPS


def test_a_server_that_goes_down_anywhere_in_a_pull_costs_only_time(at: Studio):
    for row in at.there()[:3]:
        at.answer(row)
    for requests in range(3):
        at.line.cut_after(requests)
        with pytest.raises(Unreachable, match="nothing is lost"):
            at.pull()
    at.line.cut_after(None)
    at.pull()
    assert len(at.labels()) == 3
    at.line.cut_after(4)
    with pytest.raises(Unreachable):
        at.settle()
    at.line.cut_after(None)
    at.settle()
    assert len(at.there()) == CLIPS - 3
    assert len(at.labels()) == 3


def test_a_wrong_token_is_told_in_one_line(at: Studio):
    wrong = at.settings.label_studio.model_copy(update={"token": "f" * 40})
    names = names_in_use(at.world.corpus, at.settings.home, at.settings.inventory)
    with pytest.raises(Refused, match="personal access token"):
        studio.pull(at.world.corpus, names, wrong, at.settings.people)


def test_a_personal_access_token_is_enough(at: Studio):
    at.client.call("POST", "/api/jwt/settings", json={"api_tokens_enabled": True, "api_token_ttl_days": 7})
    try:
        token = at.client.call("POST", "/api/token/")["token"]
    except Refused:  # one a user; it is told once, so that a server that ran before keeps it
        pytest.skip("the user has a personal access token already")
    told = at.settings.label_studio.model_copy(update={"token": token})
    client = StudioClient(told)
    assert at.settings.label_studio.title in client.projects()
    client.close()


# --- several people ---------------------------------------------------------------------------------------------------


def test_each_person_has_a_project_and_a_question_goes_to_one_other(server: str, tmp_path: Path):
    team = [{"annotator_id": "ann", "login": USER}, {"annotator_id": "bob"}, {"annotator_id": "cid"}]
    with studio_at(server, tmp_path / "home", f"people.people={json.dumps(team)}") as at:
        by_person = {row.task_id: row.holder for row in at.there()}
        assert len(by_person) == len(at.there()) == CLIPS
        row = next(row for row in at.there() if row.holder == "ann")
        at.answer(row, result=[choice("verdict", "Help"), area("question", "Who is that?")])
        at.pull()
        at.settle()
        distribute(at.world.corpus, at.settings)
        at.push()
        (asked,) = [each for each in at.there() if each.task_id == row.task_id]
        assert asked.holder in ("bob", "cid")
        assert asked.data["question"] == "Who is that?"


# --- a person in a browser --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.environ.get("CHROMIUM"), reason="no Chromium is named in CHROMIUM; apt-get install chromium")
def test_a_task_is_labelled_by_keys_in_a_real_browser(at: Studio, tmp_path: Path):
    from tests.browser import browser

    row = next(each for each in at.there() if not each.data["asr_text"])
    project = at.client.projects()[at.settings.label_studio.title]
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    address = at.client.address
    with browser(os.environ["CHROMIUM"]) as page:
        page.go(f"{address}/user/login/")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.run("document.querySelector('form').submit()")
        page.wait("!location.pathname.includes('login') && document.readyState === 'complete'")
        page.go(f"{address}/projects/{project}/data?task={row.number}")
        page.wait("document.querySelector('[name=transcript]')")
        page.wait("[...document.querySelectorAll('audio')].some(a => a.loop && a.readyState > 0)")
        page.picture(pictures / "before.png")
        page.click("[name=transcript]")
        page.type("play some jazz")
        page.key("Enter")
        page.run("document.activeElement.blur()")
        page.key("1")
        page.picture(pictures / "answered.png")
        page.key("Enter", control=True)
        page.wait_for(lambda: any(each.annotations for each in at.there() if each.number == row.number), "the answer")
    assert at.pull().merged.labels == 1

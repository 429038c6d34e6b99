"""What is held about a customer is shown to a privacy officer, through the door, and each look is audited."""

from __future__ import annotations

import base64
import json
import os
import pwd
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from corpus import door
from corpus.errors import DoorClosed, Refused, UsageError
from corpus.storage import audit_chain, records_schema
from corpus.storage.database import writing
from corpus.tables import erased, expiry
from corpus.vault import consent, vault_schema
from flows.reports.access import AccessReport, access
from flows.steps import erase, erase_target
from flows.steps.consent import Wanted, change
from tests.flows.homes import arguments, earmark
from tests.flows.small_round import World, answer, round_of
from tests.flows.steps.test_consent import learned_from

ME = pwd.getpwuid(os.getuid()).pw_name
OFFICERS = PeopleSettings(privacy_officers=(ME,))
SAID = "<script>alert(1)</script>"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        made.export()
        task = next(task for task in made.tasks() if task.utterance_id == made.ids[1])
        made.merge(answer(task, "ann", transcript="play planted jazz"), answer(task, "bob"))
        yield made


def looked(world: World, account: str = "account-1", *, content: bool = False) -> AccessReport:
    return access(world.corpus, OFFICERS, account, content=content)


def acts(world: World, act: str) -> list[str]:
    chains = ((world.corpus.records, records_schema.audit), (world.corpus.vault.engine, vault_schema.audit))
    return [str(row) for engine, table in chains for row in audit_chain.show(engine, table, 99) if row.act == act]


def set_aside(world: World, utterance_id: str) -> None:
    rows = records_schema.utterances
    with writing(world.corpus.records) as conn:
        conn.execute(sa.update(rows).where(rows.c.utterance_id == utterance_id).values(state="set_aside"))


def test_it_says_who_heard_what_learned_and_what_was_stated(world: World) -> None:
    learned_from(world, world.ids[1])
    wanted = Wanted(yes=frozenset({"train", "annotate"}), notice="2026-01")
    change(world.corpus, world.settings, [("account-1", wanted)], "desk", dry_run=False)
    world.after(1)
    change(world.corpus, world.settings, [("account-1", Wanted(no=frozenset({"train"})))], "desk", dry_run=False)
    report = looked(world)
    (utterance,) = report.utterances
    assert (report.state, report.by, report.heard, report.people, report.devices) == ("held", ME, 1, 2, 1)
    assert (utterance.utterance_id, utterance.heard_by, len(utterance.heard_at)) == (world.ids[1], 2, 2)
    assert (utterance.consent, utterance.left) == (("annotate", "score", "train"), ("annotate", "score"))
    assert [(each.kind, each.uses, each.notice) for each in report.stated] == [
        ("agreed", ("annotate", "train"), "2026-01"),
        ("withdrawn to", ("annotate", "score"), None),
    ]
    assert [(each.kind, each.version, each.labelled) for each in report.learned] == [("intent", "2", 1)]
    assert report.learned[0].tainted_at is not None
    assert (report.notice, report.uses["train"].allowed, report.uses["annotate"].allowed) == ("2026-01", False, True)
    nothing = json.dumps(report.to_json())
    assert "planted" not in nothing
    assert "serial-1" not in nothing
    assert "account-1" not in nothing
    assert looked(world, "account-2").heard == 0


def test_every_look_is_in_the_audit_chain_before_it_and_names_the_officer(world: World) -> None:
    looked(world)
    (row,) = acts(world, "access")
    assert f"person:{ME}" in row
    assert "account-1" not in row
    before = len(acts(world, "open"))
    looked(world, content=True)
    assert len(acts(world, "access")) == 2
    opened = acts(world, "open")[before:]
    assert len(opened) == 1
    assert world.ids[1] in opened[0]
    assert f"person:{ME}" in opened[0]
    assert looked(world).utterances[0].heard_by == 3  # the officer, too


def test_nobody_but_an_officer_reads_anything(world: World) -> None:
    with pytest.raises(Refused, match="is no privacy officer, and nothing was read"):
        access(world.corpus, PeopleSettings(privacy_officers=("somebody",)), "account-1", content=False)
    assert acts(world, "access") == []
    with pytest.raises(UsageError, match="no such account"):
        looked(world, "nobody@example.org")


def test_content_is_read_whatever_consent_and_retention_say(world: World) -> None:
    consent.apply_statements(world.corpus.vault, {"account-1": frozenset()}, world.now[0])
    world.after(9999)
    for purpose in ("score", "annotate", "train", "judge"):
        with pytest.raises(DoorClosed):
            door.open(world.corpus, [world.ids[1]], purpose)  # type: ignore[arg-type]
    report = looked(world, content=True)
    found = report.utterances[0].content
    assert found is not None
    assert found.clip is not None
    assert base64.b64decode(found.clip)[:4] == b"RIFF"
    assert "play planted jazz" in found.answers
    assert (report.serials, report.closed) == (("serial-1",), {})


def test_what_is_set_aside_opens_by_the_rule_of_the_policy_alone(world: World) -> None:
    set_aside(world, world.ids[1])
    report = looked(world, content=True)
    assert (report.closed, report.utterances[0].content) == ({"quarantine": 1}, None)
    settings = world.corpus.settings.model_copy(update={"access_set_aside": True})
    world.corpus = replace(world.corpus, settings=settings)
    assert looked(world, content=True).utterances[0].content is not None
    with pytest.raises(DoorClosed):
        door.open(world.corpus, [world.ids[1]], "annotate")


def test_what_was_erased_has_counts_alone(world: World) -> None:
    target = erase_target.find_target(world.corpus, "utterance", [world.ids[1]])
    erase.erase(world.corpus, world.settings, target, "request", "desk")
    report = looked(world, content=True)
    assert [(each.facts and each.facts.state, each.left, each.content) for each in report.utterances] == [
        ("erased", (), None)
    ]
    assert (report.closed, report.serials) == ({"erased": 1}, ())
    target = erase_target.find_target(world.corpus, "account", ["account-1"])
    erase.erase(world.corpus, world.settings, target, "request", "desk")
    report = looked(world)
    assert (report.state, report.utterances, report.uses) == ("erased", (), {})
    assert report.erased_at is not None


def test_what_retention_ended_is_said_to_have_expired_and_has_no_seconds(world: World) -> None:
    assert looked(world).seconds > 0
    erased.begin(world.corpus, (), {"unchosen": [world.ids[1]]})
    expiry.expire_marked(world.corpus)
    report = looked(world)
    assert ([each.facts and each.facts.state for each in report.utterances], report.seconds) == (["expired"], 0)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_page_in_which_everything_is_escaped(tmp_path: Path) -> None:
    home, page, file = tmp_path / "home", tmp_path / "held.html", tmp_path / "settings.yaml"
    with round_of(home, 4) as world:
        world.export()
        task = next(task for task in world.tasks() if task.utterance_id == world.ids[1])
        world.merge(answer(task, "ann", transcript="play jazz", intent="other"))
        rows = records_schema.utterances
        with writing(world.corpus.records) as conn:
            conn.execute(sa.update(rows).values(device_type=SAID, locale=SAID))
    file.write_text(f"corpus: {{home: {home}}}\npeople: {{privacy_officers: [{ME}]}}\n")
    options = ("--config", str(file))
    shown = earmark("access", "account-1", *options)
    assert shown.returncode == 0, shown.stderr
    assert "people who heard them" in shown.stdout
    assert "play" not in shown.stdout
    done = earmark("access", "account-1", "--content", "--out", str(page), "--json", *options)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["utterances"][0]["content"]["transcript"] == "play jazz"
    html = page.read_text()
    assert "play jazz" in html
    assert "data:audio/wav;base64,UklGR" in html
    assert "serial-1" in html
    again = earmark("access", "account-1", "--content", "--out", str(page), *options)
    assert f"page  {page}" in again.stdout
    assert "serial-1" not in again.stdout
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert page.stat().st_mode & 0o077 == 0
    assert "account-1" not in html + done.stdout + done.stderr + shown.stdout
    for given, status, said in (
        (("account-1", "--content", *options), 2, "--content would show what was said"),
        (("account-1", "--set", f"people.privacy_officers=[{ME}]", *options), 2, "--set can't name privacy officers"),
        (("account-1", *arguments(home)), 1, "is no privacy officer"),
        (options, 2, "name one account"),
        (("nobody", *options), 2, "no such account"),
    ):
        refused = earmark("access", *given)
        assert (refused.returncode, refused.stderr.count("\n")) == (status, 1), refused.stderr
        assert said in refused.stderr

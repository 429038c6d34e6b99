"""A stranger's corpus through the commands of the README, in order: no answer is lost or changed on the way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus import door
from corpus.tables import labels, utterances
from corpus.text import normalise
from flows.models import registry
from flows.runtime.session import opened
from flows.runtime.settings import load_settings
from tests.corpus.arrivals import utterance_of
from tests.flows.stranger import KNOWN, Order, account_of, answer_to, write_corpus

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FSDD, SNIPS = (DATA / name if (DATA / name).is_dir() else None for name in ("fsdd", "snips"))
NIGHT = "2026-11-22"
CLIPS, KNOWN_CLIPS = 75, 45


def earmark(home: Path, *words: str) -> str:
    """Run a command as its user would; return what it prints."""
    command = [sys.executable, "-m", "flows.cli.main", *words]
    done = subprocess.run(
        command, env={**os.environ, "EARMARK_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def tasks_of(home: Path) -> list[dict[str, Any]]:
    """Return the night's tasks."""
    return [json.loads(line) for line in (home / "tasks" / NIGHT / "tasks.jsonl").read_text().splitlines()]


def as_answered(home: Path, orders: list[Order]) -> tuple[list[dict[str, Any]], dict[str, Order]]:
    """Return what an annotator answers to the night's tasks, and what was said by utterance."""
    with opened(load_settings(None, [f"corpus.home={json.dumps(str(home))}"])) as corpus:
        said = {utterance_of(corpus, account_of(k), order.event_id): order for k, order in enumerate(orders)}
    return [answer_to(task, said[task["utterance_id"]]) for task in tasks_of(home)], said


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_answer_is_the_label_that_it_gave(tmp_path: Path):
    home, folder = tmp_path / "home", tmp_path / "corpus"
    orders = write_corpus(folder, CLIPS, KNOWN_CLIPS, FSDD, SNIPS)
    assert f"accepted  {CLIPS}" in earmark(home, "ingest", str(folder / "manifest.jsonl"))
    assert "of the words right on your" in earmark(home, "score")
    earmark(home, "sample", "--night", NIGHT, "--clips", "40", "--set", "sampling.max_per_speaker=20")
    earmark(home, "export", "--night", NIGHT)
    answers, said = as_answered(home, orders)
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    # what is asked depends on the draw: of a clip whose words are sure only its intent, of a doubtful one a triage
    asked = {row["utterance_id"]: row["ask"] for row in tasks_of(home)}
    new = {row["intent"] for row in answers if "intent" in row} - set(KNOWN)
    merged = earmark(home, "merge", str(tmp_path / "answers.jsonl"))
    assert "intents outside the inventory: " in merged
    assert all(name in merged for name in new)
    proposals = json.loads(earmark(home, "inventory", "proposals", "--json"))["proposals"]
    assert {row["name"] for row in proposals if row["kind"] == "intent"} == new
    intents = [row["name"] for row in proposals if row["kind"] == "intent"]
    slots = [row["name"] for row in proposals if row["kind"] == "slot"]
    earmark(home, "inventory", "adopt", *intents)
    if slots:
        earmark(home, "inventory", "adopt", "--slot", *slots)
    earmark(home, "retrain", "intent", "--set", "intent.fit.epochs=2")
    earmark(home, "retrain", "asr", "--set", "asr.loop.epochs=1")
    page = tmp_path / "night.html"
    earmark(home, "report", "night", "--out", str(page))
    (night,) = [row for row in json.loads(earmark(home, "nights", "--json")) if row["night"] == NIGHT]
    assert (night["received"], night["chosen"], night["answered"]) == (CLIPS, len(answers), len(answers))
    # the intents are the stranger's own, so the intent model knows few yet; how much the speech base hears is luck
    assert re.search(r"the home is sound; (1 of its champions is|2 of its champions are) poor", earmark(home, "doctor"))
    assert not [order.text for order in orders if len(order.text) > 20 and order.text in page.read_text()]

    with opened(load_settings(None, [f"corpus.home={json.dumps(str(home))}"])) as corpus:
        with corpus.read() as conn:
            rows = labels.current(conn)
            labelled = [row.utterance_id for row in rows]
            locales = set(utterances.pool_columns(conn, sorted(said)).locales.tolist())
        known = [(account_of(k), o.event_id) for k, o in enumerate(orders[:KNOWN_CLIPS]) if o.intent in KNOWN]
        assert {utterance_of(corpus, *event) for event in known} <= set(labelled)
        found = {
            content.utterance.utterance_id: content.label
            for content in door.open(corpus, labelled, "annotate", parts=("label",))
        }
        version = registry.by_name(corpus, "intent", "2")
        names = registry.inventory(home, version)
    assert {row for row, ask in asked.items() if ask != "triage"} <= set(found)
    for utterance_id, label in found.items():
        order = said[utterance_id]
        assert label.intent == order.intent
        if asked.get(utterance_id) == "label_intent":
            assert label.transcript is None
            assert label.slots == ()
            continue
        assert label.transcript == normalise(order.text)
        spans = [(slot.name, label.transcript[slot.start : slot.end]) for slot in label.slots]
        assert spans == [(name, normalise(value)) for name, value in order.values()]
        assert label.slots_complete
    assert locales == {"en-GB"}
    # an intent that only audit rows have, or speakers of another split, is judged and not learned
    learned = {said[row.utterance_id].intent for row in rows if not row.judges and row.split == "train"}
    assert learned <= set(names.intents)
    assert new & learned

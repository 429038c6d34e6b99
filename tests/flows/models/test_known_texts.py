"""The champions on labelled clips: what is counted, what it costs, and what can't be known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Kind
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import judgements, labels, scores, snapshots
from corpus.tables import models as store
from corpus.tables.inventory import StoredNames, put_names, with_mapping
from corpus.tables.judgements import Judgement
from corpus.tables.labels import Source
from corpus.vault import consent
from flows.models.known_texts import ChampionOnLabels, champions_on_labels
from flows.reports.champion_lines import champion_lines, document_lines, is_poor
from flows.reports.doctor import examine
from flows.reports.doctor_table import show_findings
from flows.reports.status import status_of
from flows.reports.status_table import show_status
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.corpus.stored import arrive, choose, corpus_at, predictions_of
from tests.flows.homes import small_settings
from training.evaluation.gate import PromotionSettings
from training.intent.inventory import MODEL_TYPE
from training.tracking.version_files import folder_digest

TEXT = "turn the light on"
"""Four words that are the known text of every clip."""


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = corpus_at(tmp_path / "home")
    for kind in ("asr", "intent"):
        champion(made, kind, "1")
    yield made
    made.close()


def champion(corpus: Corpus, kind: str, number: str, learned: Sequence[str] = ()) -> None:
    """Leave a champion that learned from some clips."""
    snapshot = Snapshot(tuple(sorted(SnapshotRow(i, 1, "train", 1.0) for i in learned)))
    with writing(corpus.records) as conn:
        snapshot_id = snapshots.put_snapshot(conn, snapshot, kind) if learned else ""
        store.put_version(conn, ModelVersion(kind, number, f"run-{number}", snapshot_id, "base", "", "nowhere"))
        store.move_alias(conn, kind, "champion", store.alias(conn, kind, "champion"), number)


def transcribe(corpus: Corpus, ids: Sequence[str], text: str, versions: tuple[str, str] = ("1", "1")) -> None:
    with corpus.operation(f"score/{text}/{versions}", "score") as op:
        best = (Hypothesis(text, 1.0, "light_on"),)
        op.result = {"scored": scores.put(corpus, op, predictions_of(ids, versions=versions), dict.fromkeys(ids, best))}


def label(corpus: Corpus, ids: Sequence[str], source: Source = "manifest", intent: str | None = "light_on") -> None:
    with corpus.operation(f"labels/{ids[0]}/{len(ids)}", "ingest") as op:
        labels.put_labels(corpus, op, [Label(i, TEXT, intent, (), 1.0, 1, 1) for i in ids], source)
        op.result = {}


def on_labels(corpus: Corpus) -> dict[Kind, ChampionOnLabels]:
    return champions_on_labels(corpus, Path(corpus.root).parent, PromotionSettings())


def openings(corpus: Corpus) -> list[dict]:
    with corpus.read() as conn:
        rows = conn.execute(sa.select(schema.audit.c.detail).where(schema.audit.c.act == "open"))
        return [json.loads(row.detail) for row in rows]


def test_words_and_intents_are_counted_on_all_labelled_clips(corpus: Corpus):
    ids = arrive(corpus, 24)
    transcribe(corpus, ids, "turn a light on now")  # of four words one is wrong and three are right; one is inserted
    label(corpus, ids[:18])
    label(corpus, ids[18:], intent="light_off")
    found = on_labels(corpus)
    asr, intent = found["asr"], found["intent"]
    assert (asr.clips, asr.error, asr.right, asr.hard) == (24, 0.5, 0.75, False)
    assert (intent.clips, intent.error, intent.right) == (24, 0.25, 0.75)
    assert champion_lines(found) == [
        "asr/1 gets 75.0 % of the words right on your 24 labelled clips (WER 50.0 %)",
        "intent/1 gets 75.0 % of the intents right on your 24 labelled clips (intent error 25.0 %)",
    ]
    assert document_lines({kind: each.to_json() for kind, each in found.items()}) == champion_lines(found)


def test_the_texts_are_read_once_with_one_audit_row_for_the_same_labels_and_champions(corpus: Corpus):
    ids = arrive(corpus, 30)
    transcribe(corpus, ids, TEXT)
    label(corpus, ids[:20])
    first = on_labels(corpus)
    assert [(row["purpose"], row["count"], row["parts"]) for row in openings(corpus)] == [
        ("judge", 20, ["hypotheses", "label"])
    ]
    assert on_labels(corpus) == first
    assert len(openings(corpus)) == 1
    label(corpus, ids[20:])
    assert on_labels(corpus)["asr"].clips == 30
    assert len(openings(corpus)) == 2
    champion(corpus, "asr", "2")
    transcribe(corpus, ids, "turn it off", ("2", "1"))
    assert on_labels(corpus)["asr"].right == 0.25
    assert len(openings(corpus)) == 3


def test_before_there_are_enough_clips_nothing_is_opened_and_the_line_says_what_is_missing(corpus: Corpus):
    assert champion_lines(on_labels(corpus))[0] == (
        "no labelled clips yet: nobody knows how well asr/1 does on your data; import labels or merge answers"
    )
    ids = arrive(corpus, 24)
    label(corpus, ids[:19])
    transcribe(corpus, ids[:19], TEXT)
    found = on_labels(corpus)
    assert (found["asr"].clips, found["asr"].error) == (19, None)
    assert champion_lines(found)[0].startswith(
        "19 labelled clips; a figure takes 20, 1 more is needed: nobody knows how well asr/1"
    )
    label(corpus, ids[19:])
    line = champion_lines(on_labels(corpus))[0]
    assert line == (
        "24 labelled clips, 5 not scored by the champions: run earmark score, then this line says how good asr/1 is"
    )
    assert openings(corpus) == []


def test_a_home_without_champions_says_how_to_get_them(tmp_path: Path):
    empty = corpus_at(tmp_path / "empty")
    assert on_labels(empty) == {}
    assert champion_lines({})[0].startswith("no champions yet: earmark score registers the bases")
    empty.close()


def test_clips_that_a_champion_learned_from_do_not_judge_it(corpus: Corpus):
    ids = arrive(corpus, 40)
    label(corpus, ids)
    champion(corpus, "asr", "2", learned=ids[:15])
    transcribe(corpus, ids[:15], TEXT, ("2", "1"))
    transcribe(corpus, ids[15:], "nothing of this", ("2", "1"))
    asr = on_labels(corpus)["asr"]
    assert (asr.labelled, asr.learned, asr.clips, asr.right) == (40, 15, 25, 0.0)


def test_clips_chosen_as_hard_count_only_where_there_are_too_few_others(corpus: Corpus):
    ids = arrive(corpus, 44)
    choose(corpus, ids[:14], "night-1", "uncertain")
    choose(corpus, ids[14:20], "night-2", "audit")
    transcribe(corpus, ids[:14], "nothing of this")
    transcribe(corpus, ids[14:], TEXT)
    label(corpus, ids[:20], "annotators")
    found = on_labels(corpus)["asr"]
    assert (found.clips, found.hard, found.right) == (20, True, 6 / 20)
    assert "on your 20 labelled clips, some of them chosen as hard" in champion_lines({"asr": found})[0]
    label(corpus, ids[20:])
    found = on_labels(corpus)["asr"]
    assert (found.clips, found.hard, found.right) == (30, False, 1.0)


def test_a_customer_who_withdrew_the_consent_is_not_counted(corpus: Corpus):
    ids = arrive(corpus, 24, speakers=24)
    transcribe(corpus, ids, TEXT)
    label(corpus, ids)
    assert on_labels(corpus)["asr"].clips == 24
    at = datetime(2027, 1, 1, tzinfo=UTC)
    consent.set_consent(corpus.vault, "account-3", frozenset({"score"}), at, "test")
    assert on_labels(corpus)["asr"].clips == 23


def test_labels_without_a_word_show_nothing(corpus: Corpus):
    ids = arrive(corpus, 20)
    transcribe(corpus, ids, TEXT)
    with corpus.operation("labels", "ingest") as op:
        labels.put_labels(corpus, op, [Label(i, "", None, (), 1.0, 1, 1) for i in ids], "manifest")
        op.result = {}
    assert "without a word in them" in champion_lines(on_labels(corpus))[0]


GOOD = ChampionOnLabels("asr", "1", 120, 0, 0, 120, False, 0.2, 0.85)
POOR = replace(GOOD, error=1.004, right=0.01)


def test_a_poor_base_is_named_with_the_setting_that_takes_another():
    (line,) = champion_lines({"asr": POOR})
    assert line == (
        "WARNING: asr/1 gets 1.0 % of the words right on your 120 labelled clips (WER 100.4 %): "
        "take another base: earmark base list shows some, earmark base add and earmark base use take one"
    )
    assert (is_poor(POOR), is_poor(GOOD), is_poor(replace(GOOD, error=0.5))) == (True, False, False)
    (less_poor,) = champion_lines({"asr": replace(POOR, error=0.7, right=0.4)})
    assert "(WER 70.0 %): more labels may teach it, or take another base" in less_poor


@pytest.mark.parametrize(
    ("error", "alike", "shown", "poor"),
    [
        (0.81, 0.4, "(WER 81.0 %, with numbers alike 40.0 %)", False),
        (0.81, 0.6, "(WER 81.0 %, with numbers alike 60.0 %): more labels may teach it", True),
        (0.95, 0.95, "(WER 95.0 %): take another base", True),
        (0.2, None, "(WER 20.0 %)", False),
    ],
)
def test_a_base_that_writes_numbers_in_another_form_is_poor_only_where_it_is_with_numbers_alike(
    error: float, alike: float | None, shown: str, poor: bool
):
    found = replace(GOOD, error=error, error_numbers=alike)
    (line,) = champion_lines({"asr": found})
    assert shown in line
    assert (is_poor(found), line.startswith("WARNING")) == (poor, poor)


def test_the_wer_with_numbers_alike_is_counted_in_the_form_of_the_gate(corpus: Corpus):
    ids = arrive(corpus, 24)
    transcribe(corpus, ids, "channel 20 on")
    with corpus.operation("labels", "ingest") as op:
        labels.put_labels(corpus, op, [Label(i, "channel twenty on", None, (), 1.0, 1, 1) for i in ids], "manifest")
        op.result = {}
    found = on_labels(corpus)["asr"]
    assert (found.error, found.error_numbers) == (1 / 3, 0.0)
    plain = champions_on_labels(corpus, Path(corpus.root).parent, PromotionSettings(numbers=None))["asr"]
    assert (plain.error, plain.error_numbers) == (1 / 3, None)


def test_poor_intents_are_the_speech_model_s_where_its_words_are_wrong():
    intent = replace(POOR, kind="intent", error=0.818, right=0.182)
    assert (
        "intent error 81.8 %): it learns your intents from labels" in champion_lines({"asr": GOOD, "intent": intent})[1]
    )
    assert champion_lines({"asr": POOR, "intent": intent})[1].endswith("so that one comes first")


def knows(corpus: Corpus, home: Path, *intents: str) -> None:
    """Make a champion that can predict some intents; of its files only what names them is there."""
    folder = home / "model"
    folder.mkdir()
    config = {"model_type": MODEL_TYPE, "intents": intents, "slot_names": []}
    (folder / "config.json").write_text(json.dumps(config))
    with writing(corpus.records) as conn:
        store.put_version(conn, ModelVersion("intent", "2", "run-2", "", folder_digest(folder), "", str(folder)))
        store.move_alias(conn, "intent", "champion", "1", "2")


@pytest.mark.parametrize(("also", "named"), [((), 0.0), (("light_on",), 0.5), (("former",), 0.5)])
def test_a_champion_without_the_labelled_names_is_said_not_to_know_them(
    corpus: Corpus, tmp_path: Path, also: tuple[str, ...], named: float
):
    ids = arrive(corpus, 24)
    knows(corpus, tmp_path, "weather", "other", *also)
    with writing(corpus.records) as conn:
        put_names(conn, "intent", with_mapping(StoredNames(), "former", "light_on"), datetime.now(UTC))
    with corpus.operation("score", "score") as op:
        best = (Hypothesis("nothing of this", 1.0, "weather"),)
        scores.put(corpus, op, predictions_of(ids, versions=("1", "2")), dict.fromkeys(ids, best))
        op.result = {}
    label(corpus, ids[:18])
    label(corpus, ids[18:22], intent="light_off")
    label(corpus, ids[22:], intent="other")  # every model has it, so it says nothing
    found = on_labels(corpus)
    assert (found["intent"].named, found["intent"].right, found["asr"].named) == (named, 0.0, None)
    remedies = [line.partition("): ")[2] for line in champion_lines(found)]
    assert remedies[0].startswith("take another base")
    if named:
        assert remedies[1] == "it reads the transcripts of the speech model, so that one comes first"
    else:
        assert remedies[1] == ("it does not know your intents yet: it learns them from labels, earmark retrain intent")
    assert document_lines({kind: each.to_json() for kind, each in found.items()}) == champion_lines(found)


def test_a_prediction_by_a_former_name_is_right(corpus: Corpus):
    ids = arrive(corpus, 24)
    transcribe(corpus, ids, TEXT)
    label(corpus, ids, intent="lamp_on")
    assert on_labels(corpus)["intent"].right == 0.0
    with writing(corpus.records) as conn:
        put_names(conn, "intent", with_mapping(StoredNames(), "light_on", "lamp_on"), datetime.now(UTC))
    assert on_labels(corpus)["intent"].right == 1.0


def test_status_and_doctor_show_the_line_and_the_doctor_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    settings = poor_home(tmp_path)
    report = examine(settings, repair=False)
    assert report.champions["asr"].right == 0.0
    assert not any("words right" in problem or "labelled clips" in problem for problem in report.problems)
    show_findings(report)
    show_status(status_of(settings))
    line = "WARNING: asr/1 gets 0.0 % of the words right on your 20 labelled clips (WER 100.0 %): take another base"
    assert capsys.readouterr().out.count(line) == 2


def poor_home(tmp_path: Path) -> Settings:
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        for kind in ("asr", "intent"):
            champion(corpus, kind, "1")
        ids = arrive(corpus, 20)
        transcribe(corpus, ids, "a b c d")
        label(corpus, ids)
    return settings


def challenge(corpus: Corpus, decision: str, *, tainted: bool = False) -> None:
    """Leave intent/2 as a challenger on which the gate decided so."""
    with writing(corpus.records) as conn:
        learned = snapshots.put_snapshot(conn, Snapshot(()), "intent")
        version = ModelVersion("intent", "2", "run-2", learned, "base", "", "nowhere", tainted=tainted)
        store.put_version(conn, version)
        store.move_alias(conn, "intent", "challenger", None, "2")
        judgements.put(conn, "intent", "2", Judgement("rows", "1-1", decision))


@pytest.mark.parametrize(
    ("decision", "tainted", "named"),
    [("indicative", False, True), ("indicative", True, False), ("refuse", False, False)],
)
def test_a_version_that_waits_is_named_in_place_of_another_training(
    corpus: Corpus, decision: str, tainted: bool, named: bool
):
    ids = arrive(corpus, 24)
    transcribe(corpus, ids, TEXT)
    label(corpus, ids, intent="light_off")
    challenge(corpus, decision, tainted=tainted)
    line = champion_lines(on_labels(corpus))[1]
    assert line.startswith("WARNING: intent/1 gets 0.0 % of the intents right")
    assert ("earmark promote intent/2 --force --why TEXT uses it now" in line) is named
    assert ("earmark compare intent/1 intent/2 shows whether it is better" in line) is named
    assert ("earmark retrain intent" in line) is not named


def test_a_version_that_waits_and_is_clearly_better_is_named_with_the_command_alone():
    (line,) = champion_lines({"asr": replace(POOR, waiting="4", waiting_leads=True)})
    assert line.partition("): ")[2] == (
        "asr/4 is clearly better and waits for more rows that judge; "
        "to use it now: earmark promote asr/4 --force --why TEXT"
    )


@pytest.mark.parametrize(("errors", "used"), [((0.6, 0.61), False), ((0.6, 0.6), False), ((0.6, 0.5), True)])
def test_a_version_that_waits_is_offered_for_use_only_where_it_is_better(errors: tuple[float, float], used: bool):
    (line,) = champion_lines({"asr": replace(POOR, waiting="4", waiting_errors=errors)})
    assert ("earmark promote asr/4 --force" in line) is used
    assert ("merge more answers, then earmark retrain asr" in line) is not used
    assert f"(WER {100 * errors[1]:.1f} %, champion 60.0 %)" in line


@pytest.mark.parametrize(("alike", "used"), [((0.6, 0.5), True), ((0.6, 0.7), False)])
def test_of_versions_that_write_digits_the_one_that_heard_more_is_offered(alike: tuple[float, float], used: bool):
    poor = replace(POOR, waiting="4", waiting_errors=(0.8, 0.8), waiting_errors_numbers=alike)
    (line,) = champion_lines({"asr": poor})
    assert ("and is better on those so far" in line) is used
    assert f"(WER 80.0 %, champion 80.0 %; with numbers alike {100 * alike[1]:.1f} %, champion 60.0 %)" in line


def test_a_base_in_use_that_is_not_the_champion_is_named_with_the_command(corpus: Corpus):
    ids = arrive(corpus, 24)
    transcribe(corpus, ids, "nothing of this")
    label(corpus, ids)
    assert "earmark base list" in champion_lines(on_labels(corpus))[0]
    with writing(corpus.records) as conn:
        store.put_version(conn, ModelVersion("asr", "2", "run-2", "", "other", "", "elsewhere"))
        store.move_alias(conn, "asr", "base", store.alias(conn, "asr", "base"), "2")
    line = champion_lines(on_labels(corpus))[0]
    assert line.endswith(
        "asr/2 is the base that versions learn from now, and asr/1 is champion still; "
        "earmark promote asr/2 --force --why TEXT makes asr/2 champion"
    )
    assert "earmark base list" not in line


def test_of_the_labelled_clips_those_that_a_champion_learned_from_make_no_figure():
    some = replace(POOR, error=None, right=None, labelled=30, learned=12, clips=18)
    (line,) = champion_lines({"asr": some})
    assert line.startswith(
        "30 labelled clips, 12 of which a champion learned from; a figure takes 20 that no champion learned from, "
        "2 more are needed: "
    )

"""What a reader of a terminal or of the night's page sees in place of the keys of documents."""

from __future__ import annotations

from dataclasses import fields

from flows.models.aliases import ChampionMoved
from flows.models.judgement import Judgement
from flows.reports.night_page import night_markdown
from flows.reports.report_words import STEP_OF, WORDS, worded
from flows.runtime.console import cell
from flows.steps.consent import ConsentChange, ConsentReport
from flows.steps.dataset import DatasetReport, DatasetRow
from flows.steps.erase import FinishReport
from flows.steps.export import ExportReport
from flows.steps.fine_tune import Training
from flows.steps.import_corpus import ImportReport
from flows.steps.ingest import IngestReport
from flows.steps.inventory import InventoryChange
from flows.steps.lm import LmReport
from flows.steps.merge_total import MergeTotal
from flows.steps.retrain import LearnedVersion
from flows.steps.sample import SampleReport
from flows.steps.score import ScoreReport
from flows.tasks.task_status import SweepReport

FIGURES = {"labelled": 30, "learned": 0, "unscored": 0, "clips": 30, "hard": False, "error": 1.0, "right": 0.0}


def test_a_count_of_files_is_no_count_of_rows():
    assert worded("merged", {"rows": 3, "already": 1}) == {"rows read": 3, "files merged before": 1}
    assert worded("ingest", {"accepted": 2, "already": 1}) == {"rows accepted": 2, "manifests ingested before": 1}
    assert worded("scored", {"already": 5}) == {"clips scored before": 5}


def test_what_a_language_model_brings_is_said_in_words():
    assert worded("lm", {"wer_greedy": 0.4934, "wer_beam": None, "digest": "ab" * 32}) == {
        "WER there, greedy": "49.3 %",
        "WER there, with it": None,
        "digest of the language model": "abababababab",
    }
    assert worded("lm", {"dev_rows": 25}) == {"dev rows on which the weights were chosen": "25"}
    untried = "0: they are the defaults, and untried on your clips"
    assert worded("lm", {"dev_rows": 0}) == {"dev rows on which the weights were chosen": untried}
    assert worded("lm", {"phrases": 2, "phrases_by_locale": {}}) == {"phrases that are boosted": 2}
    shown = worded("lm", {"phrases": 0, "phrases_by_locale": {"de-AT": 3}})
    assert shown == {"phrases that are boosted": 0, "further phrases, in clips of a locale alone": {"de-AT": 3}}


def test_what_a_version_was_judged_against_is_said_in_words():
    assert worded("retrained asr", {"against": "2"}) == {"judged against": "champion version 2"}
    assert worded("promoted", {"against": "2-4", "was": "1"}) == {
        "judged against": "champion version 2, both on transcripts of asr/4",
        "champion before, version": "1",
    }


def test_what_seldom_happens_is_shown_where_it_did_and_a_skipped_step_has_its_reason_alone():
    change = {"names": ["town"], "labels": 0, "withdrawn": 0, "closed": 0}
    assert worded("inventory", change) == {"names in use now": ["town"], "labels new or changed": 0}
    assert worded("inventory", change | {"withdrawn": 1})["labels withdrawn, as the answers disagree now"] == 1
    assert worded("scored", {"skipped": "all 120 are scored", "scored": 0, "already": 120}) == {
        "skipped": "all 120 are scored"
    }
    assert worded("scored", {"skipped": None, "scored": 0}) == {"skipped": None, "clips scored now": 0}


def test_examples_say_of_what_they_are():
    learned = {"labels": 41, "examples": 81, "left_out": 0}
    assert worded("retrained intent", learned) == {
        "labels learned from": 41,
        "trained on": "81 texts: transcripts, and drafts that differ from them",
    }
    assert worded("retrain asr", {"examples": 44, "left_out": 3}) == {
        "trained on": "44 clips",
        "labels that it can't learn": 3,
    }


def test_other_keys_are_shown_with_blanks():
    assert worded("rolled back", {"run_log_id": "e"}) == {"run log id": "e"}


def test_every_word_is_for_a_key_that_a_document_has():
    of = {
        "ingest": (IngestReport, ImportReport),
        "consent": (ConsentReport, ConsentChange),
        "withdrawal": (FinishReport,),
        "score": (ScoreReport,),
        "sample": (SampleReport,),
        "export": (ExportReport,),
        "sweep": (SweepReport,),
        "merge": (MergeTotal,),
        "inventory": (InventoryChange,),
        "dataset": (DatasetReport, DatasetRow),
        "lm": (LmReport,),
        "retrain": (LearnedVersion, Training, Judgement, ChampionMoved),
    }
    assert set(of) == set(WORDS)
    assert set(STEP_OF.values()) <= set(WORDS)
    for step, words in WORDS.items():
        assert set(words) <= {field.name for each in of[step] for field in fields(each)}, step
        assert len(set(words.values())) == len(words), step


def test_the_page_of_a_night_names_what_promotion_waits_for_and_how_champions_do():
    retrained = {
        "version": "2", "already": True, "decision": "indicative", "decision_text": "INDICATIVE\n",
        "waits": "56 of 100 audit rows, 18 of 24 speakers", "lead": "asr/2 is clearly better",
    }  # fmt: skip
    asr = {"kind": "asr", "version": "1", **FIGURES}
    page = night_markdown(
        {"night": "2026-11-03", "retrain asr": retrained, "score": {"scored": 3, "champions": {"asr": asr}}}
    )
    assert "- **retrain asr**: version 2, done by an earlier run yes, decision indicative" in page
    assert "| promotion of speech waits | 56 of 100 audit rows, 18 of 24 speakers |" in page
    assert "| clear lead, speech | asr/2 is clearly better |" in page
    assert "- **score**: clips scored now 3" in page
    assert (
        "- champion on labelled clips: WARNING: asr/1 gets 0.0 % of the words right on your 30 labelled clips (WER"
        in page
    )


def test_a_yes_is_no_python():
    assert (cell(True), cell(False), cell(0)) == ("yes", "no", "0")


def test_a_review_and_a_withdrawal_are_sentences():
    review = {"clips": 1, "people": 2, "careless": [], "labels": 0}
    assert worded("merged", {"review": review}) == {
        "annotators compared": "2 people, on 1 clip that several answered; nobody is careless; 0 labels changed by it"
    }
    poor = review | {"careless": ["ann", "bob"], "labels": 1}
    assert "careless: ann, bob; 1 label changed" in str(worded("merge", {"review": poor}))
    narrowed = {"accounts": 1, "labels": 3, "clips": 2}
    assert worded("ingest", {"narrowed": narrowed}) == {
        "consent narrowed": "for 1 account: 3 labels are used no more, 2 other clips may be used for less than before"
    }

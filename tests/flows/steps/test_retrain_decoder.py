"""Versions of the speech model that decode with a language model of their own labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus import door
from corpus.records.annotations import NameNote
from corpus.records.models import ModelVersion
from corpus.tables import erasure, scores, utterances
from corpus.tables import models as store
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.reports.demo_tables import DemoReport
from flows.reports.lineage import VersionLineage, lineage_of
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import retrain as retrain_step
from flows.steps import retrain_plan
from flows.steps import score as score_step
from flows.steps.decoder import decoder_of
from flows.steps.inventory import add_names
from flows.steps.register_external import register_external
from flows.steps.training_examples import asr_examples
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from training.asr.arpa import read_arpa, to_arpa, words_of
from training.asr.beam_files import read_decoder, write_decoder
from training.asr.language_model import build_ngrams
from training.asr.loading import load_asr
from training.asr.transcribe import best_texts
from training.asr.word_beam import BeamSettings, DecoderFiles
from training.evaluation.report import word_edits

pytest.importorskip("flashlight.lib.text")

LABELS_ALONE = ("asr.decoder=beam", "asr.beam.words=null", "asr.beam.texts=null")
"""The demo's decoder without the words and commands that come with earmark."""


@pytest.fixture
def home(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Path:
    return copy_of(lived[0].home, tmp_path / "home")


def learned(settings: Settings) -> retrain_step.LearnedVersion:
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False)
        assert not plan.skipped
        return retrain_step.retrain(corpus, settings, plan, "")


def version_of(settings: Settings, number: str) -> ModelVersion:
    with opened(settings) as corpus, corpus.read() as conn:
        return store.version(conn, "asr", number)


def test_a_version_has_the_language_model_of_its_train_rows_and_every_use_of_it_decodes_so(home: Path, tmp_path: Path):
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "all.txt").write_text("dua lipa\n")
    (tmp_path / "names" / "de-AT.txt").write_text("grete\n")
    phrases = f"asr.beam.phrases={tmp_path / 'names'}"
    settings = small_settings(home, *LABELS_ALONE, phrases, "asr.beam.min_speakers=1")
    made = learned(settings)
    version = version_of(settings, made.version)
    folder = Path(registry.located(home, version.model_uri))
    decoder = read_decoder(folder)
    assert made.training.language_model == decoder.digest()
    assert (decoder.phrases, decoder.phrases_by_locale) == (("dua lipa",), {"de-AT": ("grete",)})
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False)
        assert plan.snapshot.snapshot_id == version.snapshot_id
        train, judging = (asr_examples(corpus, plan.snapshot.of(role)) for role in ("train", "audit"))
        assert words_of(read_arpa(decoder.arpa, "lm")) == sorted({w for each in train for w in each.text.split()})
        only_judged = {w for each in judging for w in each.text.split()} - {w for e in train for w in e.text.split()}
        assert only_judged
        assert not only_judged & set(decoder.arpa.split())
        found = lineage_of(corpus, home, settings.tracking, f"asr/{made.version}")
        assert isinstance(found, VersionLineage)
        assert found.language_model == decoder.digest()
        # scoring by the version decodes in the same way
        with corpus.operation("promote/test", "promote") as op:
            store.move_alias(op.conn, "asr", "champion", store.alias(op.conn, "asr", "champion"), made.version)
            op.result = {}
        with corpus.read() as conn:
            ids = utterances.in_window(conn)[:6]
        plan = score_step.plan(corpus, settings.score, ids)
        assert plan.asr.version == made.version
        score_step.score_shard(corpus, settings.score, home, plan, plan.shards[0])
        assert len(scores.predictions(corpus, ids, made.version, plan.intent.version)) == len(ids)
        assert registry.load_asr(home, plan.asr).beam is not None


def test_another_list_of_phrases_makes_another_version(home: Path, tmp_path: Path):
    file = tmp_path / "phrases.txt"
    file.write_text("dua lipa\n")
    settings = small_settings(home, *LABELS_ALONE, f"asr.beam.phrases={file}")
    with opened(settings) as corpus:

        def operation_id() -> str:
            return retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False).operation_id

        before = operation_id()
        assert operation_id() == before
        file.write_text("bonobo\n")
        other = operation_id()
        assert other != before
        file.unlink()
        file.mkdir()  # a folder with the same phrases, for clips of one locale alone
        (file / "de-AT.txt").write_text("bonobo\n")
        of_locale = operation_id()
        (file / "de-AT.txt").rename(file / "de-DE.txt")
        assert len({before, other, of_locale, operation_id()}) == 4
        note = NameNote("calls somebody", ("ring zebedee",))
        add_names(corpus, home, settings.inventory, settings.people, "intent", ["call_contact"], note)
        assert operation_id() not in (before, other)
        decoder = decoder_of(corpus, settings.asr, [])
        assert decoder is not None
        assert words_of(read_arpa(decoder.arpa, "lm")) == ["ring", "zebedee"]
        assert decoder_of(corpus, small_settings(home, "asr.decoder=null").asr, []) is None


def test_settings_of_a_decoder_that_is_not_asked_for_make_no_other_training(home: Path):
    with opened(small_settings(home)) as corpus:

        def operation_id(*overrides: str) -> str:
            return retrain_plan.plan(
                corpus, small_settings(home, "asr.decoder=null", *overrides), "asr", "test", only_if_due=False
            ).operation_id

        assert operation_id() == operation_id("asr.beam.width=7")
        assert operation_id("asr.decoder=greedy") == operation_id("asr.decoder=greedy", "asr.beam.width=7")
        decoders = ("asr.decoder=greedy",), ("asr.decoder=beam",), ("asr.decoder=beam", "asr.beam.width=7"), ()
        assert len({operation_id(*each) for each in decoders}) == 4


def test_an_erasure_taints_the_version_and_the_next_one_has_none_of_the_words(home: Path):
    settings = small_settings(home, *LABELS_ALONE, "asr.beam.min_speakers=1")
    first = learned(settings)
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False)
        said: dict[str, set[str]] = {}
        for each in asr_examples(corpus, plan.snapshot.of("train")):
            for word in each.text.split():
                said.setdefault(word, set()).add(each.utterance_id)
        word, (utterance_id,) = next((word, ids) for word, ids in sorted(said.items()) if len(ids) == 1)
        erased = erasure.erase_utterances(corpus, [utterance_id])
        assert f"asr/{first.version}" in erased["tainted"]
    folder = Path(registry.located(home, version_of(settings, first.version).model_uri))
    assert word in words_of(read_arpa(read_decoder(folder).arpa, "lm"))
    again = learned(settings)
    assert again.version != first.version
    folder = Path(registry.located(home, version_of(settings, again.version).model_uri))
    assert word not in read_decoder(folder).arpa.split()


def test_clips_are_scored_and_judged_with_the_phrases_of_their_own_locale(home: Path, tmp_path: Path):
    settings = small_settings(home)
    greedy = load_asr(registry.BASES / "asr")
    with opened(settings) as corpus:
        with corpus.read() as conn:
            contents = list(door.open(corpus, utterances.in_window(conn), "score", strict=False))
        clips = {each.utterance.utterance_id: each.audio for each in contents if each.audio is not None}
        locales = {each.utterance.utterance_id: each.utterance.locale for each in contents}
        heard = dict(zip(clips, best_texts(greedy, list(clips.values())), strict=True))
        # of each locale the clip in which the most is heard; its words are phrases there
        chosen = {locales[i]: i for i in sorted(clips, key=lambda i: len(heard[i].split()))}
        assert set(chosen) == {"en-GB", "en-US"}
        phrases = {locale: (heard[i],) for locale, i in chosen.items()}
        arpa = to_arpa(build_ngrams([("turn it on", 1.0)]))
        files = DecoderFiles(BeamSettings(unknown_score=-200.0), arpa, ("off",), phrases)
        shutil.copytree(registry.BASES / "asr", tmp_path / "asr")
        write_decoder(tmp_path / "asr", files)
        asr = load_asr(tmp_path / "asr")
        expected = dict(
            zip(clips, best_texts(asr, list(clips.values()), locales=[locales[i] for i in clips]), strict=True)
        )
        for i in chosen.values():
            assert expected[i] == heard[i]
            others = [best_texts(asr, [clips[i]], locales=[tag])[0] for tag in ("en-GB", "en-US", "de-AT", "")]
            assert others.count(heard[i]) == 1
        made = register_external(corpus, settings, tmp_path / "asr", "asr")
        with corpus.operation("promote/test", "promote") as op:
            store.move_alias(op.conn, "asr", "champion", store.alias(op.conn, "asr", "champion"), made.version)
            op.result = {}
        plan = score_step.plan(corpus, settings.score, sorted(clips))
        assert plan.asr.version == made.version
        for shard in plan.shards:
            score_step.score_shard(corpus, settings.score, home, plan, shard)
        drafts = door.open(corpus, sorted(clips), "judge", parts=("hypotheses",), strict=False)
        scored = {each.utterance.utterance_id: each.hypotheses[0].text for each in drafts if each.hypotheses}
        assert scored == {i: expected[i] for i in scored}
        assert set(chosen.values()) <= set(scored)
        audit = audit_set(corpus, settings.promotion, "asr")
        how = settings.score.transcribe
        report = evaluate_versions(corpus, home, how, audit, [plan.asr])[made.version]
    references = {i: label.transcript or "" for i, label in audit.labels.items()}
    edits = word_edits(references, expected).tolist()
    assert report.word_edits.tolist() == edits
    assert (
        edits != word_edits(references, dict(zip(clips, best_texts(asr, list(clips.values())), strict=True))).tolist()
    )

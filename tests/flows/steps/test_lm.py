from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import SettingsError, UsageError
from corpus.storage import database
from corpus.storage import records_schema as schema
from flows.models import registry
from flows.models.bring_base import add_base
from flows.models.eval_set import snapshot_and_account
from flows.models.use_base import use_named_base
from flows.reports.base_list import base_named
from flows.reports.base_table import show_base
from flows.reports.lineage import version_lineage
from flows.runtime.session import opened
from flows.runtime.settings import Settings, load_settings
from flows.steps import lm
from flows.steps.training_examples import asr_examples
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from tests.training.families import family_folder
from training.asr.arpa import read_arpa, words_of
from training.asr.beam_files import read_decoder
from training.asr.beam_weights import LM_WEIGHTS
from training.asr.loading import load_asr
from training.loop.model_files import weights_digest
from training.tracking.version_files import folder_digest

pytest.importorskip("flashlight.lib.text")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home without a row, texts, words and phrases, and an inventory with an example."""
    files = {
        "words": "volume\t5\nc\u00e4sar\n",
        "texts": "Turn the lights off\nplay some jazz\n",
        "phrases": "dua lipa\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    inventory = {"intents": {"call": {"examples": ["ring anna"]}}}
    overrides = [f"corpus.home={tmp_path / 'home'}", f"inventory={json.dumps(inventory)}"]
    return load_settings(None, [*overrides, *(f"asr.beam.{name}={tmp_path / name}" for name in files)])


def test_a_base_gets_a_decoder_from_files_and_the_inventory(settings: Settings, tmp_path: Path):
    with opened(settings, create=True) as corpus:
        report = lm.build_base(corpus, settings, tmp_path / "out")
    decoder = read_decoder(tmp_path / "out")
    assert decoder is not None
    expected = ["anna", "c\u00e4sar", "jazz", "lights", "off", "play", "ring", "some", "the", "turn", "volume"]
    assert words_of(read_arpa(decoder.arpa, "lm")) == expected
    assert (report.words, report.unspellable, report.phrases, report.dev_rows) == (len(expected) - 1 + 2, 1, 1, 0)
    assert report.digest == decoder.digest()
    assert weights_digest(tmp_path / "out") == weights_digest(registry.BASES / "asr")
    assert sorted(load_asr(tmp_path / "out").beam.lexicon.spellings)[:3] == ["anna", "dua", "jazz"]
    again = settings.model_copy(update={"models": settings.models.model_copy(update={"asr": str(tmp_path / "out")})})
    with opened(settings) as corpus:  # the new base is one like any other
        assert lm.build_base(corpus, again, tmp_path / "other").digest == report.digest
        with pytest.raises(UsageError, match="out exists"):
            lm.build_base(corpus, settings, tmp_path / "out")


def test_a_folder_of_phrases_gives_the_base_those_of_each_locale(settings: Settings, tmp_path: Path):
    (tmp_path / "names").mkdir()
    for name, text in {"all": "dua lipa\n", "de_at": "grete sch\u00f6n\n", "en-GB": "grete\nwill\n"}.items():
        (tmp_path / "names" / f"{name}.txt").write_text(text, encoding="utf-8")
    beam = settings.asr.beam.model_copy(update={"phrases": tmp_path / "names"})
    settings = settings.model_copy(update={"asr": settings.asr.model_copy(update={"beam": beam})})
    with opened(settings, create=True) as corpus:
        report = lm.build_base(corpus, settings, tmp_path / "out")
    decoder = read_decoder(tmp_path / "out")
    assert decoder is not None
    assert decoder.phrases_by_locale == {"de-AT": ("grete sch\u00f6n",), "en-GB": ("grete", "will")}
    assert (report.phrases, report.phrases_by_locale, report.digest) == (1, {"de-AT": 1, "en-GB": 2}, decoder.digest())
    assert (report.words, report.unspellable) == (14, 2)  # 10 of texts and words, dua, lipa, grete, will
    search = load_asr(tmp_path / "out").beam
    known = {tag: set(search.for_locale(tag).lexicon.spellings) & {"dua", "grete", "will"} for tag in ("de-AT", "fr")}
    assert known == {"de-AT": {"dua", "grete"}, "fr": {"dua"}}
    (tmp_path / "names" / "en-GB.txt").rename(tmp_path / "names" / "british.txt")
    with (
        opened(settings) as corpus,
        pytest.raises(SettingsError, match=r"names/british\.txt: .* not named as a locale"),
    ):
        lm.build_base(corpus, settings, tmp_path / "other")


def test_without_texts_and_words_nothing_is_written(tmp_path: Path):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    with opened(settings, create=True) as corpus, pytest.raises(UsageError, match="texts or a word list"):
        lm.build_base(corpus, settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    gone = load_settings(None, [f"corpus.home={tmp_path / 'home'}", f"asr.beam.words={tmp_path / 'gone'}"])
    with opened(settings) as corpus, pytest.raises(SettingsError, match="gone"):
        lm.build_base(corpus, gone, tmp_path / "out")


def test_dev_rows_choose_the_weights_and_no_label_is_part_of_it(lived: tuple[Settings, object], tmp_path: Path):
    home = copy_of(lived[0].home, tmp_path / "home")
    (tmp_path / "texts").write_text("set an alarm for seven\nplay some jazz\n")
    of_beam = (f"asr.beam.texts={tmp_path / 'texts'}", "asr.beam.words=null", "asr.beam.lm_weight=3.0")
    settings = small_settings(home, *of_beam)
    with opened(settings) as corpus:
        with database.writing(corpus.records) as conn:  # a home as small as this draws no dev speaker
            conn.execute(sa.update(schema.utterances).values(split="dev"))
            conn.execute(sa.update(schema.selections).values(reason="uncertain"))
        snapshot, _ = snapshot_and_account(corpus, settings.promotion, "asr")
        dev = asr_examples(corpus, snapshot.of("dev"))
        report = lm.build_base(corpus, settings, tmp_path / "out")
    assert report.dev_rows == len(dev) >= 20
    assert report.lm_weight <= max(LM_WEIGHTS)
    assert report.wer_greedy is not None
    assert report.wer_beam is not None
    decoder = read_decoder(tmp_path / "out")
    assert decoder is not None
    assert decoder.settings.lm_weight == report.lm_weight
    known = words_of(read_arpa(decoder.arpa, "lm"))
    assert known == ["alarm", "an", "for", "jazz", "play", "set", "seven", "some"]
    assert {word for each in dev for word in each.text.split()} - set(known)


def test_the_facts_on_the_base_go_with_it_and_say_what_it_was_made_from(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with opened(settings, create=True) as corpus:
        report = lm.build_base(corpus, settings, tmp_path / "out")
        added = add_base(settings.home, str(tmp_path / "out"))
        facts = added.facts
        digest = folder_digest(registry.BASES / "asr")[:12]
        assert (facts.licence, facts.languages, facts.source) == ("Apache-2.0", ("en",), "embedded")
        assert (facts.made_from, added.same_weights) == (f"embedded ({digest})", ("embedded",))
        assert facts.decoder == f"11 words, 1 phrases, language model {report.digest[:12]}"
        use_named_base(corpus, settings.home, settings.models, settings.tracking, "out", None, None)
        version = registry.by_name(corpus, "asr", "base")
        found = version_lineage(corpus, settings.home, settings.tracking, version).base_facts
        assert found is not None
        assert f"out, from embedded, Apache-2.0, made by earmark lm build from embedded ({digest})" in found
        assert facts.decoder in found
    assert [each.facts.name for each in base_named(settings, "embedded")] == ["embedded", "embedded"]
    show_base(base_named(settings, "out"))
    said = capsys.readouterr().out
    assert f"embedded ({digest})" in said
    assert facts.decoder in said


def test_a_base_that_takes_no_beam_is_refused_before_anything_is_asked_for(tmp_path: Path):
    whisper = family_folder("whisper", tmp_path)
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}", f"models.asr={whisper}"])
    with opened(settings, create=True) as corpus, pytest.raises(UsageError, match="is a whisper, which takes no beam"):
        lm.build_base(corpus, settings, tmp_path / "out")

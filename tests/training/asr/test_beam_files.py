from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from corpus.errors import SettingsError
from corpus.records.predictions import ASR_COLUMNS
from tests.training.families import family_folder
from tests.training.tiny import TEXTS, TINY, tiny_asr_folder, tone_clip
from training.asr.arpa import to_arpa
from training.asr.beam_files import (
    DECODER,
    model_lexicon,
    passing_file,
    read_decoder,
    with_chosen_weights,
    with_decoder,
    write_decoder,
)
from training.asr.beam_weights import KnownClip
from training.asr.ctc import frame_posteriors
from training.asr.language_model import build_ngrams
from training.asr.loading import load_asr, save_asr
from training.asr.model import token_text
from training.asr.posterior import draw_tokens, utterance_rng
from training.asr.pretrain import build_asr
from training.asr.transcribe import TranscribeSettings, best_texts, transcribe
from training.asr.word_beam import BeamSettings, DecoderFiles, search
from training.tracking.version_files import folder_digest

pytest.importorskip("flashlight.lib.text")

WORDS = sorted({word for text in TEXTS for word in text.split()})
ARPA = to_arpa(build_ngrams([(text, 1.0) for text in TEXTS], order=2))
CTC = ("wav2vec2", "hubert", "wavlm", "wav2vec2_bert", "parakeet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tiny_asr_folder(tmp_path_factory.mktemp("model") / "asr")
    write_decoder(made, DecoderFiles(BeamSettings(unknown_score=-200.0), ARPA))
    return made


def said(asr, text, sure=0.95):
    """Return the log posterior of a model that is sure of a text, with a blank between its tokens."""
    tokens = asr.tokenizer(text, add_special_tokens=False)["input_ids"]
    path = [asr.blank, *(each for token in tokens for each in (token, asr.blank))]
    probs = np.full((len(path), asr.vocab_size), (1 - sure) / (asr.vocab_size - 1))
    probs[np.arange(len(path)), path] = sure
    return np.log(probs).astype(np.float32)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")
def test_the_language_model_that_is_handed_over_is_on_no_disk():
    with passing_file(ARPA) as file:
        assert file.read_text() == ARPA
        assert [path.is_symlink() for path in file.parent.iterdir()] == [True]
        assert str(file.readlink()).startswith("/proc/")
    assert not file.parent.exists()


@pytest.mark.parametrize("family", CTC)
def test_every_ctc_family_is_decoded_by_its_own_spelling(family, tmp_path):
    folder = family_folder(family, tmp_path)
    plain = load_asr(folder)
    assert plain.beam is None
    write_decoder(folder, DecoderFiles(BeamSettings(), ARPA))
    asr = load_asr(folder)
    assert sorted(asr.beam.lexicon.spellings) == WORDS
    for text in TEXTS:
        found = search(asr.beam, said(asr, text), lambda tokens: token_text(asr, tokens))
        assert found[0].text == text
        assert found[0].unknown == 0
    found = search(asr.beam, said(asr, "call ann"), lambda tokens: token_text(asr, tokens))
    assert {"call ann", "call anna"} <= {each.text for each in found}


def test_a_vocabulary_of_pieces_is_decoded_too(tmp_path):
    made = build_asr(TEXTS, TINY.model_copy(update={"vocabulary": 90}), 0)
    save_asr(made, tmp_path / "asr")
    write_decoder(tmp_path / "asr", DecoderFiles(BeamSettings(), ARPA))
    asr = load_asr(tmp_path / "asr")
    assert asr.beam.lexicon.end is None
    assert max(len(asr.tokenizer.convert_ids_to_tokens(token)) for token in range(asr.vocab_size)) > 3
    for text in (*TEXTS, "call zoe", "quiz what's the time"):
        found = search(asr.beam, said(asr, text), lambda tokens: token_text(asr, tokens))
        assert found[0].text == text


def test_transcripts_are_those_of_the_beam_and_draws_are_counted_beside_them(folder):
    asr, plain = load_asr(folder), load_asr(folder)
    clips = [(f"u{i}", tone_clip(text, i)) for i, text in enumerate(TEXTS)]
    how = TranscribeSettings(draws=8)
    columns = {name: place for place, name in enumerate(ASR_COLUMNS)}
    for output, (utterance_id, samples) in zip(transcribe(asr, clips, how), clips, strict=True):
        assert output.text == output.hypotheses[0].text == best_texts(asr, [samples])[0]
        assert sum(each.weight for each in output.hypotheses) == pytest.approx(1.0)
        assert max(each.weight for each in output.hypotheses) == output.hypotheses[0].weight
        log_probs = frame_posteriors(plain, [samples])[0].log_probs
        drawn = draw_tokens(log_probs, plain.blank, 8, utterance_rng(0, utterance_id))
        assert output.columns[columns["num_hypotheses"]] == len({token_text(plain, tokens) for tokens in drawn})
        assert np.isfinite(output.columns).all()


def test_the_decoder_is_part_of_the_digest_and_absent_without_its_folder(folder, tmp_path):
    copy = tmp_path / "asr"
    shutil.copytree(folder, copy)
    assert folder_digest(copy) == folder_digest(folder)
    (copy / DECODER / "lm.arpa").write_text(ARPA.replace("anna", "anne"))
    assert folder_digest(copy) != folder_digest(folder)
    shutil.rmtree(copy / DECODER)
    assert load_asr(copy).beam is None


def test_words_that_the_model_can_not_spell_are_left_out_and_capitals_are_found(folder, tmp_path):
    asr = load_asr(folder)
    assert sorted(model_lexicon(asr, ["caf\u00e9", "tea"]).spellings) == ["tea"]
    family_folder("wav2vec2", tmp_path)
    vocabulary = json.loads((tmp_path / "asr" / "vocab.json").read_text())
    (tmp_path / "asr" / "vocab.json").write_text(
        json.dumps({k if k[0] == "<" else k.upper(): v for k, v in vocabulary.items()})
    )
    capital = load_asr(tmp_path / "asr")
    assert list(model_lexicon(capital, ["tea"]).spellings) == ["tea"]
    found = search(
        with_decoder(capital, DecoderFiles(BeamSettings(), ARPA)).beam,
        said(capital, "CALL ANNA"),
        lambda tokens: token_text(capital, tokens),
    )
    assert (found[0].text, found[0].unknown) == ("call anna", 0)


def test_phrases_win_where_the_sound_leaves_it_open(folder):
    asr = load_asr(folder)
    log_probs = said(asr, "call hannah", 0.6)
    for phrases, text in (((), "call anna"), (("hannah",), "call hannah")):
        beam = with_decoder(asr, DecoderFiles(BeamSettings(unknown_score=-8.0), ARPA, phrases)).beam
        assert search(beam, log_probs, lambda tokens: token_text(asr, tokens))[0].text == text


CALL_HANNAH = {"de-AT": ("hannah",), "en-GB": ("dua lipa",)}


def test_a_name_is_written_in_clips_of_its_own_locale_alone(folder):
    asr = load_asr(folder)
    spell, log_probs = partial(token_text, asr), said(asr, "call hannah", 0.6)
    beam = with_decoder(asr, DecoderFiles(BeamSettings(unknown_score=-8.0), ARPA, (), CALL_HANNAH)).beam
    written = {
        tag: search(beam.for_locale(tag), log_probs, spell)[0].text for tag in ("de-AT", "en-GB", "fr", "de", "all", "")
    }
    assert written == {**dict.fromkeys(written, "call anna"), "de-AT": "call hannah"}
    everywhere = with_decoder(asr, DecoderFiles(BeamSettings(unknown_score=-8.0), ARPA, ("hannah",), CALL_HANNAH)).beam
    assert {search(everywhere.for_locale(tag), log_probs, spell)[0].text for tag in written} == {"call hannah"}


def test_a_search_of_a_locale_is_one_of_a_single_file_with_its_phrases_and_those_of_all(folder):
    asr, spell = load_asr(folder), partial(token_text, load_asr(folder))
    made = DecoderFiles(BeamSettings(unknown_score=-8.0), ARPA, ("anna", "zoe"), CALL_HANNAH)
    beam = with_decoder(asr, made).beam
    for locale, phrases in {"de-AT": ("anna", "hannah", "zoe"), "fr": ("anna", "zoe")}.items():
        single = with_decoder(asr, DecoderFiles(made.settings, ARPA, phrases)).beam
        assert made.phrases_of(locale) == phrases
        assert beam.for_locale(locale).lexicon == single.lexicon
        for text in ("call hannah", "call zoe", "call anne"):
            log_probs = said(asr, text, 0.6)
            found, alone = (search(each, log_probs, spell)[0] for each in (beam.for_locale(locale), single))
            assert (found.text, found.lm, found.unknown) == (alone.text, alone.lm, alone.unknown)


def test_searches_are_made_when_first_used_and_once_and_have_the_chosen_weights(folder):
    asr = with_decoder(load_asr(folder), DecoderFiles(BeamSettings(), ARPA, (), CALL_HANNAH))
    assert asr.beam.for_locale("fr") is asr.beam
    made = asr.beam.for_locale("de-AT")
    assert made.trie is asr.beam.for_locale("de-AT").trie is not asr.beam.trie
    assert all(made.lexicon.spellings[word] is tokens for word, tokens in asr.beam.lexicon.spellings.items())
    chosen = replace(asr.beam, settings=BeamSettings(lm_weight=0.9)).for_locale("de-AT")
    assert (chosen.settings.lm_weight, chosen.trie) == (0.9, made.trie)


def test_transcripts_depend_on_the_locale_of_a_clip_and_neither_on_order_nor_batch(folder):
    clips = [(f"u{i}", tone_clip(text, i)) for i, text in enumerate(TEXTS)]
    greedy = with_decoder(load_asr(folder), None)
    written = tuple(text for text in best_texts(greedy, [samples for _, samples in clips]) if text)
    asr = with_decoder(greedy, DecoderFiles(BeamSettings(unknown_score=-20.0), ARPA, (), {"de-AT": written}))
    locales = {"u0": "de-AT", "u2": "de-AT", "u3": "en-GB"}

    def texts(chosen, seconds):
        outputs = transcribe(asr, chosen, TranscribeSettings(draws=1, batch_seconds=seconds), None, locales)
        return {output.utterance_id: output.hypotheses for output in outputs}

    at_once = texts(clips, 60.0)
    assert texts(clips[::-1], 60.0) == at_once
    best = best_texts(asr, [samples for _, samples in clips], locales=[locales.get(name, "") for name, _ in clips])
    assert best == [at_once[name][0].text for name, _ in clips]
    one_by_one = {name: texts([(name, samples)], 1.0)[name] for name, samples in clips}
    assert {name: [each.text for each in found] for name, found in one_by_one.items()} == {
        name: [each.text for each in found] for name, found in at_once.items()
    }
    without = {output.utterance_id: output.hypotheses for output in transcribe(asr, clips, TranscribeSettings(draws=1))}
    assert {name for name in at_once if at_once[name] != without[name]} == {"u0", "u2"}


def test_phrases_of_a_locale_need_pairs_of_words_as_soon_as_the_model_is_loaded(folder):
    files = DecoderFiles(
        BeamSettings(), "\\data\\\nngram 1=2\n\n\\1-grams:\n-1.0 a\n-1 </s>\n\\end\\\n", (), CALL_HANNAH
    )
    with pytest.raises(SettingsError, match="order 2 or 3"):
        with_decoder(load_asr(folder), files)


@pytest.mark.parametrize(
    ("name", "content"), [("beam.json", "{"), ("beam.json", '{"width": 0}'), ("lm.arpa", "none"), ("lm.arpa", None)]
)
def test_a_decoder_that_can_not_be_read_is_an_error_that_names_the_model(folder, tmp_path, name, content):
    copy = tmp_path / "asr"
    shutil.copytree(folder, copy)
    (copy / DECODER / name).unlink()
    if content is not None:
        (copy / DECODER / name).write_text(content)
    with pytest.raises(SettingsError, match=r"asr|lm\.arpa") as caught:
        load_asr(copy)
    assert ("beam.json: width: " in str(caught.value)) == (content == '{"width": 0}')
    assert "\n" not in str(caught.value)


def test_words_that_are_too_long_are_left_out_of_the_lexicon(folder):
    words = ["call", "o" * 101, "o" * 200_000]
    asr = load_asr(folder)
    arpa = to_arpa(build_ngrams([(text, 1.0) for text in [*TEXTS, *words]], order=2))
    beam = with_decoder(asr, DecoderFiles(BeamSettings(), arpa, (f"call {'e' * 200_000}",))).beam
    assert "call" in beam.lexicon.spellings
    assert max(map(len, beam.lexicon.spellings)) <= 100
    assert set(model_lexicon(asr, ["o" * 100, "o" * 101]).spellings) == {"o" * 100}


@pytest.mark.parametrize("name", ["beam.json", "lm.arpa", "phrases.txt", "phrases"])
def test_a_pipe_in_the_place_of_a_file_of_a_decoder_is_refused_at_once(folder, tmp_path, name):
    copy = tmp_path / "asr"
    shutil.copytree(folder, copy)
    (copy / DECODER / name).unlink(missing_ok=True)
    os.mkfifo(copy / DECODER / name)
    with pytest.raises(SettingsError, match=r"^speech model asr: .*can't be read"):
        load_asr(copy)


def test_a_language_model_of_which_the_model_can_spell_no_word_is_refused(folder):
    arpa = to_arpa(build_ngrams([("\u6771\u4eac", 1.0)], order=2))
    with pytest.raises(
        SettingsError, match=r"^language model lm\.arpa: the speech model can't spell any of its 1 words"
    ):
        with_decoder(load_asr(folder), DecoderFiles(BeamSettings(), arpa))
    private = to_arpa(build_ngrams([("<unk>", 1.0)], order=2))  # labels of one speaker: nothing to spell yet
    assert with_decoder(load_asr(folder), DecoderFiles(BeamSettings(), private)).beam is not None


def test_a_model_without_frames_takes_no_beam(tmp_path):
    folder = family_folder("moonshine", tmp_path)
    write_decoder(folder, DecoderFiles(BeamSettings(), ARPA))
    with pytest.raises(SettingsError, match=r"asr: it has a decoder, .*remove its folder `decoder`"):
        load_asr(folder)


def test_a_folder_without_a_decoder_has_no_beam(folder, tmp_path):
    assert read_decoder(tmp_path) is None
    greedy = with_decoder(load_asr(folder), None)
    assert (greedy.beam, greedy.decoder) == (None, None)


def test_a_saved_model_keeps_its_decoder(folder, tmp_path):
    asr = load_asr(folder)
    save_asr(asr, tmp_path / "asr")
    assert read_decoder(tmp_path / "asr") == asr.decoder == read_decoder(folder)
    save_asr(with_decoder(asr, DecoderFiles(BeamSettings(), ARPA, ("anna", "ben"))), tmp_path / "asr")
    assert read_decoder(tmp_path / "asr").phrases == ("anna", "ben")
    files = {file.name: file.read_text() for file in (tmp_path / "asr" / DECODER).iterdir()}
    assert sorted(files) == ["beam.json", "lm.arpa", "phrases.txt"]  # as in every version that is stored
    assert files["phrases.txt"] == "anna\nben\n"
    by_locale = DecoderFiles(BeamSettings(), ARPA, ("anna",), {"de-AT": ("hannah",), "zh-Hant": ("\u674e",)})
    save_asr(with_decoder(asr, by_locale), tmp_path / "asr")
    assert read_decoder(tmp_path / "asr") == by_locale
    (tmp_path / "asr" / DECODER / "phrases" / "de-AT.txt").write_text("hanna\n")
    assert read_decoder(tmp_path / "asr").digest() != by_locale.digest()
    save_asr(with_decoder(asr, None), tmp_path / "asr")
    assert not (tmp_path / "asr" / DECODER).exists()


def test_weights_are_chosen_on_enough_clips_and_kept_in_the_files(folder):
    asr = with_decoder(load_asr(folder), DecoderFiles(BeamSettings(lm_weight=3.0, unknown_score=-90.0), ARPA))
    clips = [KnownClip(said(asr, text), text) for text in ("call ann", "call anne") * 10]
    assert with_chosen_weights(asr, clips[:19])[0].decoder.settings == asr.decoder.settings
    chosen, how = with_chosen_weights(asr, clips)
    assert (how.clips, how.errors, how.words) == (20, (0, 0), 40)
    assert chosen.decoder.settings == chosen.beam.settings != asr.decoder.settings
    spell = lambda tokens: token_text(asr, tokens)  # noqa: E731
    assert {search(chosen.beam, frames, spell)[0].text for frames, *_ in clips} == {"call ann", "call anne"}
    assert {search(asr.beam, frames, spell)[0].text for frames, *_ in clips} != {"call ann", "call anne"}

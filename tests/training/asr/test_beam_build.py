from __future__ import annotations

import gzip
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import SettingsError, UsageError
from tests.training.asr.test_language_model import probability
from training.asr.arpa import read_arpa, words_of
from training.asr.beam_build import (
    FILES,
    BeamBuildSettings,
    LabelText,
    build_decoder,
    check_files,
    files_digest,
    read_lines,
    read_words,
    without_private_words,
)
from training.asr.language_model import START
from training.asr.phrases import read_phrases
from training.asr.word_beam import BeamSettings

LOCALES = st.sampled_from(["all", "de-AT", "en-GB", "und"])
LABELS = [
    LabelText("call anna", 1.0, "s1"),
    LabelText("call beatrix", 0.5, "s2"),
    LabelText("play jazz", 1.0, "s2"),
    LabelText("play jazz", 1.0, "s1"),
]


def model_of(decoder):
    return read_arpa(decoder.arpa, "lm.arpa")


def test_words_that_one_speaker_said_stay_out_unless_they_are_known():
    texts = without_private_words(LABELS, 2, {"anna"})
    assert texts == [("call anna", 1.0), ("call <unk>", 0.5), ("play jazz", 1.0), ("play jazz", 1.0)]
    decoder = build_decoder(BeamBuildSettings(), LABELS)
    assert words_of(model_of(decoder)) == ["call", "jazz", "play"]
    assert "beatrix" not in decoder.arpa
    assert "beatrix" in build_decoder(BeamBuildSettings(min_speakers=1), LABELS).arpa
    model = model_of(decoder)
    # it knows that a name follows
    assert probability(model, (START, "call"), "<unk>") > 3 * probability(model, (START, "play"), "<unk>")


def test_all_sources_are_joined_and_their_order_does_not_matter(tmp_path):
    (tmp_path / "words.txt").write_text("volume\t10\nlights\nvolume\t5\n\n")
    (tmp_path / "texts.txt").write_text("Turn it UP!\n\nturn it up\n")
    (tmp_path / "phrases.txt").write_text("Dua Lipa\n")
    settings = BeamBuildSettings(
        words=tmp_path / "words.txt",
        texts=tmp_path / "texts.txt",
        texts_weight=0.5,
        phrases=tmp_path / "phrases.txt",
        order=2,
        lm_weight=0.8,
    )
    decoder = build_decoder(settings, LABELS, ["call Beatrix", "anna"])
    model = model_of(decoder)
    expected = ["anna", "beatrix", "call", "it", "jazz", "lights", "play", "turn", "up", "volume"]
    assert words_of(model) == expected
    assert probability(model, (), "volume") > probability(model, (), "lights") > 0
    assert decoder.phrases == ("dua lipa",)
    assert type(decoder.settings) is BeamSettings
    assert decoder.settings.lm_weight == 0.8
    assert build_decoder(settings, LABELS[::-1], ["anna", "call beatrix"]) == decoder


def test_a_given_language_model_is_taken_in_place_of_the_labels(tmp_path):
    (tmp_path / "lm.arpa").write_text(build_decoder(BeamBuildSettings(), LABELS).arpa)
    given = BeamBuildSettings(lm=tmp_path / "lm.arpa", lm_weight=0.2)
    decoder = build_decoder(given, [LabelText("other words", 1.0, "s1")])
    assert decoder.arpa == (tmp_path / "lm.arpa").read_text()
    assert decoder.settings.lm_weight == 0.2


def test_a_language_model_may_be_compressed_and_a_binary_one_is_named_as_that(tmp_path):
    arpa = build_decoder(BeamBuildSettings(), LABELS).arpa
    (tmp_path / "lm.arpa.gz").write_bytes(gzip.compress(arpa.encode()))
    assert build_decoder(BeamBuildSettings(lm=tmp_path / "lm.arpa.gz"), LABELS).arpa == arpa
    (tmp_path / "cut.gz").write_bytes(gzip.compress(arpa.encode())[:-9])
    (tmp_path / "lm.binary").write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0\xff")
    for name, why in (("cut.gz", "can't be read"), ("lm.binary", "give the ARPA file")):
        with pytest.raises(SettingsError, match=f"{name}: .*{why}"):
            check_files(BeamBuildSettings(lm=tmp_path / name))


@pytest.mark.parametrize("name", ["words", "texts", "phrases"])
def test_each_file_may_be_compressed_and_the_check_reads_what_the_build_reads(tmp_path, name):
    plain, small = tmp_path / "plain.txt", tmp_path / "small.txt.gz"
    plain.write_text("lamp\nstove\n")
    small.write_bytes(gzip.compress(plain.read_bytes()))
    settings = [BeamBuildSettings.model_validate({name: file}) for file in (plain, small)]
    for each in settings:
        check_files(each)
    assert build_decoder(settings[0], LABELS) == build_decoder(settings[1], LABELS)
    assert files_digest(settings[0]) == files_digest(settings[1])


def test_a_line_ends_where_editors_show_its_end(tmp_path):
    file = tmp_path / "file.txt"
    file.write_bytes("lamp\u2028post\r\nsto\x0bve\x85\t3\r\noven\t2\u2029\n".encode())
    with pytest.raises(SettingsError, match=r"file.txt: line 1 is not one word"):
        read_words(file)
    assert read_lines(file) == ["lamp post", "sto ve 3", "oven 2"]
    assert read_phrases(file) == ["lamp post", "oven 2", "sto ve 3"]
    file.write_bytes("lamp\u2028\t3\r\noven\x85\n".encode())
    assert read_words(file) == {"lamp": 3.0, "oven": 0.0}


WRONG = {
    "long": (f"lamp\n{'o' * 101}\n".encode(), "line 2 has a word of more than 100 letters"),
    "utf-16": ("lamp\n".encode("utf-16-le"), "has NUL bytes"),
    "latin-1": (b"\xfcber\n", "can't be read as UTF-8"),
    "cut": (gzip.compress(b"lamp\n" * 100)[:-9], "can't be read as UTF-8"),
    "lm": (b"mmap lm http://kheafield.com/code format", "a binary of KenLM"),
    "pipe": (None, "is not a regular file"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", FILES)
def test_what_the_build_refuses_the_check_refuses_in_the_same_line(tmp_path, name, wrong):
    content, why = WRONG[wrong]
    file = tmp_path / "file.txt"
    if content is None:
        os.mkfifo(file)
    elif (name, wrong) == ("lm", "long"):
        arpa = build_decoder(BeamBuildSettings(), LABELS).arpa.replace("jazz", "o" * 101)
        file.write_text(arpa)
        why = f"line {arpa[: arpa.index('ooo')].count(chr(10)) + 1} has a word of more than 100 letters"
    else:
        file.write_bytes(content)
    settings = BeamBuildSettings.model_validate({name: file})
    said = []
    for read in (check_files, lambda each: build_decoder(each, LABELS)):
        with pytest.raises(SettingsError, match=f"file.txt: {why}") as caught:
            read(settings)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_long_words_of_labels_and_examples_are_unknown_ones(tmp_path):
    word = "o" * 200_000
    labels = [*LABELS, LabelText(f"call {word}", 1.0, "s1"), LabelText(f"call {word}", 1.0, "s2")]
    decoder = build_decoder(BeamBuildSettings(), labels, [f"play {word}"])
    assert word not in decoder.arpa
    assert "play <unk>" in decoder.arpa
    assert words_of(model_of(decoder)) == ["call", "jazz", "play"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("wrong", ["", 5, False, ["lamp"]])
def test_what_is_no_name_of_a_file_is_refused(name, wrong):
    with pytest.raises(ValueError, match="it names no file; give one, or null for none") as caught:
        BeamBuildSettings.model_validate({name: wrong})
    assert [each["loc"] for each in caught.value.errors()] == [(name,)]


def test_the_digest_follows_the_contents_of_the_files_and_the_decoder(tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("anna\n")
    settings = BeamBuildSettings(phrases=file)
    before, decoder = files_digest(settings), build_decoder(settings, LABELS)
    file.write_text("ben\n")
    assert files_digest(settings) != before
    assert build_decoder(settings, LABELS).digest() != decoder.digest()
    assert files_digest(BeamBuildSettings()) == ""
    assert build_decoder(settings, LABELS[:3]).digest() != build_decoder(settings, LABELS).digest()


PHRASES = st.lists(st.text("abc", min_size=1, max_size=4), max_size=4)


@given(phrases=PHRASES)
def test_one_file_of_phrases_and_a_folder_with_it_for_all_are_what_one_file_always_was(tmp_path_factory, phrases):
    folder = tmp_path_factory.mktemp("phrases")
    file = folder / "all.txt"
    file.write_text("".join(f"{phrase}\n" for phrase in phrases))
    one, all_alone = (build_decoder(BeamBuildSettings(phrases=place), LABELS) for place in (file, folder))
    assert one == all_alone
    assert one.phrases == tuple(sorted(set(phrases)))
    # versions that are stored have these digests
    assert one.digest() == hashlib.sha256("\0".join([one.arpa, *one.phrases]).encode()).hexdigest()
    inner = hashlib.sha256(file.read_bytes()).hexdigest()
    expected = hashlib.sha256(f"phrases\0{inner}\n".encode()).hexdigest()
    assert files_digest(BeamBuildSettings(phrases=file)) == expected


@given(one=st.dictionaries(LOCALES, PHRASES, min_size=1), other=st.dictionaries(LOCALES, PHRASES, min_size=1))
def test_other_phrases_of_a_locale_give_another_digest_of_the_files_and_of_the_decoder(tmp_path_factory, one, other):
    made = []
    for lists in (one, other):
        folder = tmp_path_factory.mktemp("phrases")
        for locale, phrases in lists.items():
            (folder / f"{locale}.txt").write_text("".join(f"{phrase}\n" for phrase in phrases))
        settings = BeamBuildSettings(phrases=folder)
        made.append((files_digest(settings), build_decoder(settings, LABELS)))
    assert (made[0][0] == made[1][0]) == (one == other)
    assert (made[0][1].digest() == made[1][1].digest()) == (made[0][1] == made[1][1])
    said = [{locale: set(phrases) for locale, phrases in lists.items() if phrases} for lists in (one, other)]
    assert (made[0][1] == made[1][1]) == (said[0] == said[1])


def test_word_lists_are_read_with_and_without_frequencies(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("The\t100\nlights\nthe\t2.5\n")
    assert read_words(file) == {"the": 102.5, "lights": 0.0}


def test_words_and_commands_that_come_with_earmark_stand_beside_labels_and_count_as_files(tmp_path):
    settings = BeamBuildSettings.model_validate({"words": "english", "texts": "english", "min_speakers": 1})
    words = set(words_of(read_arpa(build_decoder(settings, LABELS).arpa, "lm.arpa")))
    assert {"alarm", "weather", "although"} | {word for label in LABELS for word in label.text.split()} <= words
    alone = [settings.model_copy(update={name: None}) for name in ("words", "texts")]
    assert len({files_digest(each) for each in (settings, *alone, BeamBuildSettings())}) == 4
    named = tmp_path / "english"
    named.write_text("lamp\n")
    assert read_words(named) == {"lamp": 0.0}


def test_a_file_of_ones_own_named_english_stays_one_when_settings_are_written_and_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "english").write_text("lamp\n")
    settings = BeamBuildSettings.model_validate({"words": "./english", "texts": "english"})
    again = BeamBuildSettings.model_validate(settings.model_dump(mode="json"))
    assert again == settings
    assert again.texts == "english"
    assert again.words is not None
    assert read_words(again.words) == {"lamp": 0.0}


@pytest.mark.parametrize("line", ["two words", "the\tmany", "the\t-1", "the\tinf", "the\tnan"])
def test_a_line_of_another_form_is_named(tmp_path, line):
    file = tmp_path / "words.txt"
    file.write_text(f"fine\n{line}\n")
    with pytest.raises(SettingsError, match=r"words\.txt: line 2"):
        read_words(file)


@pytest.mark.parametrize("name", ["lm", "words", "texts", "phrases"])
def test_a_missing_file_is_named(tmp_path, name):
    settings = BeamBuildSettings(**{name: tmp_path / "gone.txt"})
    with pytest.raises(SettingsError, match=r"gone\.txt"):
        build_decoder(settings, LABELS)


def test_nothing_gives_no_decoder():
    with pytest.raises(UsageError):
        build_decoder(BeamBuildSettings(), [])

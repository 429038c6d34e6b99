from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import SettingsError
from tests.training.asr.test_language_model import probability
from training.asr.arpa import COMMON, FOLLOWS, read_arpa, to_arpa, with_normal_words, with_phrases, words_of
from training.asr.language_model import START, build_ngrams

TEXTS = ["play the song", "play the news", "stop the song", "play jazz"]


@pytest.fixture
def model():
    return build_ngrams([(text, 1.0) for text in TEXTS], {"volume": 1.0})


def test_an_arpa_file_is_read_as_it_was_written(model):
    text = to_arpa(model)
    again = read_arpa(text, "lm.arpa")
    assert to_arpa(again) == text
    assert words_of(again) == ["jazz", "news", "play", "song", "stop", "the", "volume"]
    for history in ((), (START,), ("play",), (START, "play"), ("the", "volume")):
        for word in model.vocabulary:
            assert probability(again, history, word) == pytest.approx(probability(model, history, word), rel=1e-5)


def test_kenlm_reads_the_file_and_gives_the_same_probabilities(model, tmp_path):
    pytest.importorskip("flashlight.lib.text.decoder.kenlm")
    from training.asr.word_beam import BeamSettings, Lexicon, make_beam

    file = tmp_path / "lm.arpa"
    file.write_text(to_arpa(model))
    words = words_of(model)
    beam = make_beam(Lexicon(dict.fromkeys(words, (1,)), 0, 2, (), 3), file, BeamSettings())
    state, history, expected, total = beam.lm.start(False), (START,), 0.0, 0.0
    for word in ("play", "the", "volume", "jazz"):
        state, score = beam.lm.score(state, beam.dictionary.get_index(word))
        total += score
        expected += math.log10(probability(model, history[-2:], word))
        history = (*history, word)
    assert total == pytest.approx(expected, abs=1e-4)


FOREIGN = """

\\data\\
ngram  1 = 5
ngram 2=3
ngram 3=1

\\1-grams:
-99 <s> -0.3
-1.2\t</s>
-1\t<unk>
-0.5\tgo\t0.2
-0.6\ton\t-0.1

\\2-grams:
-0.1\t<s> go\t-0.2
-0.2\tgo on
-0.3\ton </s>

\\3-grams:
-0.05\t<s> go on

\\end\\
"""
"""As other tools write them: with blanks, a header, spaces for tabs, and back-off weights where there are some."""


@pytest.mark.parametrize("change", [("", ""), ("\n", "\r\n"), ("\t", " "), ("\n\n\\", "\nwritten by hand\n\\", 1)])
def test_files_of_other_tools_are_read(change):
    found = read_arpa("\ufeff" * (change[0] == "") + FOREIGN.replace(*change), "lm.arpa")
    assert found.vocabulary == ("</s>", "<unk>", "go", "on")
    assert found.backoffs == pytest.approx({("<s>",): 10**-0.3, ("go",): 10**0.2, ("on",): 10**-0.1, **GO})
    assert found.probs[2] == pytest.approx({("<s>", "go", "on"): 10**-0.05})


GO = {("<s>", "go"): 10**-0.2}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("-0.5\tgo", "0.5\tgo"), "line 12 is not one of the 1-grams"),
        (("-0.5\tgo", "nan\tgo"), "line 12 is not one of the 1-grams"),
        (("-0.5\tgo", "inf\tgo"), "line 12 is not one of the 1-grams"),
        (("-0.5\tgo", "x\tgo"), "line 12 is not one of the 1-grams"),
        (("-0.5\tgo\t0.2", "-0.5"), "line 12 is not one of the 1-grams"),
        (("-0.5\tgo\t0.2", "-0.5 go 0.2 0.3"), "line 12 is not one of the 1-grams"),
        (("go\t0.2", "go\tnan"), "line 12 is not one of the 1-grams"),
        (("go\t0.2", "go\t400"), "line 12 is not one of the 1-grams"),
        (("-0.6\ton\t-0.1\n", ""), "line 14 comes before the last of the 1-grams"),
        (("1 = 5", "1=4"), r"line 13 is not \\2-grams:"),
        (("-0.6\ton", "-0.6\tgo"), "line 13 has one of the 1-grams for the second time"),
        (("go on\n", "go ghost\n"), "line 17 has words that are not among the 1-grams"),
        (("<s> go on", "on go on"), "line 21 has words that are not among the 1-grams or 2-grams"),
        (("\\2-grams", "\\9-grams"), r"line 15 is not \\2-grams:"),
        (("ngram 2=3\n", ""), "line 5 is not the number of 2-grams"),
        (("\\data\\\n", ""), r"line 23 is the last one, and \\data\\ did not come"),
        (("\\end\\", ""), r"line 24 is not \\end\\"),
        (("\\end\\", "\\end\\\n-1 go"), "line 23 ends the file, and more comes after it"),
        (("</s>", "end"), "line 23 ends a file without </s>"),
        ((FOREIGN, ""), "line 1 is the last one"),
        (("ngram 2=3\nngram 3=1\n", ""), "n-grams of 1 lengths, before line 6; the search needs pairs of words"),
    ],
)
def test_a_file_that_is_cut_or_contradicts_itself_is_refused_with_its_line(change, where):
    text = FOREIGN.replace(*change)
    assert text != FOREIGN
    with pytest.raises(SettingsError, match=rf"language model lm\.arpa.* {where}") as caught:
        read_arpa(text, "lm.arpa")
    assert "\n" not in str(caught.value)
    assert "ghost" not in str(caught.value)  # words of a person's file are no part of a message


WORDS = st.lists(st.text("ab'\u00fc", min_size=1, max_size=3), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=4), order=st.integers(2, 3), data=st.data())
def test_what_is_written_and_cut_anywhere_is_refused_or_is_the_whole(texts, order, data):
    text = to_arpa(build_ngrams([(each, 1.0) for each in texts], order=order))
    whole = read_arpa(text, "lm.arpa")
    assert to_arpa(whole) == text
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    if cut == text[:-1]:
        assert read_arpa(cut, "lm.arpa") == whole
    else:
        with pytest.raises(SettingsError, match=r"lm\.arpa"):
            read_arpa(cut, "lm.arpa")


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=4), data=st.data())
def test_a_lost_or_doubled_line_is_refused(texts, data):
    lines = to_arpa(build_ngrams([(each, 1.0) for each in texts])).splitlines()
    place = data.draw(st.sampled_from([place for place, line in enumerate(lines) if line]))
    for wrong in ([*lines[:place], *lines[place + 1 :]], [*lines[:place], lines[place], *lines[place:]]):
        if wrong == [lines[0], *lines]:
            continue  # what stands before the counts is skipped, and a second beginning says nothing new
        with pytest.raises(SettingsError, match=r"lm\.arpa"):
            read_arpa("\n".join(wrong), "lm.arpa")


def test_ends_of_long_ngrams_that_were_pruned_are_written_with_the_probability_that_they_had():
    pruned = FOREIGN.replace("-0.2\tgo on\n", "").replace("2=3", "2=2")
    found = read_arpa(pruned, "lm.arpa")
    assert found.probs[1][("go", "on")] == pytest.approx(10 ** (0.2 - 0.6))
    assert read_arpa(to_arpa(found), "lm.arpa").probs[1] == pytest.approx(found.probs[1], rel=1e-6)


def test_a_word_that_is_too_long_is_refused_where_a_person_gives_the_file():
    assert "o" * 101 in words_of(read_arpa(FOREIGN.replace("on", "o" * 101), "lm.arpa"))
    assert "o" * 100 in words_of(read_arpa(FOREIGN.replace("on", "o" * 100), "lm.arpa", limited=True))
    with pytest.raises(SettingsError, match=r"language model lm\.arpa: line 13 has a word of more than 100 letters"):
        read_arpa(FOREIGN.replace("on", "o" * 101), "lm.arpa", limited=True)


def test_words_of_a_foreign_file_get_their_normal_form():
    rows = [
        "\\data\\",
        "ngram 1=7",
        "ngram 2=3",
        "\\1-grams:",
        "-1.0 <UNK>",
        "-99 <s> -0.3",
        "-1.2 </s>",
        "-0.5 PLAY -0.2",
        "-1.5 Play",
        "-2 --",
    ]
    rows += ["-2.5 e-mail", "\\2-grams:", "-0.1 <s> PLAY", "-0.7 PLAY --", "-0.9 PLAY </s>", "\\end\\"]
    normal = with_normal_words(read_arpa("\n".join(rows), "lm.arpa"), "lm.arpa")
    assert words_of(normal) == ["play"]
    assert normal.probs[0] == pytest.approx({("<unk>",): 0.1, ("</s>",): 10**-1.2, ("play",): 10**-0.5})
    assert normal.probs[1] == pytest.approx({("<s>", "play"): 10**-0.1, ("play", "</s>"): 10**-0.9})
    assert normal.backoffs == pytest.approx({("<s>",): 10**-0.3, ("play",): 10**-0.2})
    signs = read_arpa(FOREIGN.replace("go", "--").replace("on", "++"), "lm.arpa")
    with pytest.raises(SettingsError, match=r"language model lm\.arpa has no word"):
        with_normal_words(signs, "lm.arpa")


def test_phrases_become_likelier_and_common_words_do_not(model):
    boosted = with_phrases(model, ["dua lipa", "the volume", "stop"], 6.0)
    assert {"dua", "lipa"} <= set(words_of(boosted))
    assert probability(boosted, ("play",), "dua") > 3 * probability(model, ("play",), "<unk>")
    assert probability(boosted, ("dua",), "lipa") == FOLLOWS
    assert probability(model, (), "the") > max(COMMON, 1 / len(model.vocabulary))
    assert probability(boosted, (), "the") == probability(model, (), "the")
    assert probability(boosted, ("the",), "volume") == pytest.approx(FOLLOWS / 10)
    assert probability(boosted, (), "jazz") == probability(model, (), "jazz")
    for level in boosted.probs:
        assert max(level.values()) <= 1.0
    assert with_phrases(model, [], 6.0) == model
    assert with_phrases(model, ["dua lipa"], 1e9) == with_phrases(model, ["dua lipa"], 700.0)

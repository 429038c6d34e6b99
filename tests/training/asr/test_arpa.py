from __future__ import annotations

import math

import pytest

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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no model",
        "\\1-grams:\n-1.0\n",
        "\\1-grams:\nx\ta\n",
        "\\1-grams:\n\\end\\\n",
        "\\1-grams:\nnan\ta\n",
        "\\1-grams:\ninf\ta\n",
    ],
)
def test_a_file_of_another_form_is_refused(text):
    with pytest.raises(SettingsError, match=r"lm\.arpa"):
        read_arpa(text, "lm.arpa")


def test_words_of_a_foreign_file_get_their_normal_form():
    rows = ["\\data\\", "\\1-grams:", "-1.0 <UNK>", "-99 <s> -0.3", "-1.2 </s>", "-0.5 PLAY -0.2", "-1.5 Play", "-2 --"]
    rows += ["-2.5 e-mail", "\\2-grams:", "-0.1 <s> PLAY", "-0.7 PLAY --", "-0.9 PLAY </s>", "\\end\\"]
    given = with_normal_words(read_arpa("\n".join(rows), "lm.arpa"))
    assert words_of(given) == ["play"]
    assert given.probs[0] == pytest.approx({("<unk>",): 0.1, ("</s>",): 10**-1.2, ("play",): 10**-0.5})
    assert given.probs[1] == pytest.approx({("<s>", "play"): 10**-0.1, ("play", "</s>"): 10**-0.9})
    assert given.backoffs == pytest.approx({("<s>",): 10**-0.3, ("play",): 10**-0.2})
    with pytest.raises(SettingsError, match="no word"):
        with_normal_words(read_arpa("\\1-grams:\n-1.0 --\n", "lm.arpa"))


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
    with pytest.raises(SettingsError, match="pairs of words"):
        with_phrases(read_arpa("\\1-grams:\n-1.0 a\n", "lm.arpa"), ["dua lipa"], 6.0)

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import SettingsError
from training.asr.arpa import to_arpa
from training.asr.language_model import build_ngrams
from training.asr.posterior import collapse
from training.asr.word_beam import BeamSettings, BeamText, Lexicon, acoustic_scores, best_paths, make_beam, rank, search

pytest.importorskip("flashlight.lib.text")

BLANK, GAP = 0, 1
LETTERS = "_|abcest"
"""Symbols of a model that has a token between words."""

PIECES = ("_", "\u2581s", "\u2581b", "e", "at", "t")
"""Symbols of a model whose words begin with pieces of their own."""


def spell(tokens):
    return " ".join("".join(LETTERS[token] for token in tokens).replace("|", " ").split())


def spell_pieces(tokens):
    return " ".join("".join(PIECES[token] for token in tokens).replace("\u2581", " ").split())


def letters(*words, unknown=True):
    spellings = {word: tuple(LETTERS.index(letter) for letter in word) for word in words}
    return Lexicon(spellings, BLANK, GAP, tuple(range(2, len(LETTERS))) if unknown else (), len(LETTERS))


def posterior(path, symbols=LETTERS, sure=0.9, others=()):
    """Return the (T, V) log posterior of a path with `_` for blanks; `others` are (frame, symbol, probability)."""
    probs = np.full((len(path), len(symbols)), (1 - sure) / (len(symbols) - 1))
    for frame, symbol in enumerate(path):
        probs[frame, symbols.index(symbol)] = sure
    for frame, symbol, probability in others:
        probs[frame] *= (1 - probability) / (1 - probs[frame, symbols.index(symbol)])
        probs[frame, symbols.index(symbol)] = probability
    return np.log(probs).astype(np.float32)


def beam_of(lexicon, texts=(), tmp_path=None, **how):
    if not texts:
        return make_beam(lexicon, None, BeamSettings(**how))
    model = build_ngrams([(text, 1.0) for text in texts], dict.fromkeys(lexicon.spellings, 0.0))
    (tmp_path / "lm.arpa").write_text(to_arpa(model))
    return make_beam(lexicon, tmp_path / "lm.arpa", BeamSettings(**how))


# --- what is found ----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_without_a_language_model_the_best_path_within_the_lexicon_is_found(seed, frames):
    """The path is compared with all paths whose words are in the lexicon."""
    lexicon = letters("a", "be", "see", "cat", unknown=False)
    logits = 2.0 * np.random.default_rng(seed).standard_normal((frames, len(LETTERS)))
    log_probs = (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)

    def score(path):
        return float(log_probs[np.arange(frames), path].sum())

    def known(path):
        return set(spell(collapse(np.array(path), BLANK)).split()) <= lexicon.spellings.keys()

    best = max(score(path) for path in itertools.product(range(len(LETTERS)), repeat=frames) if known(path))
    found = best_paths(beam_of(lexicon, width=5000), log_probs)[0]
    assert known(found)
    assert score(found) == pytest.approx(best, abs=1e-4)


def test_a_letter_that_the_model_mistook_is_put_right_by_the_lexicon():
    log_probs = posterior("_c_a_b_", others=[(5, "t", 0.2)])
    assert search(beam_of(letters("cat", "bee")), log_probs, spell)[0].text == "cat"


def test_the_language_model_decides_between_words_that_sound_alike(tmp_path):
    log_probs = posterior("a_|_c_a_t_", others=[(4, "b", 0.4), (4, "c", 0.5)])
    cats, bats = ["a cat", "a cat", "a cat", "see"], ["a bat", "a bat", "a bat", "see"]
    lexicon = letters("a", "cat", "bat", "see")
    assert search(beam_of(lexicon, cats, tmp_path, lm_weight=1.0), log_probs, spell)[0].text == "a cat"
    assert search(beam_of(lexicon, bats, tmp_path, lm_weight=1.0), log_probs, spell)[0].text == "a bat"
    assert search(beam_of(lexicon, bats, tmp_path, lm_weight=0.0), log_probs, spell)[0].text == "a cat"


def test_a_name_that_is_not_in_the_lexicon_is_written_amid_words_that_are_put_right(tmp_path):
    log_probs = posterior("c_a_b_|_s_t_a_b_e_|_a_t_", sure=0.97, others=[(4, "t", 0.3)])
    beam = beam_of(letters("cat", "at", "bee", "tea"), ["cat at", "at bee", "cat tea"], tmp_path)
    found = search(beam, log_probs, spell)[0]
    assert (found.text, found.unknown, found.words) == ("cat stabe at", 1, 3)


def test_an_unknown_word_costs_its_price(tmp_path):
    log_probs = posterior("_c_a_b_", others=[(5, "t", 0.1)])
    lexicon = letters("cat", "bee")
    assert search(beam_of(lexicon, unknown_score=-6.0), log_probs, spell)[0].text == "cat"
    assert search(beam_of(lexicon, unknown_score=-0.5), log_probs, spell)[0].text == "cab"


def test_double_letters_need_a_blank_between():
    beam = beam_of(letters("se", "see"))
    assert search(beam, posterior("_s_ee_"), spell)[0].text == "se"
    assert search(beam, posterior("_s_e_e_"), spell)[0].text == "see"


@pytest.mark.parametrize("path", [("\u2581s", "e", "e", "e"), ("\u2581s", "\u2581s", "_", "e", "e"), ("\u2581s", "e")])
def test_words_of_pieces_end_with_a_token_of_any_length(path):
    spellings = {"se": (1, 3), "bat": (2, 4), "see": (1, 3, 3)}
    beam = make_beam(Lexicon(spellings, BLANK, None, (1, 2, 3, 4, 5), len(PIECES)), None, BeamSettings())
    log_probs = posterior(path, list(PIECES))
    found = search(beam, log_probs, spell_pieces)[0]
    assert found.text == "se"
    assert collapse(found.path, BLANK) == (1, 3)
    both = posterior([*path, "_", "\u2581b", "at"], list(PIECES))
    assert search(beam, both, spell_pieces)[0].text == "se bat"


def test_silence_is_an_empty_text(tmp_path):
    beam = beam_of(letters("cat"), ["cat cat"], tmp_path)
    assert search(beam, posterior("______"), spell)[0].text == ""
    assert search(beam, posterior("_"), spell)[0].text == ""


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_exact_and_weights_are_their_softmax(tmp_path):
    log_probs = posterior("c_a_b_|_s_e_e_", sure=0.6)
    texts = ["cat see", "see cat", "bee cat", "cat see bee"]
    beam = beam_of(letters("cat", "see", "bee", "tea"), texts, tmp_path, lm_weight=0.7, word_score=0.3)
    found = search(beam, log_probs, spell)
    assert len(found) > 3
    assert len({each.text for each in found}) == len(found)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert sum(each.weight for each in found) == pytest.approx(1.0)
    for each in found:
        tokens = collapse(each.path, BLANK)
        assert each.path.shape == (len(log_probs),)
        assert spell(tokens) == each.text
        assert each.acoustic == pytest.approx(float(acoustic_scores(log_probs, [tokens], BLANK)[0]))
        assert each.score == pytest.approx(each.acoustic + 0.7 * each.lm + 0.3 * each.words - 4.0 * each.unknown)
        assert each.weight / found[0].weight == pytest.approx(np.exp(each.score - found[0].score))


def test_the_score_of_tokens_is_the_sum_over_their_paths():
    logits = np.random.default_rng(3).standard_normal((4, 3))
    log_probs = (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)
    exact: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(3), repeat=4):
        tokens = collapse(np.array(path), BLANK)
        exact[tokens] = exact.get(tokens, 0.0) + float(np.exp(sum(log_probs[t, s] for t, s in enumerate(path))))
    sequences = list(exact)
    assert np.exp(acoustic_scores(log_probs, sequences, BLANK)) == pytest.approx([exact[s] for s in sequences])
    assert acoustic_scores(log_probs, [(1, 1, 1, 1)], BLANK)[0] == -np.inf


def test_other_weights_rank_an_n_best_list_anew():
    path = np.zeros(1, dtype=np.intp)
    known = BeamText("a cat", path, -5.0, -2.0, 2, 0, 0.0, 0.0)
    short = BeamText("acat", path, -3.0, -9.0, 1, 1, 0.0, 0.0)
    assert rank([known, short], BeamSettings(lm_weight=1.0))[0].text == "a cat"
    assert rank([known, short], BeamSettings(lm_weight=0.0, unknown_score=-1.0))[0].text == "acat"
    assert rank([known, short], BeamSettings(lm_weight=0.0, unknown_score=-1.0, word_score=2.0))[0].text == "a cat"
    assert [each.text for each in rank([known, short], BeamSettings(hypotheses=1))] == ["a cat"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_language_model_is_refused(tmp_path):
    (tmp_path / "lm.arpa").write_text("this is no language model\n")
    with pytest.raises(SettingsError, match=r"^language model lm\.arpa can't be read; give another ARPA file$"):
        make_beam(letters("cat"), tmp_path / "lm.arpa", BeamSettings())


def test_reading_a_language_model_prints_nothing(tmp_path, capfd):
    beam_of(letters("cat"), ["cat"], tmp_path)
    assert capfd.readouterr() == ("", "")


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    with pytest.raises(SettingsError, match=r"pip install 'earmark\[beam\]'"):
        make_beam(letters("cat"), None, BeamSettings())


def test_a_beam_is_the_same_twice(tmp_path):
    logits = 1.5 * np.random.default_rng(5).standard_normal((20, len(LETTERS)))
    log_probs = (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)
    texts = ["cat see", "see cat", "bee cat"]
    first, second = (
        [
            (each.text, each.score)
            for each in search(beam_of(letters("cat", "see", "bee"), texts, tmp_path), log_probs, spell)
        ]
        for _ in range(2)
    )
    assert first == second

"""Silence has no words and loops are cut, while what people say stays as it is."""

from __future__ import annotations

import pytest

from training.asr.seq2seq_checks import compression_ratio, is_silent, without_loop


def cut(text: str, seconds: float, ended: bool = True) -> str:
    """The text after the check; its words are the tokens, or its letters where it has no spaces."""
    gap = " " if " " in text else ""
    pieces = text.split() if gap else list(text)
    names = dict(enumerate(dict.fromkeys(pieces)))
    numbers = {name: number for number, name in names.items()}

    def spelled(tokens):
        return gap.join(names[token] for token in tokens)

    return spelled(without_loop([numbers[piece] for piece in pieces], seconds, spelled, ended))


@pytest.mark.parametrize(
    ("text", "seconds", "kept"),
    [
        (f"play {'music ' * 40}", 10.0, "play music"),
        (f"turn {'the lights off and ' * 20}", 10.0, "turn the lights off and"),
        (f"{'a b c d e f g ' * 9}and more", 30.0, "a b c d e f g"),
        ("8 8 8 8", 0.4, "8"),
        ("one 8 8 8 8 8", 0.6, "one 8"),
        ("thank you thank you thank you thank you", 0.9, "thank you"),
        (f"{'no ' * 30}{'yes ' * 20}", 10.0, "no"),
        ("okay Stop... stop! STOP stop. stop", 0.5, "okay Stop..."),
        ("stop stop scout stop come stop please stop", 0.55, "stop stop scout stop"),
        ("bye by my bye hurts by bye by bye bye", 0.1, "bye by my"),
        ("\u3042\u3044\u3046\u3048\u304a" * 20, 10.0, "\u3042\u3044\u3046\u3048\u304a"),
    ],
)
def test_a_loop_is_said_once_and_what_follows_is_left_out(text, seconds, kept):
    assert cut(text, seconds) == kept


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 1.0),
        ("no no no no", 1.0),
        ("call zero zero zero zero seven", 2.0),
        ("seven seven seven seven seven seven", 2.0),
        ("row row row your boat gently down the stream merrily merrily merrily merrily life is but a dream", 8.0),
        ("play the song again and again and again", 2.0),
        ("no no", 0.1),
        ("stop now and please play some other music", 0.55),
    ],
)
def test_what_people_repeat_stays(text, seconds):
    assert cut(text, seconds) == text


def test_a_text_that_was_stopped_while_it_repeated_itself_is_a_loop():
    assert cut("call zero zero zero", 4.0) == "call zero zero zero"
    assert cut("call zero zero zero", 4.0, ended=False) == "call zero"
    assert cut("aaaaaaaa", 0.3, ended=False) == "a"
    assert cut("zero zero zero seven one", 4.0, ended=False) == "zero zero zero seven one"


def test_a_loop_with_changes_keeps_a_beginning_that_is_like_other_texts():
    text = " ".join(f"so i said to him that i would do it {word} time" for word in "abcdefghijklmnop")
    kept = cut(text, 60.0)
    assert compression_ratio(text) > 2.4
    assert 2.0 < compression_ratio(kept) <= 2.4
    assert text.startswith(kept)


def test_silence_needs_the_models_word_for_it_and_a_text_that_is_improbable_or_one_of_silence():
    assert is_silent(0.7, -1.2, 9.0)
    assert is_silent(0.7, -0.3, 0.1)
    assert not is_silent(0.7, -0.9, 2.0)
    assert not is_silent(0.5, -3.0, 0.0)
    assert not is_silent(0.0, -9.0, -9.0)

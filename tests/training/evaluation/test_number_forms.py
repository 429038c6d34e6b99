"""Numbers in digits and in words agree where errors are counted, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.text import normalise
from tests.training.evaluation.test_report import asr_report
from training.evaluation.number_forms import digits_apart, in_number_form
from training.evaluation.rates import difference, figure, figures, names_of
from training.evaluation.report import with_numbers

WORDS = """
a and point oh o zero one two nine ten twelve nineteen twenty ninety hundred thousand million billion first second third
twelfth twentieth hundredth nineties th st s 0 00 1 2 7 05 12 20 21 100 999 1000 1st 2nd 22nd 20th 100th 90s 1990s 12oz
8am 1234567890 mp3 3d ounce play cafe\u0301 \u0661
"""
SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
LARGE = "eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("12 ounce", "twelve ounce"),
        ("21", "twenty-one"),
        ("100 songs", "a hundred songs"),
        ("1,000", "one thousand"),
        ("1,250", "twelve hundred and fifty"),
        ("125301", "one hundred and twenty-five thousand three hundred and one"),
        ("2.5 million", "two point five million"),
        ("1990", "nineteen ninety"),
        ("2001", "two thousand and one"),
        ("1905", "nineteen oh five"),
        ("8:05", "eight oh five"),
        ("at 7:30", "at seven thirty"),
        ("3.05", "three point oh five"),
        ("112-911", "one one two nine one one"),
        ("the 1st", "the first"),
        ("the 21st", "the twenty first"),
        ("the 112th", "the one hundred twelfth"),
        ("20 second timer", "twenty second timer"),
        ("the 22nd", "the twenty second"),
        ("30th street", "thirtieth street"),
        ("1990s", "nineteen nineties"),
        ("12oz", "twelve oz"),
        ("8am", "eight am"),
        ("5 thousand", "5000"),
    ],
)
def test_what_is_written_in_digits_agrees_with_what_is_said(written: str, spoken: str):
    assert in_number_form(written, "earmark") == in_number_form(spoken, "earmark")


@pytest.mark.parametrize(
    ("one", "other"),
    [("20", "twelve"), ("twenty one", "twenty"), ("one and two", "one two"), ("the first", "the 1"), ("point", "")],
)
def test_other_numbers_and_words_still_differ(one: str, other: str):
    assert in_number_form(one, "earmark") != in_number_form(other, "earmark")


@pytest.mark.parametrize("text", ["turn on the light", "mp3 player", "go on and on", "a point of view", "oh no", ""])
def test_a_text_without_numbers_is_as_it_was(text: str):
    assert in_number_form(text, "earmark") == normalise(text)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join) | st.text(max_size=20))
@example("one o o 5 hundred and and 2 million thousand")
@example("0\u00b40")
def test_applying_it_again_changes_nothing(text: str):
    once = in_number_form(text, "earmark")
    assert in_number_form(once, "earmark") == once
    assert normalise(once) == once


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9 - 1))
def test_every_number_said_in_full_is_its_digits(number: int):
    assert digits_apart(said(number)) == list(str(number))


def said(number: int) -> str:
    """The number in English words, without `and`."""
    small, tens = f"{SMALL} {LARGE}".split(), TENS.split()
    if number < 20:
        return small[number]
    if number < 100:
        return tens[number // 10 - 2] + (f" {small[number % 10]}" if number % 10 else "")
    size, word = next(p for p in ((10**6, "million"), (1000, "thousand"), (100, "hundred")) if number >= p[0])
    return f"{said(number // size)} {word}" + (f" {said(number % size)}" if number % size else "")


def test_another_language_is_counted_in_its_plain_form():
    assert in_number_form("die one 12", "earmark", "de-DE") == "die one 12"
    assert in_number_form("die one 12", "earmark", "en-GB") == "die 1 1 2"
    assert in_number_form("die one 12", "earmark", "") == "die 1 1 2"


def test_the_form_of_transformers_is_there_by_setting():
    assert in_number_form("twelve ounces, please", "whisper") == in_number_form("12 ounces please", "whisper")
    assert in_number_form("the colour", "whisper") == "the colour"  # without its list of spellings


def test_a_report_has_the_error_rate_under_both_forms_and_the_plain_one_stays():
    references, hypotheses = ["twelve ounce", "play jazz"], ["12 ounce", "play chess"]
    plain = asr_report(references, hypotheses)
    assert "wer_numbers" not in names_of(plain)
    assert figure(plain, "wer_numbers") is None
    texts = [dict(zip(plain.utterance_ids.tolist(), each, strict=True)) for each in (references, hypotheses)]
    report = with_numbers(plain, *texts, "earmark", {})
    assert report.numbers == "earmark-2+numbers-en"
    assert report.errors.tolist() == plain.errors.tolist() == [1, 1]
    assert (report.number_errors.tolist(), report.number_words.tolist()) == ([0, 1], [3, 2])
    found = figures(report)
    assert (found["wer"].value, found["wer_numbers"].value) == (0.5, 0.2)
    paired = difference(report, report, "wer_numbers")
    assert paired is not None
    assert paired.value == 0
    assert difference(report, with_numbers(plain, *texts, "whisper", {}), "wer_numbers") is None
    german = with_numbers(plain, *texts, "earmark", dict.fromkeys(plain.utterance_ids.tolist(), "de-DE"))
    assert german.number_errors.tolist() == [1, 1]

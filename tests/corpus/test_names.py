# ruff: noqa: RUF001
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.names import clean_name, name_key

# Spaces, invisible characters, Hangul parts, marks, and letters that change when they are folded or composed.
TRICKY = "aAé \t\u00a0\u3000\u2028\u200b\u00ad\ufeff\u3164\uffa0\u1100\u1161\u11a8\u0301\u0345\u0323ıİſßẞΣςᾳ\u1e9bﬃ①¨Å"
names = st.one_of(st.text(max_size=30), st.text(alphabet=TRICKY, max_size=20))
ALL_OF_UNICODE = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
SPACES = [char for char in ALL_OF_UNICODE if char.isspace()]


@pytest.mark.parametrize(
    ("raw", "clean", "key", "folded"),
    [
        ("Order Coffee", "Order Coffee", "Order Coffee", "order coffee"),
        (" order\u00a0\u3000 coffee\n", "order coffee", "order coffee", "order coffee"),
        ("cafe\u0301", "caf\u00e9", "caf\u00e9", "caf\u00e9"),
        ("or\u00adder\u200b\ufeff", "order", "order", "order"),
        ("ＯＲＤＥＲ", "ＯＲＤＥＲ", "ORDER", "order"),
        ("STRASSE", "STRASSE", "STRASSE", "strasse"),
        ("stra\u00dfe", "stra\u00dfe", "stra\u00dfe", "strasse"),
        ("\u00a8", "\u00a8", "\u0308", "\u0308"),
        ("\u3164\u200b \t", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_clean_names_and_what_is_compared(raw: str, clean: str, key: str, folded: str) -> None:
    assert clean_name(raw) == clean
    assert name_key(raw) == key
    assert name_key(raw, fold_case=True) == folded


@given(names)
@settings(max_examples=500, deadline=None)
def test_a_clean_name_is_stable_composed_and_has_single_spaces(name: str) -> None:
    clean = clean_name(name)
    assert clean_name(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == " ".join(clean.split())


@given(names, st.booleans())
@settings(max_examples=500, deadline=None)
def test_the_key_of_a_key_is_the_key_and_that_of_a_clean_name_is_the_names(name: str, fold_case: bool) -> None:
    key = name_key(name, fold_case)
    assert name_key(key, fold_case) == key
    assert name_key(clean_name(name), fold_case) == key
    assert clean_name(key) == key
    assert unicodedata.is_normalized("NFKC", key)


@given(names)
@settings(max_examples=300, deadline=None)
def test_two_names_with_one_key_have_one_key_without_case_and_case_matters_only_then(name: str) -> None:
    folded = name_key(name, fold_case=True)
    assert name_key(name_key(name), fold_case=True) == folded
    assert folded == folded.casefold()


@given(st.lists(st.sampled_from("abß1\u0915"), min_size=1, max_size=5), st.data())
@settings(deadline=None)
def test_white_space_of_any_kind_between_words_is_one_space(words: list[str], data: st.DataObject) -> None:
    gaps = st.lists(st.sampled_from(SPACES), min_size=1, max_size=4).map("".join)
    name = data.draw(gaps) + "".join(word + data.draw(gaps) for word in words)
    assert clean_name(name) == " ".join(words)


def test_every_character_of_unicode_has_a_stable_form() -> None:
    for char in ALL_OF_UNICODE:
        clean, key, folded = clean_name(char), name_key(char), name_key(char, fold_case=True)
        stable = (clean_name(clean), name_key(key), name_key(folded, fold_case=True)) == (clean, key, folded)
        assert stable, f"U+{ord(char):04X}"

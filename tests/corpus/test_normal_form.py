# ruff: noqa: RUF001
"""The normal form, over every character that there is: it is stable, without case, and changes no number."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import normal_form
from corpus.normal_form import INVISIBLE, folded, normalise

# Letters, marks, Hangul and kana parts, apostrophes, digits and invisible characters: where normal forms go wrong.
TRICKY = (
    "aA1 .,-\n'`\u2019\u00b4\u0130\u0131\u017f\u00df\u1e9e\u03a3\u03c2\u03c3\u00bd\u2460\ufb03\ufdfa\u0661\u00b2\u00e9"
    "\u0301\u0327\u0307\u1100\u1161\u11a8\u3131\uff9e\uffa1\u0bc6\u0bbe\u200d\u200b\u00ad\ufeff\ufe0f\u20e3\u034f\u3164\u0149"
)
ALL = (chr(code) for code in range(sys.maxunicode + 1))
EVERY = [c for c in ALL if unicodedata.category(c) not in ("Cs", "Cn", "Co") or ord(c) % 101 == 0]
"""Every character that has a meaning, and some of those that have none."""

AROUND = "_ a_b 1_1 σ_ '_'"
OWN = ("<fraction>", "<super>", "<sub>", "<circle>", "<square>", "<compat>")
texts = st.one_of(st.text(max_size=40), st.text(alphabet=TRICKY, max_size=20))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Turn on the LIGHTS, please!", "turn on the lights please"),
        ("  don’t   stop ", "don't stop"),
        ("'quoted' rock 'n' roll", "quoted rock n roll"),
        ("what`s up", "what's up"),
        ("set 7:30 alarm", "set 7 30 alarm"),
        ("ＦＵＬＬ　width １２", "full width 12"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("Stra\u00dfe so\u00adft STRASSE", "strasse soft strasse"),
        ("हिन्दी।", "हिन्दी"),
        ("ΟΔΟΣ οδος οδοσ σ' αγαπώ", "οδος οδος οδος σ αγαπώ"),
        ("İstanbul ISTANBUL ılık", "istanbul istanbul ilik"),
        ("1½ minutes", "1 1 2 minutes"),
        ("½ cup, 2⅔", "1 2 cup 2 2 3"),
        ("10² m² 10²³", "10 2 m2 10 23"),
        ("①② step⑩", "1 2 step10"),
        ("𝟏𝟐 and 1𝟐", "12 and 12"),
        ("1\ufe0f\u20e3 2\u20e3", "1 2"),
        ("a\u034fb c\u180bd \u3164 e\u200df", "ab cd ef"),
        ("\u0149", "n"),
        ("ประเทศไทย 今日は。", "ประเทศไทย 今日は"),
        ("...", ""),
        ("", ""),
    ],
)
def test_normal_form(raw: str, expected: str) -> None:
    assert normalise(raw) == expected


def test_every_character_is_stable_and_has_no_case() -> None:
    unstable, cased = [], []
    for char in EVERY:
        once = normalise(AROUND.replace("_", char))
        if normalise(once) != once or unicodedata.normalize("NFKC", once) != once or once != " ".join(once.split()):
            unstable.append(hex(ord(char)))
        for form in {char.upper(), char.lower(), char.casefold(), char.title()} - {char}:
            if normalise(AROUND.replace("_", form)) != once:
                cased.append(hex(ord(char)))
    assert (unstable, cased) == ([], [])


def test_no_character_changes_a_number_beside_it() -> None:
    wrong = []
    for char in EVERY:
        plain = unicodedata.normalize("NFKC", char)
        has_letters = any(unicodedata.category(each)[0] in "LM" for each in plain)
        if char.isdecimal() or has_letters:  # 41252 is another number, and letters belong to one in 41st
            continue
        found = normalise(f"41{char}52")
        if found not in ("4152", "41'52") and not (found.startswith("41 ") and found.endswith(" 52")):
            wrong.append((hex(ord(char)), found))
    assert [each for each in wrong if unicodedata.category(chr(int(each[0], 16))) not in ("No", "Nl")] == []
    for char in EVERY:
        if unicodedata.decomposition(char).startswith(OWN) and unicodedata.normalize("NFKC", char)[0].isdecimal():
            assert normalise(f"41{char}").split()[0] == "41", hex(ord(char))


def test_what_nobody_sees_is_no_word() -> None:
    unseen = [chr(code) for low, high in INVISIBLE for code in range(low, high + 1)]
    unseen += [char for char in EVERY if unicodedata.category(char) == "Cf"]
    assert [hex(ord(char)) for char in unseen if normalise(char) or normalise(f"a{char}b") != "ab"] == []


@given(texts)
@settings(max_examples=300, deadline=None)
def test_the_normal_form_is_stable_and_clean(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())
    assert unicodedata.normalize("NFKC", once) == once


@given(texts)
@settings(max_examples=300, deadline=None)
def test_places_rise_and_lie_in_the_text(text: str) -> None:
    places = [start for _, start in folded(text)]
    assert places == sorted(places)
    assert all(0 <= place < len(text) for place in places)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_ascii_takes_a_shorter_way_to_the_same_text(text: str) -> None:
    assert normalise(text) == "".join(char for char, _ in folded(text))


def test_whole_texts_take_a_shorter_way_to_the_same_text() -> None:
    wrong = []
    for char in EVERY:
        text = f"é{char}\u0301 1{char}'"
        if normalise(text) != "".join(each for each, _ in folded(text)):
            wrong.append(hex(ord(char)))
    assert wrong == []


@given(texts)
@settings(max_examples=300, deadline=None)
def test_texts_of_tricky_characters_take_it_too(text: str) -> None:
    for each in (text, f"é{text}", f"é {text} σ"):
        assert normalise(each) == "".join(char for char, _ in folded(each))


@pytest.mark.parametrize(
    "text",
    [
        "Schalte bitte das Licht ein, und erhöhe die Lautstärke um fünf Stufen.",
        "Άναψε το φως στο σαλόνι, παρακαλώ, και δυνάμωσε τη μουσική ως το τέλος.",
        "リビングの電気をつけて、音楽の音量を五つ上げてください。",
        "कृपया बैठक की बत्ती जलाओ और संगीत की आवाज़ पाँच स्तर बढ़ाओ।",
    ],
)
def test_a_text_of_common_letters_is_not_taken_apart_character_by_character(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = normalise(text)  # afterwards its characters are known
    monkeypatch.setattr(normal_form, "folded", None)
    monkeypatch.setattr(normal_form, "_characters", None)
    assert normalise(text) == normalise(expected) == expected

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError
from corpus.locales import canonical_locale

LANGUAGES = ("en", "de", "zh", "sgn", "sh", "iw", "und", "pa", "eng", "cmn", "mo", "az", "xyz")
PARTS = ("gb", "UK", "Latn", "Hans", "1996", "u", "ca", "gregory", "x", "yue", "419", "DD", "YU", "posix", "12", "a")
parts = st.one_of(st.sampled_from(PARTS), st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True))
tags = st.tuples(st.sampled_from(LANGUAGES), st.lists(parts, max_size=4)).map(lambda t: "-".join([t[0], *t[1]]))


@pytest.mark.parametrize(
    ("tag", "canonical"),
    [
        ("en-GB", "en-GB"),
        ("en_GB", "en-GB"),
        ("EN-gb", "en-GB"),
        (" en-gb ", "en-GB"),
        ("en-UK", "en-GB"),
        ("zh_hant_tw", "zh-Hant-TW"),
        ("en-Latn-US", "en-US"),
        ("iw", "he"),
        ("eng", "en"),
        ("sgn-UK", "bfi"),
        ("und", "und"),
    ],
)
def test_spellings_of_one_locale_are_one(tag: str, canonical: str) -> None:
    assert canonical_locale(tag) == canonical


@pytest.mark.parametrize(
    "tag", ["", "e", "english", "en-", "en--GB", "en/../../x", "en\n", "en GB", "123", "x-private"]
)
def test_what_is_no_tag_is_refused_in_one_line_with_the_remedy(tag: str) -> None:
    with pytest.raises(RecordError, match=r"is no language tag; give one such as en-GB$") as refused:
        canonical_locale(tag)
    assert len(str(refused.value).splitlines()) == 1


@given(tags, st.booleans())
@settings(max_examples=500, deadline=None)
def test_the_canonical_form_is_stable_whatever_case_and_separator(tag: str, underscores: bool) -> None:
    try:
        canonical = canonical_locale(tag)
    except RecordError:
        return
    assert canonical_locale(canonical) == canonical
    assert canonical_locale(tag.swapcase().replace("-", "_" if underscores else "-")) == canonical


@given(st.text(max_size=20))
@settings(deadline=None)
def test_any_text_is_a_locale_or_a_record_error(text: str) -> None:
    with contextlib.suppress(RecordError):
        assert canonical_locale(text)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import RecordError
from corpus.silence_mark import SILENCE, spoken


@pytest.mark.parametrize(
    "text", [SILENCE, "<Silence>", " < SILENCE > ", "\uff1csilence\uff1e", "&lt;silence&gt;", "<silence>.", "(silence)"]
)
def test_the_mark_of_silence_is_no_word(text: str) -> None:
    assert spoken(text) == ""


@pytest.mark.parametrize("text", ["<noise>", "<>", "<Stille>", " <unk>. "])
def test_another_mark_is_refused_without_its_words(text: str) -> None:
    with pytest.raises(RecordError, match="write <silence> where nobody spoke") as caught:
        spoken(text)
    assert "Stille" not in str(caught.value)


@given(st.text().filter(lambda text: not any(bracket in text for bracket in "<>&\uff1c\uff1e[](){}\u2039\u203a")))
def test_every_other_text_stays_as_it_was_written(text: str) -> None:
    assert spoken(text) == text
    assert spoken(f"silence {text}") == f"silence {text}"

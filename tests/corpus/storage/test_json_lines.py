"""Lines keep their numbers whatever is between them, and JSON is read strictly or refused."""

from __future__ import annotations

from io import BytesIO

import pytest

from corpus.errors import UsageError
from corpus.storage.json_lines import RepeatedKey, has_object, read_lines, read_objects, strict_json


def test_lines_keep_their_numbers_over_blank_and_long_ones():
    file = BytesIO(b"\xef\xbb\xbfone\n\n" + b"x" * 25 + b"\n  \r\n1234567890\nlast")
    assert list(read_lines(file, 10)) == [(1, b"one\n"), (3, None), (5, b"1234567890\n"), (6, b"last")]


def test_a_last_line_that_is_too_long_ends_the_file():
    assert list(read_lines(BytesIO(b"x" * 31), 10)) == [(1, None)]
    assert list(read_lines(BytesIO(b"x" * 11), 10)) == [(1, None)]
    assert list(read_lines(BytesIO(b"x" * 10), 10)) == [(1, b"x" * 10)]


@pytest.mark.parametrize(
    "line", [b'{"a": NaN}', b'{"a": -Infinity}', b"{", b"\xff", b"1" * 5000, b"[" * 100_000], ids=range(6)
)
def test_what_is_no_strict_json_is_refused(line: bytes):
    with pytest.raises((ValueError, RecursionError)):
        strict_json(line)


def test_a_repeated_key_is_reported_at_any_depth():
    with pytest.raises(RepeatedKey) as caught:
        strict_json(b'{"a": {"b": 1, "c": 2, "b": 3}}')
    assert caught.value.args == ("b",)


def test_objects_come_with_their_lines_and_what_is_none_is_named():
    text = '{"a": 1}\n\n{"a": "\u2028"}\n'.encode()
    assert list(read_objects(text, "x.jsonl")) == [(1, {"a": 1}), (3, {"a": "\u2028"})]
    for bad, said in ((b"[1]", "not an object"), (b"{", "not JSON"), (b"\xff", "not JSON")):
        with pytest.raises(UsageError, match=f"x.jsonl line 4 is {said}"):
            list(read_objects(text + bad, "x.jsonl"))
    with pytest.raises(UsageError, match=r"x\.jsonl is empty"):
        list(read_objects(b"\n\n", "x.jsonl"))


def test_a_file_has_an_object_if_one_line_is_one_however_odd():
    for content in (b'x\n{"a": NaN, "a": 1}', b'[1\n{"a": 1}', b'\xef\xbb\xbf{"a": 1}'):
        assert has_object(BytesIO(content), 100)
    for content in (b"", b"[]\n3\n", b'{"a":\n1}', b'{"a": "' + b"x" * 100 + b'"}'):
        assert not has_object(BytesIO(content), 100)
    assert not has_object(BytesIO(b'[\n{"a": 1}'), 100, first_must_parse=True)

"""Records of files of answers are split and removed whole, and what belongs to others stays byte for byte."""

from __future__ import annotations

import codecs
from collections.abc import Collection

import pytest

from flows.tasks import answer_records

GONE, KEPT, OTHER = (f"t{digit * 31}" for digit in "123")
HEADER = "task_id,annotator_id,transcript\n"


def left(text: str, *, is_table: bool = True, encoding: str = "utf-8", mark: bytes = b"") -> str | None:
    def chosen(ids: Collection[str]) -> Collection[str]:
        return {GONE} & set(ids)

    kept, _ = answer_records.without(mark + text.encode(encoding), chosen, is_table=is_table)
    return None if kept is None else kept.removeprefix(mark).decode(encoding)


@pytest.mark.parametrize(
    ("going", "staying"),
    [
        (f'{GONE},ann,"said\nand said\n\nagain"\n', f"{KEPT},bob,stays\n"),
        (f"{GONE},ann,said\n", ",bob,the row of nobody\n"),
        (f"{GONE},ann,said\n", f'tmistyped,bob,"two\nlines"\n{KEPT},bob,stays\n'),
        (f'{GONE},ann,"never closed\nand more\n', f"{KEPT},bob,stays\n"),
        (f'{GONE},ann,"never closed\n', f'{KEPT},bob,"neither\n{OTHER},eve,fine\n'),
        (f'{GONE},ann,"said "this" twice\nand more"\n', f",bob,nobody's\n{KEPT},bob,stays\n"),
        (f'{GONE},ann,"as in\n{KEPT}\nthere"\n', f'{KEPT},bob,"as in\n{GONE}\nthere"\n'),
        (f"{GONE.upper()},ann,said\n", f"{KEPT},bob,see {GONE}\r\n"),
        (f"{GONE},ann,,,said\n", f"{KEPT},bob,,,stays"),
    ],
)
def test_exactly_the_records_of_a_task_go_with_all_their_lines(going: str, staying: str) -> None:
    assert left(HEADER + going + staying) == HEADER + staying
    assert left(HEADER + staying.removesuffix("\n") + "\n" + going) == HEADER + staying.removesuffix("\n") + "\n"
    assert left(HEADER + staying) == HEADER + staying
    assert left(HEADER + going) is None


@pytest.mark.parametrize(("encoding", "mark"), [("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)])
def test_a_table_in_utf_16_stays_one(encoding: str, mark: bytes) -> None:
    rows = f'{GONE},ann,"sägte\nund"\n{KEPT},bob,bleibt\n'
    assert left(HEADER + rows, encoding=encoding, mark=mark) == f"{HEADER}{KEPT},bob,bleibt\n"


def test_other_tables_are_read() -> None:
    semicolons = f"\nsep=;\ntask_id;annotator_id\n{GONE};ann\n{KEPT};bob\n"
    assert left(semicolons) == f"\nsep=;\ntask_id;annotator_id\n{KEPT};bob\n"
    carriage_returns = f"task_id,annotator_id\r{GONE},ann\r{KEPT},bob\r"
    assert left(carriage_returns) == f"task_id,annotator_id\r{KEPT},bob\r"
    unknown = f"task,who,text\n{KEPT},bob,stays\n{GONE},ann,said\n"
    assert left(unknown) == f"task,who,text\n{KEPT},bob,stays\n"


def test_lines_of_json_belong_to_the_task_they_name_alone() -> None:
    escaped = "\\u0074" + GONE[1:]
    going = [f'{{"task_id": "{GONE}"}}', f'{{"task_id": "{escaped}"}}', f'{{"task_id": "{GONE}", "transcript": "cut']
    staying = [f'{{"task_id": "{KEPT}", "note": "{GONE}"}}', '{"task_id": "t-typo"}', "no JSON", '{"task_id": 7}']
    assert left("\n".join([*staying, *going]) + "\n", is_table=False) == "\n".join(staying) + "\n"


def test_every_line_of_a_record_has_its_task() -> None:
    data = f'{HEADER}{GONE},ann,"a\nb"\n,,\n,bob,c\n'.encode()
    assert answer_records.tasks_by_line(data, is_table=True) == {2: {GONE}, 3: {GONE}, 5: set()}

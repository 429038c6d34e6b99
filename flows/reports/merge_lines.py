"""What `earmark merge` prints: counts, refused lines, and what has to happen where the answers make no label yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from corpus.names import printable
from flows.reports.report_words import worded
from flows.runtime import console

MOST_LINES: Final = 10
"""How many contradicted answers are printed; `--json` lists them all."""

OPEN_QUESTIONS: Final = ("contradicted", "undecided", "nobody_left", "unlisted")
"""Keys of the document of a merge that are printed as sentences."""

_NIGHT: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def show_merged(document: Mapping[str, Any], *, people_listed: bool) -> None:
    """Print the document of a merge.

    Args:
        document: of a `MergeTotal`, or of a `MergeSkipped`.
        people_listed: whether the settings list people, to whom tasks are assigned.
    """
    apart = ("refused_lines", "withdrawn", *OPEN_QUESTIONS)
    pairs: dict[str, Any] = {}
    for key, value in document.items():
        if key not in apart:
            pairs[key] = value
        if key == "labels" and document.get("withdrawn"):  # beside the labels, so that 0 of them don't hide it
            pairs["withdrawn"] = document["withdrawn"]
    console.show_pairs(merge_title(document), worded("merged", pairs))
    console.show_refused(document.get("refused_lines", []), document.get("refused"))
    show_open_questions(document, people_listed=people_listed)


def show_open_questions(document: Mapping[str, Any], *, people_listed: bool) -> None:
    """Print what no label can be made of yet, and what settles it; nothing where all is settled.

    Args:
        document: as for `show_merged`.
        people_listed: whether the settings list people, to whom tasks are assigned.
    """
    contradicted, undecided = document.get("contradicted", []), document.get("undecided", {})
    left = document.get("nobody_left", {})
    for line in [*contradiction_lines(contradicted, people_listed), *undecided_lines(undecided, people_listed, left)]:
        console.show_line(f"  {line}")
    for line in unlisted_lines(document.get("unlisted", {})):
        console.show_line(f"WARNING  {line}")


def merge_title(document: Mapping[str, Any]) -> str:
    """Return the first line: whether anything was merged now."""
    files, failed = document.get("files", 0), document.get("failed")
    if files and document["already"] == files and not failed:
        return "merged before: nothing changed; the figures are of that time"
    return "merged"


def contradiction_lines(contradicted: Sequence[Mapping[str, Any]], people_listed: bool) -> list[str]:
    """Return for each contradicted answer what happened, and what settles it.

    Args:
        contradicted: as `MergeTotal` lists them.
        people_listed: whether the settings list people, to whom tasks are assigned.
    """
    lines = []
    for each in contradicted[:MOST_LINES]:
        again = "" if people_listed else f"; {_again(each['round'])}"
        lines.append(
            f"task {each['task_id']}: {each['annotator_id']} gave two different answers as revision "
            f"{each['revision']}, so neither counts and the clip has no label; send the right one with "
            f'"revision": {each["revision"] + 1}, or let somebody else answer{again}'
        )
    more = len(contradicted) - MOST_LINES
    return [*lines, *([f"and {more} more tasks with such answers; --json lists them"] if more > 0 else [])]


def unlisted_lines(unlisted: Mapping[str, int]) -> list[str]:
    """Return one line on the answers of people who are not listed, and what to do; none where there are none.

    Args:
        unlisted: number of their answers by id of the person.
    """
    if not unlisted:
        return []
    count = sum(unlisted.values())
    who = ", ".join(f"{printable(name)} ({number})" for name, number in unlisted.items())
    are = "answer is of somebody" if count == 1 else "answers are of people"
    count_like = "it counts" if count == 1 else "they count"
    return [
        f"{count} {are} not in people.people: {who}; {count_like} like all others. Add who belongs there under "
        "people.people; where an annotator_id is misspelled, one person counts as two: correct it in what is sent next"
    ]


def undecided_lines(
    undecided: Mapping[str, int], people_listed: bool, nobody_left: Mapping[str, int] | None = None
) -> list[str]:
    """Return for each round what becomes of its answered tasks that need one more answer.

    Args:
        undecided: number of such tasks by round.
        people_listed: whether the settings list people, to whom tasks are assigned.
        nobody_left: number of those that every listed person who could has answered, by round.
    """
    lines = []
    for name, count in undecided.items():
        need = "task needs" if count == 1 else "tasks need"
        tasks = f"{count} answered {need} one more answer (those so far differ, or are too few)"
        if people_listed:
            how = _next_person(name, count, (nobody_left or {}).get(name, 0))
        else:
            how = f"{_again(name)}, for somebody else"
        lines.append(f"{name}: {tasks}; {how}")
    return lines


def _next_person(round_: str, count: int, alone: int) -> str:
    """Return who answers next where people are listed.

    Args:
        round_: the round of the tasks.
        count: number of tasks.
        alone: number of those for which nobody is left.
    """
    nobody = (
        "nobody of people.people is left who has not answered: add somebody there who knows the locale, and "
        f"{_again(round_)}; or let one of them send another answer with a higher revision"
    )
    if not alone:
        return "one more person of people.people gets each; earmark status shows who"
    if alone == count:
        return nobody
    return f"one more person of people.people gets {count - alone} of them; for {alone}, {nobody}"


def _again(round_: str) -> str:
    option = "--night" if _NIGHT.fullmatch(round_) else "--round"
    return f"earmark export {option} {round_} gives the clips again"

"""Queues: who has how much before them, how old it is, when it is due, and whether each locale has ears enough."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from corpus.handle import Corpus
from corpus.store import labels, rounds, utterances
from flows import ask, console
from flows.settings import Settings

AGES = ((1.0, "under 1 day"), (3.0, "1 to 3 days"), (7.0, "3 to 7 days"), (float("inf"), "over 7 days"))


def queues(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """Returns the open tasks by person, locale, age and round, with capacity and due dates; ids and counts alone."""
    now = corpus.clock()
    standing = ask.standing(corpus)
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn)}
        said = labels.latest_answers(conn)
        places = utterances.locales(conn, sorted({rows[task].utterance_id for task in standing.all_wanted}))
    waiting: list[Waiting] = []
    for who, wanted in standing.wanted.items():
        for task in sorted(wanted):
            utterance_id = rows[task].utterance_id
            waiting.append((who, places[utterance_id], standing.until[utterance_id, who]))
    clips = settings.people.clips_by_locale(sorted({locale for _, locale, _ in waiting}))
    by_locale = Counter(locale for _, locale, _ in waiting)
    return {
        "people": [_person(who, waiting, said, settings, now) for who in _names(settings, standing.wanted)],
        "locales": [
            {"locale": locale, "waiting": count, "clips_a_day": clips.get(locale, 0) if clips else None,
             "days": round(count / clips[locale], 2) if clips.get(locale) else None}
            for locale, count in sorted(by_locale.items())
        ],
        "ages": _ages([due for *_, due in waiting], settings, now),
        "rounds": _progress(list(rows.values())),
    }  # fmt: skip


def _names(settings: Settings, wanted: dict[str, set[str]]) -> list[str]:
    return sorted({*wanted, *(person.annotator_id for person in settings.people.people)})


Waiting = tuple[str, str, datetime]
"""Person, locale, due."""


def _person(who: str, waiting: list[Waiting], said: list[Any], settings: Settings, now: datetime) -> dict[str, Any]:
    mine = [row for row in waiting if row[0] == who]
    listed = {person.annotator_id: person for person in settings.people.people}
    answers = [row for row in said if row.annotator_id == who and row.at and (now - row.at).days < 7]
    return {
        "annotator": who or "anybody",
        "waiting": len(mine),
        "due": min((due for *_, due in mine), default=None),
        "clips_a_day": settings.people.capacity(listed[who]) if who in listed else None,
        "answers_in_7_days": len(answers) if who else sum(bool(r.at and (now - r.at).days < 7) for r in said),
        "minutes_in_7_days": round(sum(row.lead_time for row in answers) / 60, 1) if who else None,
    }


def _ages(dues: list[datetime], settings: Settings, now: datetime) -> dict[str, int]:
    """Returns how many tasks wait for how long; a lease began `export.due_days` before it ends."""
    counts = dict.fromkeys((name for _, name in AGES), 0)
    for due in dues:
        days = settings.export.due_days - (due - now).total_seconds() / 86_400
        counts[next(name for limit, name in AGES if days < limit)] += 1
    return counts


def _progress(rows: list[rounds.TaskRow]) -> list[dict[str, Any]]:
    by_round: dict[str, Counter[str]] = {}
    for row in rows:
        by_round.setdefault(row.round, Counter())[row.state] += 1
    return [{"round": name, "tasks": n.total(), **{s: n[s] for s in STATES}} for name, n in by_round.items()]


STATES = ("open", "exported", "answered", "closed")


def show_queues(report: dict[str, Any]) -> None:
    """The queues stand on stdout."""
    for name in ("people", "locales", "rounds"):
        if report[name]:
            headers = list(report[name][0])
            rows = [[_short(row[header]) for header in headers] for row in report[name]]
            console.show_table(f"tasks by {name}", [header.replace("_", " ") for header in headers], rows)
    if any(report["ages"].values()):
        console.show_pairs("tasks by age", report["ages"])


def _short(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value

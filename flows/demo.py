"""The main job on the embedded default: nights of synthesised traffic, a simulated annotator, and what it was worth."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from annotation import simulated
from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus.handle import Corpus
from corpus.ingest import utterance_of
from corpus.store import labels
from corpus.synthetic import TrafficSettings, read_truth, window, write_night
from flows import console
from flows.judge import standing
from flows.night import last_night
from flows.session import opened, running
from flows.settings import Settings


def run_demo(settings: Settings, nights: int | None = None, *, quiet: bool = False) -> dict[str, Any]:
    """Returns what every night received, chose and learned; the same home again adds nothing twice.

    Args:
        settings: whose `traffic` is made and whose `annotator` answers.
        nights: how many; the traffic's own number where None.
        quiet: say nothing on stderr meanwhile.
    """
    started = time.monotonic()
    traffic = settings.traffic
    count = nights or traffic.nights
    say = (lambda line: None) if quiet else console.note
    say(f"earmark demo: {count} nights in {settings.home}")
    with tempfile.TemporaryDirectory(prefix="earmark-traffic-") as folder:
        first = write_night(Path(folder), traffic, 1)  # while Prefect's server starts up
        with running(settings, "demo"):
            rows = []
            for number in range(1, count + 1):
                files = first if number == 1 else write_night(Path(folder), traffic, number)
                rows.append(_one_night(settings, traffic, number, files.manifest, files.truth))
                say(f"  {_line(rows[-1])}")
    return {
        "home": str(settings.home),
        "seconds": round(time.monotonic() - started, 1),
        "nights": rows,
    }


def _one_night(
    settings: Settings, traffic: TrafficSettings, number: int, manifest: Path, truth: Path
) -> dict[str, Any]:
    """Returns the night's row: arrivals are scored and a few chosen, people answer, models learn and are judged."""
    from flows import journey

    _, end = window(traffic, number)
    night = last_night(end, settings.night.time_zone, settings.night.ends_at)
    arrived = journey.ingest(str(manifest))
    run = journey.nightly(night.name)
    with opened(settings) as corpus:
        _answer(corpus, settings, night.name, truth)
    morning = journey.morning(night.name)
    with opened(settings) as corpus:
        asr, intent = standing(corpus, settings, "asr"), standing(corpus, settings, "intent")
        with corpus.read() as conn:
            labelled = sum(row.round == night.name for row in labels.current(conn))
    learned = {kind: morning[f"retrain {kind}"] for kind in ("asr", "intent")}
    return {
        "night": night.name,
        "received": arrived["received"],
        "accepted": arrived["accepted"],
        "refused": arrived["refused"],
        "scored": run["score"]["scored"] + run["score"].get("already", 0),
        "chosen": run["sample"]["chosen"],
        "fraction": run["sample"]["fraction"],
        "labels": labelled,
        "outcomes": morning["merge"].get("outcomes", {}),
        "asr": asr,
        "intent": intent,
        "promoted": [f"{kind} {row['champion']}" for kind, row in learned.items() if row.get("decision") == "promote"],
        "decisions": {
            kind: row.get("skipped") or f"{row['decision']} version {row['version']}: {row['why']}"
            for kind, row in learned.items()
        },
    }


def _answer(corpus: Corpus, settings: Settings, round_: str, truth: Path) -> None:
    """The simulated annotator's answers to the round's tasks lie in the answers folder."""
    file = settings.task_folder / round_ / TASK_FILE
    if not file.exists():
        return
    tasks = read_tasks(file)
    known = {
        utterance_of(corpus, event): simulated.Truth(true.text, true.intent, true.slots, true.verdict)
        for event, true in read_truth([truth, *truth.parent.glob("*.jsonl")]).items()
    }
    settings.answers.mkdir(mode=0o700, parents=True, exist_ok=True)
    answers = simulated.answer(tasks, known, settings.annotator)
    write_annotations(settings.answers / f"{round_}.jsonl", answers)


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['night']}: {row['received']} received, {row['accepted']} accepted, {row['chosen']} chosen "
        f"({100 * row['fraction']:.1f} %), {row['labels']} labels, "
        f"promoted {', '.join(row['promoted']) or 'nothing'}"
    )


def show_demo(report: dict[str, Any]) -> None:
    """The nights stand on stdout as tables."""
    nights = report["nights"]
    headers = ("night", "received", "accepted", "refused by reason", "scored", "chosen", "fraction", "labels")
    console.show_table(
        "arrivals and choice",
        headers,
        [
            (r["night"], r["received"], r["accepted"], r["refused"], r["scored"], r["chosen"],
             console.percent(r["fraction"]), r["labels"])
            for r in nights
        ],
    )  # fmt: skip
    for kind, name, label in (("asr", "wer", "WER"), ("intent", "accuracy", "intent accuracy")):
        console.show_table(
            f"{label} on the accumulated audit rows, 95 % intervals",
            ("night", "rows", "speakers", "champion", "base", "difference to base"),
            [
                (
                    r["night"],
                    r[kind][name]["n"],
                    r[kind][name]["speakers"],
                    f"v{r[kind]['champion']}  {_rate(r[kind][name])}",
                    _rate(r[kind][f"base_{name}"]),
                    _rate(r[kind]["difference"]),
                )
                for r in nights
            ],
        )
    print("decisions")
    for row in nights:
        for kind, why in row["decisions"].items():
            print(f"  {row['night']} {kind}: {why}")
    print(f"{len(nights)} nights in {report['seconds']:.0f} s; home {report['home']}")
    print("next: earmark status, earmark ui, earmark compare asr/base asr/champion (each with --config demo)")


def _rate(rate: dict[str, Any]) -> str:
    return console.percent(rate["value"], rate["low"], rate["high"])

"""The main job on the embedded default: nights of traffic, a simulated annotator, and what it was worth.

The traffic is synthesised or, where `labelled.folder` names one, a labelled corpus whose other speakers arrive.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from annotation import simulated
from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus import operation_ids, vault
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest import utterance_of
from corpus.labelled import labelled_window, speakers_of, write_labelled_night
from corpus.operations import result_of
from corpus.records import digest
from corpus.store import labels
from corpus.synthetic import NightFiles, read_truth, window, write_night
from flows import console, progress
from flows.champion_vs_base import by_speaker, standing
from flows.models import KINDS
from flows.night import last_night
from flows.outlook import outlooks
from flows.session import opened, running
from flows.settings import Settings
from flows.told import outlook_lines, sample_lines
from training.promotion import PromotionSettings

TAUGHT = ("known", "calibration", "expected_errors", "costs", "cohorts")
"""What a round reports of the answers that it rests on."""

FEW_SPEAKERS = PromotionSettings().min_speakers
"""Below as many an evaluation is indicative, whatever a config asks of its gate."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Where nights come from: the digest of their settings, their numbers, files and times.

    `speakers` are the accounts that are reported one by one, none where there are too many to show.
    """

    source: str
    numbers: Sequence[int]
    write: Callable[[Path, int], NightFiles]
    window: Callable[[int], tuple[datetime, datetime]]
    speakers: Sequence[str] = ()


def traffic_of(settings: Settings, nights: int | None = None) -> Traffic:
    """Returns the labelled corpus as nights where the settings name one, else the synthesised traffic."""
    if settings.labelled.folder is not None:
        source = settings.labelled
        return Traffic(
            digest(source.model_dump(mode="json")),
            range((source.nights if nights is None else nights) + 1),
            lambda folder, night: write_labelled_night(folder, source, night),
            partial(labelled_window, source),
            speakers_of(source),
        )
    if nights == 0:
        raise UsageError("--nights 0 brings the known labels of a --corpus alone; synthesised traffic has none")
    made = settings.traffic
    return Traffic(
        digest(made.model_dump(mode="json")),
        range(1, (nights or made.nights) + 1),
        lambda folder, night: write_night(folder, made, night),
        partial(window, made),
    )


def run_demo(settings: Settings, nights: int | None = None, *, quiet: bool = False) -> dict[str, Any]:
    """Returns what every night received, chose and learned; the same home again adds nothing twice.

    Args:
        settings: whose `labelled` corpus or `traffic` arrives and whose `annotator` answers.
        nights: how many; the traffic's own number where None.
        quiet: say nothing on stderr meanwhile.
    """
    started = time.monotonic()
    traffic = traffic_of(settings, nights)
    say = (lambda line: None) if quiet else progress.note
    say(f"earmark demo: {len(traffic.numbers)} nights in {settings.home}")
    with tempfile.TemporaryDirectory(prefix="earmark-traffic-") as folder, running(settings, "demo"):
        rows = []
        for number in traffic.numbers:
            rows.append(_one_night(settings, traffic, number, Path(folder)))
            say(f"  {_line(rows[-1])}")
    return {
        "home": str(settings.home),
        "seconds": round(time.monotonic() - started, 1),
        "nights": rows,
    }


def _one_night(settings: Settings, traffic: Traffic, number: int, folder: Path) -> dict[str, Any]:
    """Returns the night's row, as it was when the night was lived through; a repeat changes nothing."""
    _, end = traffic.window(number)
    night = last_night(end, settings.night.time_zone, settings.night.ends_at).name
    operation_id = operation_ids.demo(traffic.source, night)
    with opened(settings) as corpus, corpus.read() as conn:
        row = result_of(conn, operation_id)
    if row is None:
        lived = _live(settings, traffic, night, number, traffic.write(folder, number))
        with opened(settings) as corpus, corpus.operation(operation_id, "demo") as op:
            op.result = op.result or lived
            row = op.result
    if traffic.speakers:
        with opened(settings) as corpus:
            names = {vault.speaker_of(corpus.vault, account): account for account in traffic.speakers}
        for kind in ("asr", "intent"):
            newest = row[kind]["newest"]
            newest["speakers"] = {names[i]: rate for i, rate in newest["speakers"].items() if i in names}
    return row


def _live(settings: Settings, traffic: Traffic, night: str, number: int, files: NightFiles) -> dict[str, Any]:
    """Returns the night in counts: some arrive, a few are chosen, people answer, models learn and are judged."""
    from flows import journey

    arrived = journey.ingest(str(files.manifest)).to_json()
    run = journey.nightly(night).to_json()
    with opened(settings) as corpus:
        _answer(corpus, settings, night, files.truth)
    morning = journey.morning(night).to_json()
    with opened(settings) as corpus:
        asr, intent = (standing(corpus, settings, kind).to_json() for kind in KINDS)
        if traffic.speakers:
            asr["newest"], intent["newest"] = (by_speaker(corpus, settings, kind).to_json() for kind in KINDS)
        ahead = outlooks(corpus, settings)
        with corpus.read() as conn:
            held = labels.current(conn)
    labelled = [row.round == night if number else row.reason == "" for row in held]
    learned = {kind: _learned(kind, run, morning) for kind in KINDS}
    return {
        "night": night,
        **{name: arrived[name] for name in ("received", "accepted", "refused")},
        **{name: run["sample"][name] for name in ("scored", "chosen", "fraction")},
        "taught": {name: run["sample"][name] for name in TAUGHT if name in run["sample"]},
        "outlook": ahead,
        "labels": sum(labelled),
        "outcomes": morning["merge"].get("outcomes", {}),
        "asr": asr,
        "intent": intent,
        "promoted": [f"{kind} {row['champion']}" for kind, row in learned.items() if row.get("decision") == "promote"],
        "decisions": {
            kind: row.get("skipped") or f"{row['decision']} version {row['version']}: {row['why']}"
            for kind, row in learned.items()
        },
    }


def _learned(kind: str, *reports: dict[str, Any]) -> dict[str, Any]:
    """Returns what came of the night's retraining; a model learns once, before the night or after it."""
    found = [report[f"retrain {kind}"] for report in reports]
    return next((row for row in found if "decision" in row), found[-1])


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
    if any("newest" in r["asr"] for r in nights):
        _show_speakers(nights)
    print("what each choice knew")
    for row in nights:
        for name, line in sample_lines(row.get("taught", {})).items():
            if name not in ("cost label_intent", "cost triage"):
                print(f"  {row['night']} {name}: {line}")
    print("what the next labels bring")
    for name, line in outlook_lines(nights[-1].get("outlook", {})).items():
        print(f"  {name.removeprefix('outlook ')}: {line}")
    print("decisions")
    for row in nights:
        for kind, why in row["decisions"].items():
            print(f"  {row['night']} {kind}: {why}")
    print(f"{len(nights)} nights in {report['seconds']:.0f} s; home {report['home']}")
    print("next: earmark status, earmark ui, earmark compare asr/base asr/champion (each with --config demo)")


def _show_speakers(nights: list[dict[str, Any]]) -> None:
    """The newest versions' rates on the held-out rows of every speaker stand on stdout."""
    for kind, label in (("asr", "WER"), ("intent", "intent accuracy")):
        names = sorted(nights[-1][kind]["newest"]["speakers"])
        rows = []
        for r in nights:
            newest = r[kind]["newest"]
            shown = [console.percent(newest["speakers"][name]["value"]) for name in names]
            rows.append((r["night"], f"v{newest['version']}", *shown, _rate(newest["all"])))
        few = ", indicative: few speakers" if nights[-1][kind]["newest"]["all"]["speakers"] < FEW_SPEAKERS else ""
        console.show_table(f"{label} of the newest version by speaker{few}", ("night", "version", *names, "all"), rows)


def _rate(rate: dict[str, Any]) -> str:
    return console.percent(rate["value"], rate["low"], rate["high"])

"""The main job on the embedded default: nights of traffic, a simulated annotator, and what it was worth.

The traffic is synthesised or, where `labelled.folder` names one, a labelled corpus whose other speakers arrive.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from annotation import simulated
from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import utterance_of
from corpus.records.base import digest
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.synthetic import NightFiles, read_truth, window, write_night
from corpus.synthetic.labelled_nights import labelled_window, speakers_of, write_labelled_night
from corpus.tables import labels
from corpus.vault import vault
from flows.models.registry import KINDS
from flows.nights.night import last_night
from flows.reports.champion_vs_base import by_speaker, compare_champion
from flows.reports.demo_tables import DemoNight, DemoReport, NewestVersion, champion_night, newest_version, night_of
from flows.rounds.learning_outlook import outlooks
from flows.runtime import progress
from flows.runtime.results import as_json
from flows.runtime.session import opened, running
from flows.runtime.settings import Settings

TAUGHT = ("known", "calibration", "expected_errors", "costs", "cohorts")
"""What a round reports of the answers that it rests on."""


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
    """Return the labelled corpus as nights where the settings name one, else the synthesised traffic."""
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


def run_demo(settings: Settings, nights: int | None = None, *, quiet: bool = False) -> DemoReport:
    """Run the nights; return what each received, chose and learned. The same home again adds nothing twice.

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
    return DemoReport(str(settings.home), round(time.monotonic() - started, 1), tuple(rows))


def _one_night(settings: Settings, traffic: Traffic, number: int, folder: Path) -> DemoNight:
    """Return the night's row, as it was when the night was lived through; a repeat changes nothing."""
    _, end = traffic.window(number)
    night = last_night(end, settings.night.time_zone, settings.night.ends_at).name
    operation_id = operation_ids.demo(traffic.source, night)
    with opened(settings) as corpus, corpus.read() as conn:
        stored = result_of(conn, operation_id)
    if stored is None:
        lived = _live(settings, traffic, night, number, traffic.write(folder, number))
        with opened(settings) as corpus, corpus.operation(operation_id, "demo") as op:
            op.result = op.result or lived.to_json()
            stored = op.result
    row = night_of(stored)
    if not traffic.speakers:
        return row
    with opened(settings) as corpus:
        ids = {account: vault.speaker_of(corpus.vault, account) for account in traffic.speakers}
    names = {speaker_id: account for account, speaker_id in ids.items() if speaker_id is not None}
    asr, intent = (replace(each, newest=_named(each.newest, names)) for each in (row.asr, row.intent))
    return replace(row, asr=asr, intent=intent)


def _named(newest: NewestVersion | None, names: Mapping[str, str]) -> NewestVersion | None:
    """Return the newest version with the speakers that are reported one by one, by the names that they have there."""
    if newest is None:
        return None
    return replace(newest, speakers={names[i]: rate for i, rate in newest.speakers.items() if i in names})


def _live(settings: Settings, traffic: Traffic, night: str, number: int, files: NightFiles) -> DemoNight:
    """Return the night in counts: some arrive, a few are chosen, people answer, models learn and are judged."""
    from flows import pipeline

    arrived = as_json(pipeline.ingest(str(files.manifest)))
    run = as_json(pipeline.nightly(night))
    with opened(settings) as corpus:
        _answer(corpus, settings, night, files.truth)
    morning = as_json(pipeline.morning(night))
    with opened(settings) as corpus:
        asr, intent = (champion_night(kind, as_json(compare_champion(corpus, settings, kind))) for kind in KINDS)
        if traffic.speakers:
            by = [newest_version(as_json(by_speaker(corpus, settings, kind))) for kind in KINDS]
            asr, intent = replace(asr, newest=by[0]), replace(intent, newest=by[1])
        ahead = outlooks(corpus, settings.stopping, settings.sampling.seed)
        with corpus.read() as conn:
            held = labels.current(conn)
    labelled = [row.round == night if number else row.reason == "" for row in held]
    learned = {kind: _learned(kind, run, morning) for kind in KINDS}
    sampled = run["sample"]
    return DemoNight(
        night=night,
        received=arrived["received"],
        accepted=arrived["accepted"],
        refused=arrived["refused"],
        scored=sampled["scored"],
        chosen=sampled["chosen"],
        fraction=sampled["fraction"],
        taught={name: sampled[name] for name in TAUGHT if name in sampled},
        outlook={str(kind): each for kind, each in ahead.items()},
        labels=sum(labelled),
        outcomes=morning["merge"].get("outcomes", {}),
        asr=asr,
        intent=intent,
        promoted=tuple(f"{k} {row['champion']}" for k, row in learned.items() if row.get("decision") == "promote"),
        decisions={
            kind: row.get("skipped") or f"{row['decision']} version {row['version']}: {row['why']}"
            for kind, row in learned.items()
        },
    )


def _learned(kind: str, *reports: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what came of the night's retraining; a model learns once, before the night or after it."""
    found = [report[f"retrain {kind}"] for report in reports]
    return next((row for row in found if "decision" in row), found[-1])


def _answer(corpus: Corpus, settings: Settings, round_: str, truth: Path) -> None:
    """Write the simulated annotator's answers to the round's tasks into the answers folder."""
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


def _line(row: DemoNight) -> str:
    return (
        f"{row.night}: {row.received} received, {row.accepted} accepted, {row.chosen} chosen "
        f"({100 * row.fraction:.1f} %), {row.labels} labels, promoted {', '.join(row.promoted) or 'nothing'}"
    )

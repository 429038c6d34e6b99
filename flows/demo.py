"""Run the main job as a demo: nights of traffic, a simulated annotator, and what each night gained.

The traffic is synthesised. Where `labelled.folder` names a labelled corpus, its recordings arrive instead.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from annotation import simulated
from annotation.assignment import PeopleSettings
from annotation.files import TASK_FILE, read_tasks, write_annotations
from annotation.inventory import InventorySettings
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import digest
from corpus.records.inventory import NAME_KINDS
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.synthetic import NightFiles, read_truth, window, write_night
from corpus.synthetic.labelled_nights import labelled_window, speakers_of, write_labelled_night
from corpus.tables import labels
from corpus.vault import event_ids, vault
from flows.models.proposals import list_proposals
from flows.models.registry import KINDS
from flows.nights.night import last_night
from flows.reports.champion_vs_base import RateBySpeaker, by_speaker, compare_champion
from flows.reports.demo_tables import DemoNight, DemoReport, night_from_json
from flows.reports.night_html import write_night_page
from flows.rounds.learning_outlook import outlooks
from flows.runtime import progress
from flows.runtime.results import Skipped
from flows.runtime.session import opened, running
from flows.runtime.settings import Settings
from flows.steps.inventory import adopt
from flows.steps.merge_total import MergeTotal
from flows.steps.retrain import RetrainReport
from training.asr.word_beam import check_installed


@dataclass(frozen=True, slots=True)
class Traffic:
    """Where the nights of a demo come from.

    Attributes:
        source: digest of the settings that the nights are made from.
        numbers: of the nights, in order; night 0 brings the labels that a labelled corpus starts with.
        write: writes the files of a night into a folder.
        window: returns start and end of a night.
        speakers: accounts that are reported one by one; none where there are too many to show.
    """

    source: str
    numbers: Sequence[int]
    write: Callable[[Path, int], NightFiles]
    window: Callable[[int], tuple[datetime, datetime]]
    speakers: Sequence[str] = ()


def traffic_of(settings: Settings, nights: int | None = None) -> Traffic:
    """Return the labelled corpus as nights where the settings name one, else the synthesised traffic.

    Args:
        settings: with `labelled` and `traffic`.
        nights: how many; the traffic's own number where None.

    Raises:
        UsageError: 0 nights of synthesised traffic.
    """
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
        raise UsageError("--nights 0 brings only the known labels of a --corpus; give one, or --nights 1 or more")
    traffic = settings.traffic
    return Traffic(
        digest(traffic.model_dump(mode="json")),
        range(1, (nights or traffic.nights) + 1),
        lambda folder, night: write_night(folder, traffic, night),
        partial(window, traffic),
    )


def run_demo(settings: Settings, nights: int | None = None, *, quiet: bool = False) -> DemoReport:
    """Run the nights; return what each received, chose and learned. A night that the home has already is not run again.

    Args:
        settings: of the home, with the `labelled` corpus or the `traffic` that arrives and the `annotator` who answers.
        nights: how many; the traffic's own number where None.
        quiet: report no line on each night; bars and lines on its steps are shown all the same.

    Raises:
        UsageError: 0 nights of synthesised traffic.
        SettingsError: the settings ask for a beam, and it is not installed.
        HomeBusy: another process uses the home.
    """
    started = time.monotonic()
    if settings.asr.decoder == "beam":
        check_installed()
    traffic = traffic_of(settings, nights)
    note = (lambda line: None) if quiet else progress.note
    note(f"earmark demo: {len(traffic.numbers)} nights in {settings.home}")
    with tempfile.TemporaryDirectory(prefix="earmark-traffic-") as folder, running(settings, "demo"):
        rows = []
        for number in traffic.numbers:
            rows.append(_one_night(settings, traffic, number, Path(folder)))
            note(f"  {_line(rows[-1])}")
        with opened(settings) as corpus:
            page = write_night_page(corpus, settings, rows[-1].night)[1]
    return DemoReport(str(settings.home), round(time.monotonic() - started, 1), tuple(rows), str(page))


def _one_night(settings: Settings, traffic: Traffic, number: int, folder: Path) -> DemoNight:
    """Return the report of a night, which is run only where the home has no stored report of it."""
    _, end = traffic.window(number)
    night = last_night(end, settings.night.time_zone, settings.night.ends_at).name
    operation_id = operation_ids.demo(traffic.source, night)
    with opened(settings) as corpus, corpus.read() as conn:
        stored = result_of(conn, operation_id)
    if stored is None:
        with progress.track(f"making the recordings of night {night}", None, "recordings"):
            files = traffic.write(folder, number)
        made = _run_night(settings, traffic, night, number, files)
        with opened(settings) as corpus, corpus.operation(operation_id, "demo") as op:
            op.result = op.result or made.to_json()
            stored = op.result
    row = night_from_json(stored)
    if not traffic.speakers:
        return row
    with opened(settings) as corpus:
        ids = {account: vault.speaker_of(corpus.vault, account) for account in traffic.speakers}
    names = {speaker_id: account for account, speaker_id in ids.items() if speaker_id is not None}
    asr, intent = (replace(each, newest=_named(each.newest, names)) for each in (row.asr, row.intent))
    return replace(row, asr=asr, intent=intent)


def _named(newest: RateBySpeaker | None, names: Mapping[str, str]) -> RateBySpeaker | None:
    """Return the rate with the names of the speakers in place of their ids; speakers without a name are dropped."""
    if newest is None:
        return None
    return replace(newest, speakers={names[i]: rate for i, rate in newest.speakers.items() if i in names})


def _run_night(settings: Settings, traffic: Traffic, night: str, number: int, files: NightFiles) -> DemoNight:
    """Run a night and the morning after it: ingest, nightly run, simulated answers, merge and retrain."""
    from flows import pipeline

    ingested = pipeline.ingest(str(files.manifest))
    run = pipeline.nightly(night)
    with opened(settings) as corpus:
        _write_answers(corpus, settings, night, files.truth)
    morning = pipeline.morning(night)
    with opened(settings) as corpus:
        _adopt_proposals(corpus, settings.home, settings.inventory, settings.people)
        judged = (corpus, settings.home, settings.score.transcribe, settings.promotion)
        asr, intent = (compare_champion(*judged, kind) for kind in KINDS)
        if traffic.speakers:
            asr, intent = (replace(each, newest=by_speaker(*judged, each.kind)) for each in (asr, intent))
        outlook_by_kind = outlooks(corpus, settings.stopping, settings.sampling.seed)
        with corpus.read() as conn:
            current = labels.current(conn)
    labelled = [row.round == night if number else row.reason == "" for row in current]
    retrained = {
        "asr": _retrained(run.retrain_asr, morning.retrain_asr),
        "intent": _retrained(run.retrain_intent, morning.retrain_intent),
    }
    return DemoNight(
        night=night,
        received=ingested.received,
        accepted=ingested.accepted,
        refused=ingested.refused,
        scored=run.sample.scored,
        chosen=run.sample.chosen,
        fraction=run.sample.fraction,
        evidence=run.sample.evidence,
        outlook={str(kind): outlook for kind, outlook in outlook_by_kind.items()},
        labels=sum(labelled),
        outcomes=morning.merge.outcomes if isinstance(morning.merge, MergeTotal) else {},
        asr=asr,
        intent=intent,
        promoted=tuple(
            f"{kind} {report.judgement.champion}"
            for kind, report in retrained.items()
            if isinstance(report, RetrainReport) and report.judgement.decision == "promote"
        ),
        decisions={kind: _decision(report) for kind, report in retrained.items()},
    )


def _adopt_proposals(corpus: Corpus, home: Path, inventory: InventorySettings, people: PeopleSettings) -> None:
    """Adopt every name that the simulated annotator proposed, as whoever leads the annotators would."""
    proposals = list_proposals(corpus, home, inventory).proposals
    for kind in NAME_KINDS:
        names = [row.name for row in proposals if row.kind == kind]
        if names:
            adopt(corpus, home, inventory, people, kind, names)


def _retrained(at_night: RetrainReport | Skipped, in_morning: RetrainReport | Skipped) -> RetrainReport | Skipped:
    """Return the retraining, which happens once: in the nightly run or in the morning after it."""
    return at_night if isinstance(at_night, RetrainReport) else in_morning


def _decision(report: RetrainReport | Skipped) -> str:
    """Return what the gate decided on which version and why, or why nothing was trained."""
    if isinstance(report, Skipped):
        return report.skipped
    return f"{report.judgement.decision} version {report.learned.version}: {report.judgement.why}"


def _write_answers(corpus: Corpus, settings: Settings, round_: str, truth: Path) -> None:
    """Write the simulated annotator's answers to the round's tasks into the answers folder."""
    file = settings.task_folder / round_ / TASK_FILE
    if not file.exists():
        return
    tasks = read_tasks(file)
    known = read_truth([truth, *truth.parent.glob("*.jsonl")])
    ids = event_ids.utterance_ids(corpus.vault, known)
    truths = {
        ids[event]: simulated.Truth(true.text, true.intent, true.slots, true.verdict) for event, true in known.items()
    }
    settings.answers.mkdir(mode=0o700, parents=True, exist_ok=True)
    answers = simulated.answer(tasks, truths, settings.annotator)
    write_annotations(settings.answers / f"{round_}.jsonl", answers)


def _line(row: DemoNight) -> str:
    return (
        f"{row.night}: {row.received} received, {row.accepted} accepted, {row.chosen} chosen "
        f"({100 * row.fraction:.1f} %), {row.labels} labels, promoted {', '.join(row.promoted) or 'nothing'}"
    )

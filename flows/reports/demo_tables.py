"""What the demo reports of its nights, and the tables of it in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.records.base import Kind
from flows.reports.sample_summary import outlook_lines, sample_lines
from flows.runtime import console
from flows.runtime.results import Result, as_json
from sampling.stopping_rule import Outlook
from training.evaluation.gate import PromotionSettings

FEW_SPEAKERS = PromotionSettings().min_speakers
"""Below as many an evaluation is indicative, whatever a config asks of its gate."""

MEASURES: dict[Kind, tuple[str, str]] = {"asr": ("wer", "WER"), "intent": ("accuracy", "intent accuracy")}
"""The figure of each kind of model: its key, and its name for people."""


@dataclass(frozen=True, slots=True)
class Rate(Result):
    """A rate with its 95 % interval, all None without rows; `n` counts rows, `speakers` who spoke them."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    speakers: int


@dataclass(frozen=True, slots=True)
class SpeakerRate(Result):
    """The rate on one speaker's rows."""

    value: float
    n: int


@dataclass(frozen=True, slots=True)
class NewestVersion(Result):
    """The newest version on all rows that judge: the rate of all, and each speaker's."""

    version: str
    all: Rate
    speakers: Mapping[str, SpeakerRate]


@dataclass(frozen=True, slots=True)
class ChampionNight(Result):
    """Champion and base of one kind of model after a night, on all labelled rows that judge.

    Attributes:
        measure: key of the figure, `wer` or `accuracy`.
        champion: its version.
        rate, base_rate, difference: of the champion, of the base, and between them.
        eval_set_id: the rows; None where none is labelled yet.
        newest: the newest version by speaker; None where speakers are not reported one by one.
    """

    measure: str
    champion: str
    rate: Rate
    base_rate: Rate
    difference: Rate
    eval_set_id: str | None = None
    newest: NewestVersion | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document, in which the rates have the name of the figure."""
        named = {"rate": self.measure, "base_rate": f"base_{self.measure}"}
        document = Result.to_json(self)  # super() does not work in a dataclass with slots
        return {named.get(key, key): value for key, value in document.items() if key != "measure"}


@dataclass(frozen=True, slots=True)
class DemoNight(Result):
    """One night of the demo.

    Attributes:
        night: its name.
        received, accepted, refused: manifest rows; refused ones by reason.
        scored, chosen, fraction: utterances scored and chosen, and chosen / scored.
        taught: what the choice knew of earlier answers.
        outlook: what the next labels are expected to bring, by kind.
        labels: new labels.
        outcomes: answers by outcome.
        asr, intent: champion and base after the night.
        promoted: such as `asr 2`.
        decisions: of the gate, by kind.
    """

    night: str
    received: int
    accepted: int
    refused: Mapping[str, int]
    scored: int
    chosen: int
    fraction: float
    taught: Mapping[str, Any]
    outlook: Mapping[str, Outlook]
    labels: int
    outcomes: Mapping[str, int]
    asr: ChampionNight
    intent: ChampionNight
    promoted: tuple[str, ...]
    decisions: Mapping[str, str]

    def of(self, kind: Kind) -> ChampionNight:
        """Return champion and base of one kind of model."""
        return self.asr if kind == "asr" else self.intent


@dataclass(frozen=True, slots=True)
class DemoReport(Result):
    """The demo's home, how long it took [s], and its nights."""

    home: str
    seconds: float
    nights: tuple[DemoNight, ...]


# --- from stored JSON -------------------------------------------------------------------------------------------------


def night_of(document: Mapping[str, Any]) -> DemoNight:
    """Return the night whose `to_json` gave the document."""
    outlook = {kind: Outlook(**ahead) for kind, ahead in document.get("outlook", {}).items()}
    named = {
        "taught": document.get("taught", {}),  # a night that an older earmark lived through told less
        "outlook": outlook,
        "asr": champion_night("asr", document["asr"]),
        "intent": champion_night("intent", document["intent"]),
        "promoted": tuple(document["promoted"]),
    }
    return DemoNight(**{**document, **named})


def champion_night(kind: Kind, document: Mapping[str, Any]) -> ChampionNight:
    """Return champion and base of one kind of model from their JSON document."""
    measure, _ = MEASURES[kind]
    newest = document.get("newest")
    return ChampionNight(
        measure=measure,
        champion=document["champion"],
        rate=Rate(**document[measure]),
        base_rate=Rate(**document[f"base_{measure}"]),
        difference=Rate(**document["difference"]),
        eval_set_id=document.get("eval_set_id"),
        newest=newest_version(newest) if newest else None,
    )


def newest_version(document: Mapping[str, Any]) -> NewestVersion:
    """Return the newest version by speaker from its JSON document."""
    speakers = {name: SpeakerRate(**rate) for name, rate in document["speakers"].items()}
    return NewestVersion(document["version"], Rate(**document["all"]), speakers)


# --- tables -----------------------------------------------------------------------------------------------------------


def show_demo(report: DemoReport) -> None:
    """Print the nights: arrivals and choice, champions against bases, what each choice knew, decisions."""
    nights = report.nights
    headers = ("night", "received", "accepted", "refused by reason", "scored", "chosen", "fraction", "labels")
    rows = [
        (n.night, n.received, n.accepted, n.refused, n.scored, n.chosen, console.percent(n.fraction), n.labels)
        for n in nights
    ]
    console.show_table("arrivals and choice", headers, rows)
    for kind, (_, label) in MEASURES.items():
        _show_champions(nights, kind, label)
    if any(night.asr.newest is not None for night in nights):
        _show_speakers(nights)
    print("what each choice knew")
    for night in nights:
        for name, line in sample_lines(night.taught).items():
            if name not in ("cost label_intent", "cost triage"):
                print(f"  {night.night} {name}: {line}")
    print("what the next labels bring")
    for name, line in outlook_lines(as_json(nights[-1].outlook)).items():
        print(f"  {name.removeprefix('outlook ')}: {line}")
    print("decisions")
    for night in nights:
        for name, why in night.decisions.items():
            print(f"  {night.night} {name}: {why}")
    print(f"{len(nights)} nights in {report.seconds:.0f} s; home {report.home}")
    print("next: earmark status, earmark ui, earmark compare asr/base asr/champion (each with --config demo)")


def _show_champions(nights: Sequence[DemoNight], kind: Kind, label: str) -> None:
    """Print champion and base of every night."""
    rows = []
    for night in nights:
        found = night.of(kind)
        rates = (f"v{found.champion}  {_rate(found.rate)}", _rate(found.base_rate), _rate(found.difference))
        rows.append((night.night, found.rate.n, found.rate.speakers, *rates))
    headers = ("night", "rows", "speakers", "champion", "base", "difference to base")
    console.show_table(f"{label} on the accumulated audit rows, 95 % intervals", headers, rows)


def _show_speakers(nights: Sequence[DemoNight]) -> None:
    """Print the newest versions' rates on the held-out rows of every speaker."""
    for kind, (_, label) in MEASURES.items():
        newest = [(night.night, version) for night in nights if (version := night.of(kind).newest) is not None]
        last = newest[-1][1]
        names = sorted(last.speakers)
        rows = []
        for name, version in newest:
            shown = [console.percent(version.speakers[speaker].value) for speaker in names]
            rows.append((name, f"v{version.version}", *shown, _rate(version.all)))
        few = ", indicative: few speakers" if last.all.speakers < FEW_SPEAKERS else ""
        console.show_table(f"{label} of the newest version by speaker{few}", ("night", "version", *names, "all"), rows)


def _rate(rate: Rate) -> str:
    return console.percent(rate.value, rate.low, rate.high)

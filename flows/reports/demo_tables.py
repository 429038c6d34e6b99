"""The report of a demo: its nights in numbers, and their tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from corpus.records.base import Kind
from flows.reports.champion_vs_base import ChampionVsBase, champion_vs_base_from_json
from flows.reports.curve_sketch import sketch
from flows.reports.sample_summary import outlook_lines, sample_lines
from flows.rounds.sample_evidence import SampleEvidence
from flows.runtime import console
from flows.runtime.results import Result
from sampling.stopping_rule import Outlook
from training.evaluation.gate import PromotionSettings
from training.evaluation.interval_text import points_text, rate_text

FEW_SPEAKERS: Final = PromotionSettings().min_speakers
"""With fewer speakers than this an evaluation is called indicative, whatever a config asks of its gate."""

LABELS: Final[dict[Kind, str]] = {"asr": "WER", "intent": "intent accuracy"}
"""The name of the rate of each kind of model, in titles of tables."""


@dataclass(frozen=True, slots=True)
class DemoNight(Result):
    """One night of the demo.

    Attributes:
        night: its name.
        received, accepted, refused: manifest rows; refused ones by reason.
        scored, chosen, fraction: utterances scored and chosen, and chosen / scored.
        evidence: what the choice learned from earlier answers.
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
    evidence: SampleEvidence
    outlook: Mapping[str, Outlook]
    labels: int
    outcomes: Mapping[str, int]
    asr: ChampionVsBase
    intent: ChampionVsBase
    promoted: tuple[str, ...]
    decisions: Mapping[str, str]

    def of(self, kind: Kind) -> ChampionVsBase:
        """Return champion and base of one kind of model."""
        return self.asr if kind == "asr" else self.intent


@dataclass(frozen=True, slots=True)
class DemoReport(Result):
    """The demo's home, how long it took [s], its nights, and the file of the last night's page."""

    home: str
    seconds: float
    nights: tuple[DemoNight, ...]
    page: str | None = None


def night_from_json(document: Mapping[str, Any]) -> DemoNight:
    """Return the night whose `to_json` gave the document.

    Documents of older versions may lack the evidence and the outlook, or have the evidence under the key `taught`.
    """
    fields = {name: value for name, value in document.items() if name != "taught"}
    evidence = document.get("evidence", document.get("taught", {}))
    typed = {
        "evidence": SampleEvidence.from_json(evidence),
        "outlook": {kind: Outlook(**outlook) for kind, outlook in document.get("outlook", {}).items()},
        "asr": champion_vs_base_from_json("asr", document["asr"]),
        "intent": champion_vs_base_from_json("intent", document["intent"]),
        "promoted": tuple(document["promoted"]),
    }
    return DemoNight(**{**fields, **typed})


def show_demo(report: DemoReport) -> None:
    """Print the nights: arrivals and choices, champions and bases, the evidence of each choice, decisions."""
    nights = report.nights
    headers = ("night", "received", "accepted", "refused by reason", "scored", "chosen", "fraction", "labels")
    rows = [
        (n.night, n.received, n.accepted, n.refused, n.scored, n.chosen, console.percent(n.fraction), n.labels)
        for n in nights
    ]
    console.show_table("arrivals and choice", headers, rows)
    for kind in LABELS:
        _show_champions(nights, kind)
    if any(night.asr.newest is not None for night in nights):
        _show_speakers(nights)
    console.show_line("what each choice was based on")
    for night in nights:
        for name, line in sample_lines(night.evidence.to_json()).items():
            if name not in ("cost label_intent", "cost triage"):
                console.show_line(f"  {night.night} {name}: {line}")
    console.show_line("what the next labels bring")
    for name, line in outlook_lines(nights[-1].outlook).items():
        console.show_line(f"  {name.removeprefix('outlook ')}: {line}")
    console.show_line("decisions")
    for night in nights:
        for name, why in night.decisions.items():
            console.show_line(f"  {night.night} {name}: {why}")
    for kind in LABELS:
        _show_curves(nights, kind)
    console.show_line(f"{len(nights)} nights in {report.seconds:.0f} s; home {report.home}")
    if report.page is not None:
        console.show_line(f"page of the last night: {report.page}")
    console.show_line(
        "next: earmark status, earmark ui, earmark compare asr/base asr/champion (each with --config demo)"
    )


def _show_champions(nights: Sequence[DemoNight], kind: Kind) -> None:
    """Print champion and base of every night."""
    rows = []
    for night in nights:
        found = night.of(kind)
        rows_judged, speakers = (found.rate.n, found.rate.speakers) if found.rate else (0, 0)
        rates = (
            f"v{found.champion}  {rate_text(found.rate)}",
            rate_text(found.base_rate),
            points_text(found.difference),
        )
        rows.append((night.night, rows_judged, speakers, *rates))
    headers = ("night", "rows", "speakers", "champion", "base", "champion - base, points")
    console.show_table(f"{LABELS[kind]} on the accumulated audit rows, 95 % intervals", headers, rows)


def _show_curves(nights: Sequence[DemoNight], kind: Kind) -> None:
    """Print the rates of champion and base over the nights as a sketch."""
    rates = [(night.of(kind).rate, night.of(kind).base_rate) for night in nights]
    champion, base = ([None if rate is None else rate.value for rate in of] for of in zip(*rates, strict=True))
    curves = {"C champion": champion, "b base": base}
    console.show_line("\n".join(sketch(f"{LABELS[kind]} over the nights", [night.night for night in nights], curves)))


def _show_speakers(nights: Sequence[DemoNight]) -> None:
    """Print the newest version's rate on the evaluation rows of every speaker, night by night."""
    for kind, label in LABELS.items():
        newest = [(night.night, version) for night in nights if (version := night.of(kind).newest) is not None]
        last = newest[-1][1]
        names = sorted(last.speakers)
        rows = []
        for name, version in newest:
            shown = [console.percent(version.speakers[speaker].value) for speaker in names]
            rows.append((name, f"v{version.version}", *shown, rate_text(version.whole)))
        few = ", indicative: few speakers" if last.whole.speakers < FEW_SPEAKERS else ""
        console.show_table(f"{label} of the newest version by speaker{few}", ("night", "version", *names, "all"), rows)

"""Champion and base on the same rows, and the newest version speaker by speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from corpus.tables import models as store
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.runtime.results import Result, as_json

if TYPE_CHECKING:
    from training.asr.transcribe import TranscribeSettings
    from training.evaluation.gate import PromotionSettings

NO_ROWS: Final = {"value": None, "low": None, "high": None, "n": 0, "speakers": 0}
"""An interval as JSON where no evaluation row is labelled yet."""

MEASURES: Final[dict[Kind, str]] = {"asr": "wer", "intent": "accuracy"}
"""The JSON key of the rate of each kind of model."""


@dataclass(frozen=True, slots=True)
class SpeakerRate(Result):
    """A speaker's rate, and the number of rows that it is computed from."""

    value: float
    n: int


@dataclass(frozen=True, slots=True)
class RateBySpeaker(Result):
    """The rate of a version on all evaluation rows.

    Attributes:
        version: its number.
        whole: WER or intent accuracy on all rows, with a 95 % interval.
        speakers: the same rate on the rows of each speaker, by speaker.
    """

    version: str
    whole: Interval = field(metadata={"key": "all"})
    speakers: Mapping[str, SpeakerRate]


@dataclass(frozen=True, slots=True)
class ChampionVsBase(Result):
    """The champion and its base on the same rows.

    Attributes:
        kind: of the models; the rates are WER for `asr` and intent accuracy for `intent`.
        champion: its version.
        rate, base_rate: of champion and base, with 95 % intervals; None where no evaluation row is labelled yet.
        difference: champion - base, paired.
        eval_set_id: the rows.
        newest: the newest version by speaker; None where speakers are not reported one by one.
    """

    kind: Kind
    champion: str
    rate: Interval | None = None
    base_rate: Interval | None = None
    difference: Interval | None = None
    eval_set_id: str | None = None
    newest: RateBySpeaker | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document; a rate has the name of what it measures."""
        name = MEASURES[self.kind]
        rates = {name: self.rate, f"base_{name}": self.base_rate, "difference": self.difference}
        document: dict[str, Any] = {"champion": self.champion}
        document |= {key: NO_ROWS if rate is None else rate.as_json() for key, rate in rates.items()}
        optional = {"eval_set_id": self.eval_set_id, "newest": self.newest}
        return document | {key: as_json(value) for key, value in optional.items() if value is not None}


def champion_vs_base_from_json(kind: Kind, document: Mapping[str, Any]) -> ChampionVsBase:
    """Return the comparison whose `to_json` gave the document."""
    name = MEASURES[kind]
    newest = document.get("newest")
    return ChampionVsBase(
        kind=kind,
        champion=document["champion"],
        rate=_interval(document[name]),
        base_rate=_interval(document[f"base_{name}"]),
        difference=_interval(document["difference"]),
        eval_set_id=document.get("eval_set_id"),
        newest=_rate_by_speaker(newest) if newest else None,
    )


def _interval(document: Mapping[str, Any]) -> Interval | None:
    return None if document["value"] is None else Interval(**document)


def _rate_by_speaker(document: Mapping[str, Any]) -> RateBySpeaker:
    speakers = {name: SpeakerRate(**rate) for name, rate in document["speakers"].items()}
    return RateBySpeaker(document["version"], Interval(**document["all"]), speakers)


def compare_champion(
    corpus: Corpus, home: Path, how: TranscribeSettings, gate: PromotionSettings, kind: Kind
) -> ChampionVsBase:
    """Return champion and base on all labelled evaluation rows, and their paired difference, with 95 % intervals."""
    from training.evaluation.intervals import (
        IntervalSettings,
        complement,
        paired_difference,
        report_interval,
        reversed_difference,
    )

    champion, base = registry.champion(corpus, kind), registry.by_name(corpus, kind, "base")
    audit = audit_set(corpus, gate, kind, window=how.window)
    if not audit.labels:
        return ChampionVsBase(kind, champion.version)
    found = evaluate_versions(corpus, home, how, audit, [champion, base])
    interval = IntervalSettings(alpha=0.05)
    rate, base_rate = (report_interval(found[v.version], interval, weights=audit.weights) for v in (champion, base))
    difference = paired_difference(found[base.version], found[champion.version], interval, weights=audit.weights)
    if kind == "intent":
        rate, base_rate, difference = complement(rate), complement(base_rate), reversed_difference(difference)
    return ChampionVsBase(kind, champion.version, rate, base_rate, difference, audit.eval_set_id)


def by_speaker(
    corpus: Corpus, home: Path, how: TranscribeSettings, gate: PromotionSettings, kind: Kind
) -> RateBySpeaker:
    """Return the rate of the newest version on all evaluation rows with its interval, and each speaker's rate."""
    from training.evaluation.intervals import IntervalSettings, complement, rate_by_speaker, report_interval

    with corpus.read() as conn:
        newest = store.versions(conn, kind)[-1]
    audit = audit_set(corpus, gate, kind, window=how.window)
    report = evaluate_versions(corpus, home, how, audit, [newest])[newest.version]
    rate = report_interval(report, IntervalSettings(alpha=0.05), weights=audit.weights)
    found = rate_by_speaker(report, weights=audit.weights)
    speakers = {i: SpeakerRate(share if kind == "asr" else 1 - share, n) for i, (share, n) in found.items()}
    return RateBySpeaker(newest.version, rate if kind == "asr" else complement(rate), speakers)

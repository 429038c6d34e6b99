"""How the champion does beside the base that it started from, and the newest version speaker by speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from corpus.tables import models as store
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.runtime.results import Result
from flows.runtime.settings import Settings

NO_ROWS: Final = {"value": None, "low": None, "high": None, "n": 0, "speakers": 0}
"""An interval as JSON where no row that judges is labelled yet."""


@dataclass(frozen=True, slots=True)
class ChampionVsBase(Result):
    """The champion and its base on the same rows.

    Attributes:
        kind: of the models; the rates are WER for `asr` and intent accuracy for `intent`.
        champion: its version.
        rate, base_rate: of champion and base, with 95 % intervals; None where no row that judges is labelled yet.
        difference: champion - base, paired.
        eval_set_id: the rows.
    """

    kind: Kind
    champion: str
    rate: Interval | None = None
    base_rate: Interval | None = None
    difference: Interval | None = None
    eval_set_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document; a rate has the name of what it measures."""
        name = "wer" if self.kind == "asr" else "accuracy"
        rates = {name: self.rate, f"base_{name}": self.base_rate, "difference": self.difference}
        document: dict[str, Any] = {"champion": self.champion}
        document |= {key: NO_ROWS if rate is None else rate.as_json() for key, rate in rates.items()}
        return document if self.eval_set_id is None else {**document, "eval_set_id": self.eval_set_id}


@dataclass(frozen=True, slots=True)
class SpeakerRate(Result):
    """A speaker's rate, and how many rows it rests on."""

    value: float
    n: int


@dataclass(frozen=True, slots=True)
class RateBySpeaker(Result):
    """A version on all rows that judge.

    Attributes:
        version: its number.
        whole: WER or intent accuracy on all of them, with a 95 % interval.
        speakers: the same of each speaker, by id.
    """

    version: str
    whole: Interval = field(metadata={"key": "all"})
    speakers: Mapping[str, SpeakerRate]


def compare_champion(corpus: Corpus, settings: Settings, kind: Kind) -> ChampionVsBase:
    """Return champion and base on all labelled rows that judge, and their paired difference, with 95 % intervals."""
    from training.evaluation.intervals import (
        IntervalSettings,
        complement,
        paired_difference,
        report_interval,
        reversed_difference,
    )

    champion, base = registry.champion(corpus, kind), registry.by_name(corpus, kind, "base")
    audit = audit_set(corpus, settings.promotion, kind)
    if not audit.labels:
        return ChampionVsBase(kind, champion.version)
    found = evaluate_versions(corpus, settings, audit, [champion, base])
    interval = IntervalSettings(alpha=0.05)
    mine, theirs = (report_interval(found[v.version], interval, weights=audit.weights) for v in (champion, base))
    difference = paired_difference(found[base.version], found[champion.version], interval, weights=audit.weights)
    if kind == "intent":
        mine, theirs, difference = complement(mine), complement(theirs), reversed_difference(difference)
    return ChampionVsBase(kind, champion.version, mine, theirs, difference, audit.eval_set_id)


def by_speaker(corpus: Corpus, settings: Settings, kind: Kind) -> RateBySpeaker:
    """Return the newest version on all rows that judge: the rate of all with its interval, and each speaker's."""
    from training.evaluation.intervals import IntervalSettings, complement, rate_by_speaker, report_interval

    with corpus.read() as conn:
        newest = store.versions(conn, kind)[-1]
    audit = audit_set(corpus, settings.promotion, kind)
    report = evaluate_versions(corpus, settings, audit, [newest])[newest.version]
    rate = report_interval(report, IntervalSettings(alpha=0.05), weights=audit.weights)
    found = rate_by_speaker(report, weights=audit.weights)
    speakers = {i: SpeakerRate(share if kind == "asr" else 1 - share, n) for i, (share, n) in found.items()}
    return RateBySpeaker(newest.version, rate if kind == "asr" else complement(rate), speakers)

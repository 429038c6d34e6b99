"""Count what is in a home: utterances, rounds, tasks, answers, labels, versions, costs and outlook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from corpus.errors import Refused
from corpus.home_id import of_records
from corpus.key_encryption import place_of
from corpus.records.base import Kind
from corpus.settings import places
from corpus.tables import annotations as annotations_table
from corpus.tables import consent_use, labels, nights, rounds, utterances
from corpus.tables import models as store
from corpus.tables.labels import LabelRow
from flows.models.champion_lead import stored_lead
from flows.models.expired import retrain_by
from flows.models.known_texts import ChampionOnLabels, champions_on_labels
from flows.models.promotion_budget import promotion_budget
from flows.models.promotion_wait import PromotionWait, promotion_wait
from flows.models.registry import KINDS, standing
from flows.models.tainted import gave_way, tainted_champions
from flows.nights.night import last_night
from flows.reports.consent_problem import consent_problem
from flows.reports.nights import NightRow, nights_of
from flows.rounds.annotation_costs import QuestionCost, costs_by_question, fitted_costs
from flows.rounds.learning_outlook import outlooks
from flows.runtime.results import Result
from flows.runtime.session import opened
from flows.runtime.settings import RetentionSettings, Settings
from flows.tasks import task_status
from flows.tasks.queues import QueueReport, queues
from sampling.budget import SamplingSettings
from sampling.stopping_rule import Outlook
from training.evaluation.gate import PromotionSettings

NIGHTS: Final = 5
"""How many nights the status lists, the newest; `earmark nights` lists more."""


@dataclass(frozen=True, slots=True)
class RoundCounts(Result):
    """One round: how many utterances it could choose from, and how many it chose."""

    round: str
    pool: int
    chosen: int


@dataclass(frozen=True, slots=True)
class LabelCounts(Result):
    """The current labels.

    Attributes:
        current: all.
        in_use: those whose customers consent to their use: to train, or to judge.
        audit, held_out: of those in use, of the audit sample, and of the held-out rows that judge.
        from_manifest: of those in use, how many came with manifests.
    """

    current: int
    in_use: int
    audit: int
    held_out: int
    from_manifest: int


@dataclass(frozen=True, slots=True)
class KindVersions(Result):
    """The versions of one kind of model.

    Attributes:
        versions: all of them, oldest first.
        champion, challenger, previous: the version that has this alias; None where none has it. A version has one at
            most: a challenger that was promoted is the champion, and none any more.
        looks: how many challengers the gate has judged; each look makes the next one stricter.
        tainted: versions that learned from an utterance that was erased or withdrawn since.
        learned_from_expired: versions that learned from labels which retention has ended since.
        retrain_by: until when a version is trained without these; None where the newest one has none of them.
    """

    versions: tuple[str, ...]
    champion: str | None
    challenger: str | None
    previous: str | None
    looks: int
    tainted: tuple[str, ...] = ()
    learned_from_expired: tuple[str, ...] = ()
    retrain_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatusReport(Result):
    """What is in a home, in numbers.

    Attributes:
        home: its folder.
        key: where the key-encryption key is.
        utterances: by state.
        uses: how many of the available utterances their customers allow each use.
        refused: manifest rows by reason.
        rounds: oldest first.
        nights: the newest ones, oldest first.
        tasks: by state.
        queues: open tasks by person, locale, age and round.
        answers: by verdict.
        labels, models, costs: counts of labels; versions by kind; annotator seconds by question.
        outlook: what the next labels are expected to bring, by kind.
        champions: how the champions do on labelled clips, by kind; empty before there are champions.
        promotion: what promotion still waits for, by kind.
        promotion_budget: after how many nights of this budget the gate can decide at the earliest; None where a kind's
            gate can decide now, or the rate of past nights is known.
        leads: that a challenger is clearly better on fewer rows than the gate needs, by kind; empty where none is.
        gave_way: why today's champion is it, by kind, where the one before learned from what was erased since.
        consent: why no consent to annotation counts, with the remedy; None where some counts, or may.
        problems: champions that must not stay champions, each with the remedy.
    """

    home: str
    key: str
    utterances: Mapping[str, int]
    uses: consent_use.ClipUses
    refused: Mapping[str, int]
    rounds: tuple[RoundCounts, ...]
    nights: tuple[NightRow, ...]
    tasks: Mapping[str, int]
    queues: QueueReport
    answers: Mapping[str, int]
    labels: LabelCounts
    models: Mapping[Kind, KindVersions]
    costs: Mapping[str, QuestionCost]
    outlook: Mapping[Kind, Outlook]
    champions: Mapping[Kind, ChampionOnLabels]
    promotion: Mapping[Kind, PromotionWait]
    promotion_budget: str | None
    leads: Mapping[Kind, str]
    gave_way: Mapping[Kind, str]
    problems: tuple[str, ...]
    consent: str | None = None


def status_of(settings: Settings) -> StatusReport:
    """Return what is in the home, in numbers."""
    with opened(settings, create=False) as corpus:
        champions = champions_on_labels(corpus, settings.home, settings.promotion)
        promotion = {kind: promotion_wait(corpus, settings.promotion, kind) for kind in KINDS}
        leads = {kind: lead for kind in KINDS if (lead := stored_lead(corpus, settings.promotion, kind)) is not None}
        uses = consent_use.clip_uses(corpus)
        with corpus.read() as conn:
            current = labels.current(conn)
        in_use = consent_use.usable(corpus, current)
        with corpus.read() as conn:
            return StatusReport(
                home=str(settings.home),
                key=str(place_of(places(settings.corpus), of_records(corpus.records))),
                utterances=utterances.counts(conn),
                uses=uses,
                refused=utterances.refusals(conn),
                rounds=tuple(RoundCounts(row.round, row.pool_size, row.selected) for row in rounds.rounds(conn)),
                nights=nights_of(conn, settings.night, NIGHTS, corpus.clock()),
                tasks=task_status.count_waiting(corpus),
                queues=queues(corpus, settings.people, settings.export.due_days),
                answers=annotations_table.outcomes(conn),
                labels=_label_counts(current, in_use),
                models={kind: _versions(conn, kind, settings.retention) for kind in KINDS},
                costs=costs_by_question(*fitted_costs(corpus, settings.learned, settings.cost)),
                outlook=outlooks(corpus, settings.stopping, settings.sampling.seed),
                champions=champions,
                promotion=promotion,
                promotion_budget=_budget(settings.sampling, settings.people, settings.promotion, promotion),
                leads=leads,
                gave_way=gave_way(conn),
                problems=tuple(tainted_champions(conn, settings.erasure, corpus.clock())),
                consent=consent_problem(corpus, settings.ingest, uses),
            )


def _budget(
    sampling: SamplingSettings,
    people: PeopleSettings,
    gate: PromotionSettings,
    promotion: Mapping[Kind, PromotionWait],
) -> str | None:
    if any(wait.nights is not None for wait in promotion.values()):
        return None
    return promotion_budget(sampling, people, gate, min(wait.rows for wait in promotion.values()))


def _label_counts(current: Sequence[LabelRow], in_use: Sequence[LabelRow]) -> LabelCounts:
    reasons = Counter(row.reason for row in in_use)
    return LabelCounts(
        current=len(current),
        in_use=len(in_use),
        audit=reasons["audit"],
        held_out=reasons["held_out"],
        from_manifest=sum(row.source == "manifest" for row in in_use),
    )


def _versions(conn: sa.Connection, kind: Kind, retention: RetentionSettings) -> KindVersions:
    return KindVersions(
        versions=tuple(version.version for version in store.versions(conn, kind)),
        **standing(conn, kind),
        looks=store.looks(conn, kind),
        tainted=tuple(version.version for version in store.versions(conn, kind) if version.tainted),
        learned_from_expired=tuple(store.learned_from_expired(conn, kind)),
        retrain_by=retrain_by(conn, retention).get(kind),
    )


def refuse_late_night(settings: Settings, hours: float, now: datetime | None = None) -> None:
    """Refuse where the newest night that closed at least `hours` ago has not been run.

    Args:
        settings: of the home.
        hours: how long a night may take after it closed [h].
        now: the time; that of the machine's clock where None.

    Raises:
        Refused: it was not run; the message names the night and how to run it.
    """
    zone, ends_at = settings.night.time_zone, settings.night.ends_at
    night = last_night((now or datetime.now(UTC)) - timedelta(hours=hours), zone, ends_at)
    with opened(settings) as corpus, corpus.read() as conn:
        if not nights.is_done(conn, night.name):
            raise Refused(
                f"night {night.name} closed at {night.end:%Y-%m-%d %H:%M} UTC and is not done {hours:g} h later;"
                f" read the log of its run, then earmark nightly --night {night.name}"
            )

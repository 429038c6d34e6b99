"""Choose: the night's few, with a reason, an inclusion probability and a price for each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus import operation_ids, vault
from corpus.handle import Corpus
from corpus.operations import result_of
from corpus.records import digest
from corpus.store import labels, nights, rounds, scores, utterances
from flows import models
from flows.frame import frame
from flows.known import Known, informed, know, told_costs
from flows.night import Night
from flows.outlook import outlooks
from flows.settings import Settings

if TYPE_CHECKING:
    from sampling.pool import Pool
    from sampling.selection import Choice


NOTHING = (
    "nothing to choose from: of the night's utterances none is scored by the champions, without a label, "
    "and of a customer who allows annotation"
)


def choose_round(corpus: Corpus, settings: Settings, night: Night) -> dict[str, Any]:
    """The night's round is stored; a night has one round, so a repeat gives the stored one back."""
    operation_id = operation_ids.sample(night.name)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
        ids, of_night = frame(conn, settings, night)
    if stored is not None:
        return {**stored, "already": "chosen before; a night has one round"}
    pool, scored = night_pool(corpus, ids)
    if pool is None:
        nothing = {"pool": 0, "scored": scored, "chosen": 0, "fraction": 0.0}
        return {"skipped": NOTHING, **nothing}
    known = know(corpus, settings, night.name)
    pool = informed(pool, known)
    choice = select(corpus, settings, night, pool, known)
    told = {**summary(choice, pool, scored), **taught(choice, pool, known), "outlook": outlooks(corpus, settings)}
    with corpus.operation(operation_id, "sample") as op:
        if not op.done:
            rounds.put_selection(
                op.conn, choice.selection, night.name, digest(settings.sampling.model_dump(mode="json")), scored
            )
            nights.put_frame(op.conn, of_night)
            op.result = {**told, "since": of_night.since, "up_to": of_night.up_to}
        return dict(op.result)


def dry_run(corpus: Corpus, settings: Settings, night: Night) -> dict[str, Any]:
    """Returns what would be chosen, row by row; nothing is chosen, and the look at labels is on the audit chain."""
    with corpus.read() as conn:
        ids, _ = frame(conn, settings, night)
    pool, scored = night_pool(corpus, ids)
    if pool is None:
        return {"skipped": NOTHING, "rows": []}
    known = know(corpus, settings, night.name)
    pool = informed(pool, known)
    choice = select(corpus, settings, night, pool, known)
    selection = choice.selection
    rows = [
        {
            "utterance": str(selection.utterance_ids[k]),
            "reason": str(selection.reasons[k]),
            "ask": str(selection.asks[k]),
            "score": round(float(selection.scores[k]), 4),
            "inclusion": round(float(selection.inclusion_probs[k]), 4),
            "seconds": round(float(selection.costs[k]), 1),
        }
        for k in range(len(selection))
    ]
    told = {**summary(choice, pool, scored), **taught(choice, pool, known), "outlook": outlooks(corpus, settings)}
    return {"night": night.name, **told, "rows": rows}


def night_pool(corpus: Corpus, ids: list[str]) -> tuple[Pool | None, int]:
    """Returns what of a frame may be chosen, and how many of it were scored.

    In the pool stands what was scored by the champions, may be annotated by its customer's
    consent, was never chosen before and has no label yet.
    """
    from sampling.pool import Pool

    asr, intent = models.champion(corpus, "asr"), models.champion(corpus, "intent")
    with corpus.read() as conn:
        unscored = set(scores.unscored(conn, ids, asr.version, intent.version))
        scored = [i for i in ids if i not in unscored]
        taken = rounds.selected_ids(conn) | {row.utterance_id for row in labels.current(conn)}
        allowed = vault.consenting(corpus.vault, scored, "annotate").tolist()
        free = [i for i, consents in zip(scored, allowed, strict=True) if consents and i not in taken]
        if not free:
            return None, len(scored)
        columns = utterances.pool_columns(conn, free)
    slices = {"locale": columns.locales, "device_type": columns.device_types, **columns.attributes}
    predictions = scores.predictions(corpus, free, asr.version, intent.version)
    return Pool(predictions=predictions, speaker_ids=columns.speaker_ids, splits=columns.splits, slices=slices), len(
        scored
    )


def select(corpus: Corpus, settings: Settings, night: Night, pool: Pool, known: Known) -> Choice:
    """Returns the round's selection, with what there is to say about it."""
    from sampling.selection import choose_explained

    with corpus.read() as conn:
        current = labels.current(conn)
    audit = sum(row.reason == "audit" for row in current)
    return choose_explained(
        pool,
        settings.sampling,
        round=night.name,
        audit_rows_so_far=audit,
        labels_so_far=sum(not row.judges for row in current),
        cost_model=known.costs,
        calibrators=known.calibrators,
    )


def summary(choice: Choice, pool: Pool, scored: int) -> dict[str, Any]:
    """Returns the round in numbers; the fraction is of what was scored."""
    selection = choice.selection
    return {
        "pool": len(pool),
        "scored": scored,
        "chosen": len(selection),
        "fraction": len(selection) / scored if scored else 0.0,
        "reasons": dict(sorted(Counter(selection.reasons.tolist()).items())),
        "asks": dict(sorted(Counter(selection.asks.tolist()).items())),
        "minutes": float(np.round(selection.costs.sum() / 60.0, 2)),
        "notes": list(choice.notes),
    }


def taught(choice: Choice, pool: Pool, known: Known) -> dict[str, Any]:
    """Returns what earlier answers taught the choice: figures and counts, no centre, no curve, no embedding."""
    from sampling.cohorts import SLICE

    selection = choice.selection
    names = pool.slices.get(SLICE, np.full(len(pool), ""))
    served = names[np.isin(pool.utterance_ids, selection.utterance_ids[selection.reasons == "slice"])]
    cohorts = [
        {**cohort.as_json(), "pool": int((names == cohort.name).sum()), "chosen": int((served == cohort.name).sum())}
        for cohort in known.cohorts
    ]
    return {
        "known": {"labelled": known.labelled, "scored": known.scored, "unseen": known.unseen},
        "calibration": {kind: found.as_json() for kind, found in known.reliability.items()},
        "expected_errors": {"chosen": choice.expected[0], "pool": choice.expected[1]},
        "costs": told_costs(known.costs, known.answers),
        "cohorts": cohorts,
    }


def track(settings: Settings, night: str, report: dict[str, Any]) -> None:
    """The night's run in MLflow, which holds its retrainings together, shows what was chosen and how reliable it is."""
    if not report.get("chosen") or "calibration" not in report:  # a round that an older earmark chose told less
        return
    from training.tracking.runs import cycle_run, log_metrics
    from training.tracking.store import open_tracking

    figures = {f"sample_{name}": report[name] for name in ("pool", "chosen", "fraction", "minutes")}
    for kind, found in report["calibration"].items():
        names = ("rows", "error_share", "ece_before", "ece_after", "nce", "auc_roc", "auc_pr")
        figures |= {f"sample_{kind}_{name}": found[name] for name in names}
    figures |= {f"sample_expected_errors_{name}": value for name, value in report["expected_errors"].items()}
    figures["sample_cohorts"] = len(report["cohorts"])
    for kind, ahead in report["outlook"].items():
        figures[f"sample_{kind}_expected_gain"] = ahead["gain"]
    tracking = open_tracking(settings.tracking, settings.home)
    run_id = cycle_run(tracking, night)
    log_metrics(tracking, run_id, {name: float(value) for name, value in figures.items() if value is not None})

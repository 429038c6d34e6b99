"""Slices to look at: what the gate looks at, and besides length, noise, intent, and speakers who are new or return.

The gate looks at locale, device and the manifest's attributes alone. Each further dimension is some more chances to
refuse a better model for what one slice did by luck, and intents alone would be dozens.
"""

from __future__ import annotations

import numpy as np

from corpus.handle import Corpus
from corpus.records import EvaluationReport, Strings
from corpus.store import utterances
from flows.judge import AuditSet
from flows.night import last_night
from flows.settings import Settings


def shown_slices(corpus: Corpus, settings: Settings, audit: AuditSet, report: EvaluationReport) -> dict[str, Strings]:
    """Returns the value of each row by dimension; an attribute of the manifest keeps its name to itself."""
    from training.bands import described

    return {"speaker": _familiarity(corpus, settings, audit), **described(report), **audit.slices}


def _familiarity(corpus: Corpus, settings: Settings, audit: AuditSet) -> Strings:
    """Returns `returning` where the speaker had been heard in an earlier night, else `new`."""
    zone, ends_at = settings.night.time_zone, settings.night.ends_at
    ids = sorted(audit.labels)
    with corpus.read() as conn:
        first = utterances.first_arrivals(conn, sorted(set(audit.speaker_ids.values())))
        arrived = {u.utterance_id: u.arrived_at for u in utterances.get(conn, ids)}
    # The night that had closed last is the same for all arrivals of one night.
    before = {speaker: last_night(moment, zone, ends_at).name for speaker, moment in first.items()}
    nights = [last_night(arrived[i], zone, ends_at).name for i in ids]
    returning = [before[audit.speaker_ids[i]] < night for i, night in zip(ids, nights, strict=True)]
    return np.where(np.array(returning, dtype=bool), "returning", "new").astype(np.str_)

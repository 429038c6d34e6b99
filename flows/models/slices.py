"""Slices for reports: those of the gate, and also length, noise, intent, and new or returning speakers.

The gate uses locale, device and the attributes of the manifest only. Each further dimension would add chances to refuse
a better model because of one slice that is worse by chance, and intents alone would be dozens of slices.
"""

from __future__ import annotations

from corpus.handle import Corpus
from corpus.records.base import Strings
from corpus.records.evaluation import EvaluationReport
from corpus.tables import utterances
from flows.models.eval_set import AuditSet
from flows.nights.night import last_night
from flows.runtime.settings import NightSettings


def shown_slices(corpus: Corpus, night: NightSettings, audit: AuditSet, report: EvaluationReport) -> dict[str, Strings]:
    """Return the value of each row by dimension; attributes of the manifest replace dimensions of the same name."""
    from training.evaluation.bands import band_slices

    return {"speaker": _familiarity(corpus, night, audit), **band_slices(report), **audit.slices}


def _familiarity(corpus: Corpus, night: NightSettings, audit: AuditSet) -> Strings:
    """Return whether each row's speaker is `new` or `returning`."""
    from training.evaluation.bands import familiarity

    zone, ends_at = night.time_zone, night.ends_at
    ids = sorted(audit.labels)
    with corpus.read() as conn:
        first = utterances.first_arrivals(conn, sorted(set(audit.speaker_ids.values())))
        arrived = {u.utterance_id: u.arrived_at for u in utterances.get(conn, ids)}
    # the last night that had ended is the same for all arrivals of one night
    before = {speaker: last_night(moment, zone, ends_at).name for speaker, moment in first.items()}
    nights = [last_night(arrived[i], zone, ends_at).name for i in ids]
    return familiarity([before[audit.speaker_ids[i]] for i in ids], nights)

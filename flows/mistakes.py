"""Errors: what a version gets wrong, said and heard side by side, for a person who may hear it.

The stored report knows which rows are worst; their content is opened anew, through the door, one audit row a clip, and
heard again by the model. Nothing of it is written anywhere but to the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records import EvaluationReport, SlotSpan, Strings
from corpus.store.people import holder
from corpus.text import normalise
from flows import models
from flows.eval_set import AuditSet, audit_set
from flows.evaluation import Reading, hear, read
from flows.evaluation_store import reports
from flows.settings import Settings
from flows.slices import shown_slices


def mistakes(
    corpus: Corpus, settings: Settings, reference: str, wanted: Sequence[str], worst: int, who: str
) -> dict[str, Any]:
    """Returns the worst rows of a version with their content: never to be stored or logged.

    Args:
        corpus: the handle.
        settings: how clips are heard.
        reference: kind and version, such as `asr/2`.
        wanted: slices such as `device=doorbell`, all of which a row is in.
        worst: rows at most.
        who: the person who reads them, as the audit chain names them.

    Raises:
        UsageError: no such version or slice, or no audit row is labelled.
    """
    kind, name = models.parse(reference)
    version = models.by_name(corpus, kind, name)
    audit = audit_set(corpus, settings.promotion, kind)
    if not audit.labels:
        raise UsageError("no audit row is labelled yet; merge annotations first")
    report = reports(corpus, settings, audit, [version])[version.version]
    slices = shown_slices(corpus, settings.night, audit, report)
    inside = _inside(slices, wanted, len(report))
    order = [row for row in worst_first(report) if inside[row]]
    rows = {str(report.utterance_ids[row]): row for row in order[:worst]}
    held = _open(corpus, audit, list(rows), who)
    heard = hear(settings, audit.listener or version, [(i, audio) for i, (audio, _) in held.items()])
    texts = {output.utterance_id: output.text for output in heard}
    reading = read(settings, version, texts) if kind == "intent" and texts else None
    shown = []
    for i, row in ((i, row) for i, row in rows.items() if i in held):
        where = {dimension: str(values[row]) for dimension, values in sorted(slices.items()) if values[row]}
        label = held[i][1]
        entry = _heard(label, texts[i]) if reading is None else _understood(label, reading, i)
        shown.append({"utterance_id": i, "slices": where, **entry})
    return {
        "kind": kind,
        "version": version.version,
        "eval_set_id": audit.eval_set_id,
        "slices": list(wanted),
        "rows": int(inside.sum()),
        "wrong": len(order),
        "closed": len(rows) - len(held),
        "utterances": shown,
    }


def worst_first(report: EvaluationReport) -> list[int]:
    """Returns the rows with a mistake: most word errors first; or wrong intents, surest first, then wrong slots."""
    if report.kind == "asr":
        share = report.errors / np.maximum(1, report.words)
        order = np.lexsort((report.utterance_ids, -share, -report.errors))
        wrong = report.errors > 0
    else:
        slots = report.slot_counts[:, 1:].sum(axis=1)
        order = np.lexsort((report.utterance_ids, -slots, -report.confidence, report.correct))
        wrong = ~report.correct | (slots > 0)
    return [int(row) for row in order if wrong[row]]


def _inside(slices: Mapping[str, Strings], wanted: Sequence[str], rows: int) -> npt.NDArray[np.bool_]:
    inside = np.ones(rows, dtype=bool)
    for each in wanted:
        dimension, separator, value = each.partition("=")
        if not separator or dimension not in slices:
            raise UsageError(f"--slice {each}: give dimension=value; dimensions are {', '.join(sorted(slices))}")
        named = np.where(slices[dimension] == "", "unknown", slices[dimension])  # as the tables of slices name it
        known = np.unique(named)
        if value not in known:
            raise UsageError(f"--slice {each}: {dimension} is one of {', '.join(known)}")
        inside &= named == value
    return inside


def _open(corpus: Corpus, audit: AuditSet, ids: Sequence[str], who: str) -> dict[str, Any]:
    """Returns audio and label by utterance id; what was withdrawn since is left out."""
    revisions = {i: audit.labels[i].revision for i in ids}
    opened = door.open(
        corpus, ids, "judge", actor=holder(who), parts=("audio", "label"), strict=False, label_revisions=revisions
    )
    return {c.utterance.utterance_id: (c.audio, c.label) for c in opened if c.audio is not None and c.label is not None}


def _heard(label: Any, text: str) -> dict[str, Any]:
    from corpus.edits import align

    said, heard = normalise(label.transcript or "").split(), normalise(text).split()
    steps = align(said, heard)
    return {
        "errors": sum(kind != "same" for kind, _, _ in steps),
        "words": len(said),
        "said": " ".join(said),
        "heard": " ".join(heard),
        "steps": [list(step) for step in steps],
    }


def _understood(label: Any, reading: Reading, utterance_id: str) -> dict[str, Any]:
    hypothesis = reading.hypotheses()[utterance_id]
    said = None if label.transcript is None else normalise(label.transcript)
    return {
        **({} if said is None else _heard(label, hypothesis.text)),
        "heard": hypothesis.text,
        "intent": label.intent,
        "predicted": hypothesis.intent,
        "confidence": round(reading.confidence()[utterance_id], 4),
        "slots": _slots(label.transcript or "", label.slots),
        "slots_read": _slots(hypothesis.text, hypothesis.slots),
    }


def _slots(text: str, slots: Sequence[SlotSpan]) -> list[dict[str, str]]:
    return [{"name": slot.name, "text": text[slot.start : slot.end]} for slot in slots]

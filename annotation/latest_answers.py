"""Selection of the answers that count: the latest of each person to each task, once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from corpus.records.annotations import Annotation
from corpus.text import normalise, normalise_with_spans


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers that count.

    Attributes:
        latest: one answer for each (task, annotator), sorted by these; transcripts normalised, slots in order,
            and no texts beside a verdict other than `labelled`.
        contradicted: answers of people who gave two different answers to a task with the same, highest revision. Which
            one is meant is unknown, so none is in `latest`, until there is a higher revision.
    """

    latest: tuple[Annotation, ...]
    contradicted: tuple[Annotation, ...]


def latest_answers(annotations: Iterable[Annotation]) -> Answers:
    """Return the latest revision of each person's answer to each task; the order of the annotations does not matter.

    Equal rows of the same revision are one answer, with the shortest of their lead times.
    """
    groups: dict[tuple[str, str], list[Annotation]] = {}
    for annotation in annotations:
        groups.setdefault((annotation.task_id, annotation.annotator_id), []).append(annotation)
    latest: list[Annotation] = []
    contradicted: list[Annotation] = []
    for _, group in sorted(groups.items()):
        newest = max(annotation.revision for annotation in group)
        answers = sorted((_canonical(a) for a in group if a.revision == newest), key=lambda a: a.lead_time)
        if any(replace(a, lead_time=0.0) != replace(answers[0], lead_time=0.0) for a in answers[1:]):
            contradicted.extend(answers)
        else:
            latest.append(answers[0])
    return Answers(tuple(latest), tuple(contradicted))


def _canonical(annotation: Annotation) -> Annotation:
    """Return the annotation in normal form, so that equal answers compare equal."""
    if annotation.verdict != "labelled":
        question = annotation.question if annotation.verdict == "help" else None
        return replace(annotation, transcript=None, intent=None, slots=(), proposal=None, question=question)
    annotation = replace(annotation, question=None)
    if annotation.transcript is None:
        return replace(annotation, slots=())
    if not annotation.slots:
        return replace(annotation, transcript=normalise(annotation.transcript))
    text, slots = normalise_with_spans(annotation.transcript, annotation.slots)
    return replace(annotation, transcript=text, slots=tuple(sorted(slots, key=lambda s: s.start)))

"""Small worlds for the tests of this package: tasks, answers and hypothesis strategies for both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from annotation.files import write_tasks
from annotation.tasks import TaskSettings, make_tasks
from corpus.records.annotations import Annotation, AnnotationTask, Selection, task_id
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.inventory import plain_inventory
from corpus.storage.own_folder import own_folder

INTENTS = ("light_on", "light_off", "play_music", "other")
SLOTS = ("room", "artist")
TEXTS = ("", "turn on the light", "turn off the light", "turn on the night", "play some music", "lights")


def selection(n: int, reasons: tuple[str, ...] = ("uncertain",), asks: tuple[str, ...] = ("transcribe",)) -> Selection:
    return Selection(
        round="r1",
        utterance_ids=np.array([f"u{i:04d}" for i in range(n)], dtype=np.str_),
        reasons=np.array([reasons[i % len(reasons)] for i in range(n)], dtype=np.str_),
        asks=np.array([asks[i % len(asks)] for i in range(n)], dtype=np.str_),
        scores=np.linspace(1.0, 0.0, n),
        inclusion_probs=np.ones(n),
        costs=np.ones(n),
    )


def tasks(
    n: int, blind_share: float = 0.0, seed: int = 0, reasons: tuple[str, ...] = ("uncertain",), **kw: tuple[str, ...]
) -> list[AnnotationTask]:
    chosen = selection(n, reasons, **kw)
    ids = chosen.utterance_ids.tolist()
    draft = Hypothesis("turn on the kitchen light", 0.7, "light_on", (SlotSpan("room", 12, 19),))
    settings = TaskSettings(blind_share=blind_share)
    return make_tasks(
        chosen, dict.fromkeys(ids, 2.0), dict.fromkeys(ids, draft), plain_inventory(INTENTS, SLOTS), settings, seed
    )


def tasks_in(folder: Path, made: Sequence[AnnotationTask]) -> Path:
    """Write the tasks into a folder; return the file."""
    with own_folder(folder) as opened:
        return write_tasks(opened, made)


def labelled(
    annotator: str,
    transcript: str | None = "turn on the light",
    intent: str | None = "light_on",
    slots: tuple[SlotSpan, ...] = (),
    revision: int = 1,
    **kw: object,
) -> Annotation:
    ask = "transcribe" if transcript is not None else "label_intent"
    fields = {"ask": ask, "task_id": task_id("r1", "u1", ask), "verdict": "labelled", **kw}
    return Annotation(
        annotator_id=annotator, transcript=transcript, intent=intent, slots=slots, revision=revision, **fields
    )


def judged(annotator: str, verdict: str, revision: int = 1) -> Annotation:
    return Annotation(task_id("r1", "u1", "transcribe"), annotator, "transcribe", verdict, revision=revision)


@st.composite
def answers(draw: st.DrawFn) -> Annotation:
    """One answer about utterance u1, by one of three people, to one of three questions, of up to three revisions."""
    ask = draw(st.sampled_from(["transcribe", "label_intent", "triage"]))
    verdict = draw(
        st.sampled_from(["labelled"] * 6 + ["unintelligible", "accidental", "critical_data", "distress", "help"])
    )
    transcript = intent = None
    slots: tuple[SlotSpan, ...] = ()
    if verdict == "labelled" and (ask != "triage" or draw(st.booleans())):
        intent = draw(st.sampled_from(INTENTS))
    if verdict == "labelled" and ask == "transcribe":
        transcript = draw(st.sampled_from(TEXTS))
        if len(transcript) > 7 and draw(st.booleans()):
            start = draw(st.integers(0, 4))
            slots = (SlotSpan(draw(st.sampled_from(SLOTS)), start, start + draw(st.integers(2, 4))),)
    return Annotation(
        task_id=task_id("r1", "u1", ask),
        annotator_id=draw(st.sampled_from(["ann", "bob", "cid"])),
        ask=ask,
        verdict=verdict,
        transcript=transcript,
        intent=intent,
        slots=slots,
        lead_time=draw(st.sampled_from([0.0, 3.5, 12.25])),
        revision=draw(st.integers(1, 3)),
        proposal=draw(st.sampled_from([None, "dim_light"])) if intent == "other" else None,
    )

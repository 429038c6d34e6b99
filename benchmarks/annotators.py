"""How soon a careless or hostile annotator is found out, and what they cost until then and with their voice weighed.

`python -m benchmarks.annotators --seeds 10 --out FOLDER`. Six people, one of whom is not careful, label a stream of
clips: audit rows (a sixth of all) twice, others once, every disagreement a third time, as the defaults of production
do. After every 25 clips the crowd is learned anew. Three ways to make labels of the same answers are compared: ours
(weighted, and what rests on careless voices alone left out, as the snapshot does), ours with all voices alike, and
crowd-kit's majority vote and ROVER, which somebody without earmark would take.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from crowdkit.aggregation import ROVER, MajorityVote

from annotation.agreement import word_edits
from annotation.anchoring import DraftComparison
from annotation.consensus import merge_annotations
from annotation.crowd import Crowd, learn_crowd
from annotation.latest_answers import latest_answers
from annotation.simulated import AnnotatorSettings, Truth, answer
from corpus.records.annotations import Annotation, AnnotationTask, task_id
from corpus.records.arrivals import Hypothesis

INTENTS = tuple(f"intent_{k:02d}" for k in range(20))
WORDS = tuple(f"word{k}" for k in range(300))
CLIPS = 600
EVERY = 25
CAREFUL = {"word_error_rate": 0.03, "intent_error_rate": 0.05}
MANNERS: dict[str, dict[str, object]] = {
    "none": {},
    "random": {"manner": "random"},
    "first": {"manner": "first"},
    "flips": {"manner": "flips"},
    "copies": {"draft_trust": 1.0},
}
MIN_RELIABILITY = 0.3


@dataclass(frozen=True)
class World:
    """Clips with their truth, tasks of which a fifth is blind, and drafts with every third word wrong."""

    tasks: list[AnnotationTask]
    drafts: dict[str, str]
    truth: dict[str, Truth]
    audit: set[str]


def world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    tasks, drafts, truth, audit = [], {}, {}, set()
    weights = 1.0 / np.arange(1, len(INTENTS) + 1)  # frequent intents and rare ones
    for k in range(CLIPS):
        i = f"u{k:05d}"
        words = [str(w) for w in rng.choice(WORDS, int(rng.integers(3, 8)))]
        intent = INTENTS[int(rng.choice(len(INTENTS), p=weights / weights.sum()))]
        truth[i] = Truth(" ".join(words), intent)
        heard = [str(rng.choice(WORDS)) if rng.random() < 0.3 else w for w in words]
        guess = intent if rng.random() < 0.67 else str(rng.choice(INTENTS))
        is_audit = rng.random() < 1 / 6
        blind = is_audit or rng.random() < 0.2
        audit |= {i} if is_audit else set()
        drafts[i] = " ".join(heard)
        draft = None if blind else Hypothesis(" ".join(heard), 1.0, guess)
        id_ = task_id("r", i, "transcribe")
        tasks.append(AnnotationTask(id_, "r", i, "transcribe", "c.wav", 2.0, INTENTS, (), draft))
    return World(tasks, drafts, truth, audit)


def people(manner: str, seed: int) -> list[AnnotatorSettings]:
    careful = [AnnotatorSettings(annotator_id=f"good-{k}", seed=seed, **CAREFUL) for k in range(5)]  # type: ignore[arg-type]
    bad = AnnotatorSettings(annotator_id="suspect", seed=seed, **{**CAREFUL, **MANNERS[manner]})  # type: ignore[arg-type]
    return [*careful, bad]


def lived(made: World, manner: str, seed: int) -> tuple[dict[str, list[Annotation]], Crowd, int | None]:
    """Return all answers, what is known in the end, and how many answers of the suspect it took to name them."""
    rng = np.random.default_rng(seed + 1)
    team = people(manner, seed)
    given: dict[str, list[Annotation]] = {}
    named: int | None = None
    crowd = Crowd()
    said = 0
    for start in range(0, CLIPS, EVERY):
        for task in made.tasks[start : start + EVERY]:
            order = [team[int(p)] for p in rng.permutation(len(team))]
            count = 2 if task.utterance_id in made.audit else 1
            rows = [a for who in order[:count] for a in answer([task], made.truth, who)]
            (merged,) = merge_annotations({task.utterance_id: rows}, {}, crowd=crowd)
            if merged.outcome == "conflict":
                rows += answer([task], made.truth, order[count])
            given[task.utterance_id] = rows
            said += sum(row.annotator_id == "suspect" for row in rows)
        crowd = learn_crowd(given, inventory=len(INTENTS), comparisons=beside(made, given))
        if named is None and "suspect" in crowd.careless():
            named = said
    return given, crowd, named


def beside(made: World, given: dict[str, list[Annotation]]) -> list[DraftComparison]:
    shown = {task.utterance_id for task in made.tasks if task.draft is not None}
    return [
        DraftComparison(answer.annotator_id, i in shown, answer.transcript == made.drafts[i])
        for i, answers in given.items()
        for answer in answers
    ]


def errors(labels: dict[str, tuple[str | None, str | None]], truth: dict[str, Truth]) -> dict[str, float]:
    """Return intent error and WER of the labels, and how many there are."""
    wrong = sum(intent != truth[i].intent for i, (_, intent) in labels.items())
    edits = sum(word_edits(truth[i].text, text or "") for i, (text, _) in labels.items())
    words = sum(len(truth[i].text.split()) for i in labels)
    return {"intent_error": wrong / len(labels), "wer": edits / words, "labels": len(labels)}


def ours(given: dict[str, list[Annotation]], crowd: Crowd, shown: set[str]) -> dict[str, tuple[str | None, str | None]]:
    kept = {}
    for row in merge_annotations(given, {}, crowd=crowd):
        voices = [(a.annotator_id, a.verdict, a.intent) for a in latest_answers(given[row.utterance_id]).latest]
        if row.label is not None and crowd.reliability(voices, row.utterance_id in shown) >= MIN_RELIABILITY:
            kept[row.utterance_id] = (row.label.transcript, row.label.intent)
    return kept


def crowd_kit(given: dict[str, list[Annotation]]) -> dict[str, tuple[str | None, str | None]]:
    rows = [(i, a.annotator_id, a.intent, a.transcript) for i, said in given.items() for a in said]
    table = pd.DataFrame(rows, columns=["task", "worker", "label", "text"])
    intents = MajorityVote().fit_predict(table).to_dict()
    texts = ROVER(tokenizer=str.split, detokenizer=" ".join).fit_predict(table).to_dict()
    return {i: (texts[i], intents[i]) for i in given}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = []
    for manner in MANNERS:
        for seed in range(options.seeds):
            made = world(seed)
            given, crowd, named = lived(made, manner, seed)
            shown = {task.utterance_id for task in made.tasks if task.draft is not None}
            ways = {"weighed": ours(given, crowd, shown), "alike": ours(given, Crowd(), shown)}
            ways["crowd_kit"] = crowd_kit(given)
            row = {way: errors(labels, made.truth) for way, labels in ways.items()}
            wrongly = sorted(set(crowd.careless()) - {"suspect"})
            found.append({"manner": manner, "seed": seed, "named_after": named, "wrongly_named": wrongly, **row})
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "annotators.json").write_text(json.dumps(found, indent=2))
    show(found)


def show(found: list[dict[str, object]]) -> None:
    print(f"{CLIPS} clips, six people, one suspect; mean [least, most] over seeds")
    for manner in MANNERS:
        rows = [row for row in found if row["manner"] == manner]
        after = [row["named_after"] for row in rows]
        known = sorted(n for n in after if n is not None)  # type: ignore[type-var]
        told = f"named after {np.median(known):.0f} [{known[0]}, {known[-1]}] answers" if known else "never named"  # type: ignore[arg-type]
        innocent = sum(bool(row["wrongly_named"]) for row in rows)
        print(f"{manner:<8} {told}, in {len(known)} of {len(rows)}; an innocent person named in {innocent}")
        for way in ("weighed", "alike", "crowd_kit"):
            print(
                f"         {way:<10}",
                *(f"{name} {spread([row[way][name] for row in rows])}" for name in ("intent_error", "wer", "labels")),
            )  # type: ignore[index]


def spread(values: list[float]) -> str:
    scale, unit = (1, "") if max(values) > 1 else (100, " %")
    return f"{scale * np.mean(values):.1f}{unit} [{scale * min(values):.1f}, {scale * max(values):.1f}]"


if __name__ == "__main__":
    main()

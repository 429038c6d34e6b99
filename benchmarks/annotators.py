"""How soon a careless or hostile annotator is detected, and how many wrong labels the annotator causes.

`python -m benchmarks.annotators --seeds 10 --out FOLDER`. Six annotators, one of whom is not careful, label a stream of
clips: audit rows (a sixth of all) twice, others once, every disagreement once more, as with the default settings of
production. The reliability of the annotators is estimated again after every 25 clips. Three ways to make labels from
the same answers are compared: earmark (answers are weighted, and labels from careless annotators alone are left out, as
in the snapshot), earmark with equal weights, and crowd-kit's majority vote and ROVER as the common alternative.
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
    """Clips with their truth, tasks without a draft for audit rows and a fifth of the others, and drafts.

    In drafts about every third word is wrong.
    """

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
        draft_words = [str(rng.choice(WORDS)) if rng.random() < 0.3 else w for w in words]
        guess = intent if rng.random() < 0.67 else str(rng.choice(INTENTS))
        is_audit = rng.random() < 1 / 6
        blind = is_audit or rng.random() < 0.2
        audit |= {i} if is_audit else set()
        drafts[i] = " ".join(draft_words)
        draft = None if blind else Hypothesis(" ".join(draft_words), 1.0, guess)
        id_ = task_id("r", i, "transcribe")
        tasks.append(AnnotationTask(id_, "r", i, "transcribe", "c.wav", 2.0, INTENTS, (), draft))
    return World(tasks, drafts, truth, audit)


def annotators(manner: str, seed: int) -> list[AnnotatorSettings]:
    careful = [AnnotatorSettings(annotator_id=f"good-{k}", seed=seed, **CAREFUL) for k in range(5)]  # type: ignore[arg-type]
    bad = AnnotatorSettings(annotator_id="suspect", seed=seed, **{**CAREFUL, **MANNERS[manner]})  # type: ignore[arg-type]
    return [*careful, bad]


def simulate(made: World, manner: str, seed: int) -> tuple[dict[str, list[Annotation]], Crowd, int | None]:
    """Return all answers, the final estimate of reliabilities, and the suspect's number of answers when detected."""
    rng = np.random.default_rng(seed + 1)
    team = annotators(manner, seed)
    given: dict[str, list[Annotation]] = {}
    detected_after: int | None = None
    crowd = Crowd()
    suspect_answers = 0
    for start in range(0, CLIPS, EVERY):
        for task in made.tasks[start : start + EVERY]:
            order = [team[int(p)] for p in rng.permutation(len(team))]
            count = 2 if task.utterance_id in made.audit else 1
            rows = [row for annotator in order[:count] for row in answer([task], made.truth, annotator)]
            (merged,) = merge_annotations({task.utterance_id: rows}, {}, crowd=crowd)
            if merged.outcome == "conflict":
                rows += answer([task], made.truth, order[count])
            given[task.utterance_id] = rows
            suspect_answers += sum(row.annotator_id == "suspect" for row in rows)
        crowd = learn_crowd(given, inventory=len(INTENTS), comparisons=draft_comparisons(made, given))
        if detected_after is None and "suspect" in crowd.careless():
            detected_after = suspect_answers
    return given, crowd, detected_after


def draft_comparisons(made: World, given: dict[str, list[Annotation]]) -> list[DraftComparison]:
    shown = {task.utterance_id for task in made.tasks if task.draft is not None}
    return [
        DraftComparison(row.annotator_id, i in shown, row.transcript == made.drafts[i])
        for i, rows in given.items()
        for row in rows
    ]


def errors(labels: dict[str, tuple[str | None, str | None]], truth: dict[str, Truth]) -> dict[str, float]:
    """Return intent error and WER of the labels, and their number."""
    wrong = sum(intent != truth[i].intent for i, (_, intent) in labels.items())
    edits = sum(word_edits(truth[i].text, text or "") for i, (text, _) in labels.items())
    words = sum(len(truth[i].text.split()) for i in labels)
    return {"intent_error": wrong / len(labels), "wer": edits / words, "labels": len(labels)}


def earmark_labels(
    given: dict[str, list[Annotation]], crowd: Crowd, shown: set[str]
) -> dict[str, tuple[str | None, str | None]]:
    kept = {}
    for row in merge_annotations(given, {}, crowd=crowd):
        answers = [(a.annotator_id, a.verdict, a.intent) for a in latest_answers(given[row.utterance_id]).latest]
        if row.label is not None and crowd.reliability(answers, row.utterance_id in shown) >= MIN_RELIABILITY:
            kept[row.utterance_id] = (row.label.transcript, row.label.intent)
    return kept


def crowd_kit(given: dict[str, list[Annotation]]) -> dict[str, tuple[str | None, str | None]]:
    rows = [(i, row.annotator_id, row.intent, row.transcript) for i, answers in given.items() for row in answers]
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
            given, crowd, named = simulate(made, manner, seed)
            shown = {task.utterance_id for task in made.tasks if task.draft is not None}
            ways = {"weighed": earmark_labels(given, crowd, shown), "alike": earmark_labels(given, Crowd(), shown)}
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
        counts = sorted(n for n in after if n is not None)  # type: ignore[type-var]
        found_after = (
            f"named after {np.median(counts):.0f} [{counts[0]}, {counts[-1]}] answers"  # type: ignore[arg-type]
            if counts
            else "never named"
        )
        innocent = sum(bool(row["wrongly_named"]) for row in rows)
        print(f"{manner:<8} {found_after}, in {len(counts)} of {len(rows)}; an innocent person named in {innocent}")
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

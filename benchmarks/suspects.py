"""How many of the 50 most suspect labels are wrong, where 5 % wrong labels were planted.

    python -m benchmarks.suspects --corpora CORPORA --seeds 10 --out FOLDER

SNIPS: intents are replaced by another one, drawn at random (`random`) or the one that a model of the right labels finds
most probable (`confusable`). FSDD, real speech of six speakers: digits as intents, judged by features of the sound, and
as transcripts, judged by a speech model. For these, `cross` is a model that was fine-tuned on the other half of the
clips, wrong labels included, as a champion is that learned from earlier clips; `base` is the embedded one, which knows
no digits. Synthesised traffic, half of it in accents that the embedded base never heard: one word of a transcript is
another one (`word`), or the transcript is that of another clip (`sentence`). Beside earmark's order are, with the same
models: out-of-fold self-confidence, normalised margin, word error rate, chance, and with `--cleanlab PYTHON` the order
of cleanlab, which that interpreter has.

Rows are split by a hash into a half on which the method was chosen (`--half dev`) and one for the figures (`report`).
An interrupted run continues.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sampling.label_noise import fold_numbers, intent_doubt, out_of_fold, text_features, transcript_scores
from training.replay_learners.corpora import LabelledRow, read_corpus

TOP = 50
SHARE = 0.05
CASES = ("snips", "fsdd-intents", "fsdd-transcripts", "traffic")
CLIPS = 1000
BINS = (0.1, 0.3, 0.5, 0.8, 1.0)
CLEANLAB = (
    "import sys, numpy as np; from cleanlab.filter import find_label_issues; d = np.load(sys.argv[1]);"
    "print(*find_label_issues(d['labels'], d['probs'], return_indices_ranked_by='self_confidence',"
    " filter_by=sys.argv[2]))"
)


def main() -> None:
    """Run every case, print the table and write `suspects.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--speech-seeds", type=int, default=3)
    parser.add_argument("--half", choices=("dev", "report"), default="report")
    parser.add_argument("--only", nargs="+", choices=CASES)
    parser.add_argument("--cleanlab", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in given.only or CASES:
        if name == "traffic":
            for what in ("word", "sentence"):
                case = f"synthesised traffic, {CLIPS} transcripts, wrong {what}"
                found[case] = over_seeds(given, case, given.speech_seeds, traffic_case(what))
            continue
        corpus = given.corpora / name.split("-")[0]
        rows = half_of(read_corpus(corpus).train, corpus.name, given.half)
        if name == "snips":
            for size in (1000, 2000, len(rows)):
                for planting in ("random", "confusable"):
                    case = f"SNIPS intents, {size} labels, {planting}"
                    seeds = given.seeds if size < len(rows) else max(1, given.seeds * 3 // 10)  # these take long
                    found[case] = over_seeds(given, case, seeds, intents_case(rows, size, planting, given))
        elif name == "fsdd-intents":
            for folds in ("rows", "speakers"):
                case = f"FSDD digits by sound, {len(rows)} labels, folds of {folds}"
                found[case] = over_seeds(given, case, given.seeds, digits_case(rows, folds, given))
        else:
            case = f"FSDD transcripts, {len(rows)} labels"
            found[case] = over_seeds(given, case, given.speech_seeds, transcripts_case(rows, corpus.name))
    (given.out / "suspects.json").write_text(json.dumps(found, indent=2) + "\n")
    show(found)


def half_of(rows: tuple[LabelledRow, ...], name: str, half: str) -> list[LabelledRow]:
    """Return the rows of a half."""
    even = [int(hashlib.sha256(f"{name}/{k}".encode()).hexdigest()[:8], 16) % 2 == 0 for k in range(len(rows))]
    return [row for row, is_even in zip(rows, even, strict=True) if is_even == (half == "dev")]


def over_seeds(
    given: argparse.Namespace, case: str, seeds: int, run: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the results of all seeds; those of an interrupted run are read."""
    found = []
    for seed in range(seeds):
        file = given.out / f"{given.half}-{case.replace(' ', '_').replace(',', '')}-{seed}.json"
        if not file.exists():
            file.write_text(json.dumps(run(1000 + seed if given.half == "report" else seed)))
            print(f"{case}, seed {seed}: {file.read_text()[:160]}", flush=True)
        found.append(json.loads(file.read_text()))
    return found


# --- intents ----------------------------------------------------------------------------------------------------------


def intents_case(
    rows: list[LabelledRow], size: int, planting: str, given: argparse.Namespace
) -> Callable[[int], dict[str, Any]]:
    """Return the run of a seed over texts."""

    def run(seed: int) -> dict[str, Any]:
        rng = np.random.default_rng([seed, size])
        taken = [rows[k] for k in rng.permutation(len(rows))[:size].tolist()]
        features = text_features([[row.text for row in taken]])
        return judged(taken, features, None, planting, rng, given.cleanlab)

    return run


def digits_case(rows: list[LabelledRow], folds: str, given: argparse.Namespace) -> Callable[[int], dict[str, Any]]:
    """Return the run of a seed over clips."""
    from training.replay_learners.clip_features import read_clips, speech_features

    clips = read_clips(rows, "train.jsonl", lambda: None)
    features, _ = speech_features(clips, clips)
    speakers = [row.speaker for row in rows] if folds == "speakers" else None

    def run(seed: int) -> dict[str, Any]:
        return judged(rows, features, speakers, "random", np.random.default_rng(seed), given.cleanlab)

    return run


def judged(
    rows: list[LabelledRow],
    features: Any,
    speakers: list[str] | None,
    planting: str,
    rng: np.random.Generator,
    cleanlab: Path | None,
) -> dict[str, Any]:
    """Return precision at 50 by method, calibration and estimated share, for planted wrong intents."""
    ids = [f"u{k:06d}" for k in range(len(rows))]
    true = np.array([row.intent for row in rows])
    names, numbers = np.unique(true, return_inverse=True)
    planted = rng.permutation(len(rows))[: round(SHARE * len(rows))]
    labels = numbers.copy()
    if planting == "random":
        labels[planted] = (numbers[planted] + rng.integers(1, len(names), len(planted))) % len(names)
    else:
        probs, _ = out_of_fold(features, numbers, len(names), fold_numbers(ids))
        probs[np.arange(len(rows)), numbers] = -1
        labels[planted] = probs.argmax(axis=1)[planted]
    wrong = labels != numbers
    groups = speakers or ids
    doubt = intent_doubt(ids, features, names[labels].tolist(), groups)
    probs, known = out_of_fold(features, labels, len(names), fold_numbers(groups))
    own = np.where(known, probs[np.arange(len(rows)), labels], 1.0)
    best = probs.copy()
    best[np.arange(len(rows)), labels] = -1
    found = {
        "earmark": precision(wrong, -doubt.rank.astype(float)),
        "self-confidence": precision(wrong, -own),
        "margin": precision(wrong, best.max(axis=1) - own),
        "chance": precision(wrong, rng.random(len(rows))),
    }
    if cleanlab is not None:
        found |= {
            f"cleanlab {how}": cleanlab_precision(cleanlab, how, labels, probs, wrong)
            for how in ("prune_by_noise_rate", "confident_learning")
        }
    counts = [[int((wrong & part).sum()), int(part.sum())] for part in parts(doubt.scores)]
    return {"planted": len(planted), "precision": found, "calibration": counts, "share": doubt.noise}


def cleanlab_precision(python: Path, how: str, labels: Any, probs: Any, wrong: Any) -> float:
    """Return the precision of cleanlab's first 50, filled up by self-confidence where it finds fewer."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, labels=labels, probs=probs / probs.sum(axis=1, keepdims=True))
        done = subprocess.run([str(python), "-c", CLEANLAB, file.name, how], capture_output=True, text=True, check=True)
    first = [int(word) for word in done.stdout.split()]
    rest = [k for k in np.argsort(probs[np.arange(len(labels)), labels], kind="stable").tolist() if k not in set(first)]
    return float(np.mean(wrong[[*first, *rest][:TOP]]))


def precision(wrong: Any, suspicion: Any) -> float:
    return float(np.mean(wrong[np.argsort(-suspicion, kind="stable")[:TOP]]))


def parts(scores: Any) -> list[Any]:
    return [(scores >= low) & (scores < high) for low, high in zip(BINS, (*BINS[1:-1], 1.01), strict=False)]


# --- transcripts ------------------------------------------------------------------------------------------------------


def transcripts_case(rows: list[LabelledRow], name: str) -> Callable[[int], dict[str, Any]]:
    """Return the run of a seed over clips with wrong words, judged by the base and by models of the other half."""
    from corpus.audio.decode import decode
    from corpus.audio.limits import AudioSettings
    from flows.models.registry import BASES
    from flows.runtime.settings import load_settings
    from training.asr.finetune import finetune_asr
    from training.asr.fit import AsrExample
    from training.asr.loading import load_asr
    from training.asr.reference_cost import reference_costs

    clips = [decode(row.audio, AudioSettings())[0] for row in rows if row.audio is not None]
    words = sorted({row.text for row in rows})
    how = load_settings(Path(name)).asr

    def costs(model: Any, chosen: list[int], texts: list[str]) -> dict[int, float]:
        found = reference_costs(model, [(str(k), clips[k], texts[k]) for k in chosen])
        return {int(k): cost.a_word for k, cost in found.items()}

    def run(seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        planted = rng.permutation(len(rows))[: round(SHARE * len(rows))].tolist()
        texts = [row.text for row in rows]
        for k in planted:
            texts[k] = str(rng.choice([word for word in words if word != texts[k]]))
        wrong = np.isin(np.arange(len(rows)), planted)
        side = rng.permutation(len(rows)) % 2
        cross: dict[int, float] = {}
        for part in (0, 1):
            learned = [AsrExample(str(k), clips[k], texts[k]) for k in np.flatnonzero(side != part).tolist()]
            with tempfile.TemporaryDirectory() as folder:
                finetune_asr(BASES / "asr", learned, Path(folder) / "asr", how)
                cross |= costs(load_asr(Path(folder) / "asr"), np.flatnonzero(side == part).tolist(), texts)
        base = costs(load_asr(BASES / "asr"), list(range(len(rows))), texts)
        found = {}
        for judge, of_judge in (("cross", cross), ("base", base)):
            values = np.array([of_judge.get(k, 0.0) for k in range(len(rows))])
            names = [f"{judge}/{side[k]}" if judge == "cross" else judge for k in range(len(rows))]
            found[f"earmark, {judge}"] = precision(wrong, transcript_scores(values, names))
        found["chance"] = precision(wrong, rng.random(len(rows)))
        return {"planted": len(planted), "precision": found}

    return run


def traffic_case(what: str) -> Callable[[int], dict[str, Any]]:
    """Return the run of a seed over synthesised clips, whose transcripts the embedded base judges."""
    from corpus.synthetic.speech import resample
    from corpus.synthetic.traffic import TrafficSettings, arrival
    from flows.models.registry import BASES
    from training.asr.loading import load_asr
    from training.asr.reference_cost import reference_costs

    def run(seed: int) -> dict[str, Any]:
        settings = TrafficSettings(seed=seed)
        events = [arrival(settings, 1, index, "command") for index in range(CLIPS)]
        clips = [resample(event.samples, event.rate, 16_000) for event in events]
        texts = [event.spoken.text for event in events]
        rng = np.random.default_rng(seed)
        planted = rng.permutation(CLIPS)[: round(SHARE * CLIPS)].tolist()
        right, vocabulary = list(texts), sorted({word for text in texts for word in text.split()})
        for k in planted:
            words = right[k].split()
            place = int(rng.integers(len(words)))
            words[place] = str(rng.choice([word for word in vocabulary if word != words[place]]))
            others = [text for text in right if text != right[k]]
            texts[k] = " ".join(words) if what == "word" else str(rng.choice(others))
        found = reference_costs(load_asr(BASES / "asr"), [(str(k), clips[k], texts[k]) for k in range(CLIPS)])
        costs = np.array([found[str(k)].a_word for k in range(CLIPS)])
        edits = np.array([found[str(k)].edits / max(1, found[str(k)].words) for k in range(CLIPS)])
        wrong = np.isin(np.arange(CLIPS), planted)
        scores = transcript_scores(costs, ["asr/1"] * CLIPS)
        shown = {"earmark": scores, "word error rate": edits, "chance": rng.random(CLIPS)}
        precisions = {name: precision(wrong, values) for name, values in shown.items()}
        return {"planted": len(planted), "precision": precisions, "base_wer": float(np.mean(edits[~wrong]))}

    return run


# --- show -------------------------------------------------------------------------------------------------------------


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print precision at 50 by case and method, and how the scores of intents are calibrated."""
    for case, runs in found.items():
        print(f"{case}: {runs[0]['planted']} planted, {len(runs)} seeds; precision at {TOP}, mean [least, most]")
        for method in runs[0]["precision"]:
            values = [run["precision"][method] for run in runs]
            print(f"  {method:<32} {np.mean(values):.3f} [{min(values):.2f}, {max(values):.2f}]")
        if "share" in runs[0]:
            print(f"  estimated share of wrong labels  {np.mean([run['share'] for run in runs]):.3f}")
            for low, counts in zip(BINS, np.sum([run["calibration"] for run in runs], axis=0).tolist(), strict=False):
                share = counts[0] / counts[1] if counts[1] else float("nan")
                print(f"  score from {low:.1f}: {counts[0]} of {counts[1]} wrong, {share:.2f}")


if __name__ == "__main__":
    main()

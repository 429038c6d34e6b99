"""How much of a night's choice is noise, music and babble, before and after the first answers, and what it costs.

    python -m benchmarks.requests --fsdd ../shared/data/fsdd --out FOLDER
    python -m benchmarks.requests --fsdd ../shared/data/fsdd --base FOLDER --clips 150 --draws 4 --seeds 3 --out FOLDER

Nights have 13 % junk beside real digits of FSDD and synthesised commands (`benchmarks/request_clips.py`). A round of 32
clips is chosen from each, half of them audit rows. `off` chooses by doubt alone, `rule` by what holds before any
verdict, `learned` after all 32 clips of a first night were answered without errors. All three choose from the same
second night, whose kinds of sounds, speakers and voices differ from those of the first. The rule and the strength of
what is learned were chosen with `--group choosing`, whose kinds, speakers and voices are in neither: there two of its
kinds are in the first night and the others in the second. Cold start is a home without labels, where typical clips are
chosen; past it are 200 labels. Lost are requests that are not chosen to learn from; triaged those about which only "was
the assistant meant" would be asked, lost ones included. Clips have a speaker each and no wake score. Predictions are
kept in the folder, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.request_clips import NightClips, night_clips
from corpus.records.predictions import Predictions
from sampling.budget import SamplingSettings
from sampling.pool import Pool
from sampling.requests import RequestModel, RequestSettings, fit_requests, request_probs
from sampling.selection import choose_explained

ROUND = 32
PAST = 200
MODES = ("off", "rule", "learned")
FIRST_OF_CHOOSING = ("brown noise", "siren")


def main() -> None:
    """Measure, print tables and write `requests.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="speech model; default the embedded one")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--spoken", choices=("both", "digits"), default="both", help="what is spoken")
    parser.add_argument("--group", choices=("choosing", "report"), default="report")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    runs = [one_seed(given, seed) for seed in range(given.seeds)]
    (given.out / "requests.json").write_text(json.dumps(runs, indent=2) + "\n")
    show(runs)


def one_seed(given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return the figures of one pair of nights."""
    if given.group == "choosing":
        first = only(*scored(given, "choosing", 2 * seed), FIRST_OF_CHOOSING, True)
        second = only(*scored(given, "choosing", 2 * seed + 1), FIRST_OF_CHOOSING, False)
    else:
        first, second = scored(given, "first", seed), scored(given, "second", seed)
    found: dict[str, Any] = {}
    for phase, labels in (("cold start", 0), ("past it", PAST)):
        rows, learns = chosen(first[1], request_probs(first[1]), seed, labels)
        verdicts = first[0].requests[rows].astype(float)
        models = {"off": None, "rule": None, "learned": fit_requests(first[1].take(rows), verdicts)}
        found[phase] = {mode: judged(*second, mode, models[mode], seed, labels) for mode in MODES}
        found[phase]["first night"] = {
            "junk": float(1 - verdicts[learns].mean()),
            "verdicts": len(rows),
            "none": int((verdicts == 0).sum()),
        }
    return found


def only(night: NightClips, predictions: Predictions, kinds: tuple[str, ...], inside: bool) -> Any:
    """Return a night without the junk of some kinds, or of the others."""
    kept = [k for k, kind in enumerate(night.kinds) if night.requests[k] or (kind in kinds) == inside]
    part = NightClips([], [night.kinds[k] for k in kept], night.requests[kept])
    return part, predictions.take(np.array(kept, np.intp))


def judged(
    night: NightClips, predictions: Predictions, mode: str, model: RequestModel | None, seed: int, labels: int
) -> dict[str, float]:
    """Return what one way to choose takes of a night, and what it loses."""
    from sklearn.metrics import roc_auc_score

    probs = request_probs(predictions, None, model)
    rows, learns = chosen(predictions, None if mode == "off" else probs, seed, labels)
    settings = RequestSettings()
    of_requests = probs[night.requests]
    return {
        "junk": float(1 - night.requests[rows[learns]].mean()),
        "picks": int(learns.sum()),
        "lost": 0.0 if mode == "off" else float((of_requests < settings.least).mean()),
        "triaged": 0.0 if mode == "off" else float((of_requests < settings.triage_below).mean()),
        "auc": float(roc_auc_score(night.requests, probs)),
    }


def chosen(predictions: Predictions, probs: Any, seed: int, labels: int) -> tuple[Any, Any]:
    """Return the rows that a round chooses, and which of these are to learn from."""
    pool = Pool(predictions, predictions.utterance_ids, np.full(len(predictions), "train"), requests=probs)
    settings = SamplingSettings(seed=seed, clips=ROUND, max_fraction=1.0)
    selection = choose_explained(pool, settings, round="night", labels_so_far=labels).selection
    place = {utterance: row for row, utterance in enumerate(predictions.utterance_ids.tolist())}
    return np.array([place[i] for i in selection.utterance_ids.tolist()]), selection.reasons != "audit"


def scored(given: argparse.Namespace, group: str, seed: int) -> tuple[NightClips, Predictions]:
    """Return a night, without its samples, and its predictions in the same order; both are kept in the folder."""
    base = "embedded" if given.base is None else given.base.name
    file = given.out / f"{base}-{group}-{given.spoken}-{given.clips}-{given.draws}-{seed}.npz"
    if not file.exists():
        night = night_clips(group, seed, given.clips, given.fsdd, given.spoken)
        found = predict(given, night)
        ids = found.utterance_ids.tolist()
        found = found.take(np.array([ids.index(i) for i, _ in night.clips], np.intp))
        columns = {field.name: getattr(found, field.name) for field in fields(found)}
        with file.open("wb") as target:
            np.savez(target, kinds=night.kinds, requests=night.requests, **columns)
    stored = np.load(file)
    columns = {name: stored[name] for name in stored.files}
    night = NightClips([], columns.pop("kinds").tolist(), columns.pop("requests"))
    names = {name: str(columns.pop(name)) for name in ("asr_version", "intent_version")}
    return night, Predictions(**columns | names | {"intents": tuple(columns["intents"].tolist())})


def predict(given: argparse.Namespace, night: NightClips) -> Predictions:
    """Return the predictions of a night by the embedded intent model and the base, in the order of the ids."""
    import torch

    from flows.models.registry import BASES
    from training.asr.loading import load_asr
    from training.asr.transcribe import TranscribeSettings
    from training.intent.model import load_intent
    from training.score import ScoreSettings, score_utterances

    torch.set_num_threads(1)
    settings = ScoreSettings(transcribe=TranscribeSettings(draws=given.draws))
    asr, intent = load_asr(given.base or BASES / "asr"), load_intent(BASES / "intent")
    found = score_utterances(night.clips, asr, intent, settings, asr_version="1", intent_version="1")
    assert not found.set_aside, found.set_aside
    return found.predictions


def show(runs: list[dict[str, Any]]) -> None:
    """Print mean [least, most] over the seeds."""
    names = ("junk", "lost", "triaged", "auc")
    print(f"{len(runs)} seeds, mean [least, most]; junk of the picks to learn from, lost and triaged of the requests")
    for phase in ("cold start", "past it"):
        first = [run[phase]["first night"] for run in runs]
        none = np.mean([each["none"] for each in first])
        print(f"{phase}: first night, junk {spread([each['junk'] for each in first])}, {none:.1f} verdicts of none")
        for mode in MODES:
            figures = [f"{name} {spread([run[phase][mode][name] for run in runs])}" for name in names]
            print(f"  {mode:<8}" + "  ".join(figures))


def spread(values: list[float]) -> str:
    """Return mean [least, most]."""
    return f"{np.mean(values):.3f} [{np.min(values):.3f}, {np.max(values):.3f}]"


if __name__ == "__main__":
    main()

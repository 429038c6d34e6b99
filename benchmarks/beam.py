"""The beam with a lexicon and a language model against greedy decoding: word errors, speed, ranking, new names.

    python -m benchmarks.beam --texts FILE ... --fsdd FOLDER --out FOLDER

Clips are synthesised commands in four groups: phrasings and accents that the embedded base was trained on, or others.
The language models are `grammar`, from 3,000 sentences of the base phrasings and the words of the base's recipe, and
`texts`, from these and further texts (JSON Lines with `text`). None of them saw the other phrasings. The weights are
chosen on clips of their own (base phrasings and accents), so they are not tuned to what is new. Times are CPU seconds
on one thread, of the search alone. New names are artists in base phrasings, without and with a list of them as phrases;
a third of the list is what the clips say. AUC is that of `expected_errors` for "the transcript has an error", from the
n-best list and from the draws. FSDD has its ten words as lexicon, on the customary test split,
before and after a fine-tuning on 600 clips of the train split with the default settings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

GROUPS = {
    "base": ("base", "base"),
    "new phrasings": ("base", "drift"),
    "new accents": ("drift", "base"),
    "both": ("drift", "drift"),
}
SEED, DEV_SEED, SENTENCES, DEV_CLIPS, LABELS = 9100, 9200, 3000, 80, 600


def main() -> None:
    """Measure, print tables and write `beam.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="speech model; default the embedded one")
    parser.add_argument("--clips", type=int, default=80, help="clips of each group")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="JSON Lines with `text`")
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    import torch

    from flows.models.registry import BASES
    from training.asr.loading import load_asr

    torch.set_num_threads(1)
    base = given.base or BASES / "asr"
    asr = load_asr(base)
    models = {"grammar": grammar_texts()}
    if given.texts:
        models["texts"] = models["grammar"] + [text for file in given.texts for text in json_texts(file)]
    dev = posteriors(asr, spoken(DEV_SEED, DEV_CLIPS, "base"))
    groups = {name: posteriors(asr, spoken(SEED, given.clips, name)) for name in GROUPS}
    report: dict[str, Any] = {"clips": given.clips, "greedy": {n: rate(greedy(asr, g), g) for n, g in groups.items()}}
    report["models"] = {name: measure(asr, texts, dev, groups) for name, texts in models.items()}
    report["names"] = new_names(asr, models["grammar"], dev, given.clips)
    if given.fsdd:
        report["fsdd"] = digits(asr, base, given.fsdd)
    (given.out / "beam.json").write_text(json.dumps(report, indent=2) + "\n")
    show(report)


# --- what is decoded --------------------------------------------------------------------------------------------------


def grammar_texts() -> list[str]:
    from corpus.synthetic import sentence

    rng = np.random.default_rng(SEED)
    return [sentence(rng, "base").text for _ in range(SENTENCES)]


def json_texts(file: Path) -> list[str]:
    from corpus.text import normalise

    return [normalise(json.loads(line)["text"]) for line in file.read_text(encoding="utf-8").splitlines()]


def spoken(seed: int, clips: int, group: str) -> list[tuple[Any, str]]:
    from corpus.synthetic import pretraining_set

    accents, phrasings = GROUPS[group]
    made = pretraining_set(seed, clips, accents=accents, phrasings=phrasings)  # type: ignore[arg-type]
    return [(each.samples, each.text) for each in made]


def posteriors(asr: Any, clips: Sequence[tuple[Any, str]]) -> list[tuple[Any, str]]:
    from training.asr.ctc import frame_posteriors

    return [(frame_posteriors(asr, [samples])[0].log_probs, text) for samples, text in clips]


def make(asr: Any, texts: Sequence[str], words: Sequence[str], dev: Sequence[Any], phrases: Sequence[str] = ()) -> Any:
    """Return the beam with weights chosen on the dev clips."""
    from training.asr.arpa import to_arpa
    from training.asr.beam_files import with_decoder
    from training.asr.beam_weights import KnownClip, choose_weights
    from training.asr.language_model import build_ngrams
    from training.asr.model import token_text
    from training.asr.word_beam import BeamSettings, DecoderFiles

    arpa = to_arpa(build_ngrams([(text, 1.0) for text in texts], dict.fromkeys(words, 0.0)))
    beam = with_decoder(asr, DecoderFiles(BeamSettings(), arpa, tuple(phrases))).beam
    assert beam is not None
    known = [KnownClip(*each) for each in dev]
    return replace(beam, settings=choose_weights(beam, known, partial(token_text, asr)).settings)


# --- measures ---------------------------------------------------------------------------------------------------------


def greedy(asr: Any, clips: Sequence[tuple[Any, str]]) -> list[str]:
    from training.asr.model import token_text
    from training.asr.posterior import collapse

    return [token_text(asr, collapse(log_probs.argmax(axis=1), asr.blank)) for log_probs, _ in clips]


def found_by(asr: Any, beam: Any, clips: Sequence[tuple[Any, str]]) -> list[Any]:
    from training.asr.model import token_text
    from training.asr.word_beam import search

    return [search(beam, log_probs, partial(token_text, asr)) for log_probs, _ in clips]


def rate(texts: Sequence[str], clips: Sequence[tuple[Any, str]]) -> float:
    from corpus.edits import distance

    errors = sum(distance(truth.split(), text.split()) for text, (_, truth) in zip(texts, clips, strict=True))
    return errors / sum(len(truth.split()) for _, truth in clips)


def measure(asr: Any, texts: Sequence[str], dev: Sequence[Any], groups: dict[str, Any]) -> dict[str, Any]:
    from training.asr.common_words import COMMON_WORDS

    beam = make(asr, texts, COMMON_WORDS, dev)
    started, found = time.process_time(), {name: found_by(asr, beam, clips) for name, clips in groups.items()}
    clips = sum(len(group) for group in groups.values())
    return {
        "words": len(beam.lexicon.spellings),
        "settings": beam.settings.model_dump(),
        "ms": 1000 * (time.process_time() - started) / clips,
        "wer": {name: rate([each[0].text for each in found[name]], group) for name, group in groups.items()},
        "auc": auc(asr, found, groups),
    }


def auc(asr: Any, found: dict[str, Any], groups: dict[str, Any]) -> dict[str, float]:
    """Return how well expected errors rank the clips with an error, over all groups."""
    from sklearn.metrics import roc_auc_score

    from corpus.edits import distance
    from training.asr.model import token_text
    from training.asr.posterior import collapse, draw_tokens, utterance_rng

    rows: dict[str, list[float]] = {"n-best": [], "draws": [], "greedy, draws": []}
    wrong: list[bool] = []
    greedily: list[bool] = []
    for name, clips in groups.items():
        for place, ((log_probs, truth), ranked) in enumerate(zip(clips, found[name], strict=True)):
            best = ranked[0].text.split()
            plain = token_text(asr, collapse(log_probs.argmax(axis=1), asr.blank)).split()
            drawn = draw_tokens(log_probs, asr.blank, 16, utterance_rng(0, f"{name}-{place}"))
            texts = [token_text(asr, tokens).split() for tokens in drawn]
            rows["n-best"].append(sum(each.weight * distance(best, each.text.split()) for each in ranked))
            rows["draws"].append(float(np.mean([distance(best, text) for text in texts])))
            rows["greedy, draws"].append(float(np.mean([distance(plain, text) for text in texts])))
            wrong.append(best != truth.split())
            greedily.append(plain != truth.split())
    truth_of = {"n-best": wrong, "draws": wrong, "greedy, draws": greedily}
    return {name: float(roc_auc_score(truth_of[name], values)) for name, values in rows.items()}


def new_names(asr: Any, texts: Sequence[str], dev: Sequence[Any], clips: int) -> dict[str, Any]:
    """Return WER on the words of new artists, and on the other words, greedily, with the beam, and with phrases."""
    from corpus.synthetic import BASE_ACCENTS, PHRASINGS, VALUES, Voice, augment, speak
    from training.asr.common_words import COMMON_WORDS

    rng = np.random.default_rng([SEED, 1])
    listed = list(VALUES["artist"]["drift"])
    said = sorted(rng.permutation(listed)[: max(1, len(listed) // 3)].tolist())
    patterns = [each for each in PHRASINGS["play_music"]["base"] if "{artist}" in each and "{song}" not in each]
    made = []
    for _ in range(clips):
        name = said[int(rng.integers(len(said)))]
        text = patterns[int(rng.integers(len(patterns)))].format(artist=name)
        voice = Voice(str(rng.choice(BASE_ACCENTS)), "m3", int(rng.integers(135, 206)), int(rng.integers(25, 76)))
        made.append((augment(speak(text, voice), rng), text, name))
    heard = posteriors(asr, [(samples, text) for samples, text, _ in made])
    others = posteriors(asr, spoken(SEED, clips, "base"))
    report: dict[str, Any] = {"names": len(listed), "said": len(said)}
    ways = {"greedy": None, "beam": make(asr, texts, COMMON_WORDS, dev)}
    ways["beam with phrases"] = make(asr, texts, COMMON_WORDS, dev, listed)
    for way, beam in ways.items():
        written = greedy(asr, heard) if beam is None else [each[0].text for each in found_by(asr, beam, heard)]
        plain = greedy(asr, others) if beam is None else [each[0].text for each in found_by(asr, beam, others)]
        report[way] = {
            "names": missed([name for _, _, name in made], [text for _, text, _ in made], written),
            "others": rate(plain, others),
        }
    return report


def missed(names: Sequence[str], truths: Sequence[str], texts: Sequence[str]) -> float:
    """Return the share of the names' words that an alignment of truth and transcript does not find."""
    from rapidfuzz.distance import Levenshtein

    lost = total = 0
    for name, truth, text in zip(names, truths, texts, strict=True):
        words, start = truth.split(), truth[: truth.index(name)].split()
        inside = set(range(len(start), len(start) + len(name.split())))
        blocks = Levenshtein.opcodes(words, text.split())
        kept = {k for each in blocks if each.tag == "equal" for k in range(each.src_start, each.src_end)}
        lost, total = lost + len(inside - kept), total + len(inside)
    return lost / total


def digits(asr: Any, base: Path, folder: Path) -> dict[str, Any]:
    """Return WER on the test split of FSDD, greedily and with its ten words, of the base and after some labels."""
    import tempfile

    from training.asr.finetune import finetune_asr
    from training.asr.fit import AsrExample
    from training.asr.loading import load_asr

    train, test = (recordings(folder, split, asr.sample_rate) for split in ("train", "test"))
    chosen = np.random.default_rng(SEED).permutation(len(train))[:LABELS].tolist()
    examples = [AsrExample(f"u{k:04d}", *train[k]) for k in chosen]
    words = sorted({text for _, text in test})
    report: dict[str, Any] = {"clips": len(test), "labels": LABELS}
    with tempfile.TemporaryDirectory() as made:
        finetune_asr(base, examples, Path(made) / "asr")
        for name, model in (("base", asr), ("fine-tuned", load_asr(Path(made) / "asr"))):
            heard = posteriors(model, test)
            beam = make(model, words, words, [])
            beam = replace(beam, settings=beam.settings.model_copy(update={"unknown_score": -20.0}))
            texts = [each[0].text for each in found_by(model, beam, heard)]
            report[name] = {"greedy": rate(greedy(model, heard), heard), "beam": rate(texts, heard)}
    return report


def recordings(folder: Path, split: str, sample_rate: int) -> list[tuple[Any, str]]:
    import soundfile

    from corpus.synthetic.speech import resample

    clips = []
    for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        samples, given = soundfile.read(folder / row["audio"], dtype="float32")
        clips.append((resample(samples, given, sample_rate), row["text"]))
    return clips


# --- printing ---------------------------------------------------------------------------------------------------------


def show(report: dict[str, Any]) -> None:
    print(f"| WER, {report['clips']} clips each | {' | '.join(GROUPS)} | words | ms a clip | AUC n-best, draws |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    rates = " | ".join(f"{100 * report['greedy'][name]:.1f}" for name in GROUPS)
    print(f"| greedy | {rates} | - | - | - |")
    for name, row in report["models"].items():
        rates = " | ".join(f"{100 * row['wer'][group]:.1f}" for group in GROUPS)
        ranked = f"{row['auc']['n-best']:.2f}, {row['auc']['draws']:.2f}"
        print(f"| {name} | {rates} | {row['words']:,} | {row['ms']:.1f} | {ranked} |")
    print("AUC of greedy texts by draws:", f"{next(iter(report['models'].values()))['auc']['greedy, draws']:.2f}")
    for way in ("greedy", "beam", "beam with phrases"):
        row = report["names"][way]
        names, others = 100 * row["names"], 100 * row["others"]
        print(f"new names, {way}: {names:.1f} % of their words are wrong, WER of other clips {others:.1f} %")
    for name in ("base", "fine-tuned") if "fsdd" in report else ():
        row, found = report["fsdd"][name], report["fsdd"]
        label = "FSDD" if name == "base" else f"FSDD after {found['labels']} labels"
        print(
            f"{label}, {found['clips']} clips: greedy {100 * row['greedy']:.1f} %, ten words {100 * row['beam']:.1f} %"
        )


if __name__ == "__main__":
    main()

"""Intent accuracy after a few labels: bases and heads beside TF-IDF with logistic regression, on the same labels.

    python -m benchmarks.intents --corpora CORPORA --seeds 5 --base minilm=FOLDER --out FOLDER

The labels are drawn at random from the corpus's training rows, and each version is asked about its test rows. The
alternatives are scikit-learn: sublinear TF-IDF of words and pairs of words, or of 2 to 5 letters within words, and
logistic regression with C = 10. `shipped` is what earmark does without a setting. An interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus.text import normalise
from flows.models import registry
from training.intent.finetune import IntentExample, finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.model import classify, load_intent
from training.replay_learners.corpora import LabelledRow, read_corpus

SIZES = (50, 100, 200)
HEADS = ("shipped", "trained", "convex")

Learner = Callable[[Sequence[IntentExample], Sequence[str]], list[str]]
"""Returns the intents of texts, as it has learned them from examples."""


def main() -> None:
    """Run every learner, print a Markdown table and write `intents.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=["snips", "banking77"])
    parser.add_argument("--base", nargs="+", default=[], metavar="NAME=FOLDER", help="encoders beside the embedded one")
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=["shipped", "convex"])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    bases = {"embedded": registry.BASES / "intent"} | {
        name: Path(folder) for name, _, folder in (each.partition("=") for each in given.base)
    }
    learners: dict[str, Learner] = {
        "TF-IDF of words + logistic regression": partial(by_tfidf, {"ngram_range": (1, 2)}),
        "TF-IDF of letters + logistic regression": partial(by_tfidf, {"analyzer": "char_wb", "ngram_range": (2, 5)}),
    }
    learners |= {
        f"{name}, {head}": partial(by_base, folder, head) for name, folder in bases.items() for head in given.heads
    }
    found = [
        result(given.out, learner, learners[learner], corpus, given.corpora / corpus, size, seed)
        for corpus in given.only
        for learner in learners
        for size in SIZES
        for seed in range(given.seeds)
    ]
    (given.out / "intents.json").write_text(json.dumps(found, indent=2) + "\n")
    show(found)


def result(out: Path, name: str, learner: Learner, corpus: str, folder: Path, size: int, seed: int) -> dict[str, Any]:
    """Return accuracy and time of a learner with one draw of labels; that of an interrupted run is read."""
    file = out / f"{corpus}-{name.replace(' ', '_').replace(',', '')}-{size}-{seed}.json"
    if not file.exists():
        data = read_corpus(folder)
        drawn = np.random.default_rng([seed, size]).permutation(len(data.train))[:size]
        examples = [example(f"{corpus}{k}", data.train[k]) for k in drawn.tolist()]
        began = time.perf_counter()
        said = learner(examples, [normalise(row.text) for row in data.test])
        seconds = time.perf_counter() - began
        right = float(np.mean([one == row.intent for one, row in zip(said, data.test, strict=True)]))
        file.write_text(
            json.dumps(
                {"corpus": corpus, "learner": name, "size": size, "seed": seed, "right": right, "seconds": seconds}
            )
        )
        print(f"{corpus}, {name}, {size} labels, seed {seed}: {100 * right:.1f} %, {seconds:.1f} s", flush=True)
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def example(name: str, row: LabelledRow) -> IntentExample:
    """Return a row as an example, in normal form, without slots, which the alternative can't learn."""
    return IntentExample(name, normalise(row.text), row.intent)


def by_tfidf(parts: Mapping[str, Any], examples: Sequence[IntentExample], texts: Sequence[str]) -> list[str]:
    """Learn with scikit-learn, from parts of the texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, **parts), LogisticRegression(C=10.0, max_iter=1000))
    model.fit([row.text for row in examples], [row.intent for row in examples])
    return [str(intent) for intent in model.predict(list(texts))]


def by_base(base: Path, head: str, examples: Sequence[IntentExample], texts: Sequence[str]) -> list[str]:
    """Fine-tune a base with the settings that earmark ships, but for the head unless it is `shipped`."""
    settings = IntentFinetuneSettings.model_validate({} if head == "shipped" else {"fit": {"head": head}})
    with tempfile.TemporaryDirectory() as folder:
        finetune_intent(base, examples, Path(folder) / "intent", settings)
        model = load_intent(Path(folder) / "intent")
        return [model.intents[k] for k in classify(model, list(texts)).top().tolist()]


def show(found: Sequence[dict[str, Any]]) -> None:
    """Print mean, standard deviation, least and most accuracy over the seeds."""
    print("| corpus | learner | " + " | ".join(f"{size} labels" for size in SIZES) + " |")
    print("| --- | --- |" + " --- |" * len(SIZES))
    for corpus, learner in dict.fromkeys((row["corpus"], row["learner"]) for row in found):
        cells = []
        for size in SIZES:
            rows = [row for row in found if (row["corpus"], row["learner"], row["size"]) == (corpus, learner, size)]
            right = [100 * row["right"] for row in rows]
            seconds = float(np.mean([row["seconds"] for row in rows]))
            spread = f"± {np.std(right, ddof=1):.1f}" if len(right) > 1 else ""
            cells.append(f"{np.mean(right):.1f} {spread} % ({min(right):.1f}-{max(right):.1f}), {seconds:.1f} s")
        print(f"| {corpus} | {learner} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

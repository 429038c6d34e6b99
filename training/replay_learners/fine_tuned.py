"""The learner `model` of a replay: earmark's own fine-tuning, in each round anew from the embedded bases."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from corpus.records.base import Floats, Strings
from training.replay_learners.problem import Problem, Rows

BASES: Final = Path(__file__).resolve().parent.parent / "bases"


def fine_tuned(problem: Problem) -> Callable[[Rows, Rows], tuple[Floats, Rows]]:
    """Return a learner that fine-tunes the intent model, and for clips also the speech model in front of it.

    The learner returns (N, C) probabilities of the pool and the (M,) intents of the test set. With clips a round takes
    minutes.
    """
    clips = _Clips(problem) if problem.speech else None

    def learn(rows: Rows, labels: Rows) -> tuple[Floats, Rows]:
        with tempfile.TemporaryDirectory(prefix="earmark-replay-model-") as folder:
            texts = (problem.texts, problem.test_texts)
            if clips is not None:
                texts = clips.transcripts(rows, Path(folder) / "asr")
            return _intents(problem, rows, labels, texts, Path(folder) / "intent")

    return learn


def _intents(
    problem: Problem, rows: Rows, labels: Rows, texts: tuple[Strings, Strings], out: Path
) -> tuple[Floats, Rows]:
    from training.intent.finetune import finetune_intent
    from training.intent.fit import IntentExample
    from training.intent.model import classify, load_intent

    examples = [
        IntentExample(f"{row:07d}", str(problem.texts[row]), problem.intents[label])
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True)
    ]
    finetune_intent(BASES / "intent", examples, out)
    model = load_intent(out)
    column = {intent: k for k, intent in enumerate(model.intents)}
    shared = [k for k, intent in enumerate(problem.intents) if intent in column]
    found = np.zeros((len(texts[0]) + len(texts[1]), len(problem.intents)), np.float32)
    read = classify(model, [*map(str, texts[0]), *map(str, texts[1])]).probs
    found[:, shared] = read[:, [column[problem.intents[k]] for k in shared]]
    found /= np.maximum(found.sum(axis=1, keepdims=True), 1e-12)
    pool = len(texts[0])
    return found[:pool], found[pool:].argmax(axis=1).astype(np.intp)


class _Clips:
    """The decoded clips of a problem, which are transcribed in every round."""

    def __init__(self, problem: Problem) -> None:
        from corpus.audio.decode import decode
        from corpus.audio.limits import AudioSettings

        self.problem = problem
        self.pool = [decode(Path(clip), AudioSettings())[0] for clip in problem.clips]
        self.test = [decode(Path(clip), AudioSettings())[0] for clip in problem.test_clips]

    def transcripts(self, rows: Rows, out: Path) -> tuple[Strings, Strings]:
        """Return the transcripts of pool and test set by a speech model that is fine-tuned on the rows."""
        from training.asr.finetune import finetune_asr
        from training.asr.fit import AsrExample
        from training.asr.loading import load_asr
        from training.asr.transcribe import best_texts

        examples = [AsrExample(f"{row:07d}", self.pool[row], str(self.problem.texts[row])) for row in rows.tolist()]
        finetune_asr(BASES / "asr", examples, out)
        asr = load_asr(out)
        texts: Sequence[str] = best_texts(asr, [*self.pool, *self.test])
        return np.array(texts[: len(self.pool)], np.str_), np.array(texts[len(self.pool) :], np.str_)

"""Check a model before it is registered: it loads, scores a second of noise and, if it is a base, learns a step."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from corpus.errors import Damaged, EarmarkError, UsageError
from corpus.records.base import Floats, Kind
from corpus.text import normalise

if TYPE_CHECKING:
    from training.asr.model import AsrModel

WORDS: Final = "one"
"""What the clip of the one step says; a model whose tokens don't spell it takes words of its own vocabulary."""

MOST_TOKENS: Final = 2000
"""How many tokens of a vocabulary are looked at for a word."""


def check_model(folder: Path, kind: Kind) -> None:
    """Check that a model loads, and that what it gives for a second of noise or for a sentence is finite.

    Raises:
        UsageError: earmark can't use the model.
        Damaged: its weights are cut short or don't fit its configuration.
    """
    with _one_line(folder, kind):
        is_finite = _transcribes(folder) if kind == "asr" else _predicts_intents(folder)
    if not is_finite:
        raise UsageError(f"model {folder}: its numbers are not finite; repair its weights")


def check_base(folder: Path, kind: Kind) -> None:
    """Check what `check_model` does, and that the model learns one step with finite numbers.

    Raises:
        UsageError: earmark can't use the model, or can't fine-tune it.
        Damaged: its weights are cut short or don't fit its configuration.
    """
    check_model(folder, kind)
    with tempfile.TemporaryDirectory(prefix="earmark-check-") as work, _one_line(folder, kind):
        try:
            losses = (_asr_step if kind == "asr" else _intent_step)(folder, Path(work) / "learned")
        except Damaged:
            raise
        except EarmarkError as error:
            raise UsageError(f"model {folder} can't be fine-tuned: {error}") from None
    if not np.isfinite(losses).all():
        raise UsageError(f"model {folder} can't be fine-tuned: its loss is not finite; repair its weights")


@contextlib.contextmanager
def _one_line(folder: Path, kind: Kind) -> Iterator[None]:
    """Turn what a model of another kind raises into one line; silence transformers' warnings within the block."""
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except EarmarkError:
        raise
    except Exception as error:  # a model of another kind fails in any of many ways
        raise UsageError(f"model {folder} is none that earmark can use as {kind} ({type(error).__name__})") from None
    finally:
        logging.set_verbosity(before)


def _noise(seconds: int) -> Floats:
    from corpus.audio.resample import RATE

    return np.random.default_rng(0).normal(0.0, 0.01, seconds * RATE).astype(np.float32)


def _transcribes(folder: Path) -> bool:
    from corpus.audio.resample import RATE
    from training.asr.loading import load_asr
    from training.asr.transcribe import TranscribeSettings, transcribe

    asr = load_asr(folder)
    if asr.sample_rate != RATE:
        raise UsageError(
            f"model {folder}: it takes clips of {asr.sample_rate} Hz, and clips here have {RATE} Hz; "
            f"register a model for {RATE} Hz"
        )
    return not transcribe(asr, [("noise", _noise(1))], TranscribeSettings(draws=1))[0].problem


def _predicts_intents(folder: Path) -> bool:
    from training.intent.model import classify, load_intent

    return bool(np.isfinite(classify(load_intent(folder), ["turn on the light"]).logits).all())


def _asr_step(folder: Path, out: Path) -> tuple[float, ...]:
    from training.asr.finetune import AsrFinetuneSettings, finetune_asr
    from training.asr.fit import AsrExample
    from training.asr.loading import load_asr

    text = _spellable(load_asr(folder))
    if text is None:
        raise UsageError("its tokens spell no text in lower case, in which labels are; give a tokenizer that does")
    settings = AsrFinetuneSettings.model_validate({"loop": {"epochs": 1}})
    return finetune_asr(folder, [AsrExample("check", _noise(2), text)], out, settings).losses


def _intent_step(folder: Path, out: Path) -> tuple[float, ...]:
    from training.intent.finetune import IntentExample, finetune_intent
    from training.intent.finetune_settings import IntentFinetuneSettings

    rows = [IntentExample("check-1", "turn on the light", "light"), IntentExample("check-2", "stop", "other")]
    settings = IntentFinetuneSettings.model_validate({"fit": {"epochs": 1}, "replay": 0})
    return finetune_intent(folder, rows, out, settings).losses


def _spellable(asr: AsrModel) -> str | None:
    """Return a text in the normal form of labels that the model's tokens spell, None where there is none."""
    from training.asr.finetune import missing_characters

    vocabulary = range(min(asr.vocab_size, MOST_TOKENS))
    tokens = (asr.tokenizer.decode([token]) for token in vocabulary if token not in asr.marks)
    for text in (WORDS, *(normalise(token) for token in tokens)):
        if any(letter.isalnum() for letter in text) and not missing_characters(asr, [text]):
            return text
    return None

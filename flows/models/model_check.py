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
from training.loop.base_facts import family_of

if TYPE_CHECKING:
    from training.asr.model import AsrModel

WORDS: Final = "one"
"""What the clip of the one step says; a model whose tokens don't spell it takes words of its own vocabulary."""

MOST_TOKENS: Final = 2000
"""How many tokens of a vocabulary are looked at for a word."""

SAME: Final = 1e-6
"""Largest difference between numbers that are the same but for rounding, as a share of the largest one."""


def kind_of(folder: Path) -> Kind:
    """Return the kind of a model by its configuration: speech where transformers knows its family as such."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CTC_MAPPING_NAMES,
        MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
    )

    speech = {*MODEL_FOR_CTC_MAPPING_NAMES, *MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES}
    return "asr" if family_of(folder) in speech else "intent"


def check_model(folder: Path, kind: Kind) -> None:
    """Check that a model loads, and that what it gives for a second of noise or for a sentence is finite.

    Raises:
        UsageError: earmark can't use the model.
        Damaged: its weights are cut short or don't fit its configuration.
    """
    family = family_of(folder)
    if family and kind_of(folder) != kind:
        raise UsageError(
            f"model {folder} is none that earmark can use as {kind}: by its configuration ({family}) it is of "
            f"{kind_of(folder)}"
        )
    with _one_line(folder, kind):
        is_finite = _transcribes(folder) if kind == "asr" else _predicts_intents(folder)
    if not is_finite:
        raise UsageError(f"model {folder}: its numbers are not finite; repair its weights")


def check_base(folder: Path, kind: Kind) -> None:
    """Check what `check_model` does, that the model tells inputs apart, and that it learns a step with finite numbers.

    Raises:
        UsageError: earmark can't use the model, or can't fine-tune it.
        Damaged: its weights are cut short or don't fit its configuration.
    """
    check_model(folder, kind)
    with _one_line(folder, kind):
        tells_apart = _tells_sounds_apart(folder) if kind == "asr" else _tells_texts_apart(folder)
    if not tells_apart:
        inputs = "sound" if kind == "asr" else "text"
        raise UsageError(f"model {folder} gives the same for any {inputs}: its weights are damaged; fetch them anew")
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


def _tells_sounds_apart(folder: Path) -> bool:
    """Return whether the scores of a speech model differ between noise and a chord."""
    import torch

    from corpus.audio.resample import RATE
    from training.asr.loading import load_asr
    from training.asr.model import extract_features
    from training.asr.seq2seq_prompts import decoding_rules

    asr = load_asr(folder)
    time = np.arange(RATE) / RATE
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 740.0, 2100.0)) * np.hanning(RATE) * 0.2
    begin = {"decoder_input_ids": torch.tensor([decoding_rules(asr).prefix])} if asr.head == "seq2seq" else {}
    with torch.inference_mode():
        one, other = (
            asr.model(**extract_features(asr, [clip.astype(np.float32)]), **begin).logits for clip in (_noise(1), chord)
        )
    return not _same(one.float().numpy(), other.float().numpy())


def _tells_texts_apart(folder: Path) -> bool:
    """Return whether what an intent model makes of two texts differs; the heads of a new one say nothing yet."""
    from training.intent.model import classify, load_intent

    found = classify(load_intent(folder), ["turn on the light", "what will the weather be"])
    return not (_same(*found.embeddings) and _same(*found.logits))


def _same(one: Floats, other: Floats) -> bool:
    size = max(float(np.abs(one).max(initial=0.0)), float(np.abs(other).max(initial=0.0)))
    return one.shape == other.shape and not bool((np.abs(one - other) > SAME * size).any())


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

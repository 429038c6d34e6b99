"""The recipe of the embedded speech base: a small FastConformer with CTC, trained from scratch on synthetic speech.

The clips have the base accents and random mixtures of sounds, and none of the accents of the traffic beside the base
ones, so that earmark has other accents to find and learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import SettingsError
from corpus.settings import MOST_ROWS, MOST_SEED
from training.asr.augment import AugmentSettings
from training.asr.fit import AsrExample, AsrLoopSettings, train_asr
from training.asr.loading import load_asr, save_asr, to_asr_model
from training.asr.model import AsrModel
from training.asr.pretrain_texts import lines, vocabulary, word_salad
from training.loop.loop import seeded_torch
from training.loop.model_files import weights_digest
from training.loop.work import LoopResult

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789'"
SAMPLE_RATE = 16_000
"""Sample rate of the clips [Hz]."""

TIMES_REAL_TIME, CLIP_SECONDS = 50.0, 2.35
"""Speech that one core trains on in a second [s], and mean length of a clip [s]; with them minutes become epochs."""


class AsrShape(BaseModel):
    """The size of a FastConformer with CTC (Rekesh et al. 2023).

    Attributes:
        width: width of the encoder states.
        layers, heads: number of blocks, and of attention heads.
        inner_width: width of the feed-forward parts.
        conv_channels: channels of the subsampling convolutions.
        subsampling: feature frames (10 ms) per output frame; 8 would leave short words too few frames.
        dropout: dropout of all parts.
        vocabulary: number of tokens: blank, unknown, word mark, letters, digits, apostrophe, and above 40 also merges
            of them. With single letters CTC stops predicting only blanks several times sooner than with 128 merges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(192, ge=8, le=100_000)
    layers: int = Field(6, ge=1, le=1000)
    heads: int = Field(4, ge=1, le=1000)
    inner_width: int = Field(768, ge=8, le=100_000)
    conv_channels: int = Field(64, ge=4, le=100_000)
    subsampling: int = Field(4, ge=2, le=1024)
    dropout: float = Field(0.05, ge=0, lt=1)
    vocabulary: int = Field(40, ge=40, le=1_000_000)


class AsrPretrainSettings(BaseModel):
    """The settings of the recipe.

    Attributes:
        clips: number of synthetic clips to learn from.
        salads: share of the clips that are words in random order instead of sentences of the grammar.
        texts: share of the clips that are lines of `texts_file`, where there is one.
        words_file: words, one a line, the most frequent first; None: a thousand common ones.
        words: how many of them are used.
        texts_file: texts in plain lines that are spoken, too.
        mixed_accents: share of the salads and the texts in accents drawn at random.
        shape: size of the network.
        loop: training settings; `seed` below replaces the seed in them.
        seed: seed of clips, weights and training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    clips: int = Field(24_000, ge=1, le=MOST_ROWS)
    salads: float = Field(0.45, ge=0, lt=1)
    texts: float = Field(0.25, ge=0, lt=1)
    words_file: Path | None = None
    words: int = Field(12_000, ge=1, le=1_000_000)
    texts_file: Path | None = None
    mixed_accents: float = Field(0.6, ge=0, le=1)
    shape: AsrShape = AsrShape()
    loop: AsrLoopSettings = AsrLoopSettings(
        epochs=2,
        learning_rate=1.5e-3,
        batch_seconds=24.0,
        precision="bfloat16",
        augment=AugmentSettings(noise_share=0.2, narrow_share=0.0, time_masks=1, mel_masks=1),
    )
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


_SALAD_SEED, _TEXT_SEED = 606, 607  # first numbers of the seeds, so that they differ from those of sentences


def pretrain_settings(
    seed: int, size: int | None = None, minutes: float | None = None, again: bool = False
) -> AsrPretrainSettings:
    """Return the recipe's settings with another seed, number of clips, or training time on one free core [min].

    A base that is trained again sees new clips once, at two thirds of the rate.

    Raises:
        SettingsError: a number is out of range.
    """
    standard = AsrPretrainSettings()
    if (size is not None and size < 1) or (minutes is not None and minutes <= 0) or seed < 0:
        raise SettingsError("size and minutes have to be above 0, and seed 0 or more")
    clips = size or standard.clips
    loop = standard.loop
    if again:
        loop = loop.model_copy(update={"epochs": 1, "learning_rate": 1e-3})
    if minutes is not None:
        speech_seconds = minutes * 60.0 * TIMES_REAL_TIME
        loop = loop.model_copy(update={"epochs": max(1, round(speech_seconds / (clips * CLIP_SECONDS)))})
    return standard.model_copy(update={"seed": seed, "clips": clips, "loop": loop})


@dataclass(frozen=True, slots=True)
class AsrPretrainResult:
    """The result of a pretraining.

    Attributes:
        digest: SHA-256 of the saved weights.
        parameters: number of weights.
        audio_seconds: length of all clips together [s].
        loop: losses and steps.
    """

    digest: str
    parameters: int
    audio_seconds: float
    loop: LoopResult


def pretrain(
    out: Path,
    settings: AsrPretrainSettings,
    on_progress: Callable[[int, int, float], None] | None = None,
    checkpoints: Path | None = None,
    start: Path | None = None,
) -> AsrPretrainResult:
    """Train a speech base on base phrasings, other texts and words, and write it to the folder `out`.

    Args:
        out: folder of the base.
        settings: the recipe's; another seed speaks other clips.
        on_progress: called after each step.
        checkpoints: folder from whose last checkpoint an interrupted training goes on.
        start: folder of a base whose weights are the first ones; None: random ones.
    """
    return pretrain_on(synthetic_examples(settings), out, settings, on_progress, checkpoints, start)


def synthetic_examples(settings: AsrPretrainSettings) -> list[AsrExample]:
    """Return synthetic clips of sentences of the grammar and of words in random order, with the same accents and noise.

    Raises:
        SettingsError: the demo extra is not installed.
    """
    from corpus.synthetic import pretraining_set

    others = lines(settings.texts_file) if settings.texts_file is not None else []
    texts = round(settings.texts * settings.clips) if others else 0
    salads = round(settings.salads * settings.clips)
    spoken = list(
        pretraining_set(settings.seed, max(1, settings.clips - salads - texts), accents="base", phrasings="base")
    )
    examples = [AsrExample(f"sentence-{i}", example.samples, example.text) for i, example in enumerate(spoken)]
    sentences, words = [example.text for example in spoken], vocabulary(settings.words_file, settings.words)
    for i in range(salads):
        rng = np.random.default_rng([_SALAD_SEED, settings.seed, i])
        examples.append(_spoken(f"salad-{i}", word_salad(sentences, words, rng), settings, rng))
    for i in range(texts):
        rng = np.random.default_rng([_TEXT_SEED, settings.seed, i])
        examples.append(_spoken(f"text-{i}", others[int(rng.integers(len(others)))], settings, rng))
    return examples


def _spoken(name: str, text: str, settings: AsrPretrainSettings, rng: np.random.Generator) -> AsrExample:
    """Return the text in a voice, an accent, a room and noise drawn from `rng`."""
    from corpus.synthetic import BASE_ACCENTS, MIXED_ACCENTS, VARIANTS, Voice, augment, speak

    accents = MIXED_ACCENTS if rng.random() < settings.mixed_accents else BASE_ACCENTS
    voice = Voice(
        str(rng.choice(accents)), str(rng.choice(VARIANTS)), int(rng.integers(130, 211)), int(rng.integers(15, 86))
    )
    return AsrExample(name, augment(speak(text, voice), rng), text)


def pretrain_on(
    examples: list[AsrExample],
    out: Path,
    settings: AsrPretrainSettings,
    on_progress: Callable[[int, int, float], None] | None = None,
    checkpoints: Path | None = None,
    start: Path | None = None,
) -> AsrPretrainResult:
    """Train a speech model on the examples, and write it to the folder `out`; see `pretrain`."""
    import torch

    if start is None:
        asr = build_asr((example.text for example in examples), settings.shape, settings.seed)
    else:
        asr = load_asr(start)
    asr.model.to(memory_format=torch.channels_last)  # an eighth less time a step on a CPU, in bfloat16
    result = train_asr(
        asr,
        examples,
        settings.loop.model_copy(update={"seed": settings.seed}),
        on_progress,
        checkpoint=None
        if checkpoints is None
        else (checkpoints, f"{settings.model_dump_json()} {start and weights_digest(start)}"),
    )
    asr.model.to(memory_format=torch.contiguous_format)
    digest = save_asr(asr, out)
    parameters = sum(p.numel() for p in asr.model.parameters())
    return AsrPretrainResult(digest, parameters, sum(len(e.samples) for e in examples) / SAMPLE_RATE, result)


def build_asr(texts: Iterable[str], shape: AsrShape, seed: int) -> AsrModel:
    """Return an untrained model whose tokens were learned from `texts`, with random weights from `seed`."""
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    import torch
    from transformers import ParakeetCTCConfig, ParakeetEncoderConfig, ParakeetForCTC

    processor = build_processor(texts, shape)
    encoder = ParakeetEncoderConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner_width,
        subsampling_factor=shape.subsampling,
        subsampling_conv_channels=shape.conv_channels,
        num_mel_bins=80,
        dropout=shape.dropout,
        layerdrop=0.0,
        activation_dropout=shape.dropout,
        attention_dropout=shape.dropout,
    )
    config = ParakeetCTCConfig(
        vocab_size=len(processor.tokenizer),
        pad_token_id=processor.tokenizer.pad_token_id,
        encoder_config=encoder,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
    )
    with seeded_torch(seed, torch.get_num_threads()):
        model = ParakeetForCTC(config)
        # The usual normal(0, 0.02) is for widths of 1024; at 128 CTC would predict only blanks for several epochs.
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                torch.nn.init.xavier_uniform_(parameter)
    return to_asr_model(model, processor, "new")


def build_processor(texts: Iterable[str], shape: AsrShape) -> Any:
    """Return the feature extractor (80 mel bins, 10 ms) with a byte-pair tokenizer learned from `texts`.

    Every letter, every digit and the apostrophe is a token, so that new words can be spelled.
    """
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import ParakeetFeatureExtractor, ParakeetProcessor, ParakeetTokenizer

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=["<pad>", "<unk>"],
        initial_alphabet=[*ALPHABET, "\u2581"],
        limit_alphabet=len(ALPHABET) + 1,
        max_token_length=6,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    fast = ParakeetTokenizer(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    extractor = ParakeetFeatureExtractor(feature_size=80, sampling_rate=SAMPLE_RATE, hop_length=160)
    return ParakeetProcessor(feature_extractor=extractor, tokenizer=fast, decoder_type="ctc")

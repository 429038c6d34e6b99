"""The recipe of the embedded intent base: a small encoder trained on the synthetic grammar's base phrasings.

It takes some minutes on a CPU: sentences of the grammar, with recognition errors imitated anew in each epoch; a
byte-level vocabulary; one joint model; a temperature; and a few hundred of the sentences as a replay set, which
fine-tuning mixes in so that intents that nobody labelled are not forgotten. With a teacher, a sentence encoder, the
base also has vectors of words, which labels of any domain can build on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.records.base import OTHER_INTENT
from corpus.settings import MOST_ROWS, MOST_SEED
from training.intent.fit import FitSettings, IntentExample, fit
from training.intent.replay import REPLAY
from training.intent.text_noise import NoiseSettings, text_with_slots, with_asr_errors, words_with_slots
from training.loop.model_files import replaced_folder
from training.loop.work import Progress

if TYPE_CHECKING:
    from corpus.synthetic.language import Phrasing
    from training.intent.model import IntentModel

CARD: Final = "README.md"

SPECIAL_TOKENS: Final = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")


class IntentPretrainSettings(BaseModel):
    """The settings of the recipe.

    Attributes:
        sentences: number of sentences of the grammar to learn.
        calibration: number of further sentences, to fit the temperature.
        vocabulary: number of tokens of the byte-level vocabulary.
        width, layers, heads: size of the encoder.
        strange_slots: probability that one slot of a sentence is filled with words that do not exist, so that slots
            are also found by the words around them.
        salad: number of meaningless texts with the intent `other`, as a share of the sentences.
        replay: number of sentences kept for fine-tuning.
        words, word_width: number and length of the vectors of words that are distilled from a teacher.
        noise: how recognition errors are imitated.
        fit: training settings.
        seed: seed of the sentences, the noise and the first weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sentences: int = Field(default=5000, ge=1, le=MOST_ROWS)
    calibration: int = Field(default=1000, ge=1, le=MOST_ROWS)
    vocabulary: int = Field(default=2048, ge=300, le=1_000_000)
    width: int = Field(default=128, ge=8, le=100_000)
    layers: int = Field(default=3, ge=1, le=1000)
    heads: int = Field(default=4, ge=1, le=1000)
    strange_slots: float = Field(default=0.1, ge=0, le=1)
    salad: float = Field(default=0.06, ge=0, le=1)
    replay: int = Field(default=400, ge=0, le=MOST_ROWS)
    words: int = Field(default=20_000, ge=1, le=1_000_000)
    word_width: int = Field(default=96, ge=1, le=100_000)
    noise: NoiseSettings = NoiseSettings()
    fit: FitSettings = FitSettings(epochs=8, encoder_rate=1e-3, head_rate=1e-3, slot_weight=0.5)
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


def pretrain(
    out: Path,
    settings: IntentPretrainSettings | None = None,
    on_progress: Progress | None = None,
    teacher: Path | None = None,
) -> None:
    """Train an intent base and write it to the folder `out`: weights in float16, tokenizer, inventory, replay set.

    A model card that is there is kept, since it has measurements that the recipe does not make.

    Args:
        out: the folder.
        settings: of the recipe; None for the defaults.
        on_progress: called after each step.
        teacher: folder of the sentence encoder that vectors of words are distilled from; None: the base has none.

    Raises:
        SettingsError: the teacher is no encoder with a vocabulary of words.
    """
    from training.intent.model import write_intent
    from training.intent.word_vectors import distilled

    settings = settings or IntentPretrainSettings()
    drawn = grammar_examples(settings.sentences + settings.calibration, settings.seed)
    rows, held_out = drawn[: settings.sentences], drawn[settings.sentences :]
    rows += word_salad(rows, round(settings.salad * len(rows)), settings.seed)
    words = None if teacher is None else distilled(teacher, settings.words, settings.word_width)
    model = learn_base(rows, held_out, settings, on_progress)
    if words is not None:
        model.network.set_words(words)
    rng = np.random.default_rng([settings.seed, 23])
    card = out / CARD
    with replaced_folder(out) as draft:
        write_intent(model, draft, half=True)
        write_replay(draft, [rows[int(i)] for i in rng.permutation(len(rows))[: settings.replay]])
        if card.is_file():
            shutil.copy(card, draft / CARD)


def grammar_examples(count: int, seed: int, phrasings: Phrasing = "base") -> list[IntentExample]:
    """Return sentences of the synthetic grammar with their intents and slots."""
    from corpus.synthetic import sentence

    rng = np.random.default_rng([seed, 20])
    drawn = (sentence(rng, phrasings=phrasings) for _ in range(count))
    return [IntentExample(f"synthetic-{i}", s.text, s.intent, tuple(s.slots)) for i, s in enumerate(drawn)]


def word_salad(rows: Sequence[IntentExample], count: int, seed: int) -> list[IntentExample]:
    """Return texts of 1 to 9 words drawn at random from all rows, which have no meaning and the intent `other`."""
    rng = np.random.default_rng([seed, 22])
    words = [word for row in rows for word in row.text.split()]
    lengths = rng.integers(1, 10, size=count)
    picks = (" ".join(words[int(i)] for i in rng.integers(len(words), size=int(length))) for length in lengths)
    return [IntentExample(f"salad-{i}", text, OTHER_INTENT, ()) for i, text in enumerate(picks)]


def learn_base(
    rows: Sequence[IntentExample],
    held_out: Sequence[IntentExample],
    settings: IntentPretrainSettings,
    on_progress: Progress | None = None,
) -> IntentModel:
    """Return a model trained from scratch on the rows, its temperature fitted to the held-out rows."""
    from training.intent.temperature import calibrated

    words = sorted({word for row in rows for word in row.text.split()})

    def with_noise(examples: Sequence[IntentExample], epoch: int) -> list[IntentExample]:
        rng = np.random.default_rng([settings.seed, 21, epoch])
        return [_with_asr_errors(row, words, rng, settings) for row in examples]

    texts = [row.text for row in rows]
    noisy_texts = [row.text for row in with_noise(rows, 0)]
    tokenizer = train_tokenizer(texts + noisy_texts, settings.vocabulary)
    model = new_model(tokenizer, rows, settings)
    fit(model, lambda epoch: with_noise(rows, epoch + 1), settings.fit, on_progress)
    return calibrated(model, with_noise(held_out, 0))


def _with_asr_errors(
    row: IntentExample, words: Sequence[str], rng: np.random.Generator, settings: IntentPretrainSettings
) -> IntentExample:
    text, slots = row.text, row.slots or ()
    if slots and rng.random() < settings.strange_slots:
        chosen = int(rng.integers(len(slots)))
        words_and_slots = words_with_slots(text, slots)
        text, slots = text_with_slots([(_strange(w, rng) if s == chosen else w, s) for w, s in words_and_slots], slots)
    text, slots = with_asr_errors(text, slots, words, rng, settings.noise)
    return IntentExample(row.utterance_id, text, row.intent, slots, row.weight)


def _strange(word: str, rng: np.random.Generator) -> str:
    """Return an invented word of similar length, of consonants and vowels in turn."""
    sounds = ("bcdfghjklmnprstvwz", "aeiou")
    first = int(rng.integers(2))
    length = max(2, len(word) + int(rng.integers(-1, 2)))
    return "".join(sounds[(first + i) % 2][int(rng.integers(len(sounds[(first + i) % 2])))] for i in range(length))


def train_tokenizer(texts: Sequence[str], size: int) -> Any:
    """Return a byte-level BPE tokenizer with character offsets, which can encode any text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=3,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends),
        ]
    )
    kind: Any = PreTrainedTokenizerFast
    return kind(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def new_model(tokenizer: Any, rows: Sequence[IntentExample], settings: IntentPretrainSettings) -> IntentModel:
    """Return an untrained model with the inventory of the rows and weights drawn from the seed."""
    import torch

    from training.intent.model import IntentModel, JointIntentConfig, JointIntentModel

    config = JointIntentConfig(
        encoder={
            "model_type": "distilbert",
            "vocab_size": len(tokenizer),
            "dim": settings.width,
            "hidden_dim": 4 * settings.width,
            "n_layers": settings.layers,
            "n_heads": settings.heads,
            "max_position_embeddings": 130,
            "pad_token_id": tokenizer.pad_token_id,
        },
        intents=sorted({OTHER_INTENT, *(row.intent for row in rows)}),
        slot_names=sorted({slot.name for row in rows for slot in row.slots or ()}),
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network: Any = JointIntentModel(config)
    return IntentModel(network.eval(), tokenizer)


def write_replay(folder: Path, rows: Sequence[IntentExample]) -> None:
    """Write the rows to the folder as its replay set."""
    lines = [
        json.dumps(
            {
                "text": row.text,
                "intent": row.intent,
                "slots": [{"name": s.name, "start": s.start, "end": s.end} for s in row.slots or ()],
            }
        )
        for row in rows
    ]
    (folder / REPLAY).write_text("".join(line + "\n" for line in lines), encoding="utf-8")

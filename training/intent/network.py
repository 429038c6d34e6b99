"""The joint network for intents and slots: a text encoder of transformers with an intent head and a slot head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)
from corpus.records.base import OTHER_INTENT
from training.intent.inventory import MODEL_TYPE
from training.intent.slot_tags import tag_names
from training.intent.text_branch import Hashes, TextBranch, TextInputs, WordVectors

SMALL_NETWORK: Final = 10_000_000
"""Networks with fewer weights compute on one thread."""


class JointIntentConfig(PreTrainedConfig):  # type: ignore[misc]
    """An encoder's configuration and the inventory.

    Attributes:
        encoder: the configuration of a text model of transformers, with its `model_type`.
        intents: names of the C intents; `other` is always one of them.
        slot_names: names of the S slot types, which give 1 + 2 S tags.
        pooling: `mean` over the tokens, or `cls` for the first token.
        head_dropout: dropout in front of both heads.
        max_tokens: longer texts are cut to this number of tokens.
        ngrams: number of n-grams of the text that have weights; 0: none.
        words: number of words that have a vector; 0: none.
        word_width: length of these vectors.
    """

    model_type = MODEL_TYPE

    encoder: dict[str, Any] | None = None
    intents: list[str] | None = None
    slot_names: list[str] | None = None
    pooling: str = "mean"
    head_dropout: float = 0.1
    max_tokens: int = 128
    ngrams: int = 0
    words: int = 0
    word_width: int = 0


class JointIntentModel(PreTrainedModel):  # type: ignore[misc]
    """A text encoder with an intent head on its pooled output and a slot head on its tokens.

    With n-grams or words, the logits of the intents are the head's plus those of `TextBranch`.
    """

    config_class = JointIntentConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, config: JointIntentConfig) -> None:
        super().__init__(config)
        encoder = {k: v for k, v in (config.encoder or {}).items() if k not in ("dtype", "transformers_version")}
        auto: Any = AutoModel
        self.encoder = auto.from_config(AutoConfig.for_model(**encoder), trust_remote_code=False)
        width = self.encoder.config.hidden_size
        self.dropout = nn.Dropout(config.head_dropout)
        self.intent_head = nn.Linear(width, len(config.intents or [OTHER_INTENT]))
        self.slot_head = nn.Linear(width, len(tag_names(config.slot_names or [])))
        self.text: Any = self._text_branch(config) if config.ngrams or config.words else None
        self.post_init()

    @staticmethod
    def _text_branch(config: JointIntentConfig) -> TextBranch:
        intents = len(config.intents or [OTHER_INTENT])
        return TextBranch(config.ngrams, config.words, config.word_width, intents, config.head_dropout)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, texts: TextInputs | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return intent logits (B, C), slot logits (B, T, 1 + 2 S) and the pooled output (B, D).

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T), 1 on tokens and 0 on padding.
            texts: what `text_inputs` returns for the B texts.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.config.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        intents = self.intent_head(self.dropout(pooled))
        if self.text is not None:
            intents = intents + self.text(texts)
        return intents, self.slot_head(self.dropout(hidden)), pooled

    def text_inputs(self, texts: Sequence[str]) -> TextInputs | None:
        """Return what the network reads of the texts beside their tokens; None where it reads nothing else."""
        return None if self.text is None else self.text.read(texts)

    def forget_intents(self) -> None:
        """Make all intents equally probable, whatever the text."""
        with torch.no_grad():
            for parameter in (*self.intent_head.parameters(), *(() if self.text is None else self.text.parameters())):
                parameter.zero_()

    def set_ngrams(self, hashes: Hashes, idf: npt.NDArray[np.float32]) -> None:
        """Put n-grams with weights of zero in place of those that the network had."""
        self.config.ngrams = len(hashes)
        self._renew_text("word")
        self.text.ngram_hashes.copy_(torch.as_tensor(hashes))
        self.text.ngram_idf.copy_(torch.as_tensor(idf))

    def set_words(self, words: WordVectors) -> None:
        """Put words whose head is zero in place of those that the network had."""
        self.config.words, self.config.word_width = words.vectors.shape
        self._renew_text("ngram")
        self.text.word_hashes.copy_(torch.as_tensor(words.hashes))
        self.text.word_vectors.copy_(torch.as_tensor(words.vectors))
        self.text.word_weights.copy_(torch.as_tensor(words.weights))

    def _renew_text(self, kept: str) -> None:
        """Make the text branch anew, of the sizes in the configuration; weights whose name begins so stay."""
        former = {} if self.text is None else self.text.state_dict()
        self.text = self._text_branch(self.config)
        self.text.load_state_dict({name: old for name, old in former.items() if name.startswith(kept)}, strict=False)
        self.text.to(self.intent_head.weight.device).train(self.training)


AutoConfig.register(JointIntentConfig.model_type, JointIntentConfig, exist_ok=True)
AutoModel.register(JointIntentConfig, JointIntentModel, exist_ok=True)


def with_new_heads(
    encoder: PreTrainedModel, intents: Sequence[str] = (), slot_names: Sequence[str] = ()
) -> JointIntentModel:
    """Return a joint model of a text encoder and new heads for `other` and the given names, with weights of zero."""
    config = JointIntentConfig(encoder=encoder.config.to_dict(), intents=[OTHER_INTENT], slot_names=[])
    with torch.random.fork_rng():  # the random first weights are all replaced
        network = JointIntentModel(config)
    network.encoder.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        for head in (network.intent_head, network.slot_head):
            head.weight.zero_()
            head.bias.zero_()
    extend_inventory(network, intents, slot_names)
    return network


def extend_inventory(model: JointIntentModel, intents: Sequence[str], slot_names: Sequence[str]) -> bool:
    """Add the given names to the model's inventory; return whether any of them was new.

    New names follow the old ones, in sorted order. The old rows of both heads are kept; a new row starts at the mean of
    the old ones, so that it prefers no intent or slot.
    """
    config = model.config
    old_intents, old_slots = list(config.intents or []), list(config.slot_names or [])
    new_intents = sorted({OTHER_INTENT, *intents} - set(old_intents))
    new_slots = sorted(set(slot_names) - set(old_slots))
    if new_intents:
        model.intent_head = _extended_head(model.intent_head, len(old_intents) + len(new_intents), len(old_intents))
        if model.text is not None:
            model.text.extend(len(new_intents))
    if new_slots:
        outputs = len(tag_names([*old_slots, *new_slots]))
        model.slot_head = _extended_head(model.slot_head, outputs, len(tag_names(old_slots)))
    config.intents, config.slot_names = old_intents + new_intents, old_slots + new_slots
    return bool(new_intents or new_slots)


def _extended_head(head: nn.Linear, outputs: int, kept: int) -> nn.Linear:
    # without random first weights, which would draw from the global generator
    wider: nn.Linear = nn.utils.skip_init(nn.Linear, head.in_features, outputs).to(head.weight)
    with torch.no_grad():
        wider.weight.copy_(head.weight[:kept].mean(0, keepdim=True).expand_as(wider.weight))
        wider.bias.copy_(head.bias[:kept].mean().expand_as(wider.bias))
        wider.weight[:kept], wider.bias[:kept] = head.weight[:kept], head.bias[:kept]
    return wider


def max_input_tokens(network: JointIntentModel) -> int:
    """Return the largest number of tokens that the model reads of a text, special ones included."""
    # RoBERTa-like encoders count positions from behind the padding index, so that two of them can't be used
    positions = int(getattr(network.encoder.config, "max_position_embeddings", 512))
    return min(int(network.config.max_tokens), positions - 2)


@contextmanager
def one_thread_if_small(network: nn.Module) -> Iterator[None]:
    """Limit torch to one thread within the block if the network is small.

    Its matrix products are too short to divide, and beside another busy process several threads that wait for each
    other cost far more than they save.
    """
    threads = torch.get_num_threads()
    small = sum(parameter.numel() for parameter in network.parameters()) < SMALL_NETWORK
    try:
        torch.set_num_threads(1 if small else threads)
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def consistent_dropout(network: JointIntentModel, seed: int, number: int) -> Iterator[None]:
    """Make every dropout drop the same features for all texts and tokens within the block, seeded by (seed, number)."""
    modules = [m for m in network.modules() if isinstance(m, nn.Dropout) and 0.0 < m.p < 1.0]
    # one random stream per module, so that the order in which the network calls them does not matter
    streams = np.random.default_rng([seed, number]).spawn(len(modules))
    hooks = [
        module.register_forward_hook(_same_features(module.p, stream))
        for module, stream in zip(modules, streams, strict=True)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _same_features(rate: float, rng: np.random.Generator) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
    masks: list[torch.Tensor] = []

    def thin(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if not masks:
            kept = rng.random(output.shape[-1]) >= rate
            masks.append(torch.as_tensor(kept / (1.0 - rate), dtype=output.dtype, device=output.device))
        return output * masks[0]

    return thin

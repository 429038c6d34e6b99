"""Beam search over the words of a lexicon, with an n-gram language model, in the frames of a CTC model.

The search is that of Flashlight (Collobert et al. 2016, Kahn et al. 2022). It finds token sequences. Each of them gets
its exact score here: log p(tokens | audio) by CTC's forward algorithm, and that of the language model. So the scores of
an n-best list can be compared, and their softmax is a posterior over it. Words outside the lexicon can be written, too:
the search spells them from pieces, at a price, and the greedy transcript always takes part. This module needs neither a
tokenizer nor transformers.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import SettingsError
from corpus.records.base import Floats
from training.asr.language_model import UNKNOWN
from training.asr.posterior import Ids, collapse

NEVER: Final = -1e5
"""Log probability of what can't happen, in the frame that is added after the last one."""

BEAM_THRESHOLD: Final = 25.0
"""Hypotheses that are worse than the best by more are dropped [nats]."""

MAX_TOKENS: Final = 64
"""How many of the likeliest tokens of each frame are tried."""

PIECE_REPEATS: Final = 6
"""A piece of an unknown word is written as a spelling that no speech has: the token so many times, with blanks."""


class BeamSettings(BaseModel):
    """How the beam search weighs sound, language model and words; all scores are natural logarithms.

    Attributes:
        width: Number of hypotheses that are followed.
        hypotheses: Largest number of transcripts that are returned.
        lm_weight: Weight of the language model.
        word_score: Added for each word; above 0 more and shorter words are written.
        unknown_score: Added for each word that is not in the lexicon, besides the language model's probability of an
            unknown word.
        phrase_boost: Added where a phrase of the list of phrases begins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(default=60, ge=1, le=10_000)
    hypotheses: int = Field(default=16, ge=1, le=10_000)
    lm_weight: float = Field(default=0.5, ge=0.0, le=100.0)
    word_score: float = Field(default=0.0, ge=-1000.0, le=1000.0)
    unknown_score: float = Field(default=-4.0, ge=-10_000.0, le=0.0)
    phrase_boost: float = Field(default=6.0, ge=0.0, le=1000.0)


@dataclass(frozen=True, slots=True)
class DecoderFiles:
    """What the folder `decoder` of a model holds.

    Attributes:
        settings: the weights of the search.
        arpa: the language model, an ARPA file.
        phrases: phrases of all clips, in normal form.
        phrases_by_locale: further phrases of the clips of a locale, by its canonical tag.
    """

    settings: BeamSettings
    arpa: str
    phrases: tuple[str, ...] = ()
    phrases_by_locale: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def phrases_of(self, locale: str) -> tuple[str, ...]:
        """Return the phrases with which a clip of a locale is decoded, sorted."""
        return tuple(sorted({*self.phrases, *self.phrases_by_locale.get(locale, ())}))

    def digest(self) -> str:
        """Return the SHA-256 of language model and phrases."""
        parts = [self.arpa, *self.phrases]
        for locale, phrases in sorted(self.phrases_by_locale.items()):
            parts += ["", locale, *phrases]  # no phrase is empty
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words that the search knows, as a model spells them.

    Attributes:
        spellings: tokens of each word, by word; without `end`, and never empty.
        blank: the CTC blank.
        end: the token that stands alone between words; None where words begin with pieces of their own (SentencePiece).
        pieces: tokens that an unknown word may be made of.
        size: number of output symbols.
    """

    spellings: dict[str, tuple[int, ...]]
    blank: int
    end: int | None
    pieces: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class WordBeam:
    """A beam search, ready to run. It has the objects of Flashlight, which can't be pickled.

    Attributes:
        settings: how it weighs.
        lexicon: the words.
        trie, lm, dictionary: the lexicon and the language model in Flashlight.
        makers_by_locale: what makes the search for clips of a locale, once; none where it has no phrases of its own.
    """

    settings: BeamSettings
    lexicon: Lexicon
    trie: Any
    lm: Any
    dictionary: Any
    makers_by_locale: Mapping[str, Callable[[], WordBeam]] = field(default_factory=dict)

    def for_locale(self, locale: str) -> WordBeam:
        """Return the search for clips of a locale, with the weights of this one; "" is an unknown locale."""
        make = self.makers_by_locale.get(locale)
        return self if make is None else replace(make(), settings=self.settings)


@dataclass(frozen=True, slots=True)
class BeamText:
    """One transcript of a beam search.

    Attributes:
        text: the transcript, as `spell` writes it.
        path: (T,) the symbol of each frame on the best way to it.
        acoustic: log p(tokens | audio) [nats].
        lm: natural logarithm of its probability under the language model; 0 without one.
        words, unknown: number of its words, and of those that are not in the lexicon.
        score: what it is ranked by.
        weight: share of it in the softmax of the scores; the weights of all transcripts sum to 1.
    """

    text: str
    path: Ids
    acoustic: float
    lm: float
    words: int
    unknown: int
    score: float
    weight: float


# --- make -------------------------------------------------------------------------------------------------------------


def check_installed() -> None:
    """Check that the beam search can run here.

    Raises:
        SettingsError: the extra `beam` is not installed.
    """
    try:
        import flashlight.lib.text.decoder  # noqa: F401
    except ImportError as error:
        raise SettingsError("the beam search needs flashlight-text; pip install 'earmark[beam]'") from error


def make_beam(lexicon: Lexicon, lm_file: Path | None, settings: BeamSettings) -> WordBeam:
    """Return the search over a lexicon with the language model of a file: ARPA, or KenLM's binary format.

    Raises:
        SettingsError: the extra `beam` is not installed, or the file is no language model.
    """
    check_installed()
    from flashlight.lib.text.decoder import SmearingMode, Trie, ZeroLM
    from flashlight.lib.text.dictionary import Dictionary

    dictionary = Dictionary()
    words = sorted(lexicon.spellings)
    for word in (*words, UNKNOWN):
        dictionary.add_entry(word)
    lm = ZeroLM() if lm_file is None else _language_model(lm_file, dictionary)
    start = lm.start(False)
    trie = Trie(lexicon.size, lexicon.blank if lexicon.end is None else lexicon.end)
    for place, word in enumerate(words):
        likely = lm.score(start, place)[1]
        for spelling in _spellings(lexicon, word):
            trie.insert(spelling, place, likely)
    unlikely = lm.score(start, len(words))[1]
    for piece in lexicon.pieces:
        ending = [] if lexicon.end is None else [lexicon.end]
        trie.insert([piece] * PIECE_REPEATS + ending, len(words), unlikely)
    trie.smear(SmearingMode.MAX)
    return WordBeam(settings, lexicon, trie, lm, dictionary)


def _spellings(lexicon: Lexicon, word: str) -> list[list[int]]:
    """Return the spellings of a word in the trie.

    A word ends with the token between words where there is one. Elsewhere it ends with its last token, which may last
    for several frames; Flashlight has left the word after the first of them, so a second spelling repeats the token.
    """
    tokens = list(lexicon.spellings[word])
    return [tokens, [*tokens, tokens[-1]]] if lexicon.end is None else [[*tokens, lexicon.end]]


def _language_model(file: Path, dictionary: Any) -> Any:
    from flashlight.lib.text.decoder.kenlm import KenLM

    try:
        with _without_stderr():  # KenLM draws a bar
            return KenLM(str(file), dictionary)
    except Exception as error:
        raise SettingsError(f"language model {file.name} can't be read; give another ARPA file") from error


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:  # noqa: PTH123  (a device)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


# --- search -----------------------------------------------------------------------------------------------------------


def search(beam: WordBeam, log_probs: Floats, spell: Callable[[Sequence[int]], str]) -> tuple[BeamText, ...]:
    """Return the distinct transcripts of a clip, best first; there is at least one.

    Args:
        beam: the search.
        log_probs: (T, V) log posterior of each frame [nats].
        spell: returns the normalised text of collapsed tokens.
    """
    blank = beam.lexicon.blank
    paths = {collapse(path, blank): path for path in reversed(best_paths(beam, log_probs))}
    greedy = log_probs.argmax(axis=1)
    paths.setdefault(collapse(greedy, blank), greedy)
    sequences = list(paths)
    found: dict[str, BeamText] = {}
    for tokens, acoustic in zip(sequences, acoustic_scores(log_probs, sequences, blank).tolist(), strict=True):
        text = spell(tokens)
        if math.isfinite(acoustic) and (text not in found or acoustic > found[text].acoustic):
            found[text] = _scored(beam, text, paths[tokens], acoustic)
    return rank(list(found.values()), beam.settings)


def rank(texts: Sequence[BeamText], settings: BeamSettings) -> tuple[BeamText, ...]:
    """Return the transcripts with their scores and weights by the settings, best first, at most `hypotheses`."""
    scores = [
        text.acoustic
        + settings.lm_weight * text.lm
        + settings.word_score * text.words
        + settings.unknown_score * text.unknown
        for text in texts
    ]
    order = sorted(range(len(texts)), key=lambda row: (-scores[row], texts[row].text))[: settings.hypotheses]
    shares = np.exp(np.array([scores[row] - scores[order[0]] for row in order]))
    shares /= shares.sum()
    return tuple(_ranked(texts[row], scores[row], float(share)) for row, share in zip(order, shares, strict=True))


def _ranked(text: BeamText, score: float, weight: float) -> BeamText:
    return BeamText(text.text, text.path, text.acoustic, text.lm, text.words, text.unknown, score, weight)


def _scored(beam: WordBeam, text: str, path: Ids, acoustic: float) -> BeamText:
    words = text.split()
    unknown = sum(word not in beam.lexicon.spellings for word in words)
    state, total = beam.lm.start(False), 0.0
    for word in words:
        known = word if word in beam.lexicon.spellings else UNKNOWN
        state, score = beam.lm.score(state, beam.dictionary.get_index(known))
        total += score
    total += beam.lm.finish(state)[1]
    return BeamText(text, path, acoustic, total * math.log(10.0), len(words), unknown, 0.0, 0.0)


def best_paths(beam: WordBeam, log_probs: Floats) -> list[Ids]:
    """Return (T,) the symbol of each frame on the way to each transcript that the search found, best first.

    Of those that are equally likely any may be left out at the end of the beam.
    """
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions

    lexicon, settings = beam.lexicon, beam.settings
    frames = log_probs
    if lexicon.end is not None:  # the last word ends after the last frame
        after = np.full((1, lexicon.size), NEVER)
        after[0, lexicon.end] = 0.0
        frames = np.concatenate([log_probs, after])
    frames = np.ascontiguousarray(np.maximum(frames, NEVER), dtype=np.float32)
    options = LexiconDecoderOptions(
        beam_size=settings.width,
        beam_size_token=min(MAX_TOKENS, lexicon.size),
        beam_threshold=BEAM_THRESHOLD,
        lm_weight=settings.lm_weight * math.log(10.0),  # KenLM's logarithms are to the base 10
        word_score=settings.word_score,
        unk_score=settings.unknown_score if lexicon.pieces else -math.inf,
        sil_score=0.0,
        log_add=False,
        criterion_type=CriterionType.CTC,
    )
    silence = lexicon.blank if lexicon.end is None else lexicon.end
    unknown = beam.dictionary.get_index(UNKNOWN)
    decoder = LexiconDecoder(options, beam.trie, beam.lm, silence, lexicon.blank, unknown, [], False)
    found = decoder.decode(frames.ctypes.data, *frames.shape)
    # Flashlight puts a symbol before the first frame and one after the last
    return [np.array(each.tokens[1 : 1 + len(log_probs)], dtype=np.intp) for each in found]


def acoustic_scores(log_probs: Floats, sequences: Sequence[tuple[int, ...]], blank: int) -> npt.NDArray[np.float64]:
    """Return (N,) log p(tokens | audio) of collapsed token sequences [nats]; -inf for those too long for the clip."""
    import torch

    frames = torch.from_numpy(np.maximum(log_probs, NEVER).astype(np.float64))
    sizes = torch.tensor([len(tokens) for tokens in sequences])
    losses = torch.nn.functional.ctc_loss(
        frames[:, None, :].expand(-1, len(sequences), -1),
        torch.tensor([token for tokens in sequences for token in tokens], dtype=torch.long),
        torch.full((len(sequences),), len(frames)),
        sizes,
        blank=blank,
        reduction="none",
    )
    return np.asarray(-losses.numpy(), dtype=np.float64)

"""The decoder of a speech model as files: the folder `decoder` beside its weights.

It has `beam.json` with the weights of the search, `lm.arpa` with the language model, whose words are the lexicon, and
where there are some `phrases.txt` with a phrase a line, and the folder `phrases` with such a file for each locale. They
are files of the version like its weights, so that its digest covers them, and every use of the version decodes in the
same way.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from corpus.errors import SettingsError
from training.asr.arpa import read_arpa, to_arpa, with_normal_words, with_phrases, words_of
from training.asr.beam_weights import ChosenWeights, KnownClip, choose_weights
from training.asr.model import AsrModel, Head, token_text
from training.asr.phrases import phrase_files, read_phrases
from training.asr.text_files import is_long, read_text
from training.asr.word_beam import BeamSettings, DecoderFiles, Lexicon, WordBeam, make_beam

DECODER: Final = "decoder"
SETTINGS, LANGUAGE_MODEL, PHRASES, OF_LOCALES = "beam.json", "lm.arpa", "phrases.txt", "phrases"
BARE_MARKS: Final = ("\u2581", "\u0120")
"""SentencePiece's and GPT-2's mark of a word's begin, where it is a token of its own."""


def write_decoder(folder: Path, decoder: DecoderFiles) -> None:
    """Write a decoder into the folder of a model, in place of another one."""
    target = folder / DECODER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / SETTINGS).write_text(decoder.settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (target / LANGUAGE_MODEL).write_text(decoder.arpa, encoding="utf-8")
    lists = {target / OF_LOCALES / f"{locale}.txt": each for locale, each in decoder.phrases_by_locale.items()}
    for file, phrases in {target / PHRASES: decoder.phrases, **lists}.items():
        if phrases:
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(f"{phrase}\n" for phrase in phrases), encoding="utf-8")


def read_decoder(folder: Path) -> DecoderFiles | None:
    """Return the decoder in a model's folder; None where it has none.

    Raises:
        SettingsError: a file is missing or wrong.
    """
    source = folder / DECODER
    if not (source / SETTINGS).exists():
        return None
    try:
        settings = BeamSettings.model_validate_json(read_text(source / SETTINGS))
        arpa = read_text(source / LANGUAGE_MODEL)
    except SettingsError as error:
        raise SettingsError(f"speech model {folder.name}: its decoder can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        what = ": ".join([SETTINGS, *map(str, first["loc"]), first["msg"][:200]])
        raise SettingsError(f"speech model {folder.name}: its decoder can't be read: {what}") from error
    try:
        phrases = read_phrases(source / PHRASES, limited=False) if (source / PHRASES).exists() else []
        of_locales = phrase_files(source / OF_LOCALES) if (source / OF_LOCALES).exists() else {}
        by_locale = {locale: tuple(read_phrases(file, limited=False)) for locale, file in of_locales.items()}
    except SettingsError as error:  # it names settings, but these are files of the version
        raise SettingsError(f"speech model {folder.name}: the phrases of its decoder can't be read") from error
    return DecoderFiles(settings, arpa, tuple(phrases), by_locale)


def summary_of(decoder: DecoderFiles) -> str:
    """Return what a decoder has, in counts, and the digest of its language model."""
    words = len(words_of(read_arpa(decoder.arpa, LANGUAGE_MODEL)))
    phrases = len(decoder.phrases) + sum(len(each) for each in decoder.phrases_by_locale.values())
    return f"{words} words, {phrases} phrases, language model {decoder.digest()[:12]}"


def with_decoder(asr: AsrModel, decoder: DecoderFiles | None) -> AsrModel:
    """Return the model with a decoder, whose language model's words are the lexicon; None makes it greedy.

    The search of a locale that has phrases of its own is made when it is first used.

    Raises:
        SettingsError: the model has no CTC head, the language model can't be read, or the extra `beam` is missing.
    """
    if decoder is None:
        return replace(asr, beam=None, decoder=None)
    check_head(asr.head)
    bare = replace(asr, beam=None, decoder=None)
    beam = _beam_with(bare, decoder, decoder.phrases, {})
    makers = {
        locale: cache(partial(_beam_with, bare, decoder, decoder.phrases_of(locale), beam.lexicon.spellings))
        for locale in decoder.phrases_by_locale
    }
    return replace(asr, beam=replace(beam, makers_by_locale=makers), decoder=decoder)


def check_head(head: Head) -> None:
    """Check that speech models with this head take a beam.

    Raises:
        SettingsError: they don't.
    """
    if head != "ctc":
        raise SettingsError("only speech models with a CTC head take a beam; set asr.decoder to greedy")


def _beam_with(
    asr: AsrModel, decoder: DecoderFiles, phrases: Sequence[str], spellings: Mapping[str, tuple[int, ...]]
) -> WordBeam:
    """Return the search with some phrases; `spellings` are those of words that the model has spelled already."""
    model = read_arpa(decoder.arpa, LANGUAGE_MODEL)
    if not decoder.arpa.isascii():  # one of a release of before may have had another normal form
        model = with_normal_words(model, LANGUAGE_MODEL)
    known = words_of(model)
    if phrases:
        model = with_phrases(model, phrases, decoder.settings.phrase_boost)
    lexicon = model_lexicon(asr, words_of(model), spellings)
    if known and not lexicon.spellings:
        raise SettingsError(
            f"language model {LANGUAGE_MODEL}: the speech model can't spell any of its {len(known)} words; "
            "give one in its language"
        )
    with passing_file(to_arpa(model)) as file:
        return make_beam(lexicon, file, decoder.settings)


@contextmanager
def passing_file(arpa: str) -> Iterator[Path]:
    """Yield a file with a language model, since KenLM takes only a name; its text is gone with the process.

    It holds words of labels, so where the system can it is in memory, and a killed process leaves an empty link.
    """
    with tempfile.TemporaryDirectory(prefix="earmark-lm-") as made:
        file = Path(made) / LANGUAGE_MODEL
        if not hasattr(os, "memfd_create"):
            file.write_text(arpa, encoding="utf-8")
            yield file
            return
        with os.fdopen(os.memfd_create(LANGUAGE_MODEL), "w", encoding="utf-8") as stream:
            stream.write(arpa)
            stream.flush()
            file.symlink_to(f"/proc/self/fd/{stream.fileno()}")
            yield file


def with_chosen_weights(asr: AsrModel, clips: Sequence[KnownClip]) -> tuple[AsrModel, ChosenWeights]:
    """Return the model with the weights of its beam that are best on clips, and how they were chosen.

    Args:
        asr: with a decoder.
        clips: clips with known texts.
    """
    if asr.beam is None or asr.decoder is None:
        raise SettingsError("a model that decodes greedily has no weights to choose; give it a decoder")
    chosen = choose_weights(asr.beam, clips, partial(token_text, asr))
    beam, decoder = replace(asr.beam, settings=chosen.settings), replace(asr.decoder, settings=chosen.settings)
    return replace(asr, beam=beam, decoder=decoder), chosen


def model_lexicon(asr: AsrModel, words: Sequence[str], known: Mapping[str, tuple[int, ...]] | None = None) -> Lexicon:
    """Return the words as the model spells them; words that it can't spell, or that are too long, are left out.

    A model with capital letters alone spells words in capitals. `known` has spellings of words that it spelled before.
    """
    end = _word_end(asr)
    words = [word for word in words if not is_long(word)]
    spellings = {word: known[word] for word in words if word in known} if known else {}
    for case in (str, str.upper):
        left = [word for word in words if word not in spellings]
        if not left:
            break
        for word, tokens in zip(left, _tokens(asr, [case(word) for word in left]), strict=True):
            kept = tuple(token for token in tokens if token != end)
            if kept and not asr.marks.intersection(kept):
                spellings[word] = kept
    letters = set(range(asr.vocab_size)) - {asr.blank, end} - asr.marks
    return Lexicon(spellings, asr.blank, end, tuple(sorted(letters)), asr.vocab_size)


def _tokens(asr: AsrModel, words: Sequence[str]) -> list[list[int]]:
    return [list(row) for row in asr.tokenizer(list(words), add_special_tokens=False)["input_ids"]]


def _word_end(asr: AsrModel) -> int | None:
    """Return the token that stands alone between words; None where words begin with pieces of their own."""
    if asr.delimiter.any():
        return int(np.flatnonzero(asr.delimiter)[0])
    starts = np.flatnonzero(asr.starts_word).tolist()
    alone = len(starts) == 1 and asr.tokenizer.convert_ids_to_tokens(starts[0]) in BARE_MARKS
    return int(starts[0]) if alone else None

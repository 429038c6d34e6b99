"""The decoder of a speech model as files: the folder `decoder` beside its weights.

It has `beam.json` with the weights of the search, `lm.arpa` with the language model, whose words are the lexicon, and
`phrases.txt` with a phrase a line, where there are some. They are files of the version like its weights, so that its
digest covers them, and every use of the version decodes in the same way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from corpus.errors import SettingsError
from corpus.text import normalise
from training.asr.arpa import read_arpa, to_arpa, with_phrases, words_of
from training.asr.model import AsrModel
from training.asr.word_beam import BeamSettings, Lexicon, WordBeam, make_beam

DECODER: Final = "decoder"
SETTINGS, LANGUAGE_MODEL, PHRASES = "beam.json", "lm.arpa", "phrases.txt"
BARE_MARKS: Final = ("\u2581", "\u0120")
"""SentencePiece's and GPT-2's mark of a word's begin, where it is a token of its own."""


def write_decoder(folder: Path, settings: BeamSettings, arpa: str, phrases: Sequence[str] = ()) -> None:
    """Write a decoder into the folder of a model."""
    target = folder / DECODER
    target.mkdir(parents=True, exist_ok=True)
    (target / SETTINGS).write_text(settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (target / LANGUAGE_MODEL).write_text(arpa, encoding="utf-8")
    if phrases:
        (target / PHRASES).write_text("".join(f"{phrase}\n" for phrase in phrases), encoding="utf-8")


def folder_beam(asr: AsrModel, folder: Path) -> WordBeam | None:
    """Return the beam search of a model's folder; None where it has none.

    Raises:
        SettingsError: the model has no CTC head, a file is missing or wrong, or the extra `beam` is not installed.
    """
    source = folder / DECODER
    if not (source / SETTINGS).is_file():
        return None
    if asr.head != "ctc":
        raise SettingsError(f"speech model {folder.name}: only CTC models take a beam; remove its folder {DECODER}")
    try:
        settings = BeamSettings.model_validate_json((source / SETTINGS).read_text(encoding="utf-8"))
        arpa = (source / LANGUAGE_MODEL).read_text(encoding="utf-8")
        phrases = read_phrases(source / PHRASES) if (source / PHRASES).is_file() else []
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0][:200]
        raise SettingsError(f"speech model {folder.name}: its decoder can't be read: {reason}") from error
    return model_beam(asr, settings, arpa, phrases)


def model_beam(asr: AsrModel, settings: BeamSettings, arpa: str, phrases: Sequence[str] = ()) -> WordBeam:
    """Return the beam search of a model with a language model, an ARPA file, and phrases; its words are the lexicon."""
    model = read_arpa(arpa, LANGUAGE_MODEL)
    if phrases:
        model = with_phrases(model, phrases, settings.phrase_boost)
        arpa = to_arpa(model)
    with tempfile.TemporaryDirectory(prefix="earmark-lm-") as made:
        file = Path(made) / LANGUAGE_MODEL
        file.write_text(arpa, encoding="utf-8")
        return make_beam(model_lexicon(asr, words_of(model)), file, settings)


def read_phrases(file: Path) -> list[str]:
    """Return the phrases of a file, one a line, in normal form; empty lines and those after `#` are left out.

    Raises:
        SettingsError: the file can't be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name}: can't be read; give a UTF-8 file with a line each") from error
    return sorted({text for line in lines if (text := normalise(line.partition("#")[0]))})


def model_lexicon(asr: AsrModel, words: Sequence[str]) -> Lexicon:
    """Return the words as the model spells them; words that it can't spell are left out.

    A model with capital letters alone spells words in capitals.
    """
    end = _word_end(asr)
    spellings: dict[str, tuple[int, ...]] = {}
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

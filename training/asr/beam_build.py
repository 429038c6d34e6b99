"""The decoder of a speech model from texts: labels, examples of the inventory, and files of the user's own."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator

from corpus.errors import SettingsError
from corpus.settings import MOST_ROWS
from corpus.text import lines_of, normalise
from corpus.user_paths import expanded
from training.asr.arpa import read_arpa, to_arpa, with_normal_words
from training.asr.common_words import COMMON_WORDS
from training.asr.language_model import MAX_ORDER, UNKNOWN, NgramModel, build_ngrams
from training.asr.phrases import phrase_files, read_all_phrases
from training.asr.text_files import check_words, is_long, read_text
from training.asr.word_beam import BeamSettings, DecoderFiles

FILES: Final = ("lm", "words", "texts", "phrases")
"""Settings that name files; their contents count where two trainings are compared."""

MOST_FREQUENT: Final = 1e15
"""Largest frequency of a word of a list."""

COMMANDS: Final = Path(__file__).parents[1] / "bases" / "intent" / "replay.jsonl"
"""Synthetic commands of the recipe of the embedded bases, `{text}` a line."""


class BeamBuildSettings(BeamSettings):
    """The beam search and the language model that a version gets; scores are natural logarithms.

    Attributes:
        width: Number of hypotheses that are followed.
        hypotheses: Largest number of transcripts that are returned.
        lm_weight: Weight of the language model; with 20 dev rows or more it is chosen on them, like the next two.
        word_score: Added for each word; above 0 more and shorter words are written.
        unknown_score: Added for each word that is not in the lexicon.
        phrase_boost: Added where a phrase of `phrases` begins.
        lm: Language model, a whole ARPA file of order 2 to 6; null: one is built from the labels and from what follows.
            This file and the next ones are UTF-8, also with gzip, and a word has at most 100 letters.
        words: Word list, a word a line, with a tab and its frequency where it is known; `english`: some 1,000 frequent
            words that come with earmark.
        texts: Further texts, one a line, such as transcripts of another corpus; `english`: some 360 commands to a
            voice assistant that come with earmark.
        texts_weight: Weight of each of them; a label has at most 1.
        phrases: Phrases that are likely to come, one a line, such as a new artist; or a folder with such a file for
            each locale (`en-GB.txt`), whose phrases count in clips of that locale alone, and `all.txt` for all clips.
        order: Longest n-gram of the language model.
        min_speakers: Words of labels that fewer speakers said, such as names in private use, are left out; the
            language model then knows that an unknown word stands there.
    """

    lm: Path | None = None
    words: Literal["english"] | Path | None = None
    texts: Literal["english"] | Path | None = None
    texts_weight: float = Field(default=1.0, gt=0.0, le=1e6)
    phrases: Path | None = None
    order: int = Field(default=MAX_ORDER, ge=2, le=MAX_ORDER)
    min_speakers: int = Field(default=2, ge=1, le=MOST_ROWS)

    @field_validator("lm", "words", "texts", "phrases", mode="before")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        if value == "" or not isinstance(value, str | Path | None):
            raise ValueError("it names no file; give one, or null for none")
        return value

    @field_validator("words", "texts")
    @classmethod
    def _file_of_that_name(cls, value: Path | str | None) -> Path | str | None:
        # a file `./english` keeps its folder, so that settings that were written and read again name it still
        return value.absolute() if value == Path("english") else value

    @property
    def search(self) -> BeamSettings:
        """Return the settings of the search alone."""
        return BeamSettings(**{name: getattr(self, name) for name in BeamSettings.model_fields})


@dataclass(frozen=True, slots=True)
class LabelText:
    """The transcript of a label in normal form, its weight, and who said it."""

    text: str
    weight: float
    speaker: str


def build_decoder(
    settings: BeamBuildSettings, labels: Sequence[LabelText], examples: Iterable[str] = ()
) -> DecoderFiles:
    """Return the decoder from labels, examples and the files of the settings; their order does not matter.

    Args:
        settings: files, weights and limits.
        labels: transcripts that may train.
        examples: further texts, such as those of the inventory.

    Raises:
        SettingsError: a file can't be read.
        UsageError: there is neither a text nor a word.
    """
    phrases = _phrases(settings)
    if settings.lm is not None:
        return DecoderFiles(settings.search, to_arpa(_given_model(settings.lm)), *phrases)
    texts = [(text, 1.0) for each in examples if (text := _without_long_words(normalise(each)))]
    if settings.texts is not None:
        texts += [(line, settings.texts_weight) for line in read_lines(settings.texts)]
    listed = read_words(settings.words) if settings.words is not None else {}
    known = {word for text, _ in texts for word in text.split()} | set(listed)
    texts += without_private_words(labels, settings.min_speakers, known)
    return DecoderFiles(settings.search, to_arpa(build_ngrams(texts, listed, settings.order)), *phrases)


def _without_long_words(text: str) -> str:
    return " ".join(UNKNOWN if is_long(word) else word for word in text.split())


def without_private_words(labels: Sequence[LabelText], min_speakers: int, known: set[str]) -> list[tuple[str, float]]:
    """Return (text, weight) of labels, with `<unk>` for words that too few speakers said and that are not known.

    So it stands for words that are longer than a lexicon takes.
    """
    speakers: defaultdict[str, set[str]] = defaultdict(set)
    for label in labels:
        for word in label.text.split():
            speakers[word].add(label.speaker)
    shared = {word for word, said_by in speakers.items() if len(said_by) >= min_speakers and not is_long(word)} | known
    return [
        (" ".join(word if word in shared else UNKNOWN for word in label.text.split()), label.weight) for label in labels
    ]


def read_words(file: Literal["english"] | Path) -> dict[str, float]:
    """Return the words of a list with their frequencies, 0 where none is given.

    Raises:
        SettingsError: the file can't be read, or a line is not a word with its frequency.
    """
    words: dict[str, float] = {}
    name = _name(file)
    for number, line in enumerate(lines_of(_text_of(file, "words")), 1):
        word, _, frequency = line.partition("\t")
        spelled = normalise(word)
        try:
            count = float(frequency) if frequency.strip() else 0.0
        except ValueError:
            count = -1.0
        if not 0.0 <= count <= MOST_FREQUENT or " " in spelled:
            raise SettingsError(f"{name}: line {number} is not one word, or a word, a tab and its frequency")
        check_words(spelled, name, number)
        if spelled:
            words[spelled] = words.get(spelled, 0.0) + count
    return words


def read_lines(file: Literal["english"] | Path) -> list[str]:
    """Return the texts of a file, one a line, in normal form, without empty ones.

    Raises:
        SettingsError: the file can't be read, or a word is longer than a lexicon takes.
    """
    lines: list[str] = []
    for number, line in enumerate(lines_of(_text_of(file, "texts")), 1):
        if text := normalise(line):
            check_words(text, _name(file), number)
            lines.append(text)
    return lines


def files_digest(settings: BeamBuildSettings) -> str:
    """Return one SHA-256 of the contents of the files that the settings name; "" where they name none.

    Of a folder of phrases the locales count, too.

    Raises:
        SettingsError: a file can't be read, or one of phrases is not named as a locale.
    """
    named = {name: file for name in FILES if (file := getattr(settings, name)) is not None}
    if (place := named.pop("phrases", None)) is not None:
        of_folder = expanded(place).is_dir()
        named |= {f"phrases/{key}" if of_folder else "phrases": file for key, file in phrase_files(place).items()}
    whole = hashlib.sha256()
    for name, file in named.items():
        whole.update(f"{name}\0{hashlib.sha256(_text_of(file, name).encode()).hexdigest()}\n".encode())
    return whole.hexdigest() if named else ""


def check_files(settings: BeamBuildSettings) -> None:
    """Check that each file that the settings name can be read as what it should be; `build_decoder` reads the same.

    Raises:
        SettingsError: one can't; the message names it.
    """
    _phrases(settings)
    if settings.words is not None:
        read_words(settings.words)
    if settings.texts is not None:
        read_lines(settings.texts)
    if settings.lm is not None:
        _given_model(settings.lm)


def _phrases(settings: BeamBuildSettings) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    return read_all_phrases(settings.phrases) if settings.phrases is not None else ((), {})


def _given_model(file: Path) -> NgramModel:
    """Return the language model of a file, its words in normal form."""
    return with_normal_words(read_arpa(read_text(file), file.name, limited=True), file.name)


def _name(file: Literal["english"] | Path) -> str:
    return file if isinstance(file, str) else file.name


def _text_of(file: Literal["english"] | Path, name: str) -> str:
    """Return the contents of a file that a setting names, or what comes with earmark, a word or a text a line."""
    if isinstance(file, Path):
        return read_text(file)
    if name == "words":
        return "\n".join(COMMON_WORDS)
    return "\n".join(dict.fromkeys(json.loads(line)["text"] for line in lines_of(read_text(COMMANDS))))

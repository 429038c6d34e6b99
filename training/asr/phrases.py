"""Phrases that are likely to come, such as artists or contacts: a file for all clips, or a folder with one a locale."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from corpus.errors import RecordError, SettingsError
from corpus.locales import canonical_locale
from corpus.text import lines_of, normalise
from corpus.user_paths import expanded
from training.asr.text_files import check_words, read_text

ALL: Final = "all"
"""Name of the file with the phrases of every locale, and the key of these phrases."""


def phrase_files(place: Path) -> dict[str, Path]:
    """Return the files of phrases by canonical locale, sorted; `ALL` is that of every locale, as a single file is.

    Hidden files of a folder are left out.

    Raises:
        SettingsError: there is no such file or folder, the folder is empty or can't be read, a file is not named as a
            locale, or two are named as the same one.
    """
    place = expanded(place)
    if not place.exists():
        raise SettingsError(f"{place.name}: there is no such file or folder; check asr.beam.phrases")
    if not place.is_dir():
        return {ALL: place}
    found: dict[str, Path] = {}
    for file in _shown_files(place):
        locale = _locale_of(file, place)
        if locale in found:
            raise SettingsError(
                f"{place.name}: {found[locale].name} and {file.name} are both of {locale}; join them in one file"
            )
        found[locale] = file
    if not found:
        raise SettingsError(
            f"{place.name}: the folder of asr.beam.phrases is empty; put all.txt or a file such as en-GB.txt into it"
        )
    return dict(sorted(found.items()))


def read_phrases(file: Path, *, limited: bool = True) -> list[str]:
    """Return the phrases of a file, one a line, in normal form; empty lines and those after `#` are left out.

    Args:
        file: UTF-8, also made smaller by gzip.
        limited: whether a word that is longer than a lexicon takes is refused.

    Raises:
        SettingsError: the file can't be read, or a word is too long.
    """
    found: set[str] = set()
    for number, line in enumerate(lines_of(read_text(file)), 1):
        if phrase := normalise(line.partition("#")[0]):
            if limited:
                check_words(phrase, file.name, number)
            found.add(phrase)
    return sorted(found)


def read_all_phrases(place: Path) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the phrases of all clips, and those of the locales that have some, of a file or a folder.

    Raises:
        SettingsError: see `phrase_files` and `read_phrases`.
    """
    found = {locale: tuple(read_phrases(file)) for locale, file in phrase_files(place).items()}
    return found.pop(ALL, ()), {locale: phrases for locale, phrases in found.items() if phrases}


def _shown_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as error:
        raise SettingsError(f"{folder.name}: the folder can't be read; check asr.beam.phrases") from error


def _locale_of(file: Path, folder: Path) -> str:
    try:
        name = file.name.removesuffix(".gz")
        return canonical_locale(name.removesuffix(".txt") if name.endswith(".txt") else "")
    except RecordError:
        raise SettingsError(
            f"{folder.name}/{file.name}: the file is not named as a locale; rename it, such as en-GB.txt, or all.txt"
        ) from None

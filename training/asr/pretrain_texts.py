"""Texts that the embedded speech base learns besides the grammar's base sentences: words in random order, other texts.

From sentences alone a small model learns those sentences by heart. Words in random order teach it how English is
spelled, so that it transcribes a new phrasing with some wrong words instead of only wrong ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from corpus.errors import SettingsError
from corpus.records.base import Floats
from corpus.text import normalise

LONGEST: Final = 80
"""Most characters of a text that is spoken."""

_LETTERS: Final = re.compile("[a-z']+")

_WORDS: Final = """
    a able about above across act add afraid after again against age ago agree air all allow almost alone along
    already also although always am among an and animal another answer any anyone anything appear apple are area arm
    around arrive art as ask at autumn away baby back bad bag ball bank bar base be bear beat beautiful became
    because become bed been before began begin behind being believe below beside best better between big bird bit
    black blood blow blue board boat body bone book born both bottom bought bowl box boy branch bread break
    breakfast bridge bright bring broke brother brought brown build building burn bus business busy but butter buy
    by cake called came can capital captain car card care carry case cat catch caught cause cent centre century
    certain chair chance change charge check cheese chicken chief child children choose church circle city class
    clean clear climb clock close cloth clothes cloud coast coat coffee cold collect colour column come common
    company compare complete condition consider contain continue cook cool copy corn corner correct cost cotton
    could count country couple course cover cow create cross crowd cry current cut dance danger dark day dead deal
    dear death decide deep degree depend describe desert desk detail develop did die difference different difficult
    dinner direct discover dish distant divide do doctor does dog dollar done door double doubt down draw dream
    dress drink drive drop dry due during dust duty each ear early earth ease east easy eat edge effect egg eight
    either electric else end enemy energy engine enjoy enough enter equal even evening event ever every everyone
    exact example except excite exercise expect explain eye face fact fair fall family famous far farm fast fat
    father favourite fear feed feel feet fell felt few field fight figure fill final find fine finger finish fire
    first fish fit five flat floor flow flower fly follow food foot for force foreign forest forget form forward
    found four free fresh friend from front fruit full fun game garden gas gather gave general gentle get girl give
    glad glass go goal gold gone good got govern grand grass great green grew ground group grow guess guide had hair
    half hall hand happen happy hard has hat have he head hear heard heart heat heavy held help her here high hill
    him his history hit hold hole holiday home hope horse hot hotel hour house how huge human hundred hunt hurry ice
    idea if imagine in inch include indeed industry inside instead interest invent iron is island it job join joy
    judge jump just keep kept key kill kind king kitchen knee knew knife know known lady lake land language large
    last late laugh law lay lead learn least leave led left leg length less let letter level lie life lift light
    like line list listen little live local long look lose lost lot loud love low luck lunch machine made main major
    make man many map march mark market mass master match material matter may maybe me mean measure meat meet men
    message metal middle might mile milk million mind mine minute miss modern moment money month moon more morning
    most mother motion mountain mouth move much multiply music must my name narrow nation natural nature near
    necessary neck need neighbour never new news next nice night nine no noise none noon nor north nose not note
    nothing notice now number object observe ocean of off offer office often oil old on once one only open opposite
    or orange order other ought our out over own oxygen page paint pair paper paragraph parent park part party pass
    past path pattern pay people perhaps period person phone phrase pick picture piece place plain plan plane planet
    plant plate play please plenty pocket poem point poor position possible post pound power practice prepare
    present press pretty price print probable problem process produce product proper protect prove provide public
    pull push put quarter queen question quick quiet quite race radio rail rain raise ran range rather reach read
    ready real reason receive record red region remember remove repeat reply report represent require rest result
    return rich ride right ring rise river road rock roll room root rope rose round row rule run sad safe said sail
    salt same sand sat save saw say scale school science score sea search season seat second section see seed seem
    seen select self sell send sense sent sentence separate serve set seven several shade shall shape share sharp
    she sheet shine ship shirt shoe shop shore short should shoulder shout show shut sick side sight sign silent
    silver similar simple since sing single sister sit six size skin sky sleep slip slow small smell smile snow so
    soft soil soldier solution solve some someone something son song soon sorry sound south space speak special
    speech speed spell spend spoke spot spread spring square stand star start state station stay steam steel step
    stick still stone stood stop store storm story straight strange street stretch string strong student study
    subject success such sudden sugar suggest suit summer sun supper supply support sure surface surprise sweet swim
    symbol system table tail take talk tall tea teach team teeth tell temperature ten term test than thank that the
    their them then there these they thick thin thing think third this those though thought thousand three through
    throw thus tie time tiny tired to together told tomorrow tone tonight too took tool top total touch toward town
    track trade train travel tree triangle trip trouble truck true try tube turn twelve twenty two type under
    understand unit until up upon us use usual valley value various very view village visit voice volume vowel wait
    walk wall want war warm was wash watch water wave way we wear weather week weight well went were west what wheel
    when where whether which while white who whole whose why wide wife wild will win wind window wing winter wire
    wish with woman women wonder wood word work world worry worth would write wrong wrote yard year yellow yes
    yesterday yet you young your zero
"""

COMMON_WORDS: Final = tuple(_WORDS.split())
"""Frequent English words in alphabetical order."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words to draw from.

    Attributes:
        words: the words.
        shares: (W,) float64, the probability of each.
    """

    words: tuple[str, ...]
    shares: Floats


def vocabulary(path: Path | None, most: int) -> Vocabulary:
    """Return the first `most` words of a file with the most frequent first, or the common words, equally likely.

    A word's share falls with the root of its rank. By Zipf's law its frequency falls with the rank itself, but then the
    model would hardly hear any but the commonest.

    Raises:
        SettingsError: the file cannot be read, or has no word in letters.
    """
    if path is None:
        return Vocabulary(COMMON_WORDS, np.full(len(COMMON_WORDS), 1.0 / len(COMMON_WORDS)))
    words = tuple(dict.fromkeys(line for line in lines(path) if _LETTERS.fullmatch(line)))[:most]
    if not words:
        raise SettingsError(f"{path.name}: no line is a word in letters")
    shares = np.arange(1, len(words) + 1) ** -0.5
    return Vocabulary(words, shares / shares.sum())


def lines(path: Path) -> list[str]:
    """Return the lines of a text file in normal form, without those that are empty or longer than a request.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        texts = [normalise(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: cannot be read; give a UTF-8 file with a line each") from error
    return [text for text in texts if text and len(text) <= LONGEST]


def word_salad(sentences: Sequence[str], words: Vocabulary, rng: np.random.Generator) -> str:
    """Return three to eight words in random order, from the vocabulary and as short pieces of sentences, half each."""
    wanted = int(rng.integers(3, 9))
    salad: list[str] = []
    while len(salad) < wanted:
        if rng.random() < 0.5:
            salad.append(words.words[int(rng.choice(len(words.words), p=words.shares))])
            continue
        source = sentences[int(rng.integers(len(sentences)))].split()
        start, length = int(rng.integers(len(source))), int(rng.integers(1, 3))
        salad += source[start : start + length]
    return " ".join(salad[:wanted])

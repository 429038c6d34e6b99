"""Synthetic traffic of a voice assistant, spoken by eSpeak NG: sentences, voices, acoustics, and whole nights.

Needs the extra: `pip install 'earmark[demo]'`.
"""

from __future__ import annotations

from corpus.synthetic.acoustics import AugmentSettings, augment
from corpus.synthetic.language import Sentence, background, sentence
from corpus.synthetic.nights import NightFiles, Truth, read_truth, write_night
from corpus.synthetic.speakers import Example, Speaker, pretraining_set, speakers
from corpus.synthetic.speech import BASE_ACCENTS, DRIFT_ACCENTS, MIXED_ACCENTS, RATE, VARIANTS, Voice, speak
from corpus.synthetic.traffic import TrafficSettings, window
from corpus.synthetic.vocabulary import INTENTS, PHRASINGS, VALUES

__all__ = [
    "BASE_ACCENTS",
    "DRIFT_ACCENTS",
    "INTENTS",
    "MIXED_ACCENTS",
    "PHRASINGS",
    "RATE",
    "VALUES",
    "VARIANTS",
    "AugmentSettings",
    "Example",
    "NightFiles",
    "Sentence",
    "Speaker",
    "TrafficSettings",
    "Truth",
    "Voice",
    "augment",
    "background",
    "pretraining_set",
    "read_truth",
    "sentence",
    "speak",
    "speakers",
    "window",
    "write_night",
]

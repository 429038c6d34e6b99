"""all-MiniLM-L6-v2 with its real weights is a base for intents: few labels teach phrasings that none of them has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real_bases import folder_of
from training.intent.finetune import IntentExample, finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.fit import FitSettings
from training.intent.model import classify, load_intent

pytestmark = pytest.mark.bases

TAUGHT = {
    "weather": ("what is the weather today", "will it rain tomorrow", "is it going to snow", "how cold is it outside"),
    "music": ("play some music", "put on a song by the beatles", "i want to listen to jazz", "skip this track"),
    "alarm": ("wake me up at seven", "set an alarm for six", "i need to get up early", "cancel my alarm"),
    "food": ("book a table for two", "find me a restaurant", "order a pizza", "where can i eat sushi"),
}
UNHEARD = {
    "weather": ("do i need an umbrella this evening", "how many degrees will we have on sunday"),
    "music": ("turn up the radio and give me some rock and roll", "who sings this album"),
    "alarm": ("make sure that i am awake by half past five", "ring me at eight in the morning"),
    "food": ("reserve a place for dinner with my family", "i am hungry for a burger"),
}


def test_few_labels_teach_it_phrasings_that_none_of_them_has(tmp_path: Path):
    rows = [
        IntentExample(f"{intent}{number}", text, intent)
        for intent, texts in TAUGHT.items()
        for number, text in enumerate(texts)
    ]
    settings = IntentFinetuneSettings(fit=FitSettings(epochs=15, encoder_rate=1e-4), interpolate=0.0)
    finetune_intent(folder_of("minilm"), rows, tmp_path / "intent", settings)
    model = load_intent(tmp_path / "intent")
    asked = [(text, intent) for intent, texts in UNHEARD.items() for text in texts]
    found = [model.intents[number] for number in classify(model, [text for text, _ in asked]).top()]
    assert sum(own == intent for own, (_, intent) in zip(found, asked, strict=True)) >= 7

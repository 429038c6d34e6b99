"""The base that comes with earmark, and the recipe that made it."""

from __future__ import annotations

from pathlib import Path

import pytest

import training
from corpus.records.base import OTHER_INTENT
from corpus.synthetic import INTENTS
from training.intent.finetune import finetune_intent, read_replay
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.fit import FitSettings
from training.intent.model import classify, load_intent
from training.intent.pretrain import (
    IntentPretrainSettings,
    grammar_examples,
    learn_base,
    pretrain,
    train_tokenizer,
    word_salad,
)

BASE = Path(training.__file__).parent / "bases" / "intent"


def accuracy(model, rows):
    best = classify(model, [row.text for row in rows]).probs.argmax(axis=1)
    return sum(model.intents[k] == row.intent for k, row in zip(best, rows, strict=True)) / len(rows)


@pytest.fixture(scope="module")
def base():
    return load_intent(BASE)


def test_it_is_small_and_has_learned_the_grammar(base):
    assert sum(file.stat().st_size for file in BASE.iterdir()) < 4_000_000
    assert set(base.intents) == {*INTENTS, OTHER_INTENT}
    assert accuracy(base, grammar_examples(300, 7)) >= 0.97


def test_its_slots_are_right_on_base_phrasings(base):
    rows = grammar_examples(300, 8)
    found = classify(base, [row.text for row in rows]).slots
    assert sum(slots == row.slots for slots, row in zip(found, rows, strict=True)) >= 0.95 * len(rows)


def test_it_leaves_drift_to_be_learned_and_labels_teach_it(base, tmp_path):
    fresh = grammar_examples(200, 9, "drift")
    before = accuracy(base, fresh)
    assert before < 0.6
    quick = IntentFinetuneSettings(fit=IntentFinetuneSettings().fit.model_copy(update={"epochs": 5}), replay=40)
    finetune_intent(BASE, grammar_examples(60, 10, "drift"), tmp_path / "out", quick)
    learned = load_intent(tmp_path / "out")
    assert accuracy(learned, fresh) >= before + 0.2
    assert accuracy(learned, grammar_examples(200, 7)) >= 0.97


def test_its_replay_sentences_are_of_the_grammar(base):
    rows = read_replay(BASE)
    assert 100 <= len(rows) <= 1000
    assert {row.intent for row in rows} <= set(base.intents)


def test_the_recipe_gives_the_same_model_twice(tmp_path):
    small = IntentPretrainSettings(
        sentences=40, calibration=10, vocabulary=300, width=16, layers=1, heads=2, replay=5, fit=FitSettings(epochs=1)
    )
    for name in ("one", "two"):
        pretrain(tmp_path / name, small)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_word_salad_is_of_known_words_and_other():
    rows = grammar_examples(30, 1)
    words = {word for row in rows for word in row.text.split()}
    for row in word_salad(rows, 20, 1):
        assert row.intent == OTHER_INTENT
        assert set(row.text.split()) <= words


def test_no_text_is_outside_the_vocabulary():
    tokenizer = train_tokenizer(["turn on the light"] * 5, 300)
    for text in ("zürich ☃", "日本語", "\u0000\u0001", ""):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]


def test_learning_a_base_reports_its_steps():
    rows = grammar_examples(20, 2)
    steps = []
    small = IntentPretrainSettings(
        vocabulary=300, width=16, layers=1, heads=2, fit=FitSettings(epochs=2, batch_size=10)
    )
    learn_base(rows, rows, small, lambda *step: steps.append(step[:2]))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]

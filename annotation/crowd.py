"""The crowd: what is known of the people who answer, and what their voices weigh for it.

It is learned from answers to the same clips alone: doubled audit rows, third opinions, and gold clips, which are
settled ones asked again. Nobody is watched who has not answered; who is new counts like everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from annotation.anchoring import AnchoringSettings, Seen, copy_rates
from annotation.annotator_wer import TRUTH, WordErrorSettings, count_pairs, learn_word_errors, words_compared
from annotation.dawid_skene import Confusions, DawidSkeneSettings, learn_confusions
from annotation.latest_answers import latest_answers
from corpus.records.annotations import Annotation, Label

VERDICTS = 5
"""Verdicts that answer a question; `help` does not."""


class CrowdSettings(BaseModel):
    """How the reliability of annotators is learned from their answers.

    Attributes:
        intents: How the annotators' accuracy in intents is learned.
        verdicts: How the annotators' accuracy in verdicts is learned.
        transcripts: How the annotators' word error rates are learned.
        anchoring: How copied drafts are told from honest agreement.
        careless_below: An annotator whose answers weigh less than this is named as careless, once enough is known.
        careless_answers: How many answers must have been compared before that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intents: DawidSkeneSettings = DawidSkeneSettings()
    verdicts: DawidSkeneSettings = DawidSkeneSettings(accuracy=0.95, strength=10.0, row_strength=10.0)
    transcripts: WordErrorSettings = WordErrorSettings()
    anchoring: AnchoringSettings = AnchoringSettings()
    careless_below: float = Field(default=0.7, ge=0.0, le=1.0)
    careless_answers: int = Field(default=8, ge=1)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is known of everybody; without arguments: nothing, and all voices count alike.

    Attributes:
        intents, verdicts: whom to believe in what they name.
        word_errors: annotator -> word error rate.
        words: annotator -> words that could be compared.
        copying: annotator -> share of the drafts they were shown that they send back unread.
        settings: what it was learned with.
    """

    intents: Confusions = field(default_factory=Confusions)
    verdicts: Confusions = field(default_factory=lambda: Confusions(VERDICTS, settings=CrowdSettings().verdicts))
    word_errors: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, float] = field(default_factory=dict)
    copying: Mapping[str, float] = field(default_factory=dict)
    settings: CrowdSettings = field(default_factory=CrowdSettings)

    @property
    def people(self) -> list[str]:
        """Return everybody of whom something is known, sorted."""
        return sorted({*self.intents.answers, *self.verdicts.answers, *self.word_errors, *self.copying})

    def text_weight(self, annotator: str) -> float:
        """Return what a transcript of this person weighs: 1 at the common word error rate, 0 from one half on.

        log((1 - e) / e), relative to that of the common rate: the weight of an independent voice that errs with e.
        """
        usual = self.settings.transcripts.rate
        rate = min(0.5, max(0.01, self.word_errors.get(annotator, usual)))
        return log((1 - rate) / rate) / log((1 - usual) / usual)

    def name_weight(self, annotator: str) -> float:
        """Return what an intent or a verdict of this person is worth, in [0, 1]: the accuracy above chance."""
        return min(1.0, self.intents.worth(annotator), self.verdicts.worth(annotator))

    def weight(self, annotator: str) -> float:
        """Return the person's weight over all, in [0, 1]; 1 for somebody of whom nothing bad is known."""
        return min(
            1.0, self.name_weight(annotator), self.text_weight(annotator), 1.0 - self.copying.get(annotator, 0.0)
        )

    def compared(self, annotator: str) -> float:
        """Return how many answers of the person could be compared with somebody else's."""
        return max(self.intents.answers.get(annotator, 0.0), self.verdicts.answers.get(annotator, 0.0))

    def careless(self) -> list[str]:
        """Return those who weigh too little, if enough is known of them, sorted; copying needs no second answer."""
        few, low = self.settings.careless_answers, self.settings.careless_below
        known = [who for who in self.people if self.compared(who) >= few and self.weight(who) < low]
        copies = [who for who, share in self.copying.items() if 1.0 - share < low]
        return sorted({*known, *copies})

    def reliability(self, answers: Iterable[tuple[str, str, str | None]], draft_shown: bool = False) -> float:
        """Return how far a label can be relied on for who gave it, in [0, 1]; 1 for people without a record.

        The probability of the winning intent given who said what, relative to that of one ordinary voice; times the
        weight of the best of those who listened. So what the always-first-intent person says alone is worth nothing,
        and an ordinary voice beside it restores it.

        Args:
            answers: annotator, verdict, intent; the latest of each person.
            draft_shown: they corrected a draft; then whoever sends drafts back unread has heard that much less.
        """
        voices = sorted((who, intent) for who, verdict, intent in answers if verdict == "labelled")
        if not voices:
            return 1.0
        read = {who: 1.0 - self.copying.get(who, 0.0) if draft_shown else 1.0 for who, _ in voices}
        heard = max(min(1.0, self.text_weight(who)) * read[who] for who, _ in voices)
        named = [(who, intent) for who, intent in voices if intent is not None]
        sure = min(1.0, self.intents.confidence(named) / self.intents.settings.accuracy) if named else 1.0
        return round(min(1.0, heard * sure), 6)

    def as_json(self) -> dict[str, Any]:
        """Return the whole as a JSON object: ids and numbers."""
        return {
            "intents": self.intents.as_json(),
            "verdicts": self.verdicts.as_json(),
            "word_errors": {who: round(rate, 6) for who, rate in sorted(self.word_errors.items())},
            "words": {who: round(count, 1) for who, count in sorted(self.words.items())},
            "copying": {who: round(share, 4) for who, share in sorted(self.copying.items())},
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Crowd:
        """Return what `as_json` was called on."""
        return cls(
            intents=Confusions.from_json(value["intents"]),
            verdicts=Confusions.from_json(value["verdicts"]),
            word_errors=value["word_errors"],
            words=value["words"],
            copying=value.get("copying", {}),
            settings=CrowdSettings.model_validate(value["settings"]),
        )


def learn_crowd(
    given: Mapping[str, Iterable[Annotation]],
    known: Mapping[str, Label] | None = None,
    inventory: int = 0,
    settings: CrowdSettings | None = None,
    seen: Iterable[Seen] = (),
) -> Crowd:
    """Return what the answers tell of the people who gave them, whatever the order they come in.

    Args:
        given: utterance id -> its annotations, superseded ones included.
        known: utterance id -> a label that nobody here made, such as one that came with the manifest.
        inventory: how many intents there are to choose from.
        settings: see `CrowdSettings`.
        seen: answers beside their drafts, shown or withheld.
    """
    settings, known = settings or CrowdSettings(), known or {}
    intents: dict[tuple[str, str], str] = {}
    verdicts: dict[tuple[str, str], str] = {}
    clips: dict[str, dict[str, str]] = {}
    for utterance_id, rows in sorted(given.items()):
        for answer in latest_answers(rows).latest:  # a person who answered two questions on it: the last by task id
            if answer.verdict == "help":
                continue
            verdicts[utterance_id, answer.annotator_id] = answer.verdict
            if answer.intent is not None:
                intents[utterance_id, answer.annotator_id] = answer.intent
            if answer.transcript is not None:
                clips.setdefault(utterance_id, {})[answer.annotator_id] = answer.transcript
    for utterance_id in clips.keys() & known.keys():
        text = known[utterance_id].transcript
        if text is not None:
            clips[utterance_id][TRUTH] = text
    pairs = count_pairs(clip for _, clip in sorted(clips.items()))
    truths = {i: label.intent for i, label in known.items() if label.intent is not None}
    return Crowd(
        intents=learn_confusions(_votes(intents), truths, inventory, settings.intents),
        verdicts=learn_confusions(_votes(verdicts), None, VERDICTS, settings.verdicts),
        word_errors=learn_word_errors(pairs, settings.transcripts),
        words=words_compared(pairs),
        copying=copy_rates(seen, settings.anchoring),
        settings=settings,
    )


def _votes(values: Mapping[tuple[str, str], str]) -> list[tuple[str, str, str]]:
    return [(item, who, value) for (item, who), value in values.items()]

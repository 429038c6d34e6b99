"""Reliability of the annotators, estimated from their answers, and the weight of each person's answers.

Only answers to the same clips are used: audit rows with two answers, third opinions, and gold clips, which are settled
clips that are asked again. A new annotator has the usual weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import log
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from annotation.anchoring import AnchoringSettings, DraftComparison, copy_rates
from annotation.annotator_wer import TRUTH, WordErrorSettings, count_pairs, learn_word_errors, words_compared
from annotation.dawid_skene import Confusions, DawidSkeneSettings, learn_confusions
from annotation.latest_answers import latest_answers
from corpus.records.annotations import Annotation, Label
from corpus.settings import MOST_ROWS

VERDICTS = 5
"""Number of verdicts without `help`."""

STEP = 0.05
"""Step to which reliabilities are rounded: digits that change with every answer would give a new snapshot each time."""


class CrowdSettings(BaseModel):
    """How the reliability of annotators is estimated from their answers.

    Attributes:
        intents: How the annotators' accuracy in intents is estimated.
        verdicts: How the annotators' accuracy in verdicts is estimated.
        transcripts: How the annotators' word error rates are estimated.
        anchoring: How copied drafts are distinguished from honest agreement.
        careless_below: An annotator whose answers weigh less than this is reported as careless.
        careless_answers: How many answers must have been compared before that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intents: DawidSkeneSettings = DawidSkeneSettings()
    verdicts: DawidSkeneSettings = DawidSkeneSettings(accuracy=0.95, strength=10.0, row_strength=10.0)
    transcripts: WordErrorSettings = WordErrorSettings()
    anchoring: AnchoringSettings = AnchoringSettings()
    careless_below: float = Field(default=0.7, ge=0.0, le=1.0)
    careless_answers: int = Field(default=8, ge=1, le=MOST_ROWS)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Reliability of all annotators; without arguments all answers weigh the same.

    Attributes:
        intents, verdicts: confusions of the annotators in intents and in verdicts.
        word_errors: annotator id -> word error rate.
        words: annotator id -> number of words that were compared.
        copying: annotator id -> share of the shown drafts that the person copies, in [0, 1].
        settings: of the estimate.
    """

    intents: Confusions = field(default_factory=Confusions)
    verdicts: Confusions = field(default_factory=lambda: Confusions(VERDICTS, settings=CrowdSettings().verdicts))
    word_errors: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, float] = field(default_factory=dict)
    copying: Mapping[str, float] = field(default_factory=dict)
    settings: CrowdSettings = field(default_factory=CrowdSettings)

    @property
    def people(self) -> list[str]:
        """Return the ids of all annotators with an estimate, sorted."""
        return sorted({*self.intents.answers, *self.verdicts.answers, *self.word_errors, *self.copying})

    def text_weight(self, annotator: str) -> float:
        """Return the weight of the person's transcripts: 1 at the usual word error rate, 0 at a rate of 0.5 or more.

        log((1 - e) / e) relative to that of the usual rate: the weight of an independent vote with error rate e.
        """
        usual = self.settings.transcripts.rate
        rate = min(0.5, max(0.01, self.word_errors.get(annotator, usual)))
        return log((1 - rate) / rate) / log((1 - usual) / usual)

    def name_weight(self, annotator: str) -> float:
        """Return the weight of the person's intents and verdicts, in [0, 1]: the accuracy above chance."""
        return min(1.0, self.intents.relative_accuracy(annotator), self.verdicts.relative_accuracy(annotator))

    def weight(self, annotator: str) -> float:
        """Return the person's overall weight, in [0, 1]; 1 for a person without an estimate."""
        return min(
            1.0, self.name_weight(annotator), self.text_weight(annotator), 1.0 - self.copying.get(annotator, 0.0)
        )

    def compared(self, annotator: str) -> float:
        """Return the expected number of the person's answers that were compared with somebody else's."""
        return max(self.intents.answers.get(annotator, 0.0), self.verdicts.answers.get(annotator, 0.0))

    def careless(self) -> list[str]:
        """Return the ids of careless annotators, sorted: low weight with enough compared answers, or copied drafts."""
        few, low = self.settings.careless_answers, self.settings.careless_below
        inaccurate = [each for each in self.people if self.compared(each) >= few and self.weight(each) < low]
        copying = [each for each, share in self.copying.items() if 1.0 - share < low]
        return sorted({*inaccurate, *copying})

    def reliability(self, answers: Iterable[tuple[str, str, str | None]], draft_shown: bool = False) -> float:
        """Return the reliability of a label by its annotators, in [0, 1]; 1 for annotators without an estimate.

        It is the probability of the winning intent given the answers, relative to that of one usual answer, times the
        weight of the most accurate annotator's transcript. So a label by a person who always names the first intent has
        a reliability near 0, and an answer of a usual annotator raises it again.

        Args:
            answers: annotator id, verdict and intent; the latest answer of each person.
            draft_shown: the task showed a draft; then the weight of people who copy drafts is lower.
        """
        labelled = sorted((person, intent) for person, verdict, intent in answers if verdict == "labelled")
        if not labelled:
            return 1.0
        honest = {person: 1.0 - self.copying.get(person, 0.0) if draft_shown else 1.0 for person, _ in labelled}
        transcript = max(min(1.0, self.text_weight(person)) * honest[person] for person, _ in labelled)
        named = [(person, intent) for person, intent in labelled if intent is not None]
        confidence = min(1.0, self.intents.confidence(named) / self.intents.settings.accuracy) if named else 1.0
        return round(min(1.0, transcript * confidence), 6)

    def renamed(self, current: Callable[[str], str]) -> Crowd:
        """Return the crowd with other names of the intents; see `Confusions.renamed`.

        Args:
            current: returns the name that an intent has now.
        """
        return replace(self, intents=self.intents.renamed(current))

    def as_json(self) -> dict[str, Any]:
        """Return all estimates as a JSON object of ids and numbers."""
        return {
            "intents": self.intents.as_json(),
            "verdicts": self.verdicts.as_json(),
            "word_errors": {person: round(rate, 6) for person, rate in sorted(self.word_errors.items())},
            "words": {person: round(count, 1) for person, count in sorted(self.words.items())},
            "copying": {person: round(share, 4) for person, share in sorted(self.copying.items())},
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Crowd:
        """Return the crowd from the JSON object of `as_json`."""
        return cls(
            intents=Confusions.from_json(value["intents"]),
            verdicts=Confusions.from_json(value["verdicts"]),
            word_errors=value["word_errors"],
            words=value["words"],
            copying=value.get("copying", {}),
            settings=CrowdSettings.model_validate(value["settings"]),
        )


def in_steps(reliability: float) -> float:
    """Return the reliability rounded to a multiple of `STEP`, in [0, 1]."""
    return round(round(reliability / STEP) * STEP, 2)


def learn_crowd(
    given: Mapping[str, Iterable[Annotation]],
    known: Mapping[str, Label] | None = None,
    inventory: int = 0,
    settings: CrowdSettings | None = None,
    comparisons: Iterable[DraftComparison] = (),
) -> Crowd:
    """Return the reliability of the annotators, estimated from their answers; the order of the answers does not matter.

    Args:
        given: utterance id -> its annotations, superseded ones included.
        known: utterance id -> a label that is not from annotators, such as one that came with the manifest.
        inventory: number of intents to choose from.
        settings: see `CrowdSettings`.
        comparisons: answers compared to their drafts, shown or withheld.
    """
    settings, known = settings or CrowdSettings(), known or {}
    intents: dict[tuple[str, str], str] = {}
    verdicts: dict[tuple[str, str], str] = {}
    clips: dict[str, dict[str, str]] = {}
    for utterance_id, rows in sorted(given.items()):
        for answer in latest_answers(rows).latest:  # of two tasks on it by one person, the last by task id
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
        copying=copy_rates(comparisons, settings.anchoring),
        settings=settings,
    )


def _votes(values: Mapping[tuple[str, str], str]) -> list[tuple[str, str, str]]:
    return [(item, annotator, value) for (item, annotator), value in values.items()]

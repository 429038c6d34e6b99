"""Agreement of annotators: verdicts, intents, transcripts, slots, and Krippendorff's alpha.

Answers to tasks that showed a draft agree more than independent answers, since both start from the draft. Compare
annotators on blind tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from annotation.latest_answers import latest_answers
from corpus.edits import distance
from corpus.records.annotations import Annotation
from corpus.text import words


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts over pairs of answers by two people to the same task, and the rates that follow from them.

    A rate is None where nothing was compared. All are symmetric: neither person is the reference.

    Attributes:
        pairs: pairs of answers.
        same_verdict: pairs with the same verdict.
        intents, same_intent: pairs in which both name an intent, and those that name the same.
        edits: word edits (substitutions, deletions, insertions) between the transcripts, summed over pairs.
        words: words of both transcripts, summed over pairs.
        common_slots: slots in both answers, by name and words.
        slots: slots of both answers, summed.
        alpha_verdict, alpha_intent: Krippendorff's alpha over tasks, nominal.
    """

    pairs: int
    same_verdict: int
    intents: int
    same_intent: int
    edits: int
    words: int
    common_slots: int
    slots: int
    alpha_verdict: float | None
    alpha_intent: float | None

    @property
    def wer(self) -> float | None:
        """Return the sum of edits / sum of the mean number of words of both, 0 or more."""
        return _ratio(2 * self.edits, self.words)

    @property
    def slot_f1(self) -> float | None:
        """Return 2 x common slots / slots of both, in [0, 1]."""
        return _ratio(2 * self.common_slots, self.slots)


def measure_agreement(annotations: Iterable[Annotation]) -> Agreement:
    """Return the agreement of the latest answers to the same tasks, over all pairs of annotators."""
    return _measure(_by_task(annotations))


def word_edits(first: str, second: str) -> int:
    """Return the least number of words to substitute, delete or insert to make one normalised text the other."""
    return distance(words(first), words(second))


def word_similarity(first: str, second: str) -> float:
    """Return 1 - edits / words of the longer text, in [0, 1]; 1 for two empty texts."""
    longest = max(len(words(first)), len(words(second)))
    return 1.0 - word_edits(first, second) / longest if longest else 1.0


def common_slots(first: Annotation, second: Annotation) -> tuple[int, int]:
    """Return the number of slots in both answers, and the sum of the slots of each.

    Slots with the same name and words are equal: their positions differ where the transcripts do.
    """
    left, right = _slot_words(first), _slot_words(second)
    return (left & right).total(), left.total() + right.total()


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Return Krippendorff's alpha for nominal values: 1 is perfect, 0 is chance; None where all values are the same.

    alpha = 1 - D_o / D_e with D_o = sum_u (1 / (m_u - 1)) #{ordered pairs in u that differ} / n and
    D_e = sum_{c != k} n_c n_k / (n (n - 1)); m_u values in unit u, n values in units with at least two.
    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, sections A to C.

    Args:
        units: the given values of each unit, without missing ones.
    """
    totals: Counter[str] = Counter()
    disagreement = 0.0
    for unit in units:
        counts = Counter(unit)
        m = counts.total()
        if m < 2:
            continue  # a single value has no pair
        totals += counts
        disagreement += (m * m - sum(n * n for n in counts.values())) / (m - 1)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    return 1.0 - (n - 1) * disagreement / expected if expected else None


def _measure(tasks: Sequence[Sequence[Annotation]]) -> Agreement:
    pairs = [pair for answers in tasks for pair in combinations(answers, 2)]
    named = [(a, b) for a, b in pairs if a.intent is not None and b.intent is not None]
    texts = [(a.transcript, b.transcript) for a, b in pairs if a.transcript is not None and b.transcript is not None]
    slots = [common_slots(a, b) for a, b in pairs if a.transcript is not None and b.transcript is not None]
    return Agreement(
        pairs=len(pairs),
        same_verdict=sum(a.verdict == b.verdict for a, b in pairs),
        intents=len(named),
        same_intent=sum(a.intent == b.intent for a, b in named),
        edits=sum(word_edits(a, b) for a, b in texts),
        words=sum(len(words(a)) + len(words(b)) for a, b in texts),
        common_slots=sum(common for common, _ in slots),
        slots=sum(both for _, both in slots),
        alpha_verdict=krippendorff_alpha([answer.verdict for answer in answers] for answers in tasks),
        alpha_intent=krippendorff_alpha([a.intent for a in answers if a.intent is not None] for answers in tasks),
    )


def _by_task(annotations: Iterable[Annotation]) -> list[list[Annotation]]:
    """Return the answers to each task, sorted by annotator; `help` counts as no answer."""
    tasks: dict[str, list[Annotation]] = {}
    for answer in latest_answers(annotations).latest:
        if answer.verdict != "help":
            tasks.setdefault(answer.task_id, []).append(answer)
    return list(tasks.values())


def _slot_words(annotation: Annotation) -> Counter[tuple[str, str]]:
    text = annotation.transcript or ""
    return Counter((slot.name, text[slot.start : slot.end]) for slot in annotation.slots)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None

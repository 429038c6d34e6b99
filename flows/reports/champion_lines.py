"""How the champions do on labelled clips, in one line each, with what to do where that is poorly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from corpus.records.base import Kind
from flows.models.known_texts import MIN_CLIPS, ChampionOnLabels
from flows.runtime.console import percent

POOR: Final = 0.5
"""Above this error rate a champion is called poor, with the remedy."""

NEARLY_ALL: Final = 0.9
"""Above this WER a base is not expected to learn from labels what it lacks."""

NEARLY_NONE: Final = 0.1
"""Up to this share of the labelled intents a champion does not know them, and its errors say nothing else."""

MEASURE: Final[dict[Kind, str]] = {"asr": "WER", "intent": "intent error"}
"""Name of the error rate by kind."""

REMEDIES: Final[dict[Kind, str]] = {
    "asr": "take another base: earmark base list shows some, earmark base add and earmark base use take one",
    "intent": "it learns your intents from labels: earmark retrain intent",
}
"""What to do about a poor champion."""


def champion_lines(found: Mapping[Kind, ChampionOnLabels]) -> list[str]:
    """Return one line for each champion; poor ones begin with WARNING."""
    if not found:
        return ["no champions yet: earmark score registers the bases, and shows how well they do on labelled clips"]
    asr = found.get("asr")
    words_are_wrong = asr is not None and is_poor(asr)
    return [_line(each, words_are_wrong=words_are_wrong) for each in found.values()]


def document_lines(document: Mapping[Kind, Mapping[str, Any]]) -> list[str]:
    """Return the lines of a document that `to_json` of the champions made."""
    return champion_lines({kind: ChampionOnLabels(**figures) for kind, figures in document.items()})


def is_poor(found: ChampionOnLabels) -> bool:
    """Return whether more than half is wrong: of the words, counted with inserted ones, or of the intents.

    A model that writes "8" for "eight" heard it, so words count with numbers alike where that is known.
    """
    error = _error_heard(found)
    return error is not None and error > POOR


def _error_heard(found: ChampionOnLabels) -> float | None:
    return found.error if found.error_numbers is None else found.error_numbers


def _line(found: ChampionOnLabels, *, words_are_wrong: bool) -> str:
    name = f"{found.kind}/{found.version}"
    if found.error is None:
        return _unknown(name, found)
    what = "of the words" if found.kind == "asr" else "of the intents"
    where = f"on your {found.clips} labelled clips" + (", some of them chosen as hard" if found.hard else "")
    line = f"{name} gets {percent(found.right)} {what} right {where} ({_errors(found, found.error)})"
    if not is_poor(found):
        return line
    remedy = REMEDIES[found.kind]
    if found.base is not None and found.waiting is None:
        base = f"{found.kind}/{found.base}"
        return (
            f"WARNING: {line}: {base} is the base that versions learn from now, and {name} is champion still; "
            f"earmark promote {base} --force --why TEXT makes {base} champion"
        )
    if found.waiting is not None:
        return f"WARNING: {line}: {_waiting(found, found.waiting)}"
    if found.named is not None and found.named <= NEARLY_NONE:
        remedy = "it does not know your intents yet: it learns them from labels, earmark retrain intent"
    elif found.kind == "intent" and words_are_wrong:
        remedy = "it reads the transcripts of the speech model, so that one comes first"
    elif found.kind == "asr" and (_error_heard(found) or 0.0) <= NEARLY_ALL:
        remedy = f"more labels may teach it, or {remedy}"
    return f"WARNING: {line}: {remedy}"


def _errors(found: ChampionOnLabels, error: float) -> str:
    """Return the error rate, and the WER with numbers alike where that is another figure."""
    rate = f"{MEASURE[found.kind]} {percent(error)}"
    if found.error_numbers is None or percent(found.error_numbers) == percent(error):
        return rate
    return f"{rate}, with numbers alike {percent(found.error_numbers)}"


def _waiting(found: ChampionOnLabels, version: str) -> str:
    """Return which version has learned already, and the commands that compare and use it."""
    use = f"earmark promote {found.kind}/{version} --force --why TEXT"
    if found.waiting_leads:
        return f"{found.kind}/{version} is clearly better and waits for more rows that judge; to use it now: {use}"
    compare = f"earmark compare {found.kind}/{found.version} {found.kind}/{version}"
    learned = f"{found.kind}/{version} has learned from your labels and waits for more rows that judge"
    if found.waiting_errors is None:
        return f"{learned}; {compare} shows whether it is better, and {use} uses it now"
    before, after = heard = found.waiting_errors_numbers or found.waiting_errors  # as in `is_poor`
    errors = f"on those so far ({_waiting_errors(found, found.waiting_errors, heard)})"
    if after < before:
        return f"{learned}, and is better {errors}, not clearly; {compare} shows where, and {use} uses it now"
    return (
        f"{learned}, but is not better {errors}: merge more answers, then earmark retrain {found.kind}; "
        f"{compare} shows where it is worse"
    )


def _waiting_errors(found: ChampionOnLabels, errors: Sequence[float], heard: Sequence[float]) -> str:
    """Return the error rates of the version that waits and of the champion, and both with numbers alike if others."""
    (before, after), (before_heard, after_heard) = (tuple(map(percent, pair)) for pair in (errors, heard))
    rates = f"{MEASURE[found.kind]} {after}, champion {before}"
    if (before, after) == (before_heard, after_heard):
        return rates
    return f"{rates}; with numbers alike {after_heard}, champion {before_heard}"


def _unknown(name: str, found: ChampionOnLabels) -> str:
    """Return what is not known yet and what to do for it."""
    nobody = f"nobody knows how well {name} does on your data"
    if not found.labelled:
        return f"no labelled clips yet: {nobody}; import labels or merge answers"
    facts: Sequence[str] = [f"{found.labelled} labelled clips"]
    if found.learned:
        facts = [*facts, f"{found.learned} of which a champion learned from"]
    if found.unscored:
        unscored = f"{', '.join(facts)}, {found.unscored} not scored by the champions"
        return f"{unscored}: run earmark score, then this line says how good {name} is"
    if found.clips < MIN_CLIPS:
        unseen = " that no champion learned from" if found.learned else ""
        missing = MIN_CLIPS - found.clips
        return (
            f"{', '.join(facts)}; a figure takes {MIN_CLIPS}{unseen}, {missing} more "
            f"{'is' if missing == 1 else 'are'} needed: {nobody}; import labels or merge answers"
        )
    return f"{', '.join(facts)} without a word in them: {nobody}; label clips in which somebody speaks"

"""Words of step reports in the terminal and on the night's page; `--json` has the keys themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

STEP_OF: Final = {
    "ingested": "ingest",
    "imported": "ingest",
    "scored": "score",
    "rescore": "score",
    "exported": "export",
    "merged": "merge",
    "retrain asr": "retrain",
    "retrain intent": "retrain",
    "retrained asr": "retrain",
    "retrained intent": "retrain",
    "promoted": "retrain",
    "champion already": "retrain",
    "rolled back": "retrain",
}
"""The step whose words a title of the terminal, or a step of a nightly run, takes."""

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ingest": {
        "received": "rows received",
        "accepted": "rows accepted",
        "refused": "rows refused",
        "already": "manifests ingested before",
        "recovered": "rows accepted now, refused before",
        "one_channel": "clips whose channels cancel, the louder one taken",
        "unnoticed": "consents to annotate that do not count",
        "still_refused": "rows still refused, of manifests with none accepted",
        "failed": "files that can't be read",
        "narrowed": "consent narrowed",
        "left_out": "recordings that no row names",
    },
    "consent": {
        "speaker": "pseudonym of the account",
        "notice": "notice that the customer saw",
        "dry_run": "nothing was changed",
        "lines": "lines that state a consent",
        "faulty": "lines with a fault",
        "accounts": "accounts named",
        "unknown": "accounts that the vault did not know",
        "unnoticed": "consents to annotate that do not count",
        "too_late": "consents that a later withdrawal ended",
        "narrowed": "consent narrowed",
    },
    "withdrawal": {
        "tasks": "tasks closed",
        "task_files": "files removed",
        "answer_lines": "refused lines of answers removed",
        "withdrawn": "versions that learned from what may no longer be trained on",
        "destroyed": "versions whose weights were destroyed",
        "removed_there": "tasks removed from the annotation server",
    },
    "score": {
        "scored": "clips scored now",
        "already": "clips scored before",
        "set_aside": "clips set aside",
        "not_opened": "clips that may not be opened",
        "damaged": "clips damaged and left out",
        "asr": "speech model, version",
        "intent": "intent model, version",
        "rescored": "labelled clips scored again",
    },
    "sample": {
        "pool": "clips to choose from",
        "scored": "clips scored",
        "chosen": "clips chosen",
        "answers": "answers asked for",
        "fraction": "share of the scored",
        "minutes_expected": "annotator minutes expected",
    },
    "export": {
        "tasks": "tasks exported",
        "blind": "tasks without a draft",
        "blind_why": "why without a draft",
        "given": "tasks newly assigned",
        "people": "tasks by person",
        "elsewhere": "of these in folders of other rounds",
        "sent": "tasks sent",
        "removed": "tasks removed there",
        "open_there": "tasks open there",
    },
    "sweep": {
        "closed": "tasks closed",
        "files": "files removed",
        "lines": "refused lines of answers removed",
        "withdrawn": "versions that learned from what may no longer be trained on",
        "removed": "tasks removed there",
        "not_done": "not removed there",
        "unreached": "files of answers whose lines could not be removed",
    },
    "merge": {
        "files": "files read",
        "already": "files merged before",
        "rows": "rows read",
        "annotations": "answers stored",
        "repeated": "answers stored before",
        "conflicting": "answers that contradict a stored one of the same revision",
        "conflicting_tasks": "tasks with contradicting answers",
        "labels": "labels new or changed",
        "proposing": "answers with names outside the inventory",
        "withdrawn": "labels withdrawn",
        "undecided": "tasks that need one more answer",
        "outcomes": "clips by outcome",
        "refused": "rows refused",
        "failed": "files that can't be read",
        "review": "annotators compared",
        "unlisted": "answers of people who are not listed",
    },
    "inventory": {
        "names": "names in use now",
        "labels": "labels new or changed",
        "withdrawn": "labels withdrawn, as the answers disagree now",
        "closed": "labels unchanged, as their clips may not be opened",
    },
    "dataset": {
        "dataset_id": "dataset",
        "place": "folder",
        "with_audio": "with clips",
        "at": "handed out",
        "expires_at": "may be kept until",
        "rows": "utterances",
        "splits": "utterances by split",
        "judging": "labels that judge, left out",
        "no_transcript": "labels without a transcript, left out",
        "closed": "utterances that may not be opened, left out",
    },
    "lm": {
        "words": "words in its lexicon",
        "unspellable": "words that the base can't spell, left out",
        "phrases": "phrases that are boosted",
        "phrases_by_locale": "further phrases, in clips of a locale alone",
        "digest": "digest of the language model",
        "lm_weight": "weight of the language model",
        "word_score": "added for each word",
        "unknown_score": "added for each unknown word",
        "dev_rows": "dev rows on which the weights were chosen",
        "wer_greedy": "WER there, greedy",
        "wer_beam": "WER there, with it",
    },
    "retrain": {
        "labels": "labels learned from",
        "new_labels": "labels added, corrected or gone since the version before",
        "examples": "trained on",
        "left_out": "labels that it can't learn",
        "too_long": "left out, transcript longer than the clip",
        "unspellable": "left out, transcript not spellable",
        "no_words": "left out, no words to learn or closed meanwhile",
        "unmarked_slots": "slots that the base's tokens can't mark, so not learned; mark whole words",
        "lacks": "characters that the base can't spell; write them otherwise, or take another base",
        "resumed_at_step": "resumed at step",
        "learning_rate": "learning rate at its peak",
        "rate_halved": "started again at half the rate, as its first epoch was worse than the base",
        "best_epoch": "epoch whose weights it has",
        "seconds": "seconds of training",
        "pseudo": "pseudo-labels learned from",
        "already": "done by an earlier run",
        "champion": "champion now, version",
        "was": "champion before, version",
        "against": "judged against",
        "eval_set_id": "evaluation set",
        "waits": "promotion waits",
        "lead": "clear lead on few rows",
    },
}
"""Words by step and key; other keys are shown as they are, with blanks."""

EXAMPLES: Final[Mapping[str, str]] = {"asr": "clips", "intent": "texts: transcripts, and drafts that differ from them"}
"""What a training counts as examples, by kind; a label of an intent model may give two."""

SELDOM: Final = frozenset(
    {
        "withdrawn",
        "closed",
        "left_out",
        "not_opened",
        "damaged",
        "rescored",
        "repeated",
        "conflicting",
        "already",
        "removed",
    }
    | {"phrases_by_locale"}
)
"""Counts that are shown only where they are not 0, and where there are some."""


def against_text(against: str) -> str:
    """Return what a version was judged against in words: the champion and, for intents, the speech model of both.

    Args:
        against: their versions, such as `2`, or `2-4` with that of the speech model.
    """
    champion, _, asr = against.partition("-")
    return f"champion version {champion}" + (f", both on transcripts of asr/{asr}" if asr else "")


def narrowed_text(narrowed: Mapping[str, int]) -> str:
    """Return what withdrawals of consent took out of use, from the document of a `Narrowed`."""
    accounts, labels, clips = (narrowed[name] for name in ("accounts", "labels", "clips"))
    parts = [f"{labels} {'label is' if labels == 1 else 'labels are'} used no more"] if labels else []
    other = "other " if labels else ""
    parts += [f"{clips} {other}{'clip' if clips == 1 else 'clips'} may be used for less than before"] if clips else []
    return f"for {accounts} {'account' if accounts == 1 else 'accounts'}: {', '.join(parts)}"


def unnoticed_text(count: int) -> str:
    """Return how many consents to annotation do not count, and what to do about it."""
    return (
        f"{count}, as no notice that customers saw is named; name it for all in ingest.notice, in the field notice of"
        " rows, or by earmark consent set --yes annotate --notice"
    )


def review_text(review: Mapping[str, Any]) -> str:
    """Return how reliable the annotators are, from the document of a `ReviewReport`."""
    people, clips, labels = (review[name] for name in ("people", "clips", "labels"))
    careless = ", ".join(review["careless"])
    return (
        f"{people} {'person' if people == 1 else 'people'}, on {clips} {'clip' if clips == 1 else 'clips'} "
        f"that several answered; {f'careless: {careless}' if careless else 'nobody is careless'}; "
        f"{labels} {'label' if labels == 1 else 'labels'} changed by it"
    )


SHOWN: Final[Mapping[str, Callable[[Any], str]]] = {
    "against": against_text,
    "eval_set_id": lambda found: found[:12],
    "narrowed": narrowed_text,
    "unnoticed": unnoticed_text,
    "review": review_text,
    "digest": lambda found: found[:12],
    "wer_greedy": lambda found: f"{100 * found:.1f} %",
    "wer_beam": lambda found: f"{100 * found:.1f} %",
    "dev_rows": lambda found: str(found) if found else "0: they are the defaults, and untried on your clips",
}
"""How values of some keys are shown; an evaluation set by the first characters of its id, as in decisions."""


def worded(title: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a step with words in place of its keys; of a skipped one the reason alone.

    Args:
        title: title in the terminal, or name of the step.
        document: of the step's report, or a part of it.
    """
    words = WORDS.get(STEP_OF.get(title, title), {})
    if document.get("skipped"):
        document = {"skipped": document["skipped"]}
    document = {key: value for key, value in document.items() if key not in SELDOM or value not in (0, {})}
    kind = EXAMPLES.get(title.rpartition(" ")[2])
    if kind is not None and "examples" in document:
        document["examples"] = f"{document['examples']} {kind}"
    shown = {
        key: SHOWN[key](value) if key in SHOWN and (value or value == 0) else value for key, value in document.items()
    }
    return {words.get(key, key.replace("_", " ")): value for key, value in shown.items()}

"""The ids of operations: the same work has the same id, so that a repeat finds it done.

Every id is made here, and none is ever taken apart: whatever has to be known of an operation later is a row of a table.
"""

from __future__ import annotations

import uuid

from corpus.records.base import Kind

# --- ingest -----------------------------------------------------------------------------------------------------------


def ingest_manifest(sha256: str) -> str:
    """Return the id of ingesting a manifest, by the digest of its bytes."""
    return f"ingest/{sha256}"


def ingest_manifest_batch(sha256: str, start: int, rows: int) -> str:
    """Return the id of ingesting `rows` rows of a manifest from row `start` on, counted from 0."""
    return f"ingest/{sha256}/{start}+{rows}"


def ingest_import_batch(rows_digest: str) -> str:
    """Return the id of ingesting a batch of a labelled corpus, by the digest of its rows."""
    return f"ingest/import/{rows_digest}"


# --- score, sample, export --------------------------------------------------------------------------------------------


def score(shard_digest: str) -> str:
    """Return the id of storing scores, by the digest of versions and utterances."""
    return f"score/{shard_digest}"


def sample(night: str) -> str:
    """Return the id of choosing a night's round."""
    return f"sample/{night}"


def export(round_: str, tasks_digest: str = "") -> str:
    """Return the id of exporting tasks of a round, by their digest; without one each call is another operation."""
    return f"export/{round_}/{tasks_digest or uuid.uuid4().hex}"


def assign(given_digest: str) -> str:
    """Return the id of giving tasks to people, by the digest of who gets which until when."""
    return f"assign/{given_digest}"


def sweep() -> str:
    """Return the id of closing tasks that are over; each is another operation."""
    return f"sweep/{uuid.uuid4().hex}"


# --- merge ------------------------------------------------------------------------------------------------------------


def merge_file(sha256: str, suffix: str = "") -> str:
    """Return the id of merging a file of answers; the same bytes read as another format are another merge.

    Args:
        sha256: of its bytes.
        suffix: `.csv` or `.tsv` of a table, "" of JSON Lines.
    """
    return f"merge/{suffix.removeprefix('.') + '/' if suffix else ''}{sha256}"


def merge_label_studio(answers_digest: str) -> str:
    """Return the id of merging what Label Studio holds, by its digest."""
    return f"merge/label-studio/{answers_digest}"


def merge_place(name: str, answers_digest: str) -> str:
    """Return the id of merging what another package's place of annotation holds, by its name and digest."""
    return f"merge/{name}/{answers_digest}"


def review(answers_digest: str) -> str:
    """Return the id of a review of all annotators, by the digest of all answers."""
    return f"review/{answers_digest}"


# --- retrain, judge, promote, register --------------------------------------------------------------------------------


def retrain(kind: Kind, snapshot_id: str, how: str) -> str:
    """Return the id of a retraining.

    Args:
        kind: of the model.
        snapshot_id: what is learned from.
        how: digest of the settings, the base and the pseudo-labels.
    """
    return f"retrain/{kind}/{snapshot_id}/{how[:16]}"


def register_base(kind: Kind, folder_digest: str) -> str:
    """Return the id of registering a base, by the digest of its files."""
    return f"base/{kind}/{folder_digest}"


def register_external(kind: Kind, folder_digest: str) -> str:
    """Return the id of registering a model from outside, by the digest of its files."""
    return f"outside/{kind}/{folder_digest}"


def evaluate(kind: Kind, version: str, eval_set_id: str, normaliser: str, beside: str, number: int) -> str:
    """Return the id of an evaluation.

    Args:
        kind: of the model.
        version: that is evaluated.
        eval_set_id: the rows that judge.
        normaliser: normal form of the texts.
        beside: version of the other kind's model that takes part.
        number: how often it was evaluated on these rows before.
    """
    return f"evaluate/{kind}/{version}/{eval_set_id}/{normaliser}/{beside}" + (f"/{number}" if number else "")


def judge(kind: Kind, version: str, rows_id: str, against: str = "") -> str:
    """Return the id of the gate's decision on a version.

    Args:
        kind: of the model.
        version: the challenger.
        rows_id: the rows that judge.
        against: beside what, where the same rows judged it beside something else before.
    """
    return f"judge/{kind}/{version}/{rows_id}" + (f"/{against}" if against else "")


def promote_by_hand(kind: Kind) -> str:
    """Return the id of a promotion by hand; each is another operation."""
    return f"promote/{kind}/{uuid.uuid4().hex}"


def roll_back(kind: Kind) -> str:
    """Return the id of going back to the previous champion; each is another operation."""
    return f"rollback/{kind}/{uuid.uuid4().hex}"


# --- nights, replay, erasure ------------------------------------------------------------------------------------------


def nightly(night: str) -> str:
    """Return the id of the end of a nightly run, once all its steps are done."""
    return f"nightly/{night}"


def demo(source_digest: str, night: str) -> str:
    """Return the id of a night of the demo; another corpus in the same home has nights of its own."""
    return f"demo/{source_digest[:16]}/{night}"


def replay(problem_digest: str, seeds: int, strategy: str) -> str:
    """Return the id of a strategy's runs in a replay."""
    return f"replay/{problem_digest}/{seeds}/{strategy}"


def erase_utterances(reason: str, ids_digest: str) -> str:
    """Return the id of erasing utterances, by the digest of their ids."""
    return f"erase/utterances/{reason}/{ids_digest}"


def erase_speaker(speaker_digest: str) -> str:
    """Return the id of erasing a speaker; a digest, as the record of the erasure stays and the pseudonym must not."""
    return f"erase/speaker/{speaker_digest}"


def compact(pack: str) -> str:
    """Return the id of writing a pack anew."""
    return f"compact/{pack}"

"""Ids of operations: the same work has the same id, so that it is done only once.

Every id is made here and never parsed. What later steps need of an operation is stored in a table of its own.
"""

from __future__ import annotations

import uuid

from corpus.records.base import Kind

# --- ingest -----------------------------------------------------------------------------------------------------------


def ingest_manifest(sha256: str) -> str:
    """Return the id of ingesting a manifest, by the digest of its bytes."""
    return f"ingest/{sha256}"


def manifest_consent(sha256: str) -> str:
    """Return the id of applying what the rows of a manifest withdraw, by the digest of its bytes."""
    return f"consent/{sha256}"


def ingest_manifest_batch(sha256: str, start: int, rows: int) -> str:
    """Return the id of ingesting `rows` rows of a manifest from row `start` on, counted from 0."""
    return f"ingest/{sha256}/{start}+{rows}"


def ingest_refused_again(batch_id: str, number: int) -> str:
    """Return the id of reading refused rows of a batch again, by how often a reading changed something, from 1."""
    return f"{batch_id}/again/{number}"


def ingest_import_batch(rows_digest: str) -> str:
    """Return the id of ingesting a batch of a labelled corpus, by the digest of its rows."""
    return f"ingest/import/{rows_digest}"


# --- score, sample, export --------------------------------------------------------------------------------------------


def score(shard_digest: str) -> str:
    """Return the id of storing scores, by the digest of the model versions and the utterances."""
    return f"score/{shard_digest}"


def score_part() -> str:
    """Return the id of scoring the clips of a damaged part again; it is new in every call."""
    return f"score-part/{uuid.uuid4().hex}"


def calibrate_draws(version: str, clips: int) -> str:
    """Return the id of looking for the temperature of a speech model's draws, by the number of labelled clips."""
    return f"draws/{version}/{clips}"


def check_champions(inputs_digest: str) -> str:
    """Return the id of checking the champions on labelled clips, by the digest of versions and labels."""
    return f"check/{inputs_digest}"


def sample(night: str) -> str:
    """Return the id of sampling a night's round."""
    return f"sample/{night}"


def export(round_: str, tasks_digest: str = "") -> str:
    """Return the id of exporting tasks of a round, by their digest; without a digest the id is new in every call."""
    return f"export/{round_}/{tasks_digest or uuid.uuid4().hex}"


def ask_again(round_: str) -> str:
    """Return the id of choosing the labels of a round that is asked again."""
    return f"suspects/{round_}"


def assign(assignments_digest: str) -> str:
    """Return the id of assigning tasks to annotators, by the digest of tasks, annotators and ends of their leases."""
    return f"assign/{assignments_digest}"


def sweep() -> str:
    """Return the id of closing tasks that can no longer be answered; it is new in every call."""
    return f"sweep/{uuid.uuid4().hex}"


def withdraw() -> str:
    """Return the id of marking versions that learned from withdrawn rows; it is new in every call."""
    return f"withdraw/{uuid.uuid4().hex}"


# --- datasets ---------------------------------------------------------------------------------------------------------


def dataset(dataset_id: str) -> str:
    """Return the id of handing out a dataset."""
    return f"dataset/{dataset_id}"


def delete_dataset(dataset_id: str) -> str:
    """Return the id of deleting a dataset that was handed out."""
    return f"dataset/{dataset_id}/delete"


# --- merge ------------------------------------------------------------------------------------------------------------


def inventory() -> str:
    """Return the id of changing the inventory; it is new in every call."""
    return f"inventory/{uuid.uuid4().hex}"


def merge_file(sha256: str, suffix: str = "", again: str = "") -> str:
    """Return the id of merging a file of answers, by the digest of its bytes and its format.

    Args:
        sha256: digest of its bytes.
        suffix: `.csv` or `.tsv` for a table, "" for JSON Lines.
        again: digest of the rows that are refused now, for a file that was merged before; "" for the first time.
    """
    return f"merge/{suffix.removeprefix('.') + '/' if suffix else ''}{sha256}{'/' + again if again else ''}"


def merge_label_studio(answers_digest: str) -> str:
    """Return the id of merging the answers in Label Studio, by their digest."""
    return f"merge/label-studio/{answers_digest}"


def report_fault(answer_digest: str) -> str:
    """Return the id of reporting an answer in Label Studio that can't be read, by the digest of its state."""
    return f"merge/label-studio/fault/{answer_digest}"


def merge_backend(name: str, answers_digest: str) -> str:
    """Return the id of merging the answers in another package's annotation backend, by its name and their digest."""
    return f"merge/{name}/{answers_digest}"


def review(answers_digest: str, inventory_digest: str, after: int) -> str:
    """Return the id of a review of all annotators.

    Args:
        answers_digest: digest of all answers, and of what former names in them mean.
        inventory_digest: digest of the names in use.
        after: number of the review before it, 0 for the first: names can mean again what they meant before.
    """
    return f"review/{answers_digest}/{inventory_digest}/{after}"


# --- retrain, judge, promote, register --------------------------------------------------------------------------------


def retrain(kind: Kind, snapshot_id: str, inputs_digest: str) -> str:
    """Return the id of a retraining.

    Args:
        kind: kind of the model.
        snapshot_id: labels that the model is trained on.
        inputs_digest: digest of the settings, the base, the pseudo-labels and, for intents, what former names mean,
            for a beam the texts that it is built from beside the labels.
    """
    return f"retrain/{kind}/{snapshot_id}/{inputs_digest[:16]}"


def trial(kind: Kind, rows_digest: str, inputs_digest: str) -> str:
    """Return the id of trying settings in a sweep.

    Args:
        kind: kind of the model.
        rows_digest: digest of the labels that are learned from, and of those that watch the training.
        inputs_digest: digest of the settings, the base, the pseudo-labels and, for intents, the drafts and what former
            names mean, for a beam the texts that it is built from beside the labels.
    """
    return f"trial/{kind}/{rows_digest[:16]}/{inputs_digest[:16]}"


def trial_again(operation_id: str, number: int) -> str:
    """Return the id of a trial that is trained again, by how often its rows were measured anew; 0: the trial itself."""
    return f"{operation_id}/again/{number}" if number else operation_id


def register_base(kind: Kind, folder_digest: str) -> str:
    """Return the id of registering a base, by the digest of its files."""
    return f"base/{kind}/{folder_digest}"


def use_base(kind: Kind) -> str:
    """Return the id of learning from a base that is registered already; it is new in every call."""
    return f"base/{kind}/use/{uuid.uuid4().hex}"


def replace_tainted(kind: Kind) -> str:
    """Return the id of putting a version in place of a tainted champion; it is new in every call."""
    return f"promote/{kind}/tainted/{uuid.uuid4().hex}"


def replace_blocked(kind: Kind) -> str:
    """Return the id of putting another base in place of a model that can't be used; it is new in every call."""
    return f"base/{kind}/replace/{uuid.uuid4().hex}"


def register_external(kind: Kind, folder_digest: str) -> str:
    """Return the id of registering an external model, by the digest of its files.

    Its first word is that of the first homes, so that a model which they registered is not registered again.
    """
    return f"outside/{kind}/{folder_digest}"


def evaluate(kind: Kind, version: str, eval_set_id: str, normaliser: str, beside: str, number: int) -> str:
    """Return the id of an evaluation.

    Args:
        kind: kind of the model.
        version: version that is evaluated.
        eval_set_id: id of the audit rows.
        normaliser: version of the normal form of texts.
        beside: version of the other kind's model that takes part.
        number: how often the version was evaluated on these rows before.
    """
    return f"evaluate/{kind}/{version}/{eval_set_id}/{normaliser}/{beside}" + (f"/{number}" if number else "")


def judge(kind: Kind, version: str, rows_id: str, against: str = "") -> str:
    """Return the id of the gate's decision on a version.

    Args:
        kind: kind of the model.
        version: the challenger.
        rows_id: id of the audit rows.
        against: versions that it is compared with, if it was judged on the same rows against others before.
    """
    return f"judge/{kind}/{version}/{rows_id}" + (f"/{against}" if against else "")


def promote_by_hand(kind: Kind) -> str:
    """Return the id of a manual promotion; it is new in every call."""
    return f"promote/{kind}/{uuid.uuid4().hex}"


def roll_back(kind: Kind) -> str:
    """Return the id of going back to the previous champion; it is new in every call."""
    return f"rollback/{kind}/{uuid.uuid4().hex}"


# --- nights, estimate, compare, replay, erasure -----------------------------------------------------------------------


def nightly(night: str) -> str:
    """Return the id of completing a nightly run, after all its steps are done."""
    return f"nightly/{night}"


def estimate(inputs_digest: str) -> str:
    """Return the id of an estimate of the traffic, by the digest of its nights, champions and audit rows."""
    return f"estimate/{inputs_digest}"


def demo(source_digest: str, night: str) -> str:
    """Return the id of a night of the demo, by the digest of its labelled corpus."""
    return f"demo/{source_digest[:16]}/{night}"


def compare(kind: Kind, first: str, second: str, eval_set_id: str) -> str:
    """Return the id of comparing two versions of a kind on the rows of an evaluation set."""
    return f"compare/{kind}/{first}/{second}/{eval_set_id}"


def replay(problem_digest: str, seeds: int, strategy: str) -> str:
    """Return the id of the runs of a strategy in a replay."""
    return f"replay/{problem_digest}/{seeds}/{strategy}"


def erase_utterances(reason: str, ids_digest: str) -> str:
    """Return the id of erasing utterances, by the digest of their ids."""
    return f"erase/utterances/{reason}/{ids_digest}"


def erase_speaker(speaker_digest: str) -> str:
    """Return the id of erasing a speaker, by a digest: the id remains in the records and the pseudonym must not."""
    return f"erase/speaker/{speaker_digest}"


def expire(ids_digest: str) -> str:
    """Return the id of ending utterances by retention, by the digest of their ids."""
    return f"expire/{ids_digest}"


def destroy_weights(kind: Kind, version: str) -> str:
    """Return the id of destroying the weights of a tainted version."""
    return f"destroy/{kind}/{version}"


def compact(pack: str) -> str:
    """Return the id of rewriting a pack without its erased clips."""
    return f"compact/{pack}"

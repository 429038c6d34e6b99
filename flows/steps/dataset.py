"""Hand out labelled utterances as a dataset for other tools, list and delete datasets, and look up ids to join them."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from corpus import door
from corpus.errors import Refused, UsageError
from corpus.exporting.rows import NEEDS_AUDIO, ExportedRow, Format
from corpus.exporting.writers import writer_of
from corpus.handle import Corpus
from corpus.ingest.manifest import read
from corpus.ingest.usable_recordings import event_utterances
from corpus.records.base import digest
from corpus.storage import operation_ids
from corpus.storage.content_codec import Content, Part
from corpus.storage.durable_write import TEMPORARY, write_file
from corpus.storage.own_folder import own_folder
from corpus.tables import datasets, labels, rounds, utterances
from corpus.tables.datasets import Dataset
from corpus.vault import consent, vault
from flows.runtime import progress
from flows.runtime.output_files import output_errors, output_place
from flows.runtime.results import Result

NOTICE = "NOTICE.txt"


@dataclass(frozen=True, slots=True)
class DatasetReport(Result):
    """What was handed out.

    Attributes:
        dataset_id: its id, by which it is deleted.
        place: its folder.
        format: its format.
        with_audio: whether it holds clips.
        expires_at: when it has to be deleted; None where no date was given.
        rows: how many utterances it holds.
        splits: number of utterances by split.
        judging: labels that judge models, and were left out.
        no_transcript: labels with an intent alone, which formats for speech leave out.
        closed: utterances that may not be opened for training.
    """

    dataset_id: str
    place: str
    format: str
    with_audio: bool
    expires_at: str | None
    rows: int
    splits: Mapping[str, int]
    judging: int
    no_transcript: int
    closed: int


def export_dataset(
    corpus: Corpus,
    home: Path,
    out: Path,
    format_: Format,
    *,
    with_audio: bool,
    expires_at: datetime | None,
    round_: str | None = None,
) -> DatasetReport:
    """Write the labelled corpus, or the clips that a round chose, into a folder, through the door (purpose `train`).

    Left out are utterances whose customers do not consent to training, and labels that judge models: whoever trained
    on them would judge on what was learned. Where the folder lies is recorded before anything is written, so that an
    erasure names it even after a kill. What a killed export left is replaced: until all is written, the notice in the
    folder says that it is not complete.

    Args:
        corpus: the handle.
        home: folder of the home.
        out: a new or empty folder outside the home, or one that a killed export began.
        format_: format of the files.
        with_audio: write clips, too; then `expires_at` is needed.
        expires_at: when the folder has to be deleted (UTC).
        round_: name of a round; None for all labels.

    Raises:
        UsageError: the folder is not empty or in the home, a format needs audio, a date is missing or past, or the
            round is unknown.
        Refused: no utterance may be handed out.
    """
    out = output_place(out, "OUT", home)
    _check(corpus, out, format_, with_audio, expires_at)
    revisions, splits, judging, silent = _rows_of(corpus, round_, for_speech=format_ in NEEDS_AUDIO)
    with corpus.read() as conn:
        closed = door.closures(corpus, conn, sorted(revisions), "train")
    ids = [i for i in sorted(revisions) if i not in closed]
    if not ids:
        raise Refused(
            f"dataset {out.name}: none of {len(revisions)} utterances may be handed out; "
            "label some whose customers consent to training"
        )
    dataset_id = digest([str(out), format_, with_audio, corpus.clock().isoformat(), ids])[:12]
    _delete_unfinished(corpus, out)
    made = Dataset(dataset_id, str(out), format_, with_audio, corpus.clock(), expires_at, len(ids))
    with corpus.operation(operation_ids.dataset(dataset_id), "dataset") as op:
        datasets.put(op.conn, made, ids)
        op.result = {"rows": len(ids), "format": format_, "with_audio": with_audio}
    try:
        with output_errors(out, "OUT"):
            counts = _write(corpus, made, format_, {i: revisions[i] for i in ids}, splits)
    except UsageError:  # such as a full disk
        _delete_unfinished(corpus, out)
        raise
    return DatasetReport(
        dataset_id=dataset_id,
        place=str(out),
        format=format_,
        with_audio=with_audio,
        expires_at=expires_at.isoformat() if expires_at else None,
        rows=sum(counts.values()),
        splits=dict(sorted(counts.items())),
        judging=judging,
        no_transcript=silent,
        closed=len(closed),
    )


def _write(
    corpus: Corpus, made: Dataset, format_: Format, revisions: Mapping[str, int], splits: Mapping[str, str]
) -> Counter[str]:
    """Write the files of a dataset; return the number of rows by split."""
    out, ids = Path(made.place), list(revisions)
    with own_folder(out, below=out.parent) as folder:
        folder.write(NOTICE, [_unfinished(made).encode()])
    parts: tuple[Part, ...] = ("audio", "label") if made.with_audio else ("label",)
    counts: Counter[str] = Counter()
    writer = writer_of(format_, out, with_audio=made.with_audio)
    opened = door.open(corpus, ids, "train", parts=parts, strict=False, label_revisions=revisions)
    try:
        with progress.track("utterances written", len(ids)) as advance:
            for number, content in enumerate(opened, 1):
                row = _exported(content, splits[content.utterance.utterance_id], made.dataset_id)
                writer.add(row)
                counts[row.split] += 1
                advance(number)
    finally:
        writer.close()
    write_file(out / NOTICE, [_notice(replace(made, rows=sum(counts.values()))).encode()])
    return counts


def _check(corpus: Corpus, out: Path, format_: Format, with_audio: bool, expires_at: datetime | None) -> None:
    if format_ in NEEDS_AUDIO and not with_audio:
        raise UsageError(f"format {format_} names audio files; give --with-audio and --expires")
    if with_audio and expires_at is None:
        raise UsageError("clips are handed out until a date only; give --expires, such as 2027-01-31")
    if expires_at is not None and expires_at <= corpus.clock():
        raise UsageError("--expires is in the past; give a later date")
    above = next(path for path in (out, *out.parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"dataset {out.name}: no folder can be made in {above}; give another folder")
    if out.exists() and _is_filled(out) and _unfinished_in(out) is None:
        raise UsageError(f"dataset {out.name}: exists and is not empty; give a new folder")


def _rows_of(
    corpus: Corpus, round_: str | None, *, for_speech: bool
) -> tuple[dict[str, int], dict[str, str], int, int]:
    """Return the revision of each label, `-1` for none, the split of each utterance, and how many labels are left out.

    The last two are the labels that judge, and those without a transcript, from which speech would learn silence.
    """
    with corpus.read() as conn:
        chosen: Sequence[str] | None = None
        audit: set[str] = set()
        if round_ is not None:
            if round_ not in {row.round for row in rounds.rounds(conn)}:
                known = ", ".join(row.round for row in rounds.rounds(conn)) or "none"
                raise UsageError(f"round {round_} is unknown; there are {known}")
            selection = rounds.selection(conn, round_)
            chosen = [str(i) for i in selection.utterance_ids]
            audit = {i for i, reason in zip(chosen, selection.reasons.tolist(), strict=True) if reason == "audit"}
        rows = labels.current(conn, chosen)
        judging = {row.utterance_id for row in rows if row.judges} | audit
        silent = {row.utterance_id for row in rows if for_speech and not row.has_transcript and not row.judges}
        revisions = {row.utterance_id: row.revision for row in rows if row.utterance_id not in judging | silent}
        unlabelled = [i for i in chosen or () if i not in revisions.keys() | judging | silent]
        ids = sorted([*revisions, *unlabelled])
        splits = dict(zip(ids, utterances.pool_columns(conn, ids).splits.tolist(), strict=True))
    return revisions | dict.fromkeys(unlabelled, -1), splits, len(judging), len(silent)


def _exported(content: Content, split: str, dataset_id: str) -> ExportedRow:
    utterance, label = content.utterance, content.label
    return ExportedRow(
        utterance_id=utterance.utterance_id,
        split=split,
        speaker="s" + digest([dataset_id, utterance.speaker_id])[:11],
        locale=utterance.locale,
        duration=utterance.num_samples / utterance.sample_rate,
        sample_rate=content.sample_rate,
        text=label.transcript if label is not None else None,
        intent=label.intent if label is not None else None,
        slots=label.slots if label is not None and label.slots_complete else None,
        audio=content.audio,
    )


def _unfinished(made: Dataset) -> str:
    return (
        f"Dataset {made.dataset_id}: not complete, it is being written or its export was killed.\n"
        "Export into this folder again, which replaces what is here.\n"
        f"earmark dataset delete {made.dataset_id} deletes the folder.\n"
    )


def _named_in(folder: Path) -> str:
    """Return the first line of the notice in a folder; "" where there is none."""
    try:
        return (folder / NOTICE).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""


def _is_filled(folder: Path) -> bool:
    """Return whether it is no folder, or holds something but the draft of a notice, of an export that was killed."""
    return (
        folder.is_symlink()
        or not folder.is_dir()
        or any(not path.name.startswith(TEMPORARY) for path in folder.iterdir())
    )


def _unfinished_in(folder: Path) -> str | None:
    """Return the id of the dataset whose export into the folder was killed; None where there is none."""
    found = re.match(r"Dataset ([0-9a-f]+): not complete", _named_in(folder))
    return None if found is None else found[1]


def _delete_unfinished(corpus: Corpus, folder: Path) -> None:
    """Delete what a killed export of this home left in a folder, and forget it.

    Raises:
        UsageError: it is of another home.
    """
    left = _unfinished_in(folder)
    if left is None:
        for path in folder.glob(f"{TEMPORARY}*"):  # a notice that was not written yet
            path.unlink()
        return
    if left not in {row.dataset_id for row in list_datasets(corpus)}:
        raise UsageError(f"dataset {folder.name}: exists and is not of this home; give a new folder")
    delete_dataset(corpus, left)


def _notice(made: Dataset) -> str:
    until = (
        f"It may be kept until {datasets.until_text(made.expires_at)}; delete it by then.\n" if made.expires_at else ""
    )
    return (
        f"Dataset {made.dataset_id}: {made.rows} utterances of people who consented to training.\n{until}"
        "An erasure in the home that it came from names this folder: delete these utterances here, too.\n"
        f"earmark dataset delete {made.dataset_id} deletes the folder.\n"
    )


@dataclass(frozen=True, slots=True)
class DatasetRow(Result):
    """A dataset that was handed out.

    Attributes:
        dataset_id, place, format, with_audio, rows: as at the export, without the utterances erased since.
        at: when it was handed out.
        expires_at: when it has to be deleted; None where no date was given.
        state: `there`, `expired` (there, and its date is past) or `gone` (its folder is not there).
    """

    dataset_id: str
    place: str
    format: str
    with_audio: bool
    rows: int
    at: str
    expires_at: str | None
    state: str


def list_datasets(corpus: Corpus) -> list[DatasetRow]:
    """Return the datasets that were handed out, oldest first."""
    with corpus.read() as conn:
        found = datasets.all_datasets(conn)
    return [
        DatasetRow(
            dataset_id=row.dataset_id,
            place=row.place,
            format=row.format,
            with_audio=row.with_audio,
            rows=row.rows,
            at=row.at.isoformat(timespec="seconds"),
            expires_at=row.expires_at.isoformat(timespec="seconds") if row.expires_at else None,
            state=datasets.state_of(row, corpus.clock()),
        )
        for row in found
    ]


def delete_dataset(corpus: Corpus, dataset_id: str) -> DatasetRow:
    """Delete the folder of a dataset and forget it; a folder that is gone already is forgotten.

    A deletion that was killed is repeated: the notice, by which the folder is known, is deleted last. A folder that
    another dataset has by now is left as it is.

    Raises:
        UsageError: there is no such dataset.
        Refused: the folder is no longer the dataset; nothing was deleted.
    """
    handed_out = {row.dataset_id: row for row in list_datasets(corpus)}
    found = handed_out.get(dataset_id)
    if found is None:
        raise UsageError(f"dataset {dataset_id} is unknown; earmark dataset list shows them")
    folder = Path(found.place)
    if folder.exists() and not _is_of_another(folder, dataset_id, handed_out):
        is_it = _named_in(folder).startswith(f"Dataset {dataset_id}:") and not folder.is_symlink()
        if _is_filled(folder) and not is_it:
            raise Refused(
                f"dataset {dataset_id}: its folder holds something else now, as {NOTICE} does not name it; "
                "move that away or delete it by hand, then run this again"
            )
        _delete_folder(folder)
    with corpus.operation(operation_ids.delete_dataset(dataset_id), "delete dataset") as op:
        datasets.drop(op.conn, dataset_id)
        op.result = {"rows": found.rows}
    return found


def _is_of_another(folder: Path, dataset_id: str, known: Collection[str]) -> bool:
    named = _named_in(folder)
    return any(named.startswith(f"Dataset {each}:") for each in known if each != dataset_id)


def _delete_folder(folder: Path) -> None:
    """Delete a folder, its notice last."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != NOTICE:
            path.unlink()
    (folder / NOTICE).unlink(missing_ok=True)
    folder.rmdir()


@dataclass(frozen=True, slots=True)
class LineId(Result):
    """A line of a manifest, from 1, and the utterance that its event is."""

    line: int
    utterance_id: str


@dataclass(frozen=True, slots=True)
class DatasetIds(Result):
    """The utterances of a manifest's events; an event id itself is in none of it.

    Attributes:
        ids: by line, in order.
        no_event_id: rows without an `event_id`, or that can't be read.
        not_there: rows whose utterance is not in the corpus, was erased, or has no consent left.
    """

    ids: tuple[LineId, ...]
    no_event_id: int
    not_there: int


def look_up_ids(corpus: Corpus, manifest: Path, actor: str) -> DatasetIds:
    """Return the utterance ids of a manifest's lines; audited in the vault, as they link events to clips.

    Args:
        corpus: the handle.
        manifest: JSON Lines or Parquet, as it was ingested, or a part of it; what else is in it does not matter.
        actor: who asks, for the audit chain.

    Raises:
        UsageError: the manifest can't be read, or no row has an `event_id`.
    """
    rows = list(read(manifest))
    ids = event_utterances(corpus, rows)
    if not ids:
        raise UsageError(f"manifest {manifest.name}: no row has an event_id; only events with an id can be looked up")
    consents = consent.consents(corpus.vault, sorted(set(ids.values())))
    found = tuple(LineId(line, utterance_id) for line, utterance_id in ids.items() if consents[utterance_id])
    vault.record_lookup(corpus.vault, [each.utterance_id for each in found], actor)
    return DatasetIds(found, len(rows) - len(ids), len(ids) - len(found))

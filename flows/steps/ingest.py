"""Ingest: read manifests as utterances into the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from corpus.audio.decoder_process import Decoders
from corpus.audio.host_faults import host_fault
from corpus.errors import EarmarkError, HostFault, UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import IngestReport as ManifestReport
from corpus.ingest.ingest import apply_consent as apply_manifest_consent
from corpus.ingest.ingest import ingest, ingested_before
from corpus.ingest.manifest import length
from corpus.ingest.usable_recordings import MAY_CHANGE
from corpus.tables import consent_use
from corpus.tables.consent_use import Narrowed
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasAnswers, HasExport, HasInbox, HasIngest, HasTaskFolder
from flows.tasks.task_status import sweep_after

ENDINGS = (".jsonl", ".parquet")
TABLES = (".csv", ".tsv")
UNTIL_TAKEN_OUT: Final = "a manifest with no row to accept fails each night until it is taken out of the inbox"


class SettingsOfIngest(HasInbox, HasIngest, HasTaskFolder, HasAnswers, HasExport, Protocol):
    """The settings that an ingest reads; the last three are for the tasks whose consent a row withdraws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedManifestLine(Result):
    """A line of a manifest, or a row of a labelled corpus, that was refused.

    Attributes:
        file: name of the manifest; None for a labelled corpus.
        line: number of the line, from 1.
        reason: why it was refused, in one word.
        detail: what to do about it.
        clip: the file, of a row that is a file in the folder of a labelled corpus; None for any other.
    """

    file: str | None = None
    line: int
    reason: str
    detail: str
    clip: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(Result):
    """What became of the rows of manifests; received = accepted + the sum of refused.

    Attributes:
        skipped: why there was nothing to do.
        refused: counts of refused rows by reason, sorted by reason.
        refused_lines: the first refused lines of each manifest; None where there are none.
        already: how many manifests were ingested before; None where none was.
        recovered: rows of those that were refused for their clip, or came ahead of the clock, and are accepted now;
            None where none is.
        one_channel: accepted rows whose channels cancel, so that the loudest one was stored; None where there are none.
        unnoticed: accepted rows whose consent to annotation does not count, as no notice is named; None where there are
            none.
        still_refused: counts by reason of the rows whose clips are still unusable, or that are still ahead of the
            clock, of those manifests of the inbox of which no row is accepted yet; `received` and `refused` leave them
            out. None where there are none.
        failed: error by name of manifests that could not be read; None where there are none.
        narrowed: what rows that withdraw consent took out of use; None where they took nothing.
        not_done: why withdrawn tasks could not be removed from the annotation backend; None where they were, and where
            there is none to remove.
    """

    skipped: str | None = None
    received: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    refused_lines: tuple[RefusedManifestLine, ...] | None = None
    already: int | None = None
    recovered: int | None = None
    one_channel: int | None = None
    unnoticed: int | None = None
    still_refused: Mapping[str, int] | None = None
    failed: Mapping[str, str] | None = None
    narrowed: Narrowed | None = None
    not_done: str | None = None

    def why_none_accepted(self) -> str | None:
        """Return one line with the commonest reason and an example of its remedy where every row was refused.

        None where a row was accepted, and where all rows are in the corpus already, since the same clips came twice.
        The rows that are still refused count as on the night when they came, so that each night gives the same verdict.
        """
        still = self.still_refused or {}
        refused = Counter(self.refused) + Counter(still)
        why = why_none_accepted(self.received + sum(still.values()), self.accepted, refused, self.refused_lines or ())
        return f"{why}; {UNTIL_TAKEN_OUT}" if why and still else why


def why_none_accepted(
    received: int, accepted: int, refused: Mapping[str, int], refused_lines: Sequence[RefusedManifestLine]
) -> str | None:
    """Return why no row of an ingest or an import was accepted, as `IngestReport.why_none_accepted` does."""
    if accepted or not set(refused) - {"duplicate"}:
        return None
    reason = max(sorted(refused), key=lambda each: refused[each])
    example = next((line for line in refused_lines if line.reason == reason), None)
    where = (example.clip or f"line {example.line}") if example else ""
    such_as = f", such as {where}: {example.detail}" if example else "; see the first refused lines"
    return f"none of the {received} rows was accepted, {refused[reason]} were refused as {reason}{such_as}"


def waiting_manifests(inbox: Path) -> list[Path]:
    """Return the manifests in the inbox and its folders, sorted by name.

    A table that lies in the inbox itself is returned too: it is no manifest, and ingesting it says so.

    Raises:
        HostFault: the machine can't list the inbox now.
    """
    try:
        if not inbox.is_dir():
            return []
        named = [path for path in inbox.rglob("*") if path.suffix.lower() in ENDINGS]
        named += [path for path in inbox.iterdir() if path.suffix.lower() in TABLES]
        return sorted(path for path in named if path.is_file())
    except OSError as error:
        raise HostFault(f"the inbox can't be listed now: {host_fault(error)}") from error


def apply_consent(corpus: Corpus, inbox: Path) -> Narrowed | None:
    """Withdraw what rows of new manifests do not consent to, and return what that took out of use; ingest nothing.

    A manifest that can't be read is left to its ingest, which reports it.
    """
    before = consent_use.before(corpus)
    with suppress(EarmarkError):
        for manifest in waiting_manifests(inbox):
            with suppress(EarmarkError):
                if not ingested_before(corpus, manifest):
                    apply_manifest_consent(corpus, manifest)
    return consent_use.narrowed_since(corpus, before)


def failure(manifest: Path, inbox: Path, error: UsageError) -> dict[str, str]:
    """Return why a manifest of the inbox can't be read, by its path there, which the text does not repeat."""
    return {manifest.relative_to(inbox).as_posix(): _without_name(manifest, error)}


def _without_name(manifest: Path, error: EarmarkError) -> str:
    return str(error).removeprefix(manifest.name).lstrip(" :")


def ingest_manifests(
    corpus: Corpus, settings: SettingsOfIngest, manifests: Sequence[Path], *, from_inbox: bool
) -> IngestReport:
    """Ingest the manifests; of one that was ingested before, rows that were refused for their clip are read again.

    Args:
        corpus: the handle.
        settings: how rows are read.
        manifests: JSON Lines or Parquet.
        from_inbox: whether the manifests come from the inbox, where they stay after they are ingested. Then those of
            earlier nights are not counted again but for the rows that are accepted now, and one that can't be read is
            reported while the others are ingested. A manifest that a person names on the command line shows its counts
            again.

    Raises:
        UsageError: not `from_inbox`, and a manifest can't be read, or is no manifest.
        HostFault: the machine can't read a manifest or a clip now, in the inbox, too: a night that went on would choose
            from a part of its clips.
    """
    if not manifests:
        return IngestReport(skipped="no manifest in the inbox")
    counted, before = _Counted(from_inbox), consent_use.before(corpus)
    closing = sweep_after(corpus, settings.task_folder, settings.answers, settings.export.due_days)
    with closing, Decoders() as decoders:  # where a row withdraws consent, the person's exported tasks are closed too
        for number, manifest in enumerate(manifests, start=1):
            try:
                name = f"ingesting manifest {number} of {len(manifests)}"
                with progress.track(name, length(manifest)) as advance:
                    counted.add(manifest, ingest(corpus, manifest, settings.ingest, advance, decoders))
            except UsageError as error:
                if not from_inbox:
                    raise
                counted.failed |= failure(manifest, settings.inbox, error)
            except HostFault as fault:
                raise HostFault(f"{manifest.name}: {_without_name(manifest, fault)}") from fault
    return replace(counted.report(), narrowed=consent_use.narrowed_since(corpus, before))


@dataclass(slots=True)
class _Counted:
    """What became of the rows of the manifests so far; see `IngestReport`."""

    from_inbox: bool
    received: int = 0
    accepted: int = 0
    already: int = 0
    recovered: int = 0
    one_channel: int = 0
    unnoticed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    still_refused: Counter[str] = field(default_factory=Counter)
    refused_lines: list[RefusedManifestLine] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, manifest: Path, report: ManifestReport) -> None:
        """Count the rows of one manifest."""
        self.already += report.known
        self.recovered += report.recovered
        earlier = report.known and self.from_inbox
        self.one_channel += report.recovered_one_channel if earlier else report.one_channel
        self.unnoticed += 0 if earlier else report.unnoticed
        if earlier:
            self.received += report.recovered
            self.accepted += report.recovered
            waiting = {reason: count for reason, count in report.refused.items() if reason in MAY_CHANGE}
            if report.accepted or not waiting:
                return
            self.still_refused.update(waiting)
        else:
            self.received += report.received
            self.accepted += report.accepted
            self.refused.update(report.refused)
        self.refused_lines += [
            RefusedManifestLine(file=manifest.name, line=line, reason=reason, detail=detail)
            for line, reason, detail in report.refused_lines
        ]

    def report(self) -> IngestReport:
        """Return the counts of all manifests."""
        return IngestReport(
            received=self.received,
            accepted=self.accepted,
            refused=dict(sorted(self.refused.items())),
            refused_lines=tuple(self.refused_lines) or None,
            already=self.already or None,
            recovered=self.recovered or None,
            one_channel=self.one_channel or None,
            unnoticed=self.unnoticed or None,
            still_refused=dict(sorted(self.still_refused.items())) or None,
            failed=self.failed or None,
        )

"""Errors that earmark raises on purpose, as one tree of classes.

A message names the item (manifest line, utterance id, setting) and the remedy. It never contains content, an account,
or a path to somebody's audio. The command line prints the message in one line, and the class gives the exit status.

    EarmarkError                1  refused or failed
    ├── UsageError              2  bad usage or bad input
    │   ├── SettingsError          a setting: unknown key, wrong type, missing file
    │   │   └── PluginError        a strategy, measure or backend of another package that does not work
    │   └── RecordError            a record that breaks its own rules
    ├── Refused                 1  a rule does not allow it
    │   ├── DoorClosed             no consent, quarantine, retention, no lease, erased
    │   ├── AudioRefused           audio that can't be ingested; carries the reason
    │   ├── HomeBusy               another run uses the home or its database
    │   ├── SchemaRefused          a database that an older or a newer earmark wrote
    │   ├── StoresApart            records, vault and content root do not belong together
    │   ├── PromotionRefused       the gate refused, or the alias moved meanwhile
    │   └── TrainingRefused        a training diverged, or made a model clearly worse than its base
    ├── HostFault               1  the machine can't read or write a file now; nothing is wrong with what it holds
    ├── Unreachable             1  a database or a content store does not answer
    └── Damaged                 1  stored data is not what was written
        └── ChainBroken            an audit chain does not verify
"""

from __future__ import annotations


class EarmarkError(Exception):
    """Base class of all errors; exit status 1."""

    exit_status = 1


class UsageError(EarmarkError):
    """Bad usage or bad input; exit status 2."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting is unknown, of a wrong type, or names something that is missing."""


class NoHome(SettingsError):
    """There is no home where the settings say that it is."""


class PluginError(SettingsError):
    """A strategy, measure or annotation backend of another package clashes, can't be loaded, or fails."""


class RecordError(UsageError, ValueError):
    """A record breaks one of its own rules."""


class Refused(EarmarkError):
    """A rule does not allow what was asked for."""


class DoorClosed(Refused):
    """An utterance may not be opened for the purpose.

    Attributes:
        utterance_id: the utterance.
        reason: `erased`, `consent`, `quarantine`, `retention`, `lease` or `unknown`.
    """

    def __init__(self, utterance_id: str, reason: str, remedy: str) -> None:
        self.utterance_id = utterance_id
        self.reason = reason
        super().__init__(f"utterance {utterance_id} stays closed: {reason}; {remedy}")


class AudioRefused(Refused):
    """Audio can't be ingested.

    Attributes:
        reason: one word, under which refused rows are counted.
        file_state: of the file whose bytes were refused, see `corpus.audio.file_state`; None where no file was read.
    """

    def __init__(self, reason: str, detail: str, file_state: str | None = None) -> None:
        self.reason = reason
        self.file_state = file_state
        super().__init__(detail)

    def __reduce__(self) -> tuple[type[AudioRefused], tuple[str, str, str | None]]:
        return type(self), (self.reason, str(self), self.file_state)  # so that it can be pickled between processes


class HomeBusy(Refused):
    """Another run uses the home or its database."""


class SchemaRefused(Refused):
    """A database has the schema of an older or newer version of earmark, which this version may not change."""


class StoresApart(Refused):
    """Records, vault and content root do not belong to one home, or one of them is missing or empty."""


class PromotionRefused(Refused):
    """The promotion gate refused, or the alias moved meanwhile."""


class TrainingRefused(Refused):
    """A training diverged, or its model is clearly worse than its base; nothing is registered."""


class HostFault(EarmarkError):
    """The machine that earmark runs on can't read or write a file now, whatever the file holds."""


class Unreachable(EarmarkError):
    """A database or a content store does not answer."""


class Damaged(EarmarkError):
    """Stored data is not what was written."""


class ChainBroken(Damaged):
    """An audit chain was changed, or rows of it were removed."""

"""Every error that earmark raises on purpose, as one tree.

A message names the item (manifest line, utterance id, setting) and the remedy. It never holds content, an account, or
a path to somebody's audio. The command line prints it as one line and turns the class into an exit status.

    EarmarkError                1  refused or failed
    ├── UsageError              2  bad usage or bad input
    │   ├── SettingsError          a setting: unknown key, wrong type, missing file
    │   │   └── PluginError        a strategy, measure or backend of another package that does not work
    │   └── RecordError            a record that breaks its own rules
    ├── Refused                 1  a rule says no
    │   ├── DoorClosed             no consent, quarantine, retention, no lease, erased
    │   ├── AudioRefused           audio that can't be taken in; carries the reason
    │   ├── HomeBusy               another run holds the home or its database
    │   ├── SchemaRefused          a database that an older or a newer earmark wrote
    │   └── PromotionRefused       the gate, or an alias that moved meanwhile
    ├── Unreachable             1  a database or a content store does not answer
    └── Damaged                 1  stored data is not what was written
        └── ChainBroken            an audit chain does not verify
"""

from __future__ import annotations


class EarmarkError(Exception):
    """Base of all; exit status 1."""

    exit_status = 1


class UsageError(EarmarkError):
    """Bad usage or bad input; exit status 2."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting is unknown, of a wrong type, or names something that is missing."""


class PluginError(SettingsError):
    """A strategy, measure or annotation backend of another package clashes, can't be loaded, or fails."""


class RecordError(UsageError, ValueError):
    """A record breaks one of its own rules."""


class Refused(EarmarkError):
    """A rule says no."""


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
    """Audio can't be taken in.

    Attributes:
        reason: one word, which becomes the key under which the row is counted.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)

    def __reduce__(self) -> tuple[type[AudioRefused], tuple[str, str]]:
        return type(self), (self.reason, str(self))  # it travels between processes


class HomeBusy(Refused):
    """Another run holds the home or its database."""


class SchemaRefused(Refused):
    """A database has the schema of another earmark, and this one may not touch it as it is."""


class PromotionRefused(Refused):
    """A promotion gate said no, or the alias moved meanwhile."""


class Unreachable(EarmarkError):
    """A database or a content store does not answer."""


class Damaged(EarmarkError):
    """Stored data is not what was written."""


class ChainBroken(Damaged):
    """An audit chain does not verify."""

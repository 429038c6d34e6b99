"""Settings of the corpus: where its stores are, and how long utterances are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus.records.base import Split
from corpus.sqlite_url import sqlite_url
from corpus.user_paths import expanded

MOST_SEED: Final = 2**32 - 1
"""Highest seed of any setting: NumPy's and scikit-learn's older generators take 32 bits."""

MOST_ROWS: Final = 1_000_000_000
MOST_DAYS: Final = 100_000
MOST_SECONDS: Final = 86_400.0
"""Upper bounds of counts of rows, of days and of seconds: more than any honest use, less than what overflows a date or
an integer of 64 bits."""


STORE_TIMEOUT: Final = 30.0
"""How long a store that does not answer is waited for where no settings say it [s]."""


class CorpusSettings(BaseModel):
    """Where the data is, and how long it is kept; what is null is under `home`.

    Attributes:
        home: The folder of the embedded default; delete it and nothing is left.
        records_url: SQLAlchemy URL of the records database; null is SQLite under `home`.
        vault_url: SQLAlchemy URL of the vault, which must be another database; null is SQLite under `home`.
        content_url: fsspec URL or folder of the packs (audio) and the parts (predictions); null is `<home>/content`.
        key_file: File of the key-encryption key; null is `~/.config/earmark/keys/<home id>`, or `<home>/keys/kek` where
            an older home has it. The environment variable EARMARK_KEK (base64 of 32 bytes) comes first, or
            EARMARK_KEK_COMMAND, a command that prints it.
        store_timeout: How long a locked database, a silent database server or a silent content store is waited for
            before the command gives up [s].
        pack_bytes: A pack that holds this much ciphertext is closed and the next one is begun [bytes].
        retention_days: How long an utterance without a label is kept after it arrived [days].
        labelled_retention_days: How long an utterance with a label is kept after it arrived [days].
        accidental_retention_days: How long an accidental activation is kept after an answer said so [days].
        critical_retention_days: How long an utterance is kept after an answer called it critical data or distress
            [days].
        access_set_aside: Whether `earmark access --content` opens what was set aside, such as critical data.
        split: Shares of the speakers in the splits train, dev and test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    home: Path = Path(".earmark")
    records_url: str | None = None
    vault_url: str | None = None
    content_url: str | None = None
    key_file: Path | None = None
    store_timeout: float = Field(default=STORE_TIMEOUT, ge=1.0, le=MOST_SECONDS)
    pack_bytes: int = Field(default=64 << 20, ge=1, le=2**40)
    retention_days: int = Field(default=30, ge=1, le=MOST_DAYS)
    labelled_retention_days: int = Field(default=180, ge=1, le=MOST_DAYS)
    accidental_retention_days: int = Field(default=1, ge=0, le=MOST_DAYS)
    critical_retention_days: int = Field(default=7, ge=0, le=MOST_DAYS)
    access_set_aside: bool = False
    split: dict[str, float] = {"train": 0.7, "dev": 0.1, "test": 0.2}

    @field_validator("split")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(get_args(Split)):
            raise ValueError(f"split needs the shares of {', '.join(get_args(Split))}")
        if min(value.values()) < 0 or abs(sum(value.values()) - 1.0) > 1e-9:
            raise ValueError("the shares of split must be 0 or more and sum to 1")
        return value


@dataclass(frozen=True, slots=True)
class Places:
    """Places of the stores, with every default filled in."""

    home: Path
    records_url: str
    vault_url: str
    content_url: str
    key_file: Path | None = None
    store_timeout: float = STORE_TIMEOUT


def places(settings: CorpusSettings) -> Places:
    """Return the places of all stores, as absolute paths, with the defaults under `home` filled in."""
    home = expanded(settings.home).absolute()
    return Places(
        home=home,
        records_url=settings.records_url or sqlite_url(home / "records.db"),
        vault_url=settings.vault_url or sqlite_url(home / "vault.db"),
        content_url=settings.content_url or str(home / "content"),
        key_file=settings.key_file and expanded(settings.key_file).absolute(),
        store_timeout=settings.store_timeout,
    )

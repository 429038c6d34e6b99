"""Refused trainings: what a retraining stores where its training diverged, or made the model clearly worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from corpus.storage.operations import result_of
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class RefusedTraining(Result):
    """The result of a retraining whose training was refused; `refused` is the reason in one sentence."""

    refused: str


def refusal(conn: sa.Connection, operation_id: str) -> str:
    """Return why the same retraining was refused before; "" where it was not.

    It is repeated only when the labels or the settings have changed, as its operation then has another id.
    """
    return reason_in(result_of(conn, operation_id) or {})


def reason_in(stored: Mapping[str, Any]) -> str:
    """Return the reason in the stored result of a retraining; "" where it registered a version."""
    return str(stored.get("refused", ""))

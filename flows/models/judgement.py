"""The gate's decision on a version, as the operation that made it stored it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import judgements
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class Judgement(Result):
    """The gate's decision on a version.

    Attributes:
        decision: `promote`, `refuse`, `indicative` where too few rows are labelled to judge, or `champion` where the
            version is the champion already.
        why: the reasons, in sentences.
        decision_text: the whole decision for people to read; "" where nothing was computed.
        champion: version that is the champion afterwards.
        eval_set_id: the labelled rows that judged; None where there are none, or the version is the champion already.
        against: what the version was judged against, see `judged_against`; None where it is the champion already.
        already: True where the gate decided this in an earlier run; None where it decided now.
        waits: for how many audit rows, speakers and nights promotion waits; None where it does not.
        lead: that the version is clearly better on few rows, and the command that overrules the gate; None where it is
            not.
    """

    decision: str
    why: str
    decision_text: str
    champion: str
    eval_set_id: str | None = None
    against: str | None = None
    already: bool | None = None
    waits: str | None = None
    lead: str | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, str]) -> Judgement:
        """Return the judgement that was stored; old ones have the first four fields only, or another id of the rows."""
        return cls(
            decision=stored["decision"],
            why=stored["why"],
            decision_text=stored.get("decision_text", ""),
            champion=stored["champion"],
            eval_set_id=stored.get("eval_set_id"),
            against=stored.get("against"),
            waits=stored.get("waits"),
            lead=stored.get("lead"),
        )


def stored_judgement(conn: sa.Connection, kind: Kind, version: str, row: judgements.Judgement) -> Judgement | None:
    """Return the judgement whose decision is on record, with its reasons; None where its operation is not stored."""
    for against in (row.against, ""):  # the first one on some rows does not name what it was against
        found = result_of(conn, operation_ids.judge(kind, version, row.rows_id, against))
        if found is not None:
            return Judgement.from_json(found)
    return None

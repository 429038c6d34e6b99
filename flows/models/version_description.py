"""A version in a few sentences for MLflow's registry: what it learned from, and what the gate decided and why."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import judgements, lineage
from corpus.tables import models as store
from flows.models.judged_nights import TOO_FEW

SHORT_ID = 12
"""Characters of a snapshot's id."""

MOST_VERSIONS = 50
"""How many versions are described again, the newest ones: what older ones are does not change any more."""


WORDS: Final = {"promote": "Promoted", "refuse": "Refused", "indicative": "Indicative"}
"""How a description begins, by decision."""


def descriptions(conn: sa.Connection, kind: Kind) -> dict[str, str]:
    """Return the description of each of the newest versions of a kind and of those with an alias, in Markdown."""
    versions = store.versions(conn, kind)
    aliased = {store.alias(conn, kind, name) for name in ("champion", "challenger", "previous")}
    shown = [each for each in versions[:-MOST_VERSIONS] if each.version in aliased] + versions[-MOST_VERSIONS:]
    return {each.version: description(conn, each, versions) for each in shown}


def description(conn: sa.Connection, version: ModelVersion, versions: list[ModelVersion]) -> str:
    """Return the description of a version, in Markdown; the list of versions shows its first words, without Markdown.

    Args:
        conn: a connection on the records.
        version: the version.
        versions: all versions of its kind.
    """
    lines = [_decision(conn, version), f"**Data**: {data_text(conn, version, versions)}"]
    if version.version in store.learned_from_expired(conn, version.kind):
        lines.append("It learned from labels that retention has ended since.")
    if version.tainted:
        gone = " Its weights are destroyed." if version.version in store.destroyed(conn, version.kind) else ""
        lines.insert(0, f"Not to be used: it learned from an utterance that was erased or withdrawn since.{gone}")
    return "\n\n".join(lines)


def data_text(conn: sa.Connection, version: ModelVersion, versions: list[ModelVersion]) -> str:
    """Return what a version learned from; arguments as in `description`."""
    if version.origin == "base":
        return "no label of this home."
    if version.origin == "external":
        return "no label of this home; it was trained elsewhere."
    count = lineage.rows_by_role(conn, version.snapshot_id).get("train", 0)
    chosen = [row for row in lineage.rounds_by_reason(conn, version.snapshot_id) if row["reason"] != "audit"]
    bases = [each.version for each in versions if each.origin != "learned" and each.base == version.base]
    base = f"version {bases[0]}" if bases else f"`{version.base[:SHORT_ID]}`"
    nights = _nights(sorted({str(row["night"]) for row in chosen}))
    plural = "" if count == 1 else "s"
    return f"{count} label{plural}{nights}, snapshot `{version.snapshot_id[:SHORT_ID]}`; trained from base {base}."


def _nights(names: list[str]) -> str:
    if not names:
        return ", imported"
    return f" of night {names[0]}" if len(names) == 1 else f" of {len(names)} nights, {names[0]} to {names[-1]}"


def _decision(conn: sa.Connection, version: ModelVersion) -> str:
    """Return the latest decision on the version with its reason, and whether it is the champion without one."""
    decided = judgements.of_version(conn, version.kind, version.version)
    is_champion = store.alias(conn, version.kind, "champion") == version.version
    if not decided:
        if version.origin == "base":
            learned_from = store.base_of_home(conn, version.kind) == version.version
            return f"Base, from which retraining {'starts' if learned_from else 'started'}."
        return "Champion by a person's decision; the gate has not judged it." if is_champion else "Not judged yet."
    latest, overruled = decided[-1].decision, ""
    if is_champion and not any(row.decision == "promote" for row in decided):
        overruled = " A person made it the champion all the same; the audit chain says who and why."
    looks = [row for row in store.promotions(conn, version.kind) if row.challenger == version.version]
    if latest == "indicative" or not looks:
        return f"{WORDS[latest]}: {TOO_FEW if latest == 'indicative' else 'its run has the reasons'}.{overruled}"
    row = looks[-1]
    change = row.numbers.get("difference", {})
    reasons = "; ".join(row.numbers.get("reasons", ())) or "its run has the reasons"
    where = f"{change.get('n', 0)} rows of {change.get('speakers', 0)} speakers against version {row.champion}"
    return f"{WORDS[latest]} at look {row.look}: {reasons} ({where}).{overruled}"

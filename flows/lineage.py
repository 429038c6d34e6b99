"""Lineage: from a version back to labels, rounds, flow run and commit; from an utterance on to what learned from it."""

from __future__ import annotations

from typing import Any

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records import ModelVersion
from corpus.store import lineage, pseudo_labels
from corpus.store import models as store
from corpus.store.pseudo_labels import PseudoLabels
from flows import console, models
from flows.settings import Settings


def lineage_of(corpus: Corpus, settings: Settings, name: str) -> dict[str, Any]:
    """Returns the lineage of a version such as `asr/2`, or of an utterance by its id; no content.

    Raises:
        UsageError: there is no such version or utterance.
    """
    if "/" in name or ":" in name:
        kind, number = models.parse(name)
        return version_lineage(corpus, settings, models.by_name(corpus, kind, number))
    return utterance_lineage(corpus, name)


def version_lineage(corpus: Corpus, settings: Settings, version: ModelVersion) -> dict[str, Any]:
    """Returns what a version came from: run, commit, snapshot, labels and who gave them, rounds."""
    with corpus.read() as conn:
        held = version.snapshot_id
        pseudo = pseudo_labels.of_version(conn, version.kind, version.version)
        found: dict[str, Any] = {
            "version": f"{version.kind}/{version.version}",
            "origin": version.origin,
            "aliases": lineage.aliases_of(conn, version.kind, version.version),
            "tainted": version.tainted,
            "base": version.base,
            "parent": version.parent,
            "snapshot_id": held,
            "rows": lineage.rows_by_role(conn, held) if held else {},
            "labels": lineage.labels_by_source(conn, held) if held else [],
            "pseudo": _pseudo_document(pseudo) if pseudo else {},
            "annotators": lineage.annotators(conn, held) if held else {},
            "rounds": lineage.rounds_by_reason(conn, held) if held else [],
            "judged_on": store.judged_sets(conn, version.kind).get(version.version, []),
        }
    return found | _run_of(settings, version)


def _pseudo_document(held: PseudoLabels) -> dict[str, Any]:
    by = [f"{kind}/{version}" for kind, version in zip(("asr", "intent"), held.by, strict=True)]
    return {"count": held.count, "weight": held.weight, "by": by}


def _run_of(settings: Settings, version: ModelVersion) -> dict[str, str]:
    """Returns what the tracking store knows of the run that made a version."""
    from training.tracking.runs import run_tags
    from training.tracking.store import open_tracking

    tags = run_tags(open_tracking(settings.tracking, settings.home), version.run_id)
    named = {
        "cycle": "earmark.cycle",
        "flow_run_id": "earmark.flow_run_id",
        "git_sha": "mlflow.source.git.commit",
        "eval_set_id": "earmark.eval_set_id",
    }
    return {"run_id": version.run_id} | {name: tags.get(tag, "") for name, tag in named.items()}


def utterance_lineage(corpus: Corpus, utterance_id: str) -> dict[str, Any]:
    """Returns what became of an utterance: choices, questions, answers, label revisions, versions.

    Raises:
        UsageError: there is no such utterance.
    """
    with corpus.read() as conn:
        known = lineage.utterance(conn, utterance_id)
        if known is None:
            raise UsageError(f"utterance {utterance_id} is unknown; give its id, or a version such as asr/2")
        held = lineage.learners(conn, utterance_id)
        return {
            "utterance": known,
            "scored_by": lineage.scored_by(conn, utterance_id),
            "chosen": lineage.choices(conn, utterance_id),
            "answers": lineage.answers_to(conn, utterance_id),
            "labels": lineage.label_revisions(conn, utterance_id),
            "learned_by": [row for row in held if row["role"] != "audit"],
            "judges": [row for row in held if row["role"] == "audit"],
            "judged": lineage.judges_of(conn, utterance_id),
        }


def show_lineage(report: dict[str, Any]) -> None:
    """The lineage stands on stdout."""
    (_show_version if "version" in report else _show_utterance)(report)


def _show_version(report: dict[str, Any]) -> None:
    several = ("labels", "rounds", "annotators")
    pairs = {name: value for name, value in report.items() if name not in ("version", *several) and value != ""}
    if report["pseudo"]:
        pairs["pseudo"] = {**report["pseudo"], "by": " ".join(report["pseudo"]["by"])}
    pairs["judged_on"] = f"{len(report['judged_on'])} sets"
    pairs["annotators"] = {name: f"{count} answers" for name, count in report["annotators"].items()}
    console.show_pairs(f"version {report['version']}", pairs)
    if report["labels"]:
        console.show_table("labels", *_table(report["labels"], ("source", "revision", "labels")))
    if report["rounds"]:
        console.show_table("rounds", *_table(report["rounds"], ("round", "night", "reason", "rows")))


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> tuple[tuple[str, ...], list[list[Any]]]:
    return columns, [[row[column] for column in columns] for row in rows]


def _show_utterance(report: dict[str, Any]) -> None:
    known = {name: value for name, value in report["utterance"].items() if name != "utterance_id" and value != ""}
    known["scored_by"] = [f"asr/{row['asr_version']} intent/{row['intent_version']}" for row in report["scored_by"]]
    known["judged"] = [f"{row['kind']}/{row['version']}" for row in report["judged"]]
    console.show_pairs(f"utterance {report['utterance']['utterance_id']}", known)
    tables = {
        "chosen": ("round", "night", "reason", "inclusion_prob", "ask", "task_id", "state"),
        "answers": ("task_id", "annotator_id", "revision", "verdict", "lead_time", "at"),
        "labels": ("revision", "current", "source", "agreement", "annotators"),
    }
    for name, columns in tables.items():
        if report[name]:
            console.show_table(name, *_table(report[name], columns))
    versions = report["learned_by"] + report["judges"]
    if versions:
        rows = [
            (f"{row['kind']}/{row['version']}", row["role"], row["revision"] or "", "yes" if row["tainted"] else "no")
            for row in versions
        ]
        console.show_table("versions", ("version", "role", "label revision", "tainted"), rows)
    else:
        print("no version learned from it")

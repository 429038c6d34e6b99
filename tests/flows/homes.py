"""Homes for tests: small traffic, short learning, and what a home holds in a form that can be compared."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from corpus import door
from corpus.records.base import Kind, digest
from corpus.records.models import ModelVersion
from corpus.storage import cipher, files
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import models
from corpus.vault import identity
from corpus.vault.identity import SECRETS
from corpus.vault.vault_schema import secrets
from flows.runtime.session import opened
from flows.runtime.settings import Settings, load_settings
from tests import postgres
from tests.flows.warm_start import is_read_late, run_warm

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 1100.0
"""How long a command may take [s]: longer is a hang, though a slow machine takes minutes."""

SMALL = (
    "traffic.utterances_per_night=48",
    "traffic.speakers=14",
    'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}',  # a home's secret draws them: with few, too few teach
    "traffic.damaged=0.07",
    "traffic.bad_rows=0.07",
    "sampling.clips=24",
    "sampling.floor=24",
    "asr.loop.epochs=1",
    "intent.fit.epochs=1",
    "night.min_new_labels=3",
    "promotion.min_audit_rows=5",
    "promotion.min_speakers=3",
)
"""Overrides of the demo that make a night of seconds; the gate decides on few rows, so that each step has work."""


def small_settings(home: Path, *overrides: str) -> Settings:
    return load_settings(Path("demo"), [f"corpus.home={json.dumps(str(home))}", *SMALL, *overrides])


def arguments(home: Path, *overrides: str) -> list[str]:
    """Return the options that give a command the same settings."""
    pairs = [f"corpus.home={json.dumps(str(home))}", *SMALL, *overrides]
    return ["--config", "demo", *(part for pair in pairs for part in ("--set", pair))]


def fixed_secrets(settings: Settings, name: str = "lived") -> None:
    """Make a home whose ids, and so what is drawn, are the same in each run: its secrets are digests of a name.

    A home draws its secrets at random. Of two nights of 24 clips it is then left to chance what a test finds in them:
    how many slots a model gets right, say, which are 0 to 4.
    """
    with opened(settings) as corpus, writing(corpus.vault.engine) as conn:
        for each in SECRETS:
            key = hashlib.sha256(f"{name}/{each}".encode()).digest()
            wrapped = cipher.wrap(corpus.vault.kek, key, identity.secret_name(each))
            conn.execute(sa.update(secrets).where(secrets.c.name == each).values(wrapped=wrapped))


def urls(settings: Mapping[str, str]) -> list[str]:
    """Return the overrides that put a home's databases and content elsewhere."""
    return [f"corpus.{name}={json.dumps(value)}" for name, value in settings.items()]


def move_home(home: Path, servers: Mapping[str, str]) -> list[str]:
    """Leave the rows of an embedded home on the servers and nothing of them in it; return the overrides to say so."""
    for which in postgres.TABLES:
        if f"{which}_url" in servers:
            postgres.move(f"sqlite:///{home / which}.db", servers[f"{which}_url"], which)
            for file in home.glob(f"{which}.db*"):
                file.unlink()
    if "content_url" in servers:
        (fs, root), (remote, there) = files.connect(str(home / "content")), files.connect(servers["content_url"])
        for path, _ in files.listing(fs, root):
            files.store(remote, there, path, files.load(fs, root, path))
        shutil.rmtree(home / "content")
    return urls(servers)


def newest_version(corpus: Any, kind: Kind) -> ModelVersion:
    """Return the newest version that was trained on labels."""
    with corpus.read() as conn:
        return [version for version in models.versions(conn, kind) if version.snapshot_id][-1]


def earmark(
    *command: str, kill_at: int | None = None, cold: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user does.

    Args:
        command: its arguments.
        kill_at: the moment at which the process is killed, see `tests.flows.killer`.
        cold: start a new interpreter, which imports everything itself; else the process is a fork of one that has the
            large libraries, see `tests.flows.warm_start`.
        environment: variables beside those of this process; libraries may read some when they are imported, so those
            of others than earmark start a new interpreter, too.
    """
    if kill_at is None and not cold and all(map(is_read_late, environment)):
        return run_warm(command, {**os.environ, **environment}, ROOT, PATIENCE)
    start = ["-m", "flows.cli.main"] if kill_at is None else ["-m", "tests.flows.killer", str(kill_at)]
    return subprocess.run(
        [sys.executable, *start, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def header(auth: str) -> dict[str, str]:
    """Return the header of HTTP with which a server of a home is asked (RFC 7617)."""
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}


def state(settings: Settings) -> dict[str, Any]:
    """Return everything that later steps compute from: no times, no ciphertexts, no run ids."""
    with opened(settings) as corpus:
        with corpus.read() as conn:

            def rows(table: sa.Table, *names: str) -> list[list[Any]]:
                found = conn.execute(sa.select(*(table.c[name] for name in names)))
                return sorted([str(value) for value in row] for row in found)

            held: dict[str, Any] = {
                "utterances": rows(
                    schema.utterances, "utterance_id", "speaker_id", "split", "state", "num_samples", "event_order"
                ),
                "refusals": rows(schema.refusals, "operation_id", "line", "reason"),
                "scores": rows(schema.scores, "utterance_id", "asr_version", "intent_version"),
                "parts": rows(schema.parts, "path", "sha256"),
                "selections": rows(
                    schema.selections, "round", "utterance_id", "rank", "reason", "ask", "score", "inclusion_prob"
                ),
                "tasks": rows(schema.tasks, "task_id", "state", "draft_shown"),
                "labels": rows(schema.labels, "utterance_id", "revision", "current", "intent", "agreement"),
                "snapshots": rows(schema.snapshots, "snapshot_id", "kind"),
                "versions": rows(schema.model_versions, "kind", "version", "snapshot_id", "base", "parent"),
                "aliases": rows(schema.aliases, "kind", "name", "version"),
                "promotions": rows(schema.promotions, "kind", "look", "challenger", "champion", "decision", "numbers"),
                "reports": rows(schema.reports, "kind", "version", "eval_set_id", "numbers"),
                "report_rows": rows(schema.report_rows, "kind", "version", "eval_set_id", "position", "utterance_id"),
                "frames": rows(schema.night_frames, "night", "since", "up_to"),
                "nights": rows(schema.nights_done, "night"),
                "batches": rows(schema.ingest_batches, "operation_id", "received", "accepted"),
                "pseudo": rows(schema.pseudo_labels, "kind", "version", "utterance_id", "weight"),
                "evaluations": rows(schema.evaluation_costs, "kind", "version", "eval_set_id", "number", "rows"),
                "judgements": rows(schema.judgements, "kind", "version", "number", "rows_id", "against", "decision"),
            }
            ids = [row[0] for row in held["utterances"] if row[3] == "accepted"]
        held["content"] = digest(_content(corpus, ids))
    held["registered"] = _registered(settings)
    return held


def _content(corpus: Any, ids: list[str]) -> list[Any]:
    """Return every text, through the door."""
    texts = []
    for content in door.open(corpus, ids, "score", parts=("audio", "hypotheses", "annotations", "label"), strict=False):
        texts.append(
            [
                content.utterance.utterance_id,
                content.audio.tobytes().hex()[:64],
                [[h.text, h.weight, h.intent] for h in content.hypotheses or ()],
                sorted([a.task_id, a.annotator_id, a.verdict, a.transcript] for a in content.annotations),
                content.label.transcript if content.label else None,
            ]
        )
    return texts


def _registered(settings: Settings) -> dict[str, Any]:
    """Return MLflow's versions with their descriptions and aliases, and the names of the runs by operation."""
    from training.tracking.store import open_tracking

    tracking = open_tracking(settings.tracking, settings.home)
    found: dict[str, Any] = {}
    for kind in ("asr", "intent"):
        name = f"{tracking.model_prefix}-{kind}"
        versions = tracking.client.search_model_versions(f"name = '{name}'")
        found[kind] = {
            "versions": sorted((version.version, version.description) for version in versions),
            "aliases": dict(sorted(tracking.client.get_registered_model(name).aliases.items())),
        }
    runs = tracking.client.search_runs([tracking.experiment_id], max_results=1000)
    operations = sorted((run.data.tags.get("earmark.operation_id", ""), run.info.run_name) for run in runs)
    found["runs"] = [(operation, name) for operation, name in operations if operation]
    return found

"""What the doctor checks of the servers that commands of the home started: of Prefect, and of MLflow's pages."""

from __future__ import annotations

from pathlib import Path

import httpx

from flows.reports.doctor_content import Found
from flows.runtime.server_records import orphaned_servers, ports_in_use

QUESTIONS = ("/api/admin/version", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default")
"""What a server of Prefect, and one of MLflow, answers only who has the secret of the home; the other one has no such
path."""


def check_servers(home: Path) -> Found:
    """Return how many servers run on although their command was killed, and how many answer without the secret."""
    folder = home / "prefect"
    left = orphaned_servers(folder)
    unlocked = [port for port in ports_in_use(folder) if _answers_anybody(port)]
    problems = []
    if left:
        ids = ", ".join(map(str, left))
        problems.append(
            f"servers of a killed command run on (process {ids}); run earmark doctor --repair, and the next command"
            " that starts a server stops them, too"
        )
    problems += [
        f"the server at http://127.0.0.1:{port} answers without the secret of the home, so that every user and web page"
        " of this machine may start runs; stop the earmark serve or earmark ui that started it, and start it again"
        for port in unlocked
    ]
    return {"orphaned": len(left), "unlocked": len(unlocked)}, problems


def _answers_anybody(port: int) -> bool:
    """Return whether the server at the port answers one of the questions without a secret."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        try:
            return any(client.get(question).status_code == httpx.codes.OK for question in QUESTIONS)
        except httpx.HTTPError:
            return False  # nothing listens there, or it is no server of HTTP

"""Real little packages, installed into a folder as pip leaves them: a module, and a dist-info with entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ACME = '''
import json
from pathlib import Path

import numpy as np

from sampling.measures import Measure


def best_first(pool, count, scores, rng):
    """Returns the rows of the largest scores."""
    return np.argsort(-scores, kind="stable")[:count]


def drawn(pool, count, scores, rng):
    """Returns a random sample."""
    return rng.permutation(len(pool))[:count]


drawn.unscored = True


def spender(pool, count, scores, rng):
    """Ignores the budget."""
    return np.argsort(-scores, kind="stable")


def stutterer(pool, count, scores, rng):
    """Returns one position again and again."""
    return np.full(count, int(np.argmax(scores)))


def gambler(pool, count, scores, rng):
    """Draws from the global generator."""
    return np.random.permutation(len(pool))[:count]


def vandal(pool, count, scores, rng):
    """Changes the scores that it is given."""
    scores[:] = 0.0
    return np.arange(count)


def crasher(pool, count, scores, rng):
    """Fails, with a message that says too much."""
    raise ZeroDivisionError("play some jazz")


doubt = Measure(lambda predictions: 1.0 - predictions.intent_probs.max(axis=1).astype(np.float64), 0.0, 1.0)


def _holes(predictions):
    values = 1.0 - predictions.intent_probs.max(axis=1).astype(np.float64)
    values[:1] = np.nan
    return values


def _relative(predictions):
    values = 1.0 - predictions.intent_probs.max(axis=1).astype(np.float64)
    return values / values.sum() if len(values) else values


holes = Measure(_holes, 0.0, 1.0)
relative = Measure(_relative, 0.0, 1.0)
noisy = Measure(lambda predictions: np.random.random(len(predictions.utterance_ids)), 0.0, 1.0)
just_a_function = _holes


class Shelf:
    """Keeps tasks and answers in a file, as a server would."""

    def __init__(self, options):
        self.path = Path(options["file"])

    def _state(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {"tasks": {}, "answers": []}

    def _keep(self, state):
        self.path.write_text(json.dumps(state))

    def place(self, tasks):
        state = self._state()
        wanted = {"/".join(each.key): each.audio_url for each in tasks}
        kept = {key: url for key, url in state["tasks"].items() if key in wanted}
        answers = [row for row in state["answers"] if any(key.startswith(row["task_id"]) for key in wanted)]
        self._keep({"tasks": {**wanted, **kept}, "answers": answers})

    def placed(self):
        return [tuple(key.split("/")) for key in self._state()["tasks"]]

    def answers(self):
        return self._state()["answers"]


class Hoard(Shelf):
    """Never lets go of a task, and makes up answers to tasks that it was not given."""

    def place(self, tasks):
        state = self._state()
        self._keep({**state, "tasks": {**state["tasks"], **{"/".join(each.key): each.audio_url for each in tasks}}})

    def answers(self):
        return [{"task_id": "t0", "annotator_id": "ann", "ask": "transcribe", "verdict": "help"}]


class Amnesiac:
    """Forgets everything with its connection."""

    def __init__(self, options):
        self.tasks = []

    def place(self, tasks):
        self.tasks += [each.key for each in tasks]

    def placed(self):
        return self.tasks

    def answers(self):
        return []
'''

ENTRIES = {
    "earmark.strategies": {
        "acme-best": "acme:best_first",
        "acme-drawn": "acme:drawn",
        "acme-spender": "acme:spender",
        "acme-stutterer": "acme:stutterer",
        "acme-gambler": "acme:gambler",
        "acme-vandal": "acme:vandal",
        "acme-crasher": "acme:crasher",
        "acme-missing": "acme.nowhere:function",
        "acme-number": "acme:__file__",
    },
    "earmark.measures": {
        "acme-doubt": "acme:doubt",
        "acme-holes": "acme:holes",
        "acme-relative": "acme:relative",
        "acme-noisy": "acme:noisy",
        "acme-function": "acme:just_a_function",
    },
    "earmark.backends": {"acme-shelf": "acme:Shelf", "acme-hoard": "acme:Hoard", "acme-amnesiac": "acme:Amnesiac"},
}


def install(folder: Path, package: str, code: str, entries: Mapping[str, Mapping[str, str]]) -> Path:
    """Leave a package in the folder as an installer would; return the folder, to be put on the import path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{package}.py").write_text(code, encoding="utf-8")
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", encoding="utf-8")
    lines = [
        line
        for group, names in entries.items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in names.items()), "")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def install_acme(folder: Path) -> Path:
    """Leave the package `acme` in the folder, which offers good and bad of each kind."""
    return install(folder, "acme", ACME, ENTRIES)

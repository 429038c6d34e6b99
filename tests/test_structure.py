"""The house: its rooms, its names, and that a wall which is broken is noticed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import grimp

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "sampling", "annotation", "training", "flows")
LONGEST = 400
TEXTS = ("*.md", "*.toml", "*.yaml", "*.py", "Makefile")
OUTSIDE_A_ROOM = {"__init__", "pipeline", "serve", "demo"}
PARTS_OF_STEPS = {
    "annotation_backends": "export",
    "fine_tune": "retrain",
    "label_studio_sync": "export",
    "merge_total": "merge",
    "retrain_plan": "retrain",
    "review_annotators": "merge",
    "training_examples": "retrain",
}
"""Files of `flows/steps/` that are a part of the step of another file."""
COMMAND_OF = {"promote_manually": "promote", "register_external": "register", "import_corpus": "import"}


UNUSED = {
    # An account's consent has no command yet.
    "corpus.vault.consent.set_consent",
    # Estimates of what traffic holds have no command yet.
    "sampling.estimation.horvitz_thompson_mean",
    "sampling.estimation.weighted_ratio",
    "sampling.estimation.nonresponse",
    # For whoever brings or takes strategies of scikit-activeml.
    "sampling.strategies.scikit_activeml.from_scikit_activeml",
    "sampling.strategies.scikit_activeml.EarmarkQuery",
    # For tools that read the published format, as those of the tests do.
    "annotation.files.read_annotations",
    # Started as a process, by its name.
    "corpus.audio.decoder_process.serve",
}
"""Public functions and classes that no production module names: the ways in from outside, each with its reason."""

REGISTERED = ("command", "flow", "task", "callback")
"""A decorator of such a name makes known what it stands above."""


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def texts() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *TEXTS], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\n") if name and name != "CHANGELOG.md"]


def test_no_module_is_too_long_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {name: count for name, count in lengths.items() if count > LONGEST} == {}


def test_every_file_of_flows_is_in_its_room() -> None:
    assert {path.stem for path in (ROOT / "flows").glob("*.py")} == OUTSIDE_A_ROOM


def test_a_file_that_a_text_names_exists() -> None:
    named = re.compile(
        rf"(?<![\w/.])(?:{'|'.join(PACKAGES)}|tests|benchmarks|configs|docs)/[\w/]+\.(?:py|yaml|md|json)\b"
    )
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts()
        for name in named.findall(path.read_text())
        if not (ROOT / name).exists()
    ]
    assert missing == []


def test_a_module_that_a_text_names_exists() -> None:
    named = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`")
    files = re.compile(r"\.(?:py|json|yaml|md|toml|html|parquet)$")
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts()
        for name in named.findall(path.read_text())
        if not files.search(name) and not _names_something(name)
    ]
    assert missing == []


def _names_something(name: str) -> bool:
    """Return whether the dotted name is a module, a name in one, or a setting such as `sampling.clips`."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:end])
        file = folder.with_suffix(".py") if end > 1 else folder / "__init__.py"
        file = file if file.exists() else folder / "__init__.py"
        if file.exists():
            if end == len(parts):
                return True
            if end > 1 and re.search(rf"^(?:def |class |async def )?{parts[end]}\b", file.read_text(), re.MULTILINE):
                return True
    from flows.runtime.settings import Settings

    fields = Settings.model_fields
    for part in parts:
        if part not in fields:
            return False
        kinds = (fields[part].annotation, *get_args(fields[part].annotation))
        fields = next((kind.model_fields for kind in kinds if hasattr(kind, "model_fields")), {})
    return True


def _imports(source: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def test_steps_commands_and_flows_have_one_name() -> None:
    from flows.cli.main import app

    steps = {path.stem for path in (ROOT / "flows" / "steps").glob("*.py")} - {"__init__"}
    commands = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    assert set(PARTS_OF_STEPS) < steps
    assert set(PARTS_OF_STEPS.values()) <= steps - set(PARTS_OF_STEPS)
    named = {COMMAND_OF.get(step, step) for step in steps - set(PARTS_OF_STEPS)}
    assert named <= commands
    pipeline = ast.parse((ROOT / "flows" / "pipeline.py").read_text())
    flows = {
        keyword.value.value
        for node in pipeline.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "flow"
        for keyword in decorator.keywords
        if keyword.arg == "name"
    }
    assert {"ingest", "score", "sample", "export", "merge", "retrain", "nightly"} <= flows
    assert flows - {"morning"} <= commands
    assert flows - {"nightly", "morning"} <= named


def contracts() -> list[str]:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["name"] for contract in described["tool"]["importlinter"]["contracts"]]


PLANTS = {
    "flows/steps/score.py": ("import flows.cli.main", "flows: a room imports only rooms below it"),
    "flows/runtime/settings.py": ("import flows.models.registry", "flows: a room imports only rooms below it"),
    "corpus/storage/packs.py": ("import corpus.tables.labels", "corpus: a room imports only rooms below it"),
    "training/loop/loop.py": ("import training.asr.fit", "training: a room imports only rooms below it"),
    "sampling/pool.py": ("import sampling.selection", "sampling: a room imports only rooms below it"),
    "flows/reports/status.py": ("import corpus.door", "Only these open the door"),
    "flows/steps/ingest.py": (
        "import flows.runtime.console",
        "Tables and bars are drawn by the command line and the reports alone",
    ),
}


def test_an_import_that_crosses_a_wall_breaks_its_contract(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("bases", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, (line, _) in PLANTS.items():
        file = tmp_path / name
        file.write_text(f"{file.read_text()}\n{line}\n")
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    for name, (line, contract) in PLANTS.items():
        assert contract in contracts()
        assert re.search(rf"{re.escape(contract)} BROKEN", ran.stdout), (name, line, ran.stdout[-3000:])


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)  # also sees imports inside functions and for types alone
    circles = {
        frozenset(chain)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (chain := graph.find_shortest_chain(imported, module))
    }
    assert circles == set()


def test_every_public_function_and_class_is_used_or_a_known_way_in() -> None:
    used: set[str] = set()
    defined: dict[str, str] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts:  # called by Alembic
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            used |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}  # as in getattr
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            defined |= {f"{module}.{node.name}": node.name for node in tree.body if _public(node)}
    assert {name for name, short in defined.items() if short not in used} == UNUSED


def _public(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return False
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return not any(name in decorator for name in REGISTERED for decorator in decorators)

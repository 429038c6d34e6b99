"""The house: its rooms, its names, and that a wall which is broken is noticed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import grimp

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "sampling", "annotation", "training", "flows")
LONGEST = 400
LONGEST_BODY = 45
"""Lines of a function, its signature and docstring not counted."""
TEXTS = ("*.md", "*.toml", "*.yaml", "*.py", "Makefile")
OUTSIDE_A_ROOM = {"__init__", "pipeline", "stages", "serve", "demo"}
PARTS_OF_STEPS = {
    "annotation_backends": "export",
    "decoder": "retrain",
    "destroy_weights": "erase",
    "draw_temperature": "score",
    "erase_target": "erase",
    "erase_receipt": "erase",
    "fine_tune": "retrain",
    "label_studio_sync": "export",
    "merge_report": "merge",
    "merge_total": "merge",
    "night_preview": "retrain",
    "refused_training": "retrain",
    "replace_tainted": "retrain",
    "relabel": "inventory",
    "retrain_plan": "retrain",
    "retrain_preview": "retrain",
    "review_annotators": "merge",
    "score_part": "score",
    "sweep_grid": "sweep",
    "sweep_outcome": "sweep",
    "sweep_plan": "sweep",
    "sweep_preview": "sweep",
    "sweep_trial": "sweep",
    "training_examples": "retrain",
    "window_check": "score",
}
"""Files of `flows/steps/` that are a part of the step of another file."""
COMMAND_OF = {"promote_manually": "promote", "register_external": "register", "import_corpus": "import"}

STEPS = ("ingest", "score", "sample", "export", "merge", "retrain", "judge", "promote", "register")
VOCABULARY = (*STEPS, "erase", "retain", "estimate", "report")
NO_HOP = dict.fromkeys(("erase", "retain", "estimate", "report"), "is no hop of an utterance")
WITHOUT = {
    "command": {"judge": "every retraining judges; `earmark compare` shows the result"},
    "step": {
        "judge": "`flows/models/evaluate.py`, as reports read evaluations too",
        "report": "a room, `flows/reports/`",
    },
    "row of README.md": {"report": "`earmark report` is in the row of merge, whose answers it reports"},
    "record": NO_HOP | {"promote": "a decision is a row of `judgements` and `promotions`, in `corpus/tables/`"},
}
"""Words of the vocabulary that have no such thing, each with its reason."""


CROSS_CUTTING = {
    "corpus/ingest/test_consent_life": "consent through any sequence of manifests, against a reference",
    "corpus/test_kill": "the whole way of a corpus, killed at each of its events",
    "flows/test_kill": "a whole nightly run, killed at any moment",
    "flows/test_kill_by_hand": "an ingest or a merge of the command line, killed or beside another one",
    "flows/test_old_home": "every command on a home that an older version wrote",
    "flows/test_privacy": "every byte of a home after a whole round",
    "flows/test_report_documents": "the documents of all reports, whose keys stay as they are",
    "flows/test_stranger": "the commands of the README, in order, on a corpus with names of its own",
    "flows/test_step_documents": "the documents of all steps, whose keys stay as they are",
    "sampling/test_plugins": "strategies and measures of other packages, in both registries",
    "training/asr/test_families": "each family of speech models, through loading, scoring and fine-tuning",
    "training/test_documented_runs": "the runs that the documentation names, through both kinds of model",
}
"""Test files that look at more than one module, so that none has their name, each with what it looks at."""


UNUSED = {
    "corpus.vault.consent.set_consent": "for whoever withdraws without the command, such as an operator's own program",
    "sampling.selection.choose": "the documented call for whoever samples without the flows",
    "sampling.strategies.scikit_activeml.from_scikit_activeml": "for whoever brings a strategy of scikit-activeml",
    "sampling.strategies.scikit_activeml.EarmarkQuery": "for whoever uses a strategy in scikit-activeml",
    "annotation.files.read_annotations": "for tools that read the published format",
    "corpus.ingest.ingest.REASONS": "the list of refusals for whoever reads reports of an ingest",
    "corpus.audio.decoder_process.serve": "started as a process, by its name",
}
"""Public names that no module of the packages uses: the ways in from outside, each with its reason."""

UNTYPED_RESULTS = {
    "flows.models.adapt_base._read": "a JSON file of any model",
    "flows.reports.annotation_weekly_page._cells": "cells of any table",
    "flows.reports.dry_run_table._retrain_lines": "lines to print, by name",
    "flows.reports.inventory_list.as_config": "a branch of a configuration file, whose keys are names of the corpus",
    "flows.reports.night_page._due": "cells of any table",
    "flows.reports.night_page._models": "the document of a retraining, by the model's name",
    "flows.reports.queue_table._short": "a cell of any table",
    "flows.reports.report_words.worded": "a document of any step with words in place of its keys",
    "flows.reports.sample_summary.sample_lines": "lines to print, by name",
    "flows.runtime.results.as_json": "any value in the types of JSON",
    "flows.reports.sweep_table._value": "a cell of any setting",
    "flows.steps.sweep._opened": "a learner of either kind of model",
    "flows.steps.sweep_grid._values": "values of any setting",
    "flows.steps.sweep_grid._values_at": "values of any settings, by their keys",
    "flows.steps.sweep_grid.read_choices": "values of any settings, by their keys",
    "flows.steps.sweep_plan._by_base": "values of any settings, by their keys",
    "flows.tasks.label_studio_client.StudioClient._mapping": "whatever the server answers",
    "flows.tasks.label_studio_client.StudioClient.call": "whatever the server answers",
}
"""Functions of flows that return `Any` or `object`, or a mapping or list of them, each with why it is no dataclass.

Documents that a `to_json` returns are left out.
"""

OWN_BASES = {"Result"}
"""Base classes whose subclasses are looked at; a library calls the methods of its own."""

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


def test_no_function_is_too_long_to_read() -> None:
    """A migration describes a whole schema in one function, whatever its length."""
    lengths = {
        f"{path.relative_to(ROOT)}: {node.name}": _lines_of_body(node)
        for path in sources()
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in lengths.items() if count > LONGEST_BODY} == {}


def _lines_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_lines_of_a_function_are_counted_without_signature_and_docstring() -> None:
    (function,) = ast.parse('def add(\n    x,\n):\n    """Add.\n\n    More.\n    """\n    y = x\n\n    return y\n').body
    assert isinstance(function, ast.FunctionDef)
    assert _lines_of_body(function) == 3


def test_every_test_file_has_the_name_of_a_module_in_the_room_that_it_mirrors() -> None:
    found = {
        path.relative_to(ROOT / "tests").with_suffix("").as_posix() for name in PACKAGES for path in _test_files(name)
    }
    assert {path for path in found if not _mirrors_a_module(path)} == set(CROSS_CUTTING)


def test_a_test_file_mirrors_a_module_by_its_name_or_by_its_name_and_an_aspect() -> None:
    for path in ("corpus/test_door", "flows/steps/test_merge_order", "corpus/migrations/test_migration_0004"):
        assert _mirrors_a_module(path), path
    for path in ("corpus/tables/test_state", "flows/steps/test_mergers", "corpus/migrations/test_migration_9"):
        assert not _mirrors_a_module(path), path


def _test_files(package: str) -> list[Path]:
    return sorted((ROOT / "tests" / package).rglob("test_*.py"))


def _mirrors_a_module(path: str) -> bool:
    """Return whether a test file, such as `flows/steps/test_merge_order`, is named after a module of its room.

    Tests of a module that would be too long for one file are in several: `test_merge.py`, `test_merge_order.py`. Those
    of a migration have its number: `test_migration_0004.py`, or `test_vault_migration_0003.py` for the vault's.
    """
    room, name = ROOT / Path(path).parent, Path(path).name.removeprefix("test_")
    if room.name == "migrations":
        database, _, number = name.rpartition("migration_")
        return any((room / (database.strip("_") or "records") / "versions").glob(f"{number}_*.py"))
    modules = {file.stem for file in room.glob("*.py")} - {"__init__"}
    return any(name == module or name.startswith(f"{module}_") for module in modules)


def test_what_a_function_of_flows_returns_has_a_type_that_says_what_is_in_it() -> None:
    files = sorted((ROOT / "flows").rglob("*.py"))
    found = {
        f"{_module_of(file)}.{name}" for file in files for name in _untyped_results(ast.parse(file.read_text()), "")
    }
    assert found == set(UNTYPED_RESULTS)


def test_an_untyped_result_is_found_wherever_it_is_in_the_type() -> None:
    source = (
        "def one() -> dict[str, Any]: ...\n"
        "async def two() -> list[object] | None: ...\n"
        "def three() -> 'Any': ...\n"
        "def four():\n    def inner() -> object: ...\n"
        "class Kind:\n    def five(self) -> Mapping[str, typing.Any]: ...\n"
        "    def to_json(self) -> dict[str, Any]: ...\n"
        "def typed(given: Any) -> Anyone: ...\n"
    )
    found = list(_untyped_results(ast.parse(source), ""))
    assert found == ["one", "two", "three", "four.inner", "Kind.five"]


def _untyped_results(tree: ast.AST, within: str) -> Iterator[str]:
    """Yield the names of the functions that return `Any` or `object`, or something of it; not those of `to_json`."""
    for node in ast.iter_child_nodes(tree):
        name = f"{within}{getattr(node, 'name', '')}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            returned = ast.unparse(node.returns) if node.returns is not None else ""
            if node.name != "to_json" and re.search(r"\b(?:Any|object)\b", returned):
                yield name
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _untyped_results(node, f"{name}." if named else within)


def _module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


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


def _commands() -> set[str]:
    from flows.cli.main import app

    commands = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    return commands | {str(group.name) for group in app.registered_groups}


def _steps() -> set[str]:
    """Return the names of the steps by their files, in the word of their command."""
    steps = {path.stem for path in (ROOT / "flows" / "steps").glob("*.py")} - {"__init__"}
    assert set(PARTS_OF_STEPS) < steps
    assert set(PARTS_OF_STEPS.values()) <= steps - set(PARTS_OF_STEPS)
    return {COMMAND_OF.get(step, step) for step in steps - set(PARTS_OF_STEPS)}


def _rows(page: str, title: str) -> dict[str, list[str]]:
    """Return the other cells of each row of the table below a title, by the first cell."""
    _, section = (ROOT / page).read_text().split(f"\n## {title}\n")
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]
    return {word: cells for word, *cells in rows}


def _records() -> set[str]:
    """Return the names of the record types."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "corpus" / "records").glob("*.py")]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}


def test_each_word_of_the_vocabulary_has_a_command_a_step_a_row_and_a_record() -> None:
    hops = _rows("docs/architecture.md", "The hops of one utterance")
    found = {
        "command": _commands(),
        "step": _steps(),
        "row of README.md": set(_rows("README.md", "Where is what")),
        "record": {word for word, cells in hops.items() if set(re.findall(r"`(\w+)`", cells[-1])) & _records()},
    }
    missing = {thing: set(VOCABULARY) - words for thing, words in found.items()}
    assert missing == {thing: set(words) for thing, words in WITHOUT.items()}


def test_the_tables_of_the_records_are_in_sections_by_step() -> None:
    text = (ROOT / "corpus" / "storage" / "records_schema.py").read_text()
    titles = re.findall(r"^# --- (.+?) -+$", text, re.MULTILINE)
    assert tuple(word for title in titles for word in re.split(r", | and ", title)) == STEPS


def test_the_tables_of_the_documentation_have_the_steps_in_order_with_their_commands_and_files() -> None:
    rows, hops = _rows("README.md", "Where is what"), _rows("docs/architecture.md", "The hops of one utterance")
    assert tuple(rows)[: len(STEPS)] == tuple(hops) == STEPS
    for word in STEPS:
        commands, files = rows[word][:2]
        assert word in WITHOUT["command"] or f"`earmark {word}`" in commands
        assert re.search(r"`(flows/[\w/]+\.py)`", files)[1] in hops[word][0]
        assert (ROOT / "flows" / "steps" / f"{word}.py").exists() == (f"`flows/steps/{word}.py`" in files)
    text = " ".join((ROOT / "docs" / "architecture.md").read_text().split("\n## One vocabulary\n")[1].split())
    assert re.findall(r"\w+", text.split(" one step: ")[1].split(".")[0]) == list(VOCABULARY)


def test_steps_commands_and_flows_have_one_name() -> None:
    commands, named = _commands(), _steps()
    assert named <= commands
    # no steps of a night: ways in and out for labelled corpora, names that all steps use, second looks, settings to
    # try, bases with a language model, what customers allow, the key of all keys
    assert named - {"import", "inventory", "dataset", "suspects", "sweep", "lm", "consent", "key"} <= set(VOCABULARY)
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
    "flows/steps/sample.py": ("import corpus.door", "Only these open the door"),
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
    printed = " ".join(ran.stdout.split())
    for name, (line, contract) in PLANTS.items():
        assert contract in contracts()
        assert re.search(rf"{re.escape(contract)} BROKEN", printed), (name, line, ran.stdout[-3000:])
        importer, imported = name.removesuffix(".py").replace("/", "."), line.removeprefix("import ")
        assert re.search(rf"{importer}\b.* {imported} \(l\.", ran.stdout), (name, line, ran.stdout[-3000:])


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)  # also sees imports inside functions and for types alone
    circles = {
        frozenset(chain)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (chain := graph.find_shortest_chain(imported, module))
    }
    assert circles == set()


def test_every_public_name_is_used_or_a_known_way_in() -> None:
    assert _unused(ROOT) == set(UNUSED)


def test_a_public_name_is_used_only_by_those_who_import_it(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    (tmp_path / "corpus" / "dead.py").write_text(
        "LIMIT = 1\nOrder = int\n\n\ndef erase():\n    return erase()\n\n\nclass Row:\n"
        "    def width(self): ...\n    def height(self): ...\n"
    )
    (tmp_path / "corpus" / "alive.py").write_text("LIMIT = 2\n\n\ndef erase(): ...\n\n\ndef named(): ...\n")
    (tmp_path / "flows" / "user.py").write_text(
        "from corpus import alive\nfrom corpus.dead import Row\n\n'erase'\nOrder = None\nprint(Order)\n"
        "alive.erase(alive.LIMIT, getattr(alive, 'named'), Row().height)\n"
    )
    dead = {f"corpus.dead.{name}" for name in ("LIMIT", "Order", "erase", "Row.width")}
    assert _unused(tmp_path) == dead


def _unused(root: Path) -> set[str]:
    """Return the public functions, classes, constants and methods of all packages that no module uses.

    A name at the top of a module is used where it is imported, where it is read as an attribute of the imported module,
    or where its own module reads it outside of its definition. The type of an object can't be seen here, so a method is
    used where any attribute of that name is read.
    """
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    trees = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in paths
        if "migrations" not in path.parts  # called by Alembic
    }
    attributes = {node.attr for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    attributes |= {name for tree in trees.values() for name in _names_for_getattr(tree)}
    defined = {f"{module}.{name}" for module, tree in trees.items() for name in _defined(tree)}
    used = {name for module, tree in trees.items() for name in _used(module, tree, set(trees))}
    methods = {
        f"{module}.{node.name}.{method}"
        for module, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for method in _methods(node)
        if method not in attributes
    }
    return (defined - used) | methods


def _defined(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not _registered(node):
                found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def _methods(of: ast.ClassDef) -> set[str]:
    """Return the public methods of a class, except those that a decorator or a library's base class calls."""
    if any(ast.unparse(base).split("[")[0] not in OWN_BASES for base in of.bases):
        return set()
    functions = [node for node in of.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {node.name for node in functions if not node.name.startswith("_") and not _registered(node)}


def _registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(name in decorator for name in REGISTERED for decorator in decorators)


def _used(module: str, tree: ast.Module, modules: set[str]) -> set[str]:
    aliases: dict[str, set[str]] = {}
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                aliases.setdefault(name.asname or name.name, set()).add(name.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                used.add(full)
                if full in modules:
                    aliases.setdefault(name.asname or name.name, set()).add(full)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            used |= {f"{full}.{node.attr}" for full in aliases.get(_dotted(node.value), ())}
        elif (got := _getattr(node)) is not None:
            used |= {f"{full}.{got[1]}" for full in aliases.get(got[0], ())}
    for node in tree.body:
        own = getattr(node, "name", None)
        read = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}
        used |= {f"{module}.{name}" for name in read - {own}}
    return used


def _dotted(node: ast.expr) -> str:
    """Return the name that an expression is, such as `a.b`; "" for any other expression."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def _getattr(node: ast.AST) -> tuple[str, str] | None:
    """Return the object and the name of `getattr(object, "name")`, None for any other expression."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
        name = node.args[1]
        if isinstance(name, ast.Constant):
            return ast.unparse(node.args[0]), str(name.value)
    return None


def _names_for_getattr(tree: ast.Module) -> set[str]:
    return {got[1] for node in ast.walk(tree) if (got := _getattr(node)) is not None}


def test_no_test_file_imports_transformers_before_torchaudio_is_guarded() -> None:
    """By itself such a file could not be collected where torch is for CPUs alone."""
    first = re.compile(r"^(?:from (?:transformers|torchaudio)|import torchaudio)\b", re.M)
    assert [str(path) for path in sorted((ROOT / "tests").rglob("*.py")) if first.search(path.read_text("utf-8"))] == []

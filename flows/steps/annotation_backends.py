"""Annotation backends: push open tasks to Label Studio or to the backend of another package, and pull the answers.

The task folder, `export.backend: files`, needs none of these functions: the export step itself writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from annotation.backend import AnnotationBackend, Connect, PlacedTask
from annotation.files import parse_annotations
from corpus import plugins
from corpus.errors import PluginError
from corpus.handle import Corpus
from corpus.records.base import canonical_json, digest
from corpus.storage import operation_ids
from flows.models.inventory import inventory_of, names_in_use
from flows.runtime.results import Result
from flows.runtime.settings import BACKENDS, ExportSettings, LabelStudioSettings
from flows.runtime.settings_parts import HasExport
from flows.steps import label_studio_sync
from flows.steps.export import build_tasks
from flows.steps.label_studio_sync import PushReport, SettingsOfPush, SettleReport
from flows.steps.merge import asked_tasks, merge_rows
from flows.steps.merge_report import MergeReport
from flows.tasks.clip_address import clip_url, require_clips
from flows.tasks.task_status import task_status

STUDIO: Final = "label_studio"
P = ParamSpec("P")
T = TypeVar("T")


class SettingsOfBackend(SettingsOfPush, HasExport, Protocol):
    """The settings that work on an annotation backend reads; `export` names the backend."""


@dataclass(frozen=True, slots=True)
class NotDone(Result):
    """A step that the annotation backend could not do now, and why; the next run repeats it."""

    not_done: str


def is_external(export: ExportSettings) -> bool:
    """Return whether tasks are pushed to an annotation backend, rather than only written to the task folder."""
    return export.backend != "files"


def backend_name(export: ExportSettings) -> str:
    """Return the backend's name as reports show it."""
    return export.backend.replace("_", "-")


def connect_of(name: str) -> Connect:
    """Return the function that connects to the named backend of another package.

    Raises:
        SettingsError: no package offers it; the message lists the known names.
        PluginError: it can't be loaded or is no function; the message names the package.
    """
    found = plugins.load(plugins.BACKENDS, name, BACKENDS)
    if not callable(found):
        package = plugins.package_of(plugins.BACKENDS, name)
        raise PluginError(
            f"annotation backend {name!r} of package {package} is no function; upgrade or uninstall the package"
        )
    connect: Connect = found
    return connect


def push(corpus: Corpus, settings: SettingsOfBackend) -> PushReport:
    """Send each annotator's open tasks to the backend and remove all others; a repeat sends only missing tasks.

    Raises:
        Refused: the clip server does not answer, so that no annotator could play a clip.
        Unreachable: the backend does not answer.
        PluginError: the backend of another package failed.
    """
    if _is_label_studio(settings.export.backend):
        return label_studio_sync.push(corpus, settings)
    require_clips(settings.label_studio.clips_url)
    backend = _connected(settings.export)
    tasks = _open_tasks(corpus, settings)
    before = Counter(_placed_keys(settings.export.backend, backend))
    _call(settings.export.backend, backend.place, tasks)
    keys = {task.key for task in tasks}
    removed = sum(count for key, count in before.items() if key not in keys)
    return PushReport(len(keys - set(before)), removed, len(tasks))


def pull(corpus: Corpus, settings: SettingsOfBackend) -> MergeReport:
    """Merge the answers that the backend holds.

    Raises:
        Unreachable: the backend does not answer.
        PluginError: the backend of another package failed.
    """
    name = settings.export.backend
    is_label_studio = _is_label_studio(name)
    names = names_in_use(corpus, settings.home, settings.inventory)
    if is_label_studio:
        return label_studio_sync.pull(corpus, names, settings.label_studio, settings.people).merged
    rows = _call(name, lambda backend: [dict(row) for row in backend.answers()], _connected(settings.export))
    data = _call(name, _json_lines, rows)
    tasks = asked_tasks(corpus, names, settings.people)
    operation_id = operation_ids.merge_backend(name, digest([digest(data.decode())]))
    return merge_rows(corpus, tasks, parse_annotations(data, tasks), operation_id, names, settings.people)


def settle(corpus: Corpus, settings: SettingsOfBackend) -> SettleReport:
    """Remove from the backend the tasks that nobody may open any more and those whose answers are merged; add none.

    Raises:
        Unreachable: the backend does not answer.
        PluginError: the backend of another package failed.
    """
    if _is_label_studio(settings.export.backend):
        return label_studio_sync.settle(corpus, settings.label_studio, settings.people)
    backend = _connected(settings.export)
    placed = _placed_keys(settings.export.backend, backend)
    kept = [task for task in _open_tasks(corpus, settings) if task.key in set(placed)]
    removed = sum(key not in {task.key for task in kept} for key in placed)
    if removed:
        _call(settings.export.backend, backend.place, kept)
    return SettleReport(removed)


def remove_closed(corpus: Corpus, settings: SettingsOfBackend) -> int:
    """Remove the tasks whose clips nobody may open any more, answered or not, wherever tasks are; return how many.

    Tasks may be in Label Studio also where the settings name another backend today, but still its address.

    Raises:
        Unreachable: the backend does not answer.
        PluginError: the backend of another package failed.
    """
    in_studio = _is_label_studio(settings.export.backend)
    removed = settle(corpus, settings).removed if is_external(settings.export) and not in_studio else 0
    if in_studio or in_studio_before(settings.export, settings.label_studio):
        removed += label_studio_sync.remove_closed(corpus, settings.label_studio, settings.people)
    return removed


def in_studio_before(export: ExportSettings, studio: LabelStudioSettings) -> bool:
    """Return whether tasks may be in Label Studio from before, as its address is set and another backend is used."""
    return export.backend != STUDIO and bool(studio.url and studio.token)


def _is_label_studio(name: str) -> bool:
    if name == STUDIO:
        plugins.require_unclaimed(plugins.BACKENDS, name)
        return True
    return False


def _connected(export: ExportSettings) -> AnnotationBackend:
    return _call(export.backend, connect_of(export.backend), export.options)


def _placed_keys(name: str, backend: AnnotationBackend) -> list[tuple[str, str]]:
    """Return task id and holder of every task in the backend, as often as it is there."""
    return _call(name, lambda: [(str(task), str(holder)) for task, holder in backend.placed()])


def _call(name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of the named backend; its exceptions become one line that names its package."""
    return plugins.guarded(plugins.BACKENDS, name, function)(*args, **kwargs)


def _open_tasks(corpus: Corpus, settings: SettingsOfBackend) -> list[PlacedTask]:
    """Return the tasks that annotators may work on, by holder, most valuable first."""
    now = task_status(corpus)
    inventory = inventory_of(corpus, settings.home, settings.inventory)
    tasks = build_tasks(corpus, inventory, settings.tasks, settings.sampling.seed, now.all_wanted)
    base = settings.label_studio.clips_url
    placed = []
    for holder, task_ids in sorted(now.wanted.items()):
        for task in (task for task_id, task in tasks.items() if task_id in task_ids):
            until = now.until[task.utterance_id, holder]
            placed.append(PlacedTask(task, holder, clip_url(corpus, base, task.task_id, holder, until), until))
    return placed


def _json_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(canonical_json(row).encode() + b"\n" for row in rows)

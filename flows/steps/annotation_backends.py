"""Where open tasks stand before people and answers come from: Label Studio, or a place that another package brings.

The task folder, `export.backend: files`, needs nothing of this: it is written by the export itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from annotation.backend import AnnotationBackend, Connect, PlacedTask
from annotation.files import parse_annotations
from corpus import plugins
from corpus.errors import PluginError
from corpus.handle import Corpus
from corpus.records.base import canonical_json, digest
from corpus.storage import operation_ids
from flows.runtime.settings import BACKENDS, ExportSettings, Settings
from flows.steps import label_studio_sync
from flows.steps.export import made_tasks
from flows.steps.label_studio_sync import PushReport, SettleReport
from flows.steps.merge import MergeReport, asked_tasks, merge_rows
from flows.tasks.clip_address import clip_url, require_clips
from flows.tasks.task_status import task_status

STUDIO: Final = "label_studio"
T = TypeVar("T")


def is_external(export: ExportSettings) -> bool:
    """Return whether tasks and answers travel over a place of annotation, not over the task folder alone."""
    return export.backend != "files"


def backend_name(export: ExportSettings) -> str:
    """Return the name of the place in reports."""
    return export.backend.replace("_", "-")


def connect_of(name: str) -> Connect:
    """Return what connects to the named backend of another package.

    Raises:
        SettingsError: no package offers it; the message lists the known names.
        PluginError: it can't be used; the message names the package.
    """
    found = plugins.load(plugins.BACKENDS, name, BACKENDS)
    if not callable(found):
        package = plugins.package_of(plugins.BACKENDS, name)
        raise PluginError(
            f"annotation backend {name!r} of package {package} is no function; upgrade or uninstall the package"
        )
    connect: Connect = found
    return connect


def push(corpus: Corpus, settings: Settings) -> PushReport:
    """Put the open tasks before their people, and take away all others; a repeat sends what is missing.

    Raises:
        Refused: the clip server does not answer, so that nobody could listen to anything.
        Unreachable: the place does not answer.
        PluginError: the backend of another package failed.
    """
    if _own(settings.export.backend):
        return label_studio_sync.push(corpus, settings)
    require_clips(settings.label_studio.clips_url)
    backend = _connected(settings)
    tasks = _wanted(corpus, settings)
    before = Counter(_keys(settings, backend))
    _call(settings, backend.place, tasks)
    wanted = {task.key for task in tasks}
    removed = sum(count for key, count in before.items() if key not in wanted)
    return PushReport(len(wanted - set(before)), removed, len(tasks))


def pull(corpus: Corpus, settings: Settings) -> MergeReport:
    """Merge what people answered at the place.

    Raises:
        Unreachable: the place does not answer.
        PluginError: the backend of another package failed.
    """
    name = settings.export.backend
    if _own(name):
        return label_studio_sync.pull(corpus, settings).merged
    rows = _call(settings, lambda backend: [dict(row) for row in backend.answers()], _connected(settings))
    data = _call(settings, _as_lines, rows)
    tasks = asked_tasks(corpus, settings)
    operation_id = operation_ids.merge_backend(name, digest([digest(data.decode())]))
    return merge_rows(corpus, tasks, parse_annotations(data, tasks), operation_id, settings.people.most_answers)


def settle(corpus: Corpus, settings: Settings) -> SettleReport:
    """Take away from the place what nobody may listen to any more, and what is answered and merged; add nothing.

    Raises:
        Unreachable: the place does not answer.
        PluginError: the backend of another package failed.
    """
    if _own(settings.export.backend):
        return label_studio_sync.settle(corpus, settings.label_studio, settings.people)
    backend = _connected(settings)
    held = _keys(settings, backend)
    kept = [task for task in _wanted(corpus, settings) if task.key in set(held)]
    removed = sum(key not in {task.key for task in kept} for key in held)
    if removed:
        _call(settings, backend.place, kept)
    return SettleReport(removed)


def _own(name: str) -> bool:
    if name == STUDIO:
        plugins.require_unclaimed(plugins.BACKENDS, name)
        return True
    return False


def _connected(settings: Settings) -> AnnotationBackend:
    return _call(settings, connect_of(settings.export.backend), settings.export.options)


def _keys(settings: Settings, backend: AnnotationBackend) -> list[tuple[str, str]]:
    return _call(settings, lambda: [(str(task), str(holder)) for task, holder in backend.placed()])


def _call(settings: Settings, function: Callable[..., T], *arguments: Any) -> T:
    """Return what a backend of another package returns; what it raises becomes one line that names the package."""
    return plugins.guarded(plugins.BACKENDS, settings.export.backend, function)(*arguments)


def _wanted(corpus: Corpus, settings: Settings) -> list[PlacedTask]:
    """Return the tasks that people may listen to, by holder, most valuable first."""
    now = task_status(corpus)
    made = made_tasks(corpus, settings, now.all_wanted)
    base = settings.label_studio.clips_url
    placed = []
    for who, wanted in sorted(now.wanted.items()):
        for task in (task for id_, task in made.items() if id_ in wanted):
            until = now.until[task.utterance_id, who]
            placed.append(PlacedTask(task, who, clip_url(corpus, base, task.task_id, who, until), until))
    return placed


def _as_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(canonical_json(row).encode() + b"\n" for row in rows)

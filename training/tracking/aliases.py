"""Aliases and descriptions in MLflow's registry: copies of what the records say, and a list of differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from corpus.errors import RecordError
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from training.tracking.registry import changed_files, model_name
from training.tracking.store import LONGEST_TEXT, Tracking, store_errors

ALIASES = ("champion", "challenger", "previous")


def set_aliases(tracking: Tracking, kind: Kind, aliases: Mapping[str, str | None]) -> None:
    """Set the registry's aliases to the given ones; aliases that are not given stay as they are.

    The records decide; this is a copy for people who use MLflow.

    Args:
        tracking: the open store.
        kind: kind of the models.
        aliases: by name the version, or None to remove the alias.

    Raises:
        RecordError: an alias is not one of `ALIASES`.
        EarmarkError: the store can't be reached.
    """
    unknown = sorted(set(aliases) - set(ALIASES))
    if unknown:
        raise RecordError(f"alias {unknown[0]!r} is unknown; known are {', '.join(ALIASES)}")
    name = model_name(tracking, kind)
    with store_errors(tracking.uri):
        if not any(aliases.values()) and not tracking.client.search_registered_models(f"name = '{name}'"):
            return  # nothing was ever registered
        present = dict(tracking.client.get_registered_model(name).aliases)
        for alias, version in aliases.items():
            if version is None and alias in present:
                tracking.client.delete_registered_model_alias(name, alias)
            elif version is not None and str(present.get(alias)) != version:
                tracking.client.set_registered_model_alias(name, alias, version)


def set_descriptions(tracking: Tracking, kind: Kind, descriptions: Mapping[str, str]) -> None:
    """Set the descriptions of versions in the registry; the same description is not written again.

    Args:
        tracking: the open store.
        kind: kind of the models.
        descriptions: Markdown by version; versions that the registry does not have are left out.

    Raises:
        EarmarkError: the store can't be reached.
    """
    name = model_name(tracking, kind)
    with store_errors(tracking.uri):
        present = {
            str(each.version): each.description for each in tracking.client.search_model_versions(f"name = '{name}'")
        }
        for version, text in descriptions.items():
            if version in present and present[version] != text[:LONGEST_TEXT]:
                tracking.client.update_model_version(name, version, text[:LONGEST_TEXT])


TAINTED_TAG = "earmark.tainted"
"""Tag of a version that learned from an utterance that was erased or withdrawn since; its value is `true`."""

EXPIRED_TAG = "earmark.learned_from_expired"
"""Tag of a version that learned from labels which retention has ended since; its value is when it ended the first."""

DESTROYED_TAG = "earmark.weights_destroyed"
"""Tag of a tainted version whose weights were destroyed; its value is when."""


def set_marks(tracking: Tracking, kind: Kind, tag: str, values: Mapping[str, str]) -> None:
    """Give a tag to the versions that have it, and take it from all others, in the registry.

    Args:
        tracking: the open store.
        kind: kind of the models.
        tag: name of the tag.
        values: its value by version; versions that the registry does not have are left out.

    Raises:
        EarmarkError: the store can't be reached.
    """
    name = model_name(tracking, kind)
    with store_errors(tracking.uri):
        for each in tracking.client.search_model_versions(f"name = '{name}'"):
            number, present = str(each.version), each.tags.get(tag)
            if number in values and present != values[number]:
                tracking.client.set_model_version_tag(name, number, tag, values[number])
            elif present is not None and number not in values:
                tracking.client.delete_model_version_tag(name, number, tag)


ROWS_GONE_TAG = "earmark.rows_gone"
"""Tag of a run whose figures count rows that were erased or have expired since; its value is how many, of how many."""


def set_rows_gone(tracking: Tracking, values: Mapping[str, str]) -> None:
    """Tag runs with how many of the rows of their figures are gone, by run id; runs that were deleted are left out.

    Raises:
        EarmarkError: the store can't be reached.
    """
    from mlflow.exceptions import MlflowException

    with store_errors(tracking.uri):
        for run_id, value in values.items():
            try:
                tracking.client.set_tag(run_id, ROWS_GONE_TAG, value)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise  # a run that was deleted takes no tag


def registry_problems(
    tracking: Tracking,
    kind: Kind,
    versions: Sequence[ModelVersion],
    aliases: Mapping[str, str | None],
    on_progress: Callable[[int], None] | None = None,
    older: Mapping[str, str | None] | None = None,
) -> list[str]:
    """Return the differences between registry and records, one sentence each; nothing if they agree.

    A version that only the registry has is not reported: it comes from a killed retraining, and the next one uses it.

    Args:
        tracking: the open store.
        kind: kind of the models.
        versions: all versions of the kind in the records.
        aliases: by name the version or None, as the registry should have them.
        on_progress: called after every version with the number of versions so far.
        older: aliases as older versions of earmark copied them, which are no problem either.

    Raises:
        EarmarkError: the store can't be reached.
    """
    name = model_name(tracking, kind)
    with store_errors(tracking.uri):
        registered = {str(each.version): each for each in tracking.client.search_model_versions(f"name = '{name}'")}
        present = dict(tracking.client.get_registered_model(name).aliases) if registered else {}
    problems = []
    for done, version in enumerate(versions, start=1):
        found = registered.get(version.version)
        if found is None:
            problems.append(f"{name} {version.version} is not registered in MLflow; restore its database from a backup")
        else:
            if version.tainted and TAINTED_TAG not in found.tags:
                problems.append(f"{name} {version.version} is not marked as tainted in MLflow; earmark doctor --repair")
            if not version.tainted or version.version == aliases.get("champion"):  # others of these are destroyed
                problems += [
                    f"{name} {version.version}: {what}"
                    for what in changed_files(found, is_base=version.origin == "base")
                ]
        if on_progress is not None:
            on_progress(done)
    for alias, version_number in aliases.items():
        in_registry = str(present[alias]) if alias in present else None
        if in_registry not in (version_number, (older or {}).get(alias, version_number)):
            problems.append(
                f"{name}: {alias} is {in_registry} in MLflow, {version_number} in the records; earmark doctor --repair"
            )
    return problems

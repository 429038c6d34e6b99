"""Aliases in MLflow's registry mirror those of the records; where the two differ can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from corpus.errors import RecordError
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from training.tracking.registry import changed_files, model_name
from training.tracking.store import Tracking, reached

ALIASES = ("champion", "challenger", "previous")


def set_aliases(tracking: Tracking, kind: Kind, aliases: Mapping[str, str | None]) -> None:
    """The registry's aliases are those given, by name the version or None for none; others are left alone.

    The truth is in the records; this is its mirror for those who look at MLflow.

    Raises:
        RecordError: an alias is not one of `ALIASES`.
    """
    unknown = sorted(set(aliases) - set(ALIASES))
    if unknown:
        raise RecordError(f"alias {unknown[0]!r} is unknown; known are {', '.join(ALIASES)}")
    name = model_name(tracking, kind)
    with reached(tracking.uri):
        if not any(aliases.values()) and not tracking.client.search_registered_models(f"name = '{name}'"):
            return  # nothing was ever registered
        held = dict(tracking.client.get_registered_model(name).aliases)
        for alias, version in aliases.items():
            if version is None and alias in held:
                tracking.client.delete_registered_model_alias(name, alias)
            elif version is not None and str(held.get(alias)) != version:
                tracking.client.set_registered_model_alias(name, alias, version)


def mirrored(
    tracking: Tracking, kind: Kind, versions: Sequence[ModelVersion], aliases: Mapping[str, str | None]
) -> list[str]:
    """Return where the registry is not what the records say, one sentence each; nothing where all agrees.

    A version that the registry has and the records do not is what a killed retraining left; the next one takes it up.

    Args:
        tracking: the open store.
        kind: of the models.
        versions: of the kind, as recorded.
        aliases: by name the version or None, as recorded.
    """
    name = model_name(tracking, kind)
    with reached(tracking.uri):
        held = {str(each.version): each for each in tracking.client.search_model_versions(f"name = '{name}'")}
        pointed = dict(tracking.client.get_registered_model(name).aliases) if held else {}
    problems = []
    for version in versions:
        found = held.get(version.version)
        if found is None:
            problems.append(f"{name} {version.version} is not registered in MLflow; restore its database from a backup")
        else:
            problems += [f"{name} {version.version}: {what}" for what in changed_files(found)]
    for alias, version_number in aliases.items():
        seen = str(pointed[alias]) if alias in pointed else None
        if seen != version_number:
            problems.append(
                f"{name}: {alias} is {seen} in MLflow, {version_number} in the records; earmark doctor --repair"
            )
    return problems

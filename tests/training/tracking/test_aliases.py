from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpus.errors import RecordError
from corpus.records.models import ModelVersion
from tests.training.tracked import facts, model
from training.tracking import aliases, registry, runs


def test_versions_are_counted_by_kind_and_aliases_mirror_what_is_given(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation, kind="intent"))
    made = [
        registry.register(tracking, "intent", model(tmp_path / name, name.encode()), run_id, f"{operation}/{name}")[0]
        for name in ("base", "tuned")
    ]
    assert made == ["1", "2"]
    aliases.set_aliases(tracking, "intent", {"champion": "1", "challenger": "2"})
    aliases.set_aliases(tracking, "intent", {"champion": "2", "challenger": None, "previous": "1"})
    held = tracking.client.get_registered_model("earmark-intent").aliases
    assert {alias: str(version) for alias, version in held.items()} == {"champion": "2", "previous": "1"}
    with pytest.raises(RecordError, match="alias 'best' is unknown"):
        aliases.set_aliases(tracking, "intent", {"best": "1"})


def test_the_registry_is_compared_with_the_records(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation))
    version, uri = registry.register(tracking, "asr", model(tmp_path / "model"), run_id, operation)
    recorded = ModelVersion("asr", version, run_id, "a" * 64, "b", "", uri)
    aliases.set_aliases(tracking, "asr", {"champion": version, "challenger": None, "previous": None})
    held = {"champion": version, "challenger": None, "previous": None}
    assert aliases.registry_problems(tracking, "asr", [recorded], held) == []
    promoted = held | {"champion": None, "challenger": version}
    assert len(aliases.registry_problems(tracking, "asr", [recorded], promoted)) == 2
    assert len(aliases.registry_problems(tracking, "asr", [recorded], promoted, older={"challenger": None})) == 1
    assert aliases.registry_problems(tracking, "asr", [recorded], promoted, older=held) == []
    (Path(uri) / "model.safetensors").unlink()
    problems = aliases.registry_problems(
        tracking, "asr", [recorded, replace(recorded, version="99")], held | {"champion": "99"}
    )
    assert [problem.split(" ")[1].rstrip(":") for problem in problems] == [version, "99", "champion"]
    aliases.set_aliases(tracking, "asr", {"champion": None})


def test_a_description_is_set_once_and_cut_where_the_registry_has_no_room(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation, kind="intent"))
    version, _ = registry.register(tracking, "intent", model(tmp_path / "described"), run_id, operation)
    aliases.set_descriptions(tracking, "intent", {version: "Promoted at look 1.", "99": "not in the registry"})
    first = tracking.client.get_model_version("earmark-intent", version)
    assert first.description == "Promoted at look 1."
    aliases.set_descriptions(tracking, "intent", {version: "Promoted at look 1."})
    again = tracking.client.get_model_version("earmark-intent", version)
    assert again.last_updated_timestamp == first.last_updated_timestamp
    aliases.set_descriptions(tracking, "intent", {version: "x" * 9000})
    assert tracking.client.get_model_version("earmark-intent", version).description == "x" * 4000

"""Where no consent to annotation counts, status and doctor say so, with the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.ingest.ingest import IngestSettings
from corpus.tables.consent_use import ClipUses
from corpus.vault import stated_consent
from flows.reports.consent_problem import consent_problem
from tests.corpus.arrivals import good_recording, row
from tests.flows.homes import arguments, earmark
from tests.flows.small_round import round_of

NONE_HEARD = ClipUses(score=2, annotate=0, train=2)


def test_status_and_doctor_name_a_home_without_a_notice(tmp_path: Path):
    home, manifest = tmp_path / "home", tmp_path / "rows.jsonl"
    good_recording(tmp_path)
    manifest.write_text(json.dumps(row(notice=None)) + "\n")
    options = arguments(home, "ingest.notice=null")
    assert earmark("ingest", str(manifest), *options).returncode == 0
    said = "none of 1 clips may be annotated: their customers do not allow it, or no notice that counts is named; set"
    assert f"PROBLEM  {said} ingest.notice" in earmark("status", *options).stdout.replace("\n", " ")
    doctor = json.loads(earmark("doctor", "--json", *options).stdout)
    assert any(each.startswith(f"consent: {said}") for each in doctor["problems"])
    assert doctor["checks"]["consent"] == {"scored": 1, "annotated": 0, "trained on": 1}


@pytest.mark.parametrize(
    ("settings", "uses", "said"),
    [
        ({}, NONE_HEARD, "none of 2 clips"),
        ({"notice": "v1"}, NONE_HEARD, None),
        ({}, ClipUses(2, 1, 2), None),
        ({}, ClipUses(0, 0, 0), None),
        ({"notice": "v1", "notices": ("v2",)}, ClipUses(2, 1, 2), "no version that ingest.notices lists"),
        ({"notices": ()}, ClipUses(2, 1, 2), "ingest.notices lists no version"),
    ],
)
def test_it_is_a_problem_only_where_none_can_count(
    tmp_path: Path, settings: dict[str, object], uses: ClipUses, said: str | None
):
    with round_of(tmp_path / "home", 1) as world:
        found = consent_problem(world.corpus, IngestSettings.model_validate(settings), uses)
        assert (found is None) if said is None else (found is not None and said in found)
        given = stated_consent.Agreement("a", frozenset({"annotate"}), notice="v1")
        stated_consent.agree(world.corpus.vault, [given], world.corpus.clock(), "desk")
        assert consent_problem(world.corpus, IngestSettings(), NONE_HEARD) is None

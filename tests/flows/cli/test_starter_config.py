"""The file of settings that `earmark init` writes: it loads, and says what was answered."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from annotation.assignment import Person
from corpus.errors import UsageError
from flows.cli import starter_config as starter
from flows.cli.starter_config import Answers, Base, Budget, config_text
from flows.models.base_catalog import entry_of
from flows.runtime.settings import Settings, load_settings

PLAIN = Answers("UTC", ("en-US",), ("en",), None, Budget(clips=40), ())
FULL = Answers(
    "Europe/Berlin",
    ("de-DE", "en-GB"),
    ("de", "en"),
    Base("owner/name", "a" * 40),
    Budget(clips=60, minutes=25.0),
    (Person(annotator_id="ann", locales=("de-DE",)), Person(annotator_id="no")),
)


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARMARK_HOME", raising=False)


def loaded(answers: Answers, folder: Path) -> Settings:
    file = folder / "earmark.yaml"
    file.write_text(config_text(answers, folder / "a b: c" / ".earmark"))
    return load_settings(file)


def test_the_file_loads_as_the_settings_that_were_answered(tmp_path: Path):
    settings = loaded(FULL, tmp_path)
    assert settings.corpus.home == tmp_path / "a b: c" / ".earmark"
    assert settings.night.time_zone == "Europe/Berlin"
    assert (settings.sampling.clips, settings.sampling.minutes, settings.sampling.floor) == (60, 25.0, 60)
    assert (settings.models.asr, settings.models.asr_revision) == ("owner/name", "a" * 40)
    assert settings.people.people == FULL.people  # `no` stays a name, not a false
    plain = loaded(PLAIN, tmp_path)
    assert plain.importing.constants == {"locale": "en-US"}
    assert (plain.models.asr, plain.people.people) == (None, ())


@pytest.mark.parametrize("answers", [PLAIN, FULL])
def test_the_file_fits_a_screen_and_each_key_has_a_comment(answers: Answers):
    lines = config_text(answers, Path("/home")).splitlines()
    assert len(lines) <= 50
    for above, line in pairwise(lines):
        if line.startswith("  ") and not line.lstrip().startswith(("#", "-")):
            assert above.lstrip().startswith("#"), line


def test_what_is_commented_out_loads_too(tmp_path: Path):
    """All but the inventory, whose lines are an example for the reader."""
    people = [line[2:] for line in config_text(PLAIN, tmp_path).split("\n\n")[-2].splitlines()]
    (tmp_path / "people.yaml").write_text("\n".join(people))
    assert load_settings(tmp_path / "people.yaml").people.people[0].locales == ("en-US",)
    quotas = config_text(FULL, tmp_path).replace("  # slice_quotas", "  slice_quotas")
    (tmp_path / "quotas.yaml").write_text(quotas)
    assert load_settings(tmp_path / "quotas.yaml").sampling.slice_quotas == {"locale": {"de-DE": 0.25, "en-GB": 0.25}}


def test_a_budget_in_minutes_is_the_limit_of_a_small_night_and_not_the_share_of_clips(tmp_path: Path):
    settings = loaded(Answers("UTC", ("en-US",), ("en",), None, Budget(minutes=20.0), ()), tmp_path)
    assert (settings.sampling.clips, settings.sampling.minutes, settings.sampling.floor) == (None, 20.0, 120)


def test_a_language_that_the_embedded_base_does_not_know_asks_for_another():
    german = Answers("UTC", ("de-DE",), ("de",), None, Budget(clips=40), ())
    assert german.needs_base
    assert "knows English only" in config_text(german, Path("/home"))
    assert not FULL.needs_base
    assert not PLAIN.needs_base
    assert "knows English only" not in config_text(PLAIN, Path("/home"))


def test_answers_are_read_in_their_usual_forms(tmp_path: Path):
    assert starter.locales_of("de_de, EN-gb de-DE zh-hant-tw") == ("de-DE", "en-GB", "zh-Hant-TW")
    assert starter.languages_of("de-DE de-AT en") == ("de", "en")
    assert starter.budget_of("40 clips") == starter.budget_of(" 40clips") == Budget(clips=40)
    assert starter.budget_of("20 minutes") == starter.budget_of("20 min") == Budget(minutes=20.0)
    assert starter.base_of("") is None
    assert starter.base_of(str(tmp_path)) == Base(str(tmp_path))
    entry = entry_of("tiny-en")
    assert entry is not None
    for name in ("tiny-en", "openai/whisper-tiny.en"):
        assert starter.base_of(name) == Base("openai/whisper-tiny.en", entry.commit)
    assert starter.base_of(f"owner/name@{'b' * 40}") == Base("owner/name", "b" * 40)
    assert starter.people_of(["ann=de_DE,en-GB", "bob"]) == (
        Person(annotator_id="ann", locales=("de-DE", "en-GB")),
        Person(annotator_id="bob"),
    )


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (starter.time_zone_of, "Europa/Berlin", "time zone 'Europa/Berlin' is unknown"),
        (starter.time_zone_of, "../etc", "is unknown"),
        (starter.locales_of, "german", "locale 'german' is no language tag"),
        (starter.locales_of, " ", "a locale is needed"),
        (starter.base_of, "nowhere", "no such folder; give a name of earmark base list"),
        (starter.base_of, "minilm", "is of the intent model"),
        (starter.base_of, "owner/name@main", "40 hex digits"),
        (starter.budget_of, "40", "40 clips or 20 minutes"),
        (starter.budget_of, "0 clips", "40 clips or 20 minutes"),
        (starter.budget_of, "2.5 clips", "40 clips or 20 minutes"),
        (lambda text: starter.people_of([text]), "a,b", "annotator 'a,b' is no name"),
        (lambda text: starter.people_of([text]), "ann=xxxx", "locale 'xxxx'"),
        (lambda text: starter.people_of([text, text]), "ann", "ann appears twice"),
    ],
)
def test_a_wrong_answer_is_one_line_with_the_remedy(parse, text: str, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_the_machines_time_zone_is_one_that_exists(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", ":Asia/Kolkata")
    assert starter.machine_time_zone() == "Asia/Kolkata"
    monkeypatch.setenv("TZ", "nonsense")
    assert starter.time_zone_of(starter.machine_time_zone())

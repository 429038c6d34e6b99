"""Which base a home learns from: checked before it is registered, and changed only where a person says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.errors import Damaged, EarmarkError, Refused, SettingsError
from corpus.handle import Corpus, open_corpus
from corpus.storage.database import writing
from corpus.storage.records_schema import aliases
from corpus.tables import models as store
from flows.models import registry
from flows.models.base_models import ensure_champions, other_bases, refuse_other_base, use_base
from flows.models.version_description import descriptions
from flows.reports.doctor import examine
from flows.runtime import progress
from flows.runtime.settings import Settings, load_settings
from tests.training.tiny import tiny_asr_folder
from tests.training.tiny_intent import tiny_intent
from training.intent.model import save_intent
from training.tracking.store import open_tracking
from training.tracking.version_files import folder_digest


def settings_of(folder: Path, **models: object) -> Settings:
    """Return the settings of a home in the folder, with tiny bases unless others are named."""
    named = {"asr": folder / "asr-base", "intent": folder / "intent-base"} | models
    pairs = [f"models.{kind}={'null' if name is None else name}" for kind, name in named.items()]
    return load_settings(None, [f"corpus.home={folder / 'home'}", *pairs])


def ensured(settings: Settings, on_other: str = "refuse") -> tuple[str, ...]:
    corpus = open_corpus(settings.corpus)
    try:
        return ensure_champions(corpus, settings.home, settings.models, settings.tracking, on_other)  # type: ignore[arg-type]
    finally:
        corpus.close()


def versions(corpus: Corpus, kind: str = "asr") -> dict[str, str | None]:
    with corpus.read() as conn:
        count = str(len(store.versions(conn, kind)))
        return {"count": count} | {name: store.alias(conn, kind, name) for name in ("champion", "base")}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_asr_folder(tmp_path / "asr-base")
    tiny_asr_folder(tmp_path / "other", seed=1)
    save_intent(tiny_intent(), tmp_path / "intent-base")
    return tmp_path


@pytest.fixture
def home(place: Path) -> Path:
    ensured(settings_of(place))
    return place


def broken(folder: Path, how: str) -> None:
    if how == "cut short":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "no tokenizer":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink(missing_ok=True)
    else:
        (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')


@pytest.mark.parametrize("how", ["cut short", "no tokenizer", "another kind"])
def test_a_folder_that_does_not_load_registers_nothing_and_blocks_nothing(place: Path, how: str):
    broken(place / "asr-base", how)
    with pytest.raises(EarmarkError, match="asr-base"):
        ensured(settings_of(place))
    corpus = open_corpus(settings_of(place).corpus)
    try:
        assert versions(corpus) == {"count": "0", "champion": None, "base": None}
        assert open_tracking(settings_of(place).tracking, place / "home").client.search_registered_models() == []
    finally:
        corpus.close()
    assert ensured(settings_of(place, asr=place / "other")) == ()
    corpus = open_corpus(settings_of(place).corpus)
    try:
        assert versions(corpus) == {"count": "1", "champion": "1", "base": "1"}
    finally:
        corpus.close()


def test_settings_that_name_no_base_keep_the_homes_own(home: Path):
    settings = settings_of(home, asr=None, intent=None)
    assert ensured(settings) == ()
    corpus = open_corpus(settings.corpus)
    try:
        base = registry.base_to_learn_from(corpus, settings.home, settings.models, "asr")
        assert (base.version, base.digest) == ("1", folder_digest(home / "asr-base"))
        assert base.folder.is_relative_to(settings.home)
        assert versions(corpus) == {"count": "1", "champion": "1", "base": "1"}
    finally:
        corpus.close()


def test_another_base_is_refused_in_one_line_that_names_both_and_the_remedies(home: Path):
    settings = settings_of(home, asr=home / "other")
    with pytest.raises(Refused) as refused:
        ensured(settings)
    line = str(refused.value)
    for part in ("other", "asr/1", folder_digest(home / "asr-base")[:12], "--switch-base", "earmark base use"):
        assert part in line
    assert "\n" not in line
    corpus = open_corpus(settings.corpus)
    try:
        assert versions(corpus)["count"] == "1"
        with pytest.raises(Refused, match="--switch-base"):
            refuse_other_base(corpus, settings.home, settings.models)
    finally:
        corpus.close()


def test_an_unattended_run_keeps_the_homes_base_and_warns_once(home: Path):
    warnings = ensured(settings_of(home, asr=home / "other"), "keep")
    assert len(warnings) == 1
    assert "asr/1" in warnings[0]


@pytest.mark.parametrize("on_other", ["refuse", "switch"])
def test_a_base_of_the_other_kind_is_called_that_and_no_switch_is_advised(home: Path, on_other: str):
    with pytest.raises(EarmarkError, match=r"models\.intent: .* is a base of asr; name one of intent") as refused:
        ensured(settings_of(home, intent=home / "other"), on_other)
    assert "--switch-base" not in str(refused.value)


def test_a_switch_learns_from_the_other_base_and_leaves_the_champion(home: Path):
    settings = settings_of(home, asr=home / "other")
    said: list[str] = []
    with progress.listening(lambda event: said.append(str(event))):
        assert ensured(settings, "switch") == ()
    assert [f"{home / 'other'}, asr/2" in line for line in said if "from now on" in line] == [True]
    corpus = open_corpus(settings.corpus)
    try:
        assert versions(corpus) == {"count": "2", "champion": "1", "base": "2"}
        base = registry.base_to_learn_from(corpus, settings.home, settings.models, "asr")
        assert base.digest == folder_digest(home / "other")
        assert registry.by_name(corpus, "asr", "base").version == "2"
        with corpus.read() as conn:
            texts = descriptions(conn, "asr")
        assert [texts[number].partition(".")[0] for number in ("1", "2")] == [
            "Base, from which retraining started",
            "Base, from which retraining starts",
        ]
    finally:
        corpus.close()
    assert ensured(settings) == ()  # the settings and the home agree now
    ensured(settings_of(home), "switch")
    corpus = open_corpus(settings.corpus)
    try:
        assert versions(corpus) == {"count": "2", "champion": "1", "base": "1"}  # back, and nothing is registered twice
    finally:
        corpus.close()


def test_a_folder_that_vanished_changes_nothing_but_a_warning(home: Path):
    shutil.rmtree(home / "asr-base")
    settings = settings_of(home)
    warnings = ensured(settings)
    assert len(warnings) == 1
    assert "its own base, asr/1" in warnings[0]
    with pytest.raises(SettingsError, match="no folder"):
        ensured(settings, "switch")


@pytest.mark.parametrize(
    ("named", "why"),
    [("twn", "no base of that name"), ("/", "no config.json"), ("~nosuchuser/x", "no home directory of ~nosuchuser")],
)
def test_what_is_no_base_stops_a_command_and_an_unattended_run_goes_on(home: Path, named: str, why: str):
    settings = settings_of(home, asr=named)
    with pytest.raises(Refused, match=rf"models\.asr: .*{why}.* set models\.asr to null to stay .*asr/1"):
        ensured(settings)
    warnings = ensured(settings, "keep")
    assert len(warnings) == 1
    assert why in warnings[0]
    assert "goes on with its own base, asr/1" in warnings[0]
    with pytest.raises(SettingsError, match=why):
        ensured(settings, "switch")
    corpus = open_corpus(settings.corpus)
    try:
        assert [why in line for line in other_bases(corpus, settings.home, settings.models)] == [True]
    finally:
        corpus.close()


def test_the_doctor_says_where_a_command_would_stop_because_of_the_settings(home: Path):
    for named in (home / "other", "twn"):
        problems = examine(settings_of(home, asr=named), repair=False).problems
        assert [line for line in problems if line.startswith("models: models.asr") and "to null" in line]
    assert examine(settings_of(home), repair=False).problems == ()


@pytest.mark.parametrize("named", ["x" * 300, f"/tmp/{'x' * 300}"])
def test_a_folder_that_can_t_be_read_is_named_in_one_line(home: Path, named: str):
    with pytest.raises(Refused, match=f"models.asr: {named} can't be read"):
        ensured(settings_of(home, asr=named))


def test_a_newer_embedded_base_changes_nothing(home: Path):
    """The base of this home is not the one that comes with earmark now, as if that was another one before."""
    assert ensured(settings_of(home, asr=None, intent=None)) == ()
    with pytest.raises(Refused, match="asr/1"):
        ensured(settings_of(home, asr="embedded"))


def test_a_home_from_before_learns_from_its_newest_base(home: Path):
    settings = settings_of(home, asr=home / "other")
    corpus = open_corpus(settings.corpus)
    try:
        use_base(corpus, settings.home, home / "other", "asr", open_tracking(settings.tracking, settings.home))
        with writing(corpus.records) as conn:
            conn.execute(aliases.delete().where(aliases.c.name == "base"))
        assert registry.by_name(corpus, "asr", "base").version == "2"
    finally:
        corpus.close()
    assert ensured(settings) == ()


def test_files_of_the_base_that_changed_are_not_learned_from(home: Path):
    settings = settings_of(home)
    corpus = open_corpus(settings.corpus)
    try:
        base = registry.base_to_learn_from(corpus, settings.home, settings.models, "asr")
        assert base.checked() is base
        broken(base.folder, "cut short")
        with pytest.raises(Damaged, match="asr/1"):
            base.checked()
    finally:
        corpus.close()

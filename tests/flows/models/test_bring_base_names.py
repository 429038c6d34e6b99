"""A name of a base is that of one set of files: nothing else replaces them, whatever else happens at that moment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.errors import Damaged, EarmarkError, Refused, UsageError
from corpus.records.base import Kind
from flows.models import registry
from flows.models.bring_base import add_base
from flows.reports.base_table import show_added
from tests.training.families import family_folder
from tests.training.tiny import tiny_asr_folder
from tests.training.tiny_intent import tiny_intent
from training.intent.model import save_intent
from training.loop.base_facts import FILE, BaseFacts, read_facts, write_facts
from training.loop.model_files import weights_digest
from training.tracking.version_files import folder_digest

ADDS = """
import sys
from pathlib import Path
from corpus.errors import Refused
from flows.models.bring_base import add_base

try:
    add_base(Path(sys.argv[1]), sys.argv[2], name="twin")
    print("added")
except Refused as refused:
    print(refused)
"""


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_the_same_files_leave_the_base_as_it_is_and_a_change_in_any_of_them_is_refused(tmp_path: Path):
    folder, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    place = add_base(home, str(folder), name="twin").folder
    before = state_of(place)
    again = add_base(home, str(folder), name="twin")
    assert (again.already, again.facts) == (True, read_facts(place))
    assert state_of(place) == before
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".json")
    assert len(names) >= 3
    for name in (*names, "extra.txt"):
        other = shutil.copytree(folder, tmp_path / "others" / name)
        with (other / name).open("a") as file:
            file.write("\n")
        with pytest.raises(
            Refused,
            match="a base twin with other files; give another --name, or remove that one first: earmark",
        ):
            add_base(home, str(other), name="twin")
        assert state_of(place) == before
    assert [path.name for path in place.parent.iterdir()] == ["twin"]


def test_of_two_with_other_files_at_the_same_moment_one_is_refused(tmp_path: Path):
    home = tmp_path / "home"
    folders = [tiny_asr_folder(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    processes = [
        subprocess.Popen([sys.executable, "-c", ADDS, str(home), str(folder)], stdout=subprocess.PIPE, text=True)
        for folder in folders
    ]
    said = [process.communicate(timeout=120)[0].strip().splitlines()[-1] for process in processes]
    assert sorted(line == "added" for line in said) == [False, True]
    first = folders[said.index("added")]
    assert folder_digest(registry.added_bases(home) / "twin") == folder_digest(first)
    assert [path.name for path in registry.added_bases(home).iterdir()] == ["twin"]


def test_a_damaged_base_is_restored_from_what_it_was_made_of(tmp_path: Path):
    folder, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    added = add_base(home, str(folder))
    (added.folder / FILE).write_text("{")
    assert add_base(home, str(folder)).already
    assert read_facts(added.folder) is not None
    weights = added.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(Refused, match="other files"):
        add_base(home, str(tiny_asr_folder(tmp_path / "other", seed=1)), name="theirs")
    assert not add_base(home, str(folder)).already
    assert folder_digest(added.folder) == folder_digest(folder)
    assert [path.name for path in added.folder.parent.iterdir()] == ["theirs"]


def test_any_damaged_file_is_restored_and_other_files_never_replace_a_damaged_base(tmp_path: Path):
    folder, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    place = add_base(home, str(folder)).folder
    (place / "tokenizer.json").write_text("{")
    assert not add_base(home, str(folder)).already
    (place / "tokenizer.json").unlink()
    assert not add_base(home, str(folder)).already
    assert folder_digest(place) == folder_digest(folder)
    other = shutil.copytree(folder, tmp_path / "other" / "theirs")
    with (other / "config.json").open("a") as file:
        file.write("\n")
    (place / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(Refused, match="other files"):
        add_base(home, str(other), name="theirs")
    facts = read_facts(place)
    assert facts is not None
    write_facts(facts.model_copy(update={"files": ""}), place)  # as an older release wrote them
    assert not add_base(home, str(folder)).already
    assert folder_digest(place) == folder_digest(folder)


def test_facts_on_other_weights_are_not_believed(tmp_path: Path):
    folder, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    told = BaseFacts(
        name="theirs",
        kind="asr",
        source="openai/whisper-base",
        commit="a" * 40,
        digest="0" * 64,
        licence="mit",
        languages=("en",),
    )
    write_facts(told, folder)
    facts = add_base(home, str(folder), name="one").facts
    assert (facts.source, facts.commit, facts.licence, facts.languages) == ("folder theirs", None, "", ())
    write_facts(told.model_copy(update={"digest": weights_digest(folder)}), folder)
    facts = add_base(home, str(folder), name="two").facts
    assert (facts.source, facts.commit, facts.licence) == ("openai/whisper-base", "a" * 40, "mit")


@pytest.mark.parametrize("given", ["de", "DE", "german", "German", "<|de|>"])
def test_a_language_has_a_code_and_an_english_name(tmp_path: Path, given: str):
    folder, home = family_folder("whisper", tmp_path), tmp_path / "home"
    added = add_base(home, str(folder), name="by-option", language=given)
    assert (added.changed, added.facts.languages) == (("it writes de",), ("de",))
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"language": given}))
    by_file = add_base(home, str(folder), name="by-file")
    assert by_file.changed == ()
    with pytest.raises(UsageError, match="does not know the language fr; it knows de, en"):
        add_base(home, str(folder), name="none", language="french")


@pytest.mark.parametrize("name", ["embedded", "null"])
def test_names_that_mean_something_else_are_taken(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match=f"base {name}: this name is taken"):
        add_base(tmp_path / "home", str(tiny_asr_folder(tmp_path / "theirs")), name=name)


NESTED = b"[" * 100_000


@pytest.mark.parametrize("kind", ["asr", "intent"])
@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer_config.json", "model.safetensors"]
)
def test_json_that_is_nested_without_end_is_refused_in_one_line(tmp_path: Path, kind: Kind, name: str):
    folder, home = tmp_path / "theirs", tmp_path / "home"
    if kind == "asr":
        tiny_asr_folder(folder)
    else:
        save_intent(tiny_intent(), folder)
    header = len(NESTED).to_bytes(8, "little") if name == "model.safetensors" else b""
    (folder / name).write_bytes(header + NESTED)
    if (kind, name) == ("intent", "generation_config.json"):  # which a text model does not have
        assert add_base(home, str(folder), kind=kind).facts.name == "theirs"
        return
    with pytest.raises(EarmarkError, match="theirs") as refused:
        add_base(home, str(folder), kind=kind)
    assert ".tmp-" not in str(refused.value)
    assert list(registry.added_bases(home).iterdir()) == []


def test_facts_that_are_nested_without_end_are_not_believed(tmp_path: Path):
    folder = tiny_asr_folder(tmp_path / "theirs")
    (folder / FILE).write_bytes(NESTED)
    assert add_base(tmp_path / "home", str(folder)).facts.source == "folder theirs"


def test_a_home_folder_of_nobody_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"~nosuchuser/x: .*the whole path"):
        add_base(tmp_path / "home", "~nosuchuser/x")


def test_a_name_of_the_catalogue_is_that_of_its_own_model(tmp_path: Path):
    home = tmp_path / "home"
    for folder in (tiny_asr_folder(tmp_path / "tiny-en"), family_folder("whisper", tmp_path / "small")):
        with pytest.raises(UsageError, match=r"tiny-en: in the catalogue .* whisper with 37\.8 .* give another --name"):
            add_base(home, str(folder), name="tiny-en")
    with pytest.raises(UsageError, match="minilm: in the catalogue"):
        add_base(home, str(tmp_path / "tiny-en"), name="minilm")
    assert list(registry.added_bases(home).iterdir()) == []


def test_the_same_weights_under_another_name_are_said_to_be_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home, folder = tmp_path / "home", tiny_asr_folder(tmp_path / "theirs")
    assert add_base(home, str(folder), name="one").same_weights == ()
    added = add_base(home, str(folder), name="two")
    assert (added.same_weights, added.to_json()["same_weights"]) == (("one",), ["one"])
    show_added(added)
    assert "these weights are already here as one\n" in capsys.readouterr().out
    assert add_base(home, str(registry.BASES / "intent"), name="own").same_weights == ("embedded",)


@pytest.mark.parametrize(("value", "said"), [(-1e-3, "greater than 0"), (1e30, "less than or equal"), (0.0, "greater")])
def test_absurd_safe_values_name_the_file_and_the_key(tmp_path: Path, value: float, said: str):
    folder, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    facts = add_base(home, str(folder)).facts
    write_facts(facts.model_copy(update={"safe": {"loop.learning_rate": value}}), folder)
    with pytest.raises(Damaged, match=rf"theirs/{FILE}: safe\.loop\.learning_rate is .*{said}.*correct that key"):
        add_base(home, str(folder), name="two")

"""One line of a person's file of settings changes; the others stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from corpus.errors import Refused
from flows.runtime.settings_file import changed_text, write_text
from flows.runtime.settings_layers import CONFIGS

VALUES = {"asr": "tiny-en", "asr_revision": None}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "models:\n  asr: tiny-en\n"),
        ("night:\n  ends_at: 4", "night:\n  ends_at: 4\nmodels:\n  asr: tiny-en\n"),
        ("models:\n  asr: null  # mine\n", "models:\n  asr: tiny-en  # mine\n"),
        ("models:\n  asr:\n  intent: x\n", "models:\n  asr: tiny-en\n  intent: x\n"),
        (
            "# head\nmodels:  # bases\n    # of intents\n    intent: x  # mine\n\n# end\n",
            "# head\nmodels:  # bases\n    # of intents\n    intent: x  # mine\n    asr: tiny-en\n\n# end\n",
        ),
        (
            'models:\n  asr: "owner/name"\n  asr_revision: abc  # pinned\n',
            "models:\n  asr: tiny-en\n  asr_revision: null  # pinned\n",
        ),
        ("models: {intent: x}\n", "models: {asr: tiny-en, intent: x}\n"),
        ("models:\nnight: {ends_at: 3}\n", "models:\n  asr: tiny-en\nnight: {ends_at: 3}\n"),
        ("models: # none yet\n", "models: # none yet\n  asr: tiny-en\n"),
    ],
)
def test_the_value_is_set_and_all_else_stays(tmp_path: Path, before: str, after: str):
    path = tmp_path / "earmark.yaml"
    path.write_text(before)
    path.chmod(0o640)
    text = changed_text(path, "models", VALUES)
    assert path.read_text() == before
    assert text == after
    assert yaml.safe_load(text)["models"]["asr"] == "tiny-en"
    write_text(path, text)
    assert path.read_text() == after
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("before", ["models: &all\n  asr: x\nother: *all\n", "models: !!map {asr: &a x}\nnight: *a\n"])
def test_a_form_in_which_a_line_changes_more_is_left_alone(tmp_path: Path, before: str):
    path = tmp_path / "earmark.yaml"
    path.write_text(before)
    with pytest.raises(Refused, match="asr: tiny-en"):
        changed_text(path, "models", VALUES)


def test_files_that_come_with_earmark_are_not_changed():
    for config in (Path("production"), CONFIGS / "demo.yaml"):
        with pytest.raises(Refused, match="of your own"):
            changed_text(config, "models", VALUES)

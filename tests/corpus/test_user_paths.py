from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import SettingsError
from corpus.user_paths import expanded


def test_a_home_directory_is_filled_in_and_an_unknown_one_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded(Path("~/words.txt")) == Path("/somewhere/words.txt")
    assert expanded(Path("words.txt")) == Path("words.txt")
    with pytest.raises(SettingsError, match=r"^~nosuchuser/x: there is no home directory of ~nosuchuser; "):
        expanded(Path("~nosuchuser/x"))

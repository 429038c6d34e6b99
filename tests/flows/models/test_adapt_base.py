"""A Whisper that knows English alone takes no other language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.errors import UsageError
from flows.models.adapt_base import is_english_only
from flows.models.bring_base import add_base
from tests.training.families import family_folder


@pytest.mark.parametrize("said", [False, None])
def test_of_an_english_whisper_another_language_is_refused(tmp_path: Path, said: bool | None):
    folder, home = family_folder("whisper", tmp_path), tmp_path / "home"
    assert not is_english_only(folder)
    path = folder / "generation_config.json"
    left_out = ("lang_to_id", "task_to_id", "language", "task", "is_multilingual")
    general = {key: value for key, value in json.loads(path.read_text()).items() if key not in left_out}
    path.write_text(json.dumps(general if said is None else {**general, "is_multilingual": said}))
    for language in ("de", "German", "<|de|>"):
        with pytest.raises(UsageError, match="base own knows English alone, not de"):
            add_base(home, str(folder), name="own", language=language)
    assert list((home / "bases").iterdir()) == []
    for name, given in (("one", "English"), ("two", None)):
        assert add_base(home, str(folder), name=name, language=given).facts.languages == ("en",)

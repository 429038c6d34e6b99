from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from corpus.settings import CorpusSettings, places


def test_everything_is_under_the_home_unless_set_otherwise(tmp_path: Path) -> None:
    at = places(CorpusSettings(home=tmp_path))
    assert at.records_url == f"sqlite:///{tmp_path}/records.db"
    assert at.vault_url == f"sqlite:///{tmp_path}/vault.db"
    assert at.content_url == f"{tmp_path}/content"
    assert at.key_file is None
    moved = places(CorpusSettings(home=tmp_path, content_url="s3://bucket/x", key_file=Path("/run/kek")))
    assert (moved.content_url, moved.key_file) == ("s3://bucket/x", Path("/run/kek"))
    assert places(CorpusSettings(home=Path("relative"))).home.is_absolute()


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1},
        {"retention_days": 0},
        {"pack_bytes": 0},
        {"split": {"train": 1.0}},
        {"split": {"train": 0.5, "dev": 0.1, "test": 0.1}},
        {"split": {"train": 1.5, "dev": -0.5, "test": 0.0}},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CorpusSettings.model_validate(wrong)

"""The hub is asked where earmark fetches for its user, by nobody else, and never where the user has forbidden it."""

from __future__ import annotations

import pytest
from huggingface_hub import constants, is_offline_mode

from corpus.hub_access import KEPT_OFF, asking_hub, keep_off_hub


@pytest.mark.parametrize("of_user", [None, "0", "1"])
def test_the_users_word_stands_and_earmarks_own_gives_way_in_the_block(
    monkeypatch: pytest.MonkeyPatch, of_user: str | None
):
    for name in ("HF_HUB_OFFLINE", KEPT_OFF):
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)
    if of_user is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", of_user)
    for _ in range(2):
        keep_off_hub()
    offline = of_user != "0"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)  # as a process reads it that starts now
    with asking_hub():
        assert is_offline_mode() is (of_user == "1")
    assert is_offline_mode() is offline

"""The hub is asked where earmark fetches for its user, by nobody else, and never where the user has forbidden it."""

from __future__ import annotations

import pytest
from huggingface_hub import constants, is_offline_mode

from corpus.hub_access import KEPT_OFF, asking_hub, is_hub_forbidden, keep_off_hub, without_hub


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


def test_within_a_block_without_the_hub_nobody_asks_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEPT_OFF, "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with without_hub():
        assert is_hub_forbidden()
        with asking_hub():
            assert is_offline_mode()
    assert not is_hub_forbidden()
    with asking_hub():
        assert not is_offline_mode()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import Damaged
from corpus.storage import cipher


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_encrypted_opens_again(plaintext: bytes, aad: str) -> None:
    key = cipher.new_key()
    sealed = cipher.encrypt(key, plaintext, aad)
    assert cipher.decrypt(key, sealed, aad) == plaintext
    assert len(sealed) == len(plaintext) + cipher.NONCE_BYTES + cipher.TAG_BYTES
    assert cipher.encrypt(key, plaintext, aad) != sealed


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_changed_bit_does_not_open(plaintext: bytes, data: st.DataObject) -> None:
    key = cipher.new_key()
    sealed = bytearray(cipher.encrypt(key, plaintext, "u1/audio"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged, match="u1/audio"):
        cipher.decrypt(key, bytes(sealed), "u1/audio")


def test_another_name_or_key_does_not_open() -> None:
    key, other = cipher.new_key(), cipher.new_key()
    sealed = cipher.encrypt(key, b"secret", "u1/audio")
    for key_, aad in ((key, "u2/audio"), (key, "u1/label/1"), (other, "u1/audio")):
        with pytest.raises(Damaged):
            cipher.decrypt(key_, sealed, aad)
    with pytest.raises(Damaged):
        cipher.decrypt(key, b"short", "u1/audio")


def test_a_wrapped_key_opens_only_under_its_own_key_and_name() -> None:
    kek, key = cipher.new_key(), cipher.new_key()
    wrapped = cipher.wrap(kek, key, "u1/key")
    assert cipher.unwrap(kek, wrapped, "u1/key") == key
    with pytest.raises(Damaged):
        cipher.unwrap(kek, wrapped, "u2/key")

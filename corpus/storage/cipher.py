"""AES-256-GCM: one random data key for each utterance, wrapped by the key-encryption key."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from corpus.errors import Damaged

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


def new_key() -> bytes:
    """Return a new key of 32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def encrypt(key: bytes, plaintext: bytes, aad: str) -> bytes:
    """Return nonce + ciphertext + tag, which `decrypt` opens with the same key and the same associated data `aad`.

    The nonce is random (96 bits, NIST SP 800-38D 8.2.2). A data key encrypts a few messages, and the key-encryption
    key far fewer than the 2^32 that the standard allows.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad.encode())


def decrypt(key: bytes, ciphertext: bytes, aad: str) -> bytes:
    """Return the plaintext of a ciphertext that `encrypt` made with this key and this `aad`.

    Raises:
        Damaged: the key or the `aad` is another one, or bytes were changed; the message names the `aad`.
    """
    try:
        return AESGCM(key).decrypt(ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:], aad.encode())
    except (InvalidTag, ValueError) as error:
        raise Damaged(f"{aad} does not decrypt: its bytes or its key changed; restore it from a backup") from error


def wrap(kek: bytes, key: bytes, aad: str) -> bytes:
    """Return the key encrypted under the key-encryption key."""
    return encrypt(kek, key, aad)


def unwrap(kek: bytes, wrapped: bytes, aad: str) -> bytes:
    """Return the key that was given to `wrap`.

    Raises:
        Damaged: the key was wrapped with another key-encryption key, or its bytes were changed.
    """
    return decrypt(kek, wrapped, aad)

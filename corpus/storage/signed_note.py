"""Signed notes in C2SP's format: text that a person can read, with Ed25519 signatures below it.

The private key is a file of its own, apart from the key of the content: who has it can sign, and can read nothing. The
public key is one line, `name+hash+base64`, as other tools for such notes take it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from corpus.errors import Damaged, SettingsError, UsageError
from corpus.storage.durable_write import write_new_file
from corpus.storage.store_faults import fault_of

DASH: Final = "\u2014 "
"""What a line of a signature begins with."""

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key: who has it can verify, and can't sign.

    Attributes:
        name: of the key, such as `earmark/1f2e...`.
        key: 32 bytes.
    """

    name: str
    key: bytes

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes by which a signature names the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def text(self) -> str:
        """Return the key in one line, `name+hash+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(_ED25519 + self.key)}"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key.

    Attributes:
        name: of the key.
        seed: 32 bytes.
    """

    name: str
    seed: bytes = field(repr=False)

    @property
    def verifier(self) -> Verifier:
        """Return the public key."""
        return Verifier(self.name, self._key().public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return the note: the text, which ends with a newline and has no empty line, and its signature."""
        if not text.endswith("\n") or "\n\n" in text or text.startswith("\n"):
            raise ValueError("the text of a note ends with a newline and has no empty line")
        signature = self.verifier.key_id + self._key().sign(text.encode())
        return f"{text}\n{DASH}{self.name} {_base64(signature)}\n"

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def read_verifier(text: str) -> Verifier:
    """Return the public key of a line `name+hash+base64`.

    Raises:
        UsageError: it is none.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    found = Verifier(name, data[1:])
    if not name or data[:1] != _ED25519 or len(data) != 33 or found.key_id.hex() != key_id:
        raise UsageError("this is no public key: it is one line, name+hash+base64, as earmark audit key prints it")
    return found


def open_note(note: str, verifier: Verifier) -> str:
    """Return the text of a note that the key signed.

    Raises:
        Damaged: it has no valid signature of the key.
    """
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    public = Ed25519PublicKey.from_public_bytes(verifier.key)
    for line in signatures.splitlines():
        if not line.startswith(f"{DASH}{verifier.name} "):
            continue
        try:
            signature = base64.b64decode(line.rsplit(" ", 1)[-1], validate=True)
            if signature[:4] == verifier.key_id:
                public.verify(signature[4:], text.encode())
                return text
        except (binascii.Error, ValueError, InvalidSignature):
            continue
    raise Damaged(f"a note is not signed by the key {verifier.name}, or was changed after it was signed")


def notes_of(text: str) -> Iterator[str]:
    """Yield the notes of a file that has one after the other, with an empty line between them.

    The beginning of a note whose rest was never written, as at a power cut, is left out.
    """
    unsigned: str | None = None
    for block in (block.strip("\n") for block in text.split("\n\n")):
        if not block.startswith(DASH):
            unsigned = block
        elif unsigned:
            yield f"{unsigned}\n\n{block}\n"
            unsigned = None


def signer_at(file: Path, name: str, *, make: bool) -> Signer | None:
    """Return the private key in a file; a new one, which only its owner may read, where there is none.

    Args:
        file: of the key.
        name: of a new key.
        make: False to return None where there is none.

    Raises:
        SettingsError: the file holds no such key.
        HostFault: the file can't be read or written.
    """
    try:
        if make and not file.exists():
            seed = os.urandom(32)
            signer = Signer(name, seed)
            key_id = signer.verifier.key_id.hex()
            line = f"{_PRIVATE}{name}+{key_id}+{_base64(_ED25519 + seed)}\n"
            write_new_file(file, [line.encode()])  # another process may have made one a moment ago: then that one
        return _read_signer(file.read_text())
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, UsageError):
        raise SettingsError(f"the audit key {file} is no private key of notes; put it back from a backup") from None
    except OSError as error:
        raise fault_of(error, f"the audit key {file}") from error


def _read_signer(text: str) -> Signer:
    name, key_id, encoded = [*text.strip().removeprefix(_PRIVATE).split("+", 2), "", ""][:3]
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not text.startswith(_PRIVATE) or data[:1] != _ED25519 or len(data) != 33:
        raise UsageError("no private key")
    found = Signer(name, data[1:])
    if found.verifier.key_id.hex() != key_id:
        raise UsageError("no private key")
    return found


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""What a name of an intent or a slot may be, and which names may be changed."""

from __future__ import annotations

from corpus.errors import UsageError
from corpus.names import clean_name, name_key
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import NameKind, Names


def require_name(name: str) -> None:
    """Check that a text can be the name of an intent or a slot.

    Raises:
        UsageError: it is empty, longer than 128 characters, or holds a control character.
    """
    clean = clean_name(name)
    if not clean or len(clean) > 128 or not clean.isprintable():
        raise UsageError("a name has 1 to 128 characters, none of them a control character")


def is_former(names: Names, name: str) -> bool:
    """Return whether a name means another one."""
    known = names.resolve(name)
    return known is not None and name_key(known, names.fold_case) != name_key(name, names.fold_case)


def require_no_former(names: Names, kind: NameKind, name: str) -> None:
    """Check that a name means no other one.

    Raises:
        UsageError: it does.
    """
    if is_former(names, name):
        former, slot = clean_name(name), " --slot" if kind == "slot" else ""
        raise UsageError(
            f"{kind} {former} is a former name of {names.resolve(name)}; name that one, or run earmark inventory "
            f"unmap{slot} {former} first"
        )


def require_known(known: str | None, kind: NameKind, given: str) -> str:
    """Return a name of the inventory.

    Raises:
        UsageError: it is None, since the given name is not in the inventory.
    """
    if known is None:
        raise UsageError(f"{kind} {clean_name(given)} is not in the inventory; earmark inventory show lists the names")
    return known


def require_free(known: str, kind: NameKind) -> None:
    """Check that a name may be changed.

    Raises:
        UsageError: it is `other`.
    """
    if kind == "intent" and known == OTHER_INTENT:
        raise UsageError(f"intent {OTHER_INTENT} is always in the inventory and keeps its name; adopt what was meant")

"""Change what keeps a speech model from being used as a base as it is: its language, its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.errors import Damaged, UsageError
from corpus.records.base import Kind
from training.asr.whisper_config import MULTILINGUAL
from training.asr.whisper_tokens import language_code
from training.loop.base_facts import family_of

ENGLISH = "en"


def is_english_only(folder: Path) -> bool:
    """Return whether a folder has a Whisper that knows English alone: so it says itself, or by its outputs."""
    if family_of(folder) != "whisper":
        return False
    general, outputs = _read(folder / "generation_config.json"), _read(folder / "config.json").get("vocab_size")
    several = general.get("is_multilingual")
    if isinstance(several, bool):
        return not several
    return not general.get("lang_to_id") and isinstance(outputs, int) and outputs < MULTILINGUAL


def adapted(draft: Path, name: str, kind: Kind, language: str | None) -> tuple[str, ...]:
    """Change what keeps a speech model from being used as it is; return what was changed.

    A Whisper of several languages is told which one it writes. A tokenizer that has upper-case letters alone is told
    that texts are in lower case.

    Raises:
        UsageError: the language is missing, or the model does not know it.
        Damaged: a file of it can't be read.
    """
    if kind != "asr":
        return ()
    changed = []
    if language not in (None, ENGLISH) and is_english_only(draft):
        raise UsageError(
            f"base {name} knows English alone, not {language}: leave --language out, or take a Whisper of several "
            "languages, such as whisper-base"
        )
    general, path = _read(draft / "generation_config.json"), draft / "generation_config.json"
    languages = general.get("lang_to_id")
    known = sorted(token.strip("<|>") for token in languages) if isinstance(languages, dict) else []
    if known and general.get("is_multilingual", True):
        given = language_code(str(general.get("language") or ""))
        wanted = language or given
        if not wanted:
            raise UsageError(f"base {name} knows {len(known)} languages: give --language, such as --language en")
        if wanted not in known:
            raise UsageError(f"base {name} does not know the language {wanted}; it knows {', '.join(known)}")
        if wanted != given:
            path.write_text(json.dumps({**general, "language": wanted, "task": "transcribe"}, indent=2) + "\n")
            changed.append(f"it writes {wanted}")
    tokens, path = _read(draft / "vocab.json"), draft / "tokenizer_config.json"
    letters = [token for token in tokens if len(token) == 1 and token.isalpha()]
    tokenizer = _read(path)
    if letters and all(token.isupper() for token in letters) and not tokenizer.get("do_lower_case"):
        path.write_text(json.dumps({**tokenizer, "do_lower_case": True}, indent=2) + "\n")
        changed.append("its tokenizer takes texts in lower case")
    return tuple(changed)


def _read(path: Path) -> Mapping[str, Any]:
    """Return the mapping in a JSON file of a model, an empty one where there is none.

    Raises:
        Damaged: the file is not JSON.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Damaged(f"base {path.parent}: {path.name} can't be read; restore it") from None
    return found if isinstance(found, dict) else {}

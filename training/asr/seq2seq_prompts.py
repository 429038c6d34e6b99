"""How texts of a model that writes token after token begin, end, and how long they may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from corpus.errors import SettingsError
from training.asr.model import AsrModel

TOKENS_PER_SECOND: Final = 20.0
"""A transcript has at most so many tokens a second, letters counted one by one; untaught models would write on."""

SPARE_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class DecodingRules:
    """How a model's texts begin and end.

    Attributes:
        prefix: tokens that stand before every text: start, and for Whisper language, task, no time stamps.
        ends: tokens of which each ends a text.
        never: tokens that are never written: special ones, and those that the generation config suppresses.
        never_first: tokens that are not written first.
        longest: tokens that a text may have.
    """

    prefix: tuple[int, ...]
    ends: tuple[int, ...]
    never: tuple[int, ...]
    never_first: tuple[int, ...]
    longest: int


def decoding_rules(asr: AsrModel, name: str = "") -> DecodingRules:
    """Return the rules, as generation config and tokenizer give them.

    Raises:
        SettingsError: there is no start or end token, or a model of many languages doesn't say which one it hears.
    """
    config, general = asr.model.config, asr.model.generation_config
    start = general.decoder_start_token_id
    start = config.decoder_start_token_id if start is None else start
    end = general.eos_token_id if general.eos_token_id is not None else config.eos_token_id
    if start is None or end is None:
        raise SettingsError(f"speech model {name}: generation_config.json needs decoder_start_token_id, eos_token_id")
    ends = tuple(end) if isinstance(end, list | tuple) else (int(end),)
    prefix = (int(start), *_language_and_task(asr, name))
    special = {*asr.marks, int(start)}
    if config.pad_token_id is not None:
        special.add(int(config.pad_token_id))
    never = (special | set(general.suppress_tokens or ())) - set(ends)
    places = (getattr(config, key, None) for key in ("max_target_positions", "max_position_embeddings"))
    most = next((int(place) for place in places if place), 512)
    return DecodingRules(
        prefix=prefix,
        ends=ends,
        never=tuple(sorted(token for token in never if token < asr.vocab_size)),
        # of the ends none is held back: silence is an empty text, and that is for the model to say
        never_first=tuple(sorted(set(general.begin_suppress_tokens or ()) - set(ends))),
        longest=most - len(prefix) - 1,
    )


def _language_and_task(asr: AsrModel, name: str) -> list[int]:
    """Return what Whisper's texts begin with behind the start: language and task where it knows several."""
    general, found = asr.model.generation_config, []
    languages = getattr(general, "lang_to_id", None) or {}
    if languages and getattr(general, "is_multilingual", True):
        language = str(getattr(general, "language", None) or getattr(asr.tokenizer, "language", None) or "")
        token = language if language in languages else f"<|{language}|>"
        if token not in languages:
            raise SettingsError(
                f"speech model {name}: knows many languages; name one, such as en, as `language` in a copy of its "
                "folder's generation_config.json"
            )
        found.append(int(languages[token]))
        tasks = getattr(general, "task_to_id", None) or {}
        if "transcribe" in tasks:
            found.append(int(tasks["transcribe"]))
    untimed = getattr(general, "no_timestamps_token_id", None)
    return found if untimed is None else [*found, int(untimed)]


def max_tokens(rules: DecodingRules, seconds: float) -> int:
    """Return how many tokens a transcript of a clip may have, by its length [s]."""
    return max(1, min(rules.longest, math.ceil(seconds * TOKENS_PER_SECOND) + SPARE_TOKENS))

"""Decoding rules of seq2seq models: the tokens that begin and end a text, those never used, and the longest text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from corpus.errors import SettingsError
from training.asr.model import AsrModel
from training.asr.whisper_config import MULTILINGUAL
from training.asr.whisper_tokens import LANGUAGE, UNTIMED, language_code

TOKENS_PER_SECOND: Final = 20.0
"""Most tokens of a transcript per second of audio, enough for single letters; an untrained model may find no end."""

SPARE_TOKENS: Final = 8
"""Tokens that a transcript may have beyond that, for short clips."""

TASK: Final = "transcribe"

NO_SPEECH_TOKENS: Final = ("<|nospeech|>", "<|nocaptions|>")
"""Names of Whisper's no-speech token, today's and that of the first models."""


@dataclass(frozen=True, slots=True)
class DecodingRules:
    """The rules by which a model's texts are decoded.

    Attributes:
        prefix: tokens in front of every text: start, and for Whisper also language, task and "no timestamps".
        ends: tokens that end a text, the one that is used in training first.
        never: tokens that no text contains: special ones, and those that the generation config suppresses.
        never_first: tokens that no text begins with.
        longest: largest number of tokens of a text.
        no_speech: token whose probability at the start says that nobody speaks; None for models without one.
    """

    prefix: tuple[int, ...]
    ends: tuple[int, ...]
    never: tuple[int, ...]
    never_first: tuple[int, ...]
    longest: int
    no_speech: int | None = None


def decoding_rules(asr: AsrModel, name: str = "") -> DecodingRules:
    """Return the decoding rules, read from the generation config and the tokenizer; `name` is used in messages.

    Raises:
        SettingsError: there is no start or end token, or a multilingual model has no language set.
    """
    config, general = asr.model.config, asr.model.generation_config
    start = general.decoder_start_token_id
    start = config.decoder_start_token_id if start is None else start
    end = general.eos_token_id if general.eos_token_id is not None else config.eos_token_id
    if start is None or end is None:
        raise SettingsError(f"speech model {name}: generation_config.json needs decoder_start_token_id, eos_token_id")
    ends = tuple(_known(asr, name, each) for each in (end if isinstance(end, list | tuple) else (end,)))
    prefix = (_known(asr, name, start), *_language_and_task(asr, name))
    special = {*asr.marks, start}
    if config.pad_token_id is not None:
        special.add(int(config.pad_token_id))
    never = (special | set(general.suppress_tokens or ())) - set(ends)
    first = set(general.begin_suppress_tokens or ()) - set(ends)
    places = (getattr(config, key, None) for key in ("max_target_positions", "max_position_embeddings"))
    most = next((int(place) for place in places if place), 512)
    return DecodingRules(
        prefix=prefix,
        ends=ends,
        never=tuple(sorted(token for token in never if 0 <= token < asr.vocab_size)),
        # end tokens are allowed first, since silence is an empty text and the model decides on that
        never_first=tuple(sorted(each for each in first if 0 <= each < asr.vocab_size)),
        longest=most - len(prefix) - 1,
        no_speech=_no_speech(asr),
    )


def _language_and_task(asr: AsrModel, name: str) -> list[int]:
    """Return the tokens that follow the start in Whisper's texts: language and task, where it has several.

    What the generation config of an older checkpoint lacks is read from the tokenizer.
    """
    general, found = asr.model.generation_config, []
    untimed = getattr(general, "no_timestamps_token_id", None)
    untimed = _token(asr, UNTIMED) if untimed is None else untimed
    if untimed is None:
        return []
    untimed = _known(asr, name, untimed)
    multilingual = getattr(general, "is_multilingual", None)
    if asr.vocab_size >= MULTILINGUAL if multilingual is None else multilingual:
        found.append(_language(asr, name, untimed))
        task = (getattr(general, "task_to_id", None) or {}).get(TASK, _token(asr, f"<|{TASK}|>"))
        found += [] if task is None else [_known(asr, name, task)]
    return [*found, untimed]


def _language(asr: AsrModel, name: str, untimed: int) -> int:
    """Return the token of the language that is set: by its code, its name in English, or its token."""
    general = asr.model.generation_config
    languages = getattr(general, "lang_to_id", None)
    if not languages:  # they stand before <|notimestamps|>, and there are some 100 of them
        before = range(max(0, untimed - 150), untimed)
        names = asr.tokenizer.convert_ids_to_tokens(list(before))
        languages = {
            token: place for token, place in zip(names, before, strict=True) if LANGUAGE.fullmatch(token or "")
        }
    wanted = str(getattr(general, "language", None) or getattr(asr.tokenizer, "language", None) or "")
    token = f"<|{language_code(wanted)}|>"
    if token not in languages:
        raise SettingsError(
            f"speech model {name}: it has several languages{f' and no {wanted}' if wanted else ''}; set one, such as "
            "en, as `language` in a copy of its folder's generation_config.json"
        )
    return _known(asr, name, languages[token])


def _known(asr: AsrModel, name: str, token: object) -> int:
    """Return a token that a configuration names.

    Raises:
        SettingsError: the model does not have it.
    """
    if isinstance(token, int) and 0 <= token < asr.vocab_size:
        return token
    raise SettingsError(
        f"speech model {name}: generation_config.json or config.json has the token {token}, and the model has the "
        f"tokens 0 to {asr.vocab_size - 1}; restore them"
    )


def _token(asr: AsrModel, name: str) -> int | None:
    """Return the id of a special token; None if the tokenizer lacks it."""
    found: int | None = asr.tokenizer.added_tokens_encoder.get(name)
    return found


def _no_speech(asr: AsrModel) -> int | None:
    found = (_token(asr, name) for name in NO_SPEECH_TOKENS)
    return next((token for token in found if token is not None), None)


def max_tokens(rules: DecodingRules, seconds: float) -> int:
    """Return the largest number of tokens of a transcript, by the length of the clip [s]."""
    return max(1, min(rules.longest, math.ceil(seconds * TOKENS_PER_SECOND) + SPARE_TOKENS))

"""Serving of a speech model's version as an MLflow pyfunc: from audio to text and confidence; see `serving_text`."""

from __future__ import annotations

import logging
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model

from corpus.normal_form import normalise
from training.tracking.serving_text import LOCAL, Served, clips_of

MIN_SECONDS = 0.1  # least duration of a clip [s]; shorter clips are padded with silence
TSALLIS_ALPHA = 1.0 / 3.0  # entropic index of the word confidence (Laptev & Ginsburg 2023)
MANY_SYMBOLS, TOP_SYMBOLS = 1000, 10  # beyond so many symbols all but the most probable ones count as one
TOKENS_PER_SECOND = 20
"""Most tokens that a decoder may write per second of audio, because a decoder in a loop would never end."""

NO_SPEECH, LEAST_LOG_PROB, LEAST_GAIN, WORDS_PER_SECOND = 0.6, -1.0, math.log(2.0), 8.0  # of seq2seq_checks.py
GREEDILY = "this version was judged with a beam and a language model; here it decodes greedily, with more errors"


def speech_model(folder: Path) -> Any:
    """Return a function from a table with `audio`, samples in [-1, 1] at its rate, to one of `text`, `confidence`."""
    from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor

    if (folder / "decoder" / "beam.json").is_file():
        logging.getLogger("earmark.serving").warning(GREEDILY)
    processor = AutoProcessor.from_pretrained(str(folder), **LOCAL)
    extractor, tokenizer = processor.feature_extractor, processor.tokenizer
    has_decoder = bool(AutoConfig.from_pretrained(str(folder), **LOCAL).is_encoder_decoder)
    kind = AutoModelForSpeechSeq2Seq if has_decoder else AutoModelForCTC
    model = kind.from_pretrained(str(folder), use_safetensors=True, dtype=torch.float32, **LOCAL).eval()
    symbols = [str(token or "") for token in tokenizer.convert_ids_to_tokens(list(range(model.config.vocab_size)))]
    starts = np.array([symbol.startswith(("\u2581", "\u0120")) for symbol in symbols])
    gap = np.array([symbol == getattr(tokenizer, "word_delimiter_token", None) for symbol in symbols])
    special = set(tokenizer.all_special_ids) - set(np.flatnonzero(gap).tolist())
    if has_decoder:  # also Whisper's languages and times; English-only tokenizers have no names for the latter
        special |= {place for place, token in tokenizer.added_tokens_decoder.items() if token.special}
        special |= {n for n, name in enumerate(symbols) if not name or re.fullmatch(r"<\|\d+\.\d\d\|>", name)}
    padding = "max_length" if has_decoder and hasattr(extractor, "n_samples") else "longest"
    rate = int(extractor.sampling_rate)

    def prepared(clip: Any) -> Any:
        padded = np.pad(clip, (0, max(0, int(MIN_SECONDS * rate) - len(clip))))
        return extractor([padded], sampling_rate=rate, padding=padding, return_tensors="pt")

    def transcribe(clip: Any) -> tuple[str, float]:
        with torch.inference_mode():
            if has_decoder:
                log_probs, path, is_text = decoder_output(model, tokenizer, special, prepared, clip, len(clip) / rate)
                begins, options = is_text, {}
            else:
                log_probs, path, is_text = ctc_output(model, prepared(clip))
                begins, options = is_text & np.append(True, path[1:] != path[:-1]), {"group_tokens": False}
        text = normalise(tokenizer.decode([int(t) for t in path[begins] if int(t) not in special], **options))
        words = np.where(is_text & ~gap[path], np.cumsum(begins & (starts[path] | gap[path])), -1)
        return text, mean_word_confidence(tsallis_confidence(log_probs), words)

    def answer(asked: Any) -> pd.DataFrame:
        return pd.DataFrame([transcribe(clip) for clip in clips_of(asked, rate)], columns=["text", "confidence"])

    return answer


def ctc_output(model: Any, inputs: Any) -> tuple[Any, Any, Any]:
    """Return the log probabilities of a CTC model (T, V), the best path (T,), and which of its frames are not blank."""
    logits = model(**inputs).logits[0].float()
    mask = inputs.get("attention_mask")
    length = mask.sum(-1) if mask is not None else torch.tensor([inputs[model.main_input_name].shape[1]])
    for method in ("_get_subsampling_output_length", "_get_feat_extract_output_lengths"):
        if hasattr(model, method):  # some models add frames of padding after those of the clip
            logits = logits[: max(1, int(torch.as_tensor(getattr(model, method)(length))[0]))]
            break
    log_probs = torch.log_softmax(logits, dim=-1).numpy()
    path = log_probs.argmax(axis=1)
    return log_probs, path, path != int(model.config.pad_token_id)


def decoder_output(model: Any, tokenizer: Any, special: set[int], prepared: Any, clip: Any, seconds: float) -> Any:
    """Return log probabilities (T, V), tokens (T,) and which are of the text, without texts of silence and loops."""
    rules = decoding_rules(model, tokenizer, special)
    ends, limit = rules[1], max(1, min(rules[-1], math.ceil(seconds * TOKENS_PER_SECOND) + 8))
    rows, tokens, start = write(model, rules, prepared(clip), limit)
    text = tokens[: len(tokens) - (tokens[-1] in ends)]
    mark = token_id(tokenizer, "<|nospeech|>") or token_id(tokenizer, "<|nocaptions|>")
    if mark and math.exp(start[mark]) > NO_SPEECH:
        for_silence, _, _ = write(model, rules, prepared(clip[:0]), len(tokens), tokens)
        own, silence = (sum(float(x[t]) for x, t in zip(found, tokens, strict=True)) for found in (rows, for_silence))
        if own < LEAST_LOG_PROB * (len(text) + 1) or own - silence < LEAST_GAIN:
            return start[None], np.array([mark]), np.array([False])
    kept = before_loop(text, seconds, len(text) < len(tokens), lambda part: str(tokenizer.decode(part)))
    if kept < len(text):
        rows, tokens = rows[: max(1, kept)], text[:kept] or ends[:1]
    return np.stack(rows), np.array(tokens), np.arange(len(tokens)) < kept


def decoding_rules(model: Any, tokenizer: Any, special: set[int]) -> tuple[list[int], list[int], Any, Any, int]:
    """Return the tokens in front of a text, those that end it, that are never in it or at its start, and their most."""
    config, general = model.config, model.generation_config
    start = config.decoder_start_token_id if general.decoder_start_token_id is None else general.decoder_start_token_id
    end = config.eos_token_id if general.eos_token_id is None else general.eos_token_id
    ends = [int(token) for token in (end if isinstance(end, list | tuple) else [end])]
    prefix = [int(start), *language_and_task(general, tokenizer, config.vocab_size)]
    never = {*special, int(start), config.pad_token_id, *(general.suppress_tokens or ())} - {None, *ends}
    places = (getattr(config, key, None) for key in ("max_target_positions", "max_position_embeddings"))
    room = next((int(place) for place in places if place), 512) - len(prefix) - 1
    return prefix, ends, never, never | set(general.begin_suppress_tokens or ()) - set(ends), room


def write(model: Any, rules: Any, inputs: Any, limit: int, forced: Any = None) -> tuple[list[Any], list[int], Any]:
    """Return the log probabilities at each token, the tokens, chosen or forced, and log probabilities at the start."""
    prefix, ends, never, never_first, _ = rules
    encoded, given, past, start = model.get_encoder()(**inputs), torch.tensor([prefix]), None, None
    rows, tokens = [], []  # type: ignore[var-annotated]
    while len(tokens) < limit and (forced or not tokens or tokens[-1] not in ends):
        made = model(encoder_outputs=encoded, decoder_input_ids=given, past_key_values=past, use_cache=True)
        past, logits = made.past_key_values, made.logits[0, -1].float()
        start = torch.log_softmax(made.logits[0, 0].float(), dim=-1).numpy() if start is None else start
        logits[[t for t in (never if tokens else never_first) if t < len(logits)]] = -math.inf
        rows.append(torch.log_softmax(logits, dim=-1).numpy())
        tokens.append(forced[len(tokens)] if forced else int(logits.argmax()))
        given = torch.tensor([tokens[-1:]])
    return rows, tokens, start


def before_loop(tokens: list[int], seconds: float, ended: bool, spell: Any) -> int:
    """Return how many tokens come before the repetitions of a loop."""
    words = normalise(spell(tokens)).split()
    start, unit, length = repetition(words)
    loop, end = compressible(spell(tokens)), len(tokens)
    if length and (loop or (not ended and start + length == len(words)) or length > WORDS_PER_SECOND * seconds):
        spoken = (len(normalise(spell(tokens[: at + 1])).split()) for at in range(len(tokens)))
        end = next((at for at, count in enumerate(spoken) if count > start + unit), end)
    elif (found := repetition(tokens))[2] and (loop or (not ended and found[0] + found[2] == len(tokens))):
        end = found[0] + found[1]
    elif loop:
        end = next((at for at in range(end - 1, 0, -1) if not compressible(spell(tokens[:at]))), 0)
    return end if end == len(tokens) else before_loop(tokens[:end], seconds, True, spell)


def compressible(text: str) -> bool:
    """Return whether a text repeats itself as no speech does."""
    content = text.strip().encode()
    return len(content) > 2.4 * len(zlib.compress(content))


def repetition(items: Any) -> tuple[int, int, int]:
    """Return start, unit and length of the longest stretch in which items are said three times or more."""
    given, best = np.unique(np.asarray(items), return_inverse=True)[1], (0, 0, 0)
    for unit in range(1, len(given) // 3 + 1):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], given[unit:] == given[:-unit], [0]])))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - start + unit >= max(3 * unit, best[2] + 1):
                best = (start, unit, end - start + unit)
    return best


def token_id(tokenizer: Any, name: str) -> Any:
    """Return the id of a token; None if the tokenizer lacks it."""
    return tokenizer.added_tokens_encoder.get(name)


def language_and_task(general: Any, tokenizer: Any, outputs: int) -> list[int]:
    """Return the tokens that follow Whisper's start token: language, task and no timestamps, where they exist."""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    untimed = getattr(general, "no_timestamps_token_id", None) or token_id(tokenizer, "<|notimestamps|>")
    multilingual = getattr(general, "is_multilingual", None)
    if untimed is None or not (outputs >= 51_865 if multilingual is None else multilingual):
        return [] if untimed is None else [int(untimed)]
    language = str(getattr(general, "language", None) or getattr(tokenizer, "language", None) or "")
    code = language.lower().strip("<|>")
    names = (f"<|{TO_LANGUAGE_CODE.get(code, code)}|>", "<|transcribe|>")
    return [*(found for name in names if (found := token_id(tokenizer, name)) is not None), int(untimed)]


def tsallis_confidence(log_probs: Any) -> Any:
    """Return the confidence of each step, (T,) in [0, 1], by exponential Tsallis entropy (Laptev & Ginsburg 2023).

    In a large vocabulary all but the most probable symbols count as one.
    """
    if log_probs.shape[-1] > MANY_SYMBOLS:
        top = np.partition(log_probs, -TOP_SYMBOLS, axis=-1)[..., -TOP_SYMBOLS:].astype(np.float64)
        rest = np.log(np.maximum(1.0 - np.exp(top).sum(-1, keepdims=True), 1e-30))
        log_probs = np.concatenate([top, rest], axis=-1)
    symbols = log_probs.shape[-1]
    entropy = (np.exp(TSALLIS_ALPHA * log_probs.astype(np.float64)).sum(-1) - 1.0) / (1.0 - TSALLIS_ALPHA)
    floor = np.exp(-(symbols ** (1.0 - TSALLIS_ALPHA) - 1.0) / (1.0 - TSALLIS_ALPHA))
    return np.clip((np.exp(-entropy) - floor) / (1.0 - floor), 0.0, 1.0)


def mean_word_confidence(confidence: Any, words: Any) -> float:
    """Return the mean over words of the least confidence in each word; without a word, the least of all steps."""
    by_word = [confidence[words == number] for number in np.unique(words[words >= 0])]
    return float(np.mean([each.min() for each in by_word or [confidence]]))


set_model(Served(speech_model))

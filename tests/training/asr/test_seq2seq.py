"""The checks of decoded texts, and windows shorter than a model's own, on random models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus.records.predictions import ASR_COLUMNS
from tests.training.families import family_folder, hear_nothing
from tests.training.tiny import tone_clip
from training.asr.augment import AugmentSettings
from training.asr.fit import AsrExample, AsrLoopSettings, train_asr
from training.asr.loading import load_asr
from training.asr.model import AsrModel, extract_features, padded_lengths, plain_text
from training.asr.seq2seq import decode_clips
from training.asr.seq2seq_checks import without_loop
from training.asr.seq2seq_draws import DrawSettings, cumulative_shares
from training.asr.seq2seq_prompts import decoding_rules, max_tokens
from training.asr.transcribe import TranscribeSettings, best_texts, transcribe

CLIP = tone_clip("stop", 0)
RATE = 16_000
PLAIN = AugmentSettings(speeds=(), gain_db=0, noise_share=0, narrow_share=0, time_masks=0, mel_masks=0)


@pytest.fixture(params=["whisper", "moonshine"])
def asr(request, tmp_path):
    return load_asr(family_folder(request.param, tmp_path))


@pytest.fixture
def whisper(tmp_path):
    return load_asr(family_folder("whisper", tmp_path))


def library_text(asr: AsrModel, clip) -> tuple[int, ...]:
    rules = decoding_rules(asr)
    tokens = asr.model.generate(
        **extract_features(asr, [clip]), max_new_tokens=max_tokens(rules, len(clip) / RATE), do_sample=False,
        num_beams=1, suppress_tokens=list(rules.never),
    )[0].tolist()  # fmt: skip
    return tuple(token for token in tokens if token not in (*rules.prefix, *rules.ends))


def test_a_loop_of_the_model_is_cut_with_all_its_figures(asr: AsrModel):
    raw = library_text(asr, CLIP)
    assert len(raw) > 10
    assert len(set(raw)) < 5  # an untrained model repeats itself
    written = decode_clips(asr, [CLIP], DrawSettings(8), [np.random.default_rng(0)])[0]
    assert written.text == without_loop(raw, len(CLIP) / RATE, lambda tokens: plain_text(asr, tokens), ended=False)
    assert written.text != raw
    assert len(written.path) == len(written.log_probs) == max(1, len(written.text))
    assert tuple(written.path[: len(written.text)]) == written.text
    output = transcribe(asr, [("u", CLIP)], TranscribeSettings(draws=4))[0]
    assert output.problem == ""
    assert len(output.confidences) == max(1, len(output.text.split()))
    assert output.columns[11] == len(written.text)  # num_tokens
    assert best_texts(asr, [CLIP]) == [output.text]


def test_a_clip_without_speech_has_the_no_speech_token_alone(whisper: AsrModel):
    before = decode_clips(whisper, [CLIP], DrawSettings(5), [np.random.default_rng(0)])[0]
    assert before.text or any(before.drawn)
    hear_nothing(whisper)
    written = decode_clips(whisper, [CLIP], DrawSettings(5), [np.random.default_rng(0)])[0]
    assert written.text == ()
    assert written.drawn == ((),) * 5
    assert written.path.tolist() == [decoding_rules(whisper).no_speech]
    assert written.log_probs.shape == (1, whisper.vocab_size)
    assert np.exp(written.log_probs[0, written.path[0]]) > 0.99
    output = transcribe(whisper, [("u", CLIP)], TranscribeSettings(draws=4))[0]
    assert (output.text, len(output.hypotheses), output.problem) == ("", 1, "")
    assert np.isfinite(output.columns).all()


def test_times_and_special_tokens_are_never_written(whisper: AsrModel):
    rules = decoding_rules(whisper)
    names = whisper.tokenizer.get_vocab()
    marks = {place for name, place in names.items() if name.startswith("<|")} - set(rules.ends)
    assert marks <= set(rules.never)


def test_a_shorter_window_is_for_the_clips_that_fit_into_it(whisper: AsrModel):
    short, long = CLIP[: RATE // 2], np.tile(CLIP, 4)[: RATE * 3 // 2]
    assert padded_lengths(whisper, [short, long], 1.0) == [RATE, 2 * RATE]
    assert padded_lengths(whisper, [short, long], 9.0) == [2 * RATE, 2 * RATE]
    positions = whisper.model.get_encoder().embed_positions
    narrow = decode_clips(whisper, [short, long, short], DrawSettings(), [None] * 3, 1.0)
    whole = decode_clips(whisper, [short, long, short], DrawSettings(), [None] * 3)
    assert not np.allclose(narrow[0].embedding, whole[0].embedding, atol=1e-4)
    np.testing.assert_allclose(narrow[0].embedding, narrow[2].embedding, atol=1e-5)
    np.testing.assert_allclose(narrow[1].embedding, whole[1].embedding, atol=1e-5)
    assert whisper.model.get_encoder().embed_positions is positions
    assert whisper.model.config.max_source_positions == 100


def test_the_first_positions_of_a_window_are_those_of_a_shorter_one(whisper: AsrModel):
    """Where the encoder looks at single positions alone, the window changes nothing."""
    for layer in whisper.model.get_encoder().layers:
        torch.nn.init.zeros_(layer.self_attn.out_proj.weight)
    narrow = decode_clips(whisper, [CLIP[: RATE // 2]], DrawSettings(), [None], 1.0)[0]
    whole = decode_clips(whisper, [CLIP[: RATE // 2]], DrawSettings(), [None])[0]
    np.testing.assert_allclose(narrow.embedding, whole.embedding, atol=1e-5)


@pytest.mark.parametrize(("window", "steps"), [(None, 4), (1.0, 3)])
def test_it_learns_in_a_shorter_window_with_more_clips_a_batch(whisper: AsrModel, window: float | None, steps: int):
    positions, seen = whisper.model.get_encoder().embed_positions, []
    whisper.model.get_encoder().register_forward_hook(lambda _, __, out: seen.append(out.last_hidden_state.shape))
    clips = [CLIP[: RATE // 2], CLIP[: RATE // 3], CLIP[: RATE // 4], np.tile(CLIP, 4)[: RATE * 3 // 2]]
    examples = [AsrExample(str(number), clip, "stop") for number, clip in enumerate(clips)]
    settings = AsrLoopSettings(epochs=1, learning_rate=1e-3, batch_seconds=2, window=window, augment=PLAIN)
    result = train_asr(whisper, examples, settings)
    assert result.steps == len(seen) == steps
    narrow = [] if window is None else [(1, 50), (2, 50)]
    assert sorted(shape[:2] for shape in seen) == sorted([*narrow, *[(1, 100)] * (steps - len(narrow))])
    assert whisper.model.get_encoder().embed_positions is positions


def test_a_clip_that_becomes_too_long_for_the_window_when_slowed_is_planned_with_the_whole_one(whisper: AsrModel):
    shapes: list[tuple[int, int]] = []
    whisper.model.get_encoder().register_forward_hook(lambda _, __, out: shapes.append(out.last_hidden_state.shape[:2]))
    examples = [AsrExample(str(number), np.tile(CLIP, 4)[: RATE * 19 // 20], "stop") for number in range(3)]
    slowed = PLAIN.model_copy(update={"speeds": (0.9,)})
    train_asr(whisper, examples, AsrLoopSettings(epochs=1, batch_seconds=2, window=1.0, augment=slowed))
    assert shapes == [(1, 100)] * 3  # two seconds each, as much as a batch may have


def test_how_many_are_drawn_changes_neither_the_text_nor_how_sure_it_is(whisper: AsrModel):
    clips = [("a", CLIP[: RATE // 2]), ("b", CLIP)]
    one, many = (transcribe(whisper, clips, TranscribeSettings(draws=draws)) for draws in (1, 6))
    assert [each.text for each in one] == [each.text for each in many]
    place = ASR_COLUMNS.index("confidence_mean")
    np.testing.assert_array_equal([each.columns[place] for each in one], [each.columns[place] for each in many])


@pytest.mark.parametrize("window", [None, 1.0])
def test_best_texts_are_those_of_a_transcription_in_the_same_window(whisper: AsrModel, window: float | None):
    clips = [CLIP[: RATE // 2], np.tile(CLIP, 4)[: RATE * 3 // 2]]
    outputs = transcribe(whisper, [("a", clips[0]), ("b", clips[1])], TranscribeSettings(draws=1, window=window))
    assert best_texts(whisper, clips, window=window) == [output.text for output in outputs]


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.999), st.floats(0.2, 3.0))
def test_draws_come_from_the_fewest_tokens_that_reach_top_p_in_their_proportions(seed: int, top_p: float, heat: float):
    log_probs = torch.log_softmax(torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) * 3, dim=-1)
    tokens, cumulative = cumulative_shares(log_probs, DrawSettings(4, top_p, heat))
    assert tokens is not None
    for row in range(3):
        shares = torch.softmax(log_probs[row].double() / heat, dim=-1)
        drawn = torch.diff(cumulative[row], prepend=torch.zeros(1, dtype=torch.float64))
        kept = tokens[row][drawn > 0]
        torch.testing.assert_close(drawn[drawn > 0], shares[kept])
        assert shares[kept].sum() >= top_p - 1e-9  # they reach it
        assert shares[kept].sum() - shares[kept].min() < top_p + 1e-9  # and not without the last one
        left_out = [share for token, share in enumerate(shares.tolist()) if token not in kept.tolist()]
        assert all(share <= float(shares[kept].min()) + 1e-12 for share in left_out)


def test_a_top_p_near_zero_draws_the_greedy_text_and_one_draws_as_the_model_does(whisper: AsrModel):
    greedy = decode_clips(whisper, [CLIP], DrawSettings(3, top_p=1e-6), [np.random.default_rng(0)])[0]
    assert set(greedy.drawn) == {greedy.text}
    free = decode_clips(whisper, [CLIP], DrawSettings(8), [np.random.default_rng(0)])[0]
    assert len(set(free.drawn)) > 1
    cold = decode_clips(whisper, [CLIP], DrawSettings(8, temperature=1e-3), [np.random.default_rng(0)])[0]
    assert set(cold.drawn) == {cold.text}
    assert free.text == cold.text == greedy.text

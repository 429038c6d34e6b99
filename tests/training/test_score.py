from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from corpus.errors import EarmarkError, RecordError
from corpus.records.predictions import ASR_COLUMNS
from tests.training.tiny import TEXTS, tiny_asr, tone_clip
from tests.training.tiny_intent import taught_intent
from training.asr.transcribe import TranscribeSettings
from training.intent.model import classify
from training.score import ScoreSettings, score_utterances

SETTINGS = ScoreSettings(transcribe=TranscribeSettings(draws=6), dropout_passes=2)
VERSIONS = {"asr_version": "1", "intent_version": "2"}
CLIPS = [(f"u{i}", tone_clip(TEXTS[i % len(TEXTS)], i)[: 4000 + 900 * i]) for i in range(8)]


@pytest.fixture(scope="module")
def asr():
    return tiny_asr()


@pytest.fixture(scope="module")
def intent():
    return taught_intent()


@pytest.fixture(scope="module")
def scored(asr, intent):
    return score_utterances(CLIPS, asr, intent, SETTINGS, **VERSIONS)


def test_rows_are_complete_and_stand_in_the_order_of_sorted_ids(scored, intent):
    found = scored.predictions
    assert found.utterance_ids.tolist() == sorted(name for name, _ in CLIPS)
    assert (found.asr_version, found.intent_version, found.intents) == ("1", "2", intent.intents)
    assert found.asr.shape == (8, len(ASR_COLUMNS))
    assert found.embeddings.shape[1] <= 256
    np.testing.assert_allclose(found.column("duration"), [len(samples) / 16000 for _, samples in sorted(CLIPS)])
    assert scored.set_aside == {}
    assert set(scored.hypotheses) == set(found.utterance_ids)


def test_the_intent_is_marginal_over_the_hypotheses(scored, intent):
    for row, name in enumerate(scored.predictions.utterance_ids):
        told = scored.hypotheses[name]
        output = classify(intent, [h.text for h in told])
        weights = np.array([h.weight for h in told])
        assert weights.sum() == pytest.approx(1.0)
        probs = output.probs.astype(np.float64)
        np.testing.assert_allclose(scored.predictions.intent_probs[row], weights @ probs, atol=1e-5)
        entropies = -(probs * np.log(probs)).sum(axis=1)
        assert scored.predictions.entropy_given_hypothesis[row] == pytest.approx(weights @ entropies, abs=1e-4)
        assert scored.predictions.intent_logsumexp[row] == pytest.approx(output.logsumexp[0], abs=1e-4)
        assert [h.intent for h in told] == [intent.intents[k] for k in probs.argmax(axis=1)]
        assert tuple(h.slots for h in told) == output.slots


def test_what_a_transcript_would_resolve_is_never_negative(scored):
    probs = scored.predictions.intent_probs.astype(np.float64)
    total = -(probs * np.log(np.maximum(probs, 1e-12))).sum(axis=1)
    assert (total - scored.predictions.entropy_given_hypothesis > -1e-5).all()


def test_passes_disagree_by_mutual_information(scored, asr, intent):
    found = scored.predictions.pass_disagreement
    assert (found >= 0).all()
    assert found.max() > 0
    without = score_utterances(CLIPS, asr, intent, SETTINGS.model_copy(update={"dropout_passes": 0}), **VERSIONS)
    assert not without.predictions.pass_disagreement.any()


def test_no_chunk_batch_or_order_changes_a_row(scored, asr, intent):
    small = SETTINGS.model_copy(
        update={
            "chunk_seconds": 0.5,
            "text_tokens": 8,
            "transcribe": TranscribeSettings(draws=6, batch_seconds=0.4),
        }
    )
    other = score_utterances(iter(CLIPS[::-1]), asr, intent, small, **VERSIONS)
    assert dict(other.hypotheses) == dict(scored.hypotheses)
    for name in ("utterance_ids", "intent_probs", "embeddings", "asr", "pass_disagreement", "entropy_given_hypothesis"):
        one, two = getattr(scored.predictions, name), getattr(other.predictions, name)
        if name == "utterance_ids":
            assert one.tolist() == two.tolist()
        else:
            np.testing.assert_allclose(one, two, atol=2e-3)
    some = score_utterances(CLIPS[2:4], asr, intent, SETTINGS, **VERSIONS)
    np.testing.assert_allclose(some.predictions.intent_probs, scored.predictions.intent_probs[2:4], atol=1e-4)


def test_the_same_call_gives_the_same_bytes(scored, asr, intent):
    again = score_utterances(CLIPS, asr, intent, SETTINGS, **VERSIONS).predictions
    for name in ("intent_probs", "intent_logsumexp", "embeddings", "asr", "pass_disagreement"):
        assert getattr(again, name).tobytes() == getattr(scored.predictions, name).tobytes()


def test_clips_that_cannot_be_ranked_are_set_aside_with_their_reason(asr, intent):
    bad = np.full(8000, np.nan, dtype=np.float32)
    steps = []
    scored = score_utterances(
        [*CLIPS[:2], ("bad", bad), ("none", np.zeros(0, np.float32))], asr, intent, SETTINGS, steps.append, **VERSIONS
    )
    assert dict(scored.set_aside) == {"bad": "non-finite samples", "none": "no samples"}
    assert scored.predictions.utterance_ids.tolist() == ["u0", "u1"]
    assert set(scored.hypotheses) == {"u0", "u1"}
    assert sum(steps) == 2


def test_an_intent_model_that_is_not_finite_sets_its_rows_aside(asr, intent):
    spoilt = replace(intent, temperature=float("nan"))
    scored = score_utterances(CLIPS[:2], asr, spoilt, SETTINGS, **VERSIONS)
    assert set(scored.set_aside) == {"u0", "u1"}
    assert all(reason.startswith("non-finite intent") for reason in scored.set_aside.values())
    assert len(scored.predictions) == 0


def test_nothing_in_is_nothing_out(asr, intent):
    scored = score_utterances([], asr, intent, SETTINGS, **VERSIONS)
    assert len(scored.predictions) == 0
    assert scored.predictions.intent_probs.shape == (0, 3)


def test_an_utterance_that_comes_twice_is_an_error(asr, intent):
    with pytest.raises(RecordError, match=r"u0.*twice"):
        score_utterances([CLIPS[0], CLIPS[1], CLIPS[0]], asr, intent, SETTINGS, **VERSIONS)


def test_what_reading_meets_is_raised_and_no_thread_stays(asr, intent):
    def clips():
        yield CLIPS[0]
        raise EarmarkError("utterance u1: the pack is damaged")

    before = threading.active_count()
    with pytest.raises(EarmarkError, match="pack"):
        score_utterances(clips(), asr, intent, SETTINGS, **VERSIONS)
    with pytest.raises(RecordError):
        score_utterances(
            (CLIPS[0] for _ in range(1000)), asr, intent, SETTINGS.model_copy(update={"chunk_seconds": 0.1}), **VERSIONS
        )
    assert threading.active_count() == before


def test_reading_runs_at_most_two_chunks_ahead(asr, intent):
    read = 0
    ahead = []

    def clips():
        nonlocal read
        for clip in CLIPS:
            read += 1
            yield clip

    done = 0

    def progress(count):
        nonlocal done
        done += count
        ahead.append(read - done)

    score_utterances(clips(), asr, intent, SETTINGS.model_copy(update={"chunk_seconds": 0.01}), progress, **VERSIONS)
    assert done == len(CLIPS)
    assert max(ahead) <= 4

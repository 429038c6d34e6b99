from __future__ import annotations

import numpy as np
import pytest

from tests.training.asr.test_word_beam import beam_of, letters, posterior, spell
from training.asr.beam_weights import MIN_CLIPS, KnownClip, choose_weights

pytest.importorskip("flashlight.lib.text")

SURE = [KnownClip(posterior("c_a_b_"), "cab")]
DOUBTFUL = [KnownClip(posterior("c_a_b_", others=[(4, "t", 0.3)]), "cat")]
"""The sound says `cab`, and the lexicon has `cat` alone."""


def test_names_that_were_said_make_unknown_words_cheaper_and_slips_make_them_dearer(tmp_path):
    beam = beam_of(letters("cat", "bee"), ["cat bee", "bee cat", "cat"], tmp_path, unknown_score=-5.0, width=40)
    named = choose_weights(beam, SURE * MIN_CLIPS, spell)
    assert (named.clips, named.errors, named.words) == (MIN_CLIPS, (0, 0), MIN_CLIPS)
    slipped = choose_weights(beam, DOUBTFUL * MIN_CLIPS, spell)
    assert slipped.errors == (MIN_CLIPS, 0)
    assert slipped.settings.unknown_score <= named.settings.unknown_score
    assert slipped.settings.width == named.settings.width == 40
    assert slipped.settings.hypotheses == beam.settings.hypotheses


def test_of_equally_good_weights_the_usual_ones_are_taken(tmp_path):
    beam = beam_of(letters("cat", "bee"), ["cat bee"], tmp_path, lm_weight=0.9)
    chosen = choose_weights(beam, [KnownClip(posterior("c_a_t_"), "cat")] * MIN_CLIPS, spell).settings
    assert (chosen.lm_weight, chosen.word_score, chosen.unknown_score) == (0.5, 0.0, -4.0)


def test_few_clips_change_nothing(tmp_path):
    beam = beam_of(letters("cat", "bee"), ["cat bee"], tmp_path, lm_weight=0.9)
    for clips in ([], SURE * (MIN_CLIPS - 1)):
        chosen = choose_weights(beam, clips, spell)
        assert (chosen.settings, chosen.clips) == (beam.settings, 0)


def test_the_order_of_the_clips_does_not_matter(tmp_path):
    beam = beam_of(letters("cat", "bee"), ["cat bee"], tmp_path)
    logits = 1.5 * np.random.default_rng(3).standard_normal((MIN_CLIPS, 8, 8))
    log_probs = (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)
    clips = [KnownClip(frames, "cat bee") for frames in log_probs]
    assert choose_weights(beam, clips, spell) == choose_weights(beam, clips[::-1], spell)

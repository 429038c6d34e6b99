"""The decoder that a fine-tuned speech model gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.edits import distance
from corpus.errors import SettingsError
from tests.training.families import family_folder
from tests.training.tiny import TEXTS, tiny_asr_folder, tone_examples
from training.asr.arpa import to_arpa
from training.asr.beam_files import DECODER, read_decoder, with_decoder, write_decoder
from training.asr.finetune import AsrFinetuneSettings, finetune_asr
from training.asr.fit import AsrLoopSettings
from training.asr.language_model import build_ngrams
from training.asr.loading import load_asr
from training.asr.transcribe import best_texts
from training.asr.word_beam import BeamSettings, DecoderFiles

pytest.importorskip("flashlight.lib.text")

QUICK = {"loop": AsrLoopSettings(epochs=1, batch_seconds=8)}
MADE = DecoderFiles(BeamSettings(lm_weight=3.0), to_arpa(build_ngrams([(text, 1.0) for text in TEXTS])), ("anna",))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_asr_folder(tmp_path_factory.mktemp("base") / "asr")


def test_a_version_gets_the_decoder_with_weights_that_the_dev_clips_choose(base, tmp_path):
    settings = AsrFinetuneSettings(**QUICK, decoder="beam")
    made = finetune_asr(base, tone_examples(4), tmp_path / "out", settings, dev=tone_examples(20, 50), decoder=MADE)
    kept = read_decoder(tmp_path / "out")
    assert kept == made.decoder == load_asr(tmp_path / "out").decoder
    assert (kept.arpa, kept.phrases, kept.digest()) == (MADE.arpa, MADE.phrases, MADE.digest())
    assert kept.settings.lm_weight < 3.0
    few = finetune_asr(base, tone_examples(4), tmp_path / "out", settings, dev=tone_examples(6, 50), decoder=MADE)
    assert few.decoder == MADE


def test_no_dev_clip_is_counted_under_weights_that_it_has_chosen(base, tmp_path):
    settings = AsrFinetuneSettings(**QUICK, decoder="beam")
    dev = tone_examples(20, 50)  # whose halves are too few to choose weights
    made = finetune_asr(base, tone_examples(4), tmp_path / "out", settings, dev=dev, decoder=MADE)
    chosen = load_asr(tmp_path / "out")
    given = with_decoder(chosen, MADE)
    errors = [
        sum(distance(row.text.split(), text.split()) for row, text in zip(dev, texts, strict=True))
        for texts in (best_texts(model, [row.samples for row in dev]) for model in (given, chosen))
    ]
    assert made.dev_errors.after.sum() == errors[0] > errors[1]


def test_the_decoder_of_the_base_is_kept_unless_the_version_is_to_be_greedy(base, tmp_path):
    with_beam = tiny_asr_folder(tmp_path / "base")
    write_decoder(with_beam, MADE)
    for decoder, expected in ((None, MADE), ("greedy", None)):
        settings = AsrFinetuneSettings(**QUICK, decoder=decoder)
        assert finetune_asr(with_beam, tone_examples(4), tmp_path / "out", settings).decoder == expected
        assert read_decoder(tmp_path / "out") == expected
    assert finetune_asr(base, tone_examples(4), tmp_path / "out", AsrFinetuneSettings(**QUICK)).decoder is None
    assert not (tmp_path / "out" / DECODER).exists()


def test_a_model_without_frames_is_refused_before_it_is_trained(tmp_path):
    folder, steps = family_folder("moonshine", tmp_path / "made"), []
    with pytest.raises(SettingsError, match=r"set asr\.decoder to greedy"):
        finetune_asr(
            folder,
            tone_examples(2),
            tmp_path / "out",
            AsrFinetuneSettings(**QUICK, decoder="beam"),
            lambda *step: steps.append(step),
            decoder=MADE,
        )
    assert steps == []
    assert not (tmp_path / "out").exists()


def test_dev_clips_choose_weights_and_are_counted_with_the_phrases_of_their_own_locale(base, tmp_path):
    settings = AsrFinetuneSettings(**QUICK, decoder="beam")
    learned, dev = tone_examples(4), [replace(row, locale="de-AT") for row in tone_examples(20, 50)]
    finetune_asr(base, learned, tmp_path / "greedy", AsrFinetuneSettings(**QUICK), dev=dev)
    heard = best_texts(load_asr(tmp_path / "greedy"), [row.samples for row in dev])
    phrases = tuple(sorted({text for text in heard if text}))

    def made(decoder, locale):
        rows = [replace(row, locale=locale) for row in dev]
        result = finetune_asr(base, learned, tmp_path / "out", settings, dev=rows, decoder=decoder)
        assert result.decoder.phrases_by_locale == decoder.phrases_by_locale
        return result.dev_errors.after.tolist(), result.decoder.settings

    unlikely = BeamSettings(unknown_score=-20.0, lm_weight=1.5)
    by_locale = DecoderFiles(unlikely, MADE.arpa, (), {"de-AT": phrases})
    own, other = made(by_locale, "de-AT"), made(by_locale, "fr")
    assert own == made(DecoderFiles(unlikely, MADE.arpa, phrases), "")
    assert other == made(DecoderFiles(unlikely, MADE.arpa), "")
    assert own[0] != other[0]
    assert own[1] != other[1]

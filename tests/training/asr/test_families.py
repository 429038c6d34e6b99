"""Every family of speech models is saved, loaded, scored and fine-tuned through the same functions."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from corpus.errors import SettingsError
from corpus.records.predictions import ASR_COLUMNS
from tests.training.families import FAMILIES, family_folder
from tests.training.tiny import tone_clip
from tests.training.tiny_intent import tiny_intent
from training.asr.augment import AugmentSettings
from training.asr.ctc import frame_posteriors
from training.asr.finetune import AsrFinetuneSettings, finetune_asr, freeze_front_end, learnable_examples
from training.asr.fit import AsrExample, AsrLoopSettings, encode_targets, train_asr
from training.asr.loading import load_asr, save_asr
from training.asr.model import AsrModel, extract_features, masks_padding, token_text
from training.asr.seq2seq import decode_clips
from training.asr.seq2seq_draws import DrawSettings
from training.asr.seq2seq_losses import seq2seq_losses
from training.asr.seq2seq_prompts import decoding_rules, max_tokens
from training.asr.transcribe import TranscribeSettings, best_texts, transcribe
from training.loop.lora import LoraSettings
from training.score import ScoreSettings, score_utterances

PLAIN = AugmentSettings(speeds=(), gain_db=0, noise_share=0, narrow_share=0, time_masks=0, mel_masks=0)
TEXT = "turn it off"
CLIPS = [(f"u{i}", tone_clip(text, i, 0.06)) for i, text in enumerate((TEXT, "stop", "call anna now"))]
EXAMPLE = AsrExample("u0", CLIPS[0][1], TEXT)
WRITERS = ("whisper", "moonshine")

families = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks of this size are many times slower on threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(family):
        if family not in made:
            made[family] = family_folder(family, tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@families
def test_it_is_saved_and_loaded(family, folders, tmp_path):
    asr = load_asr(folders(family))
    assert asr.head == ("seq2seq" if family in WRITERS else "ctc")
    assert sum(p.numel() for p in asr.model.parameters()) < 100_000
    digest = save_asr(asr, tmp_path / "asr")
    again = load_asr(tmp_path / "asr").model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in asr.model.state_dict().items())
    assert save_asr(asr, tmp_path / "twice") == digest
    assert {path.suffix for path in (tmp_path / "asr").iterdir()} <= {".json", ".safetensors", ".txt", ".jinja"}
    assert token_text(asr, encode_targets(asr, [EXAMPLE])[0]) == TEXT


@families
def test_it_is_scored_alike_in_any_order_and_batch(family, folders):
    asr = load_asr(folders(family))
    settings = TranscribeSettings(draws=6, seed=3)
    whole = transcribe(asr, CLIPS, settings)
    alone = transcribe(asr, CLIPS[::-1], TranscribeSettings(draws=6, seed=3, batch_seconds=0.1))[::-1]
    for one, other, (name, samples) in zip(whole, alone, CLIPS, strict=True):
        assert (one.utterance_id, one.text, one.hypotheses) == (name, other.text, other.hypotheses)
        np.testing.assert_allclose(one.columns, other.columns, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-4)
        assert one.problem == ""
        assert one.columns.shape == (len(ASR_COLUMNS),)
        assert np.isfinite(one.columns).all()
        assert one.columns[-1] == pytest.approx(len(samples) / 16_000)
        assert sum(hypothesis.weight for hypothesis in one.hypotheses) == pytest.approx(1.0)
        assert np.linalg.norm(one.embedding) == pytest.approx(1.0, abs=1e-5)
        assert ((one.confidences >= 0) & (one.confidences <= 1)).all()
    assert [output.text for output in whole] == best_texts(asr, [samples for _, samples in CLIPS])
    reseeded = transcribe(asr, CLIPS, TranscribeSettings(draws=6, seed=4))
    assert [output.hypotheses for output in reseeded] != [output.hypotheses for output in whole]


@families
def test_it_is_fine_tuned(family, folders, tmp_path):
    loop = AsrLoopSettings(epochs=20, learning_rate=1e-2, augment=PLAIN)
    settings = AsrFinetuneSettings(loop=loop, interpolate=0.0)
    result = finetune_asr(folders(family), [EXAMPLE], tmp_path / "out", settings, dev=[EXAMPLE])
    assert (result.examples, result.steps, result.too_long) == (1, 20, ())
    assert result.losses[-1] < 0.5 * result.losses[0]
    assert result.dev_wer is not None
    assert transcribe(load_asr(tmp_path / "out"), CLIPS[:1])[0].problem == ""


@families
def test_augmented_steps_with_adapters_on_a_frozen_front_leave_a_plain_model(family, folders, tmp_path):
    loop = AsrLoopSettings(epochs=1, learning_rate=1e-2, batch_seconds=0.5, accumulate=3, precision="bfloat16")
    settings = AsrFinetuneSettings(
        loop=loop, interpolate=0.5, freeze_feature_encoder=True, lora=LoraSettings(rank=2, dropout=0.1)
    )
    examples = [AsrExample(name, samples, TEXT) for name, samples in CLIPS]
    result = finetune_asr(folders(family), examples, tmp_path / "out", settings)
    assert result.steps == 1
    base, tuned = load_asr(folders(family)), load_asr(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        p.name for p in folders(family).iterdir()
    )
    before, after = base.model.state_dict(), tuned.model.state_dict()
    freeze_front_end(base)
    frozen = {name for name, parameter in base.model.named_parameters() if not parameter.requires_grad}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert frozen
    assert changed
    assert not frozen & changed


def test_where_padding_would_change_the_result_clips_are_transcribed_one_by_one(folders):
    heard_alone = {family for family in FAMILIES if not masks_padding(load_asr(folders(family)))}
    assert heard_alone == {"hubert", "wavlm", "moonshine"}
    asr = load_asr(folders("hubert"))
    clips = [samples for _, samples in CLIPS]
    for clip, batched in zip(clips, frame_posteriors(asr, clips), strict=True):
        assert np.array_equal(frame_posteriors(asr, [clip])[0].log_probs, batched.log_probs)


def test_masks_that_a_family_draws_itself_are_the_same_twice(folders):
    asr = load_asr(folders("wav2vec2"))
    start = {name: tensor.clone() for name, tensor in asr.model.state_dict().items()}
    examples = [AsrExample(name, samples, "stop") for name, samples in CLIPS]
    ends = []
    for _ in range(2):
        asr.model.load_state_dict(start)
        losses = train_asr(asr, examples, AsrLoopSettings(epochs=1, seed=1)).losses
        ends.append((losses, asr.model.lm_head.weight.detach().clone()))
    assert ends[0][0] == ends[1][0]
    assert torch.equal(ends[0][1], ends[1][1])


# --- what writes token after token ------------------------------------------------------------------------------------


def taught(folder) -> AsrModel:
    asr = load_asr(folder)
    examples = [
        AsrExample(name, samples, text) for (name, samples), text in zip(CLIPS, (TEXT, "stop", "go"), strict=True)
    ]
    train_asr(asr, examples, AsrLoopSettings(epochs=12, learning_rate=1e-2, augment=PLAIN))
    return asr


@pytest.mark.parametrize("family", WRITERS)
def test_its_texts_are_those_of_the_library_and_its_probabilities_those_of_the_loss(family, folders):
    asr, (_, samples) = taught(folders(family)), CLIPS[0]
    written = decode_clips(asr, [samples], DrawSettings(), [None])[0]
    rules = decoding_rules(asr)
    inputs = extract_features(asr, [samples])
    named = {"language": "en", "task": "transcribe"} if family == "whisper" else {}
    library = asr.model.generate(
        **inputs, max_new_tokens=len(written.path), do_sample=False, num_beams=1,
        suppress_tokens=list(rules.never), **named,
    )  # fmt: skip
    ours = written.path.tolist()
    theirs = [token for token in library[0].tolist() if token not in rules.prefix]
    assert theirs[: len(ours)] == ours
    assert set(ours).isdisjoint(rules.never)
    ending = ours[-1] in rules.ends
    told = ours[:-1] if ending else ours
    with torch.no_grad():
        loss = float(seq2seq_losses(asr, inputs, [told], 0.0)[0])
        start, end = len(rules.prefix) - 1, len(rules.prefix) + len(told)
        given = torch.tensor([[*rules.prefix, *told]])
        logits = asr.model(**inputs, decoder_input_ids=given).logits[0, start:end].clone()
    stop = [*told, rules.ends[0]]
    assert loss == pytest.approx(-float(torch.log_softmax(logits, -1)[range(len(stop)), stop].sum()), rel=1e-4)
    logits[:, list(rules.never)] = -torch.inf
    np.testing.assert_allclose(
        written.log_probs, torch.log_softmax(logits, -1)[: len(ours)].numpy(), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("family", WRITERS)
def test_its_scores_are_predictions_like_any_other(family, folders):
    settings = ScoreSettings(transcribe=TranscribeSettings(draws=4))
    clips = [*CLIPS, ("none", np.zeros(0, dtype=np.float32))]
    scored = score_utterances(
        clips, load_asr(folders(family)), tiny_intent(), settings, asr_version="1", intent_version="1"
    )
    assert scored.predictions.utterance_ids.tolist() == ["u0", "u1", "u2"]
    assert scored.predictions.intent_probs.shape == (3, 3)
    assert np.isfinite(scored.predictions.asr).all()
    assert scored.set_aside == {"none": "no samples"}


@pytest.mark.parametrize("family", WRITERS)
def test_texts_are_drawn_as_often_as_they_are_probable(family, folders):
    asr, (_, samples) = load_asr(folders(family)), CLIPS[1]
    written = decode_clips(asr, [samples], DrawSettings(240), [np.random.default_rng(0)])[0]
    probable = np.exp(written.log_probs[0].astype(np.float64))
    first = np.bincount(
        [text[0] if text else decoding_rules(asr).ends[0] for text in written.drawn], minlength=len(probable)
    )
    order = np.argsort(-probable)
    for kinds in np.array_split(order[probable[order] > 0], 4):  # enough of each for a comparison
        expected = 240 * probable[kinds].sum()
        assert abs(first[kinds].sum() - expected) < 4 * np.sqrt(expected) + 1
    limit = max_tokens(decoding_rules(asr), len(samples) / 16_000)
    assert max(map(len, written.drawn)) <= limit < 20


def test_whispers_texts_begin_with_its_language_and_task(folders, tmp_path):
    asr = load_asr(folders("whisper"))
    marks = asr.tokenizer.convert_ids_to_tokens(list(decoding_rules(asr).prefix))
    assert marks == ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    save_asr(asr, tmp_path / "asr")
    config = json.loads((tmp_path / "asr" / "generation_config.json").read_text())
    del config["language"]
    (tmp_path / "asr" / "generation_config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match="has several languages; set one"):
        load_asr(tmp_path / "asr")


@pytest.mark.parametrize("language", ["de", "German", "<|de|>", None])
def test_an_older_checkpoint_of_whisper_names_its_tokens_in_the_tokenizer_alone(language, folders, tmp_path):
    shutil.copytree(folders("whisper"), tmp_path / "asr")
    file = tmp_path / "asr" / "generation_config.json"
    config = json.loads(file.read_text())
    for key in ("lang_to_id", "task_to_id", "no_timestamps_token_id", "language"):
        del config[key]
    if language is None:
        del config["is_multilingual"]  # then the size of the vocabulary says it
    file.write_text(json.dumps(config | ({} if language is None else {"language": language})))
    asr = load_asr(tmp_path / "asr")
    marks = asr.tokenizer.convert_ids_to_tokens(list(decoding_rules(asr).prefix))
    spoken = [] if language is None else ["<|de|>", "<|transcribe|>"]
    assert marks == ["<|startoftranscript|>", *spoken, "<|notimestamps|>"]
    assert asr.tokenizer.convert_ids_to_tokens([decoding_rules(asr).no_speech]) == ["<|nospeech|>"]
    file.write_text(json.dumps(config | {"is_multilingual": True, "language": "Klingon"}))
    with pytest.raises(SettingsError, match="several languages and no Klingon; set one"):
        load_asr(tmp_path / "asr")


@pytest.mark.parametrize("family", WRITERS)
def test_what_a_writer_can_not_learn_is_left_out(family, folders):
    asr = load_asr(folders(family))
    long = AsrExample("long", CLIPS[1][1], "a text with far more letters than anybody says in that time")
    window = AsrExample("window", np.zeros(16_000 * 3, dtype=np.float32), "stop")
    usable, too_long, unspellable = learnable_examples(
        asr, [EXAMPLE, long, window, AsrExample("odd", CLIPS[2][1], "日本")]
    )
    assert too_long == (["long", "window"] if family == "whisper" else ["long"])
    assert unspellable == ([] if family == "whisper" else ["odd"])  # bytes spell everything
    assert usable[0].utterance_id == "u0"


def test_smoothed_targets_cost_more_where_the_model_is_sure(folders):
    asr = taught(folders("moonshine"))
    targets = encode_targets(asr, [EXAMPLE])
    with torch.inference_mode():
        plain, smooth = (
            float(seq2seq_losses(asr, extract_features(asr, [EXAMPLE.samples]), targets, s)[0]) for s in (0.0, 0.2)
        )
    assert smooth > plain

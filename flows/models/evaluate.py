"""Evaluation of one version on one evaluation set: transcripts, intents, their report, and the speed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import door
from corpus.handle import Corpus
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Floats
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.records.inventory import Inventory, named_now
from corpus.records.models import ModelVersion
from corpus.storage.content_codec import Content
from corpus.tables.costs import EvaluationCost
from corpus.tables.inventory import names_now
from flows.models import registry
from flows.runtime import progress

if TYPE_CHECKING:
    from flows.models.eval_set import AuditSet
    from training.asr.transcribe import AsrOutput, TranscribeSettings
    from training.evaluation.signal_quality import SignalQuality
    from training.intent.model import IntentModel, IntentOutput

Clips = list[tuple[str, Floats]]


@dataclass(frozen=True, slots=True)
class IntentReading:
    """What an intent model predicts for N texts.

    Attributes:
        version: version of the model.
        ids: N utterance ids, sorted.
        texts: texts by utterance id.
        model: the loaded model.
        output: its output, in the order of `ids`.
        names: what former names mean now; the model knows the names of when it learned.
    """

    version: str
    ids: list[str]
    texts: dict[str, str]
    model: IntentModel
    output: IntentOutput
    names: Inventory

    def intents(self) -> dict[str, str]:
        """Return the top intent by utterance id, by the name in use."""
        top = [self.names.intents.current(self.model.intents[place]) for place in self.output.top().tolist()]
        return dict(zip(self.ids, top, strict=True))

    def confidence(self) -> dict[str, float]:
        """Return the probability of the top intent by utterance id."""
        return dict(zip(self.ids, self.output.confidence().tolist(), strict=True))

    def raw_confidence(self) -> dict[str, float]:
        """Return the probability of the top intent before temperature scaling, by utterance id."""
        return dict(zip(self.ids, self.output.raw_confidence().tolist(), strict=True))

    def hypotheses(self) -> dict[str, Hypothesis]:
        """Return each text with its top intent and slots, by utterance id; all by the names in use."""
        found = self.intents()
        return {
            i: named_now(Hypothesis(self.texts[i], 1.0, found[i], self.output.slots[k]), self.names)
            for k, i in enumerate(self.ids)
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a version: the report, which is the same at each repetition, and the time that it took."""

    report: EvaluationReport
    cost: EvaluationCost


def classify_texts(corpus: Corpus, home: Path, version: ModelVersion, texts: Mapping[str, str]) -> IntentReading:
    """Return the predictions of an intent model for texts by utterance id, with the names in use."""
    from training.intent.model import classify

    ids = sorted(texts)
    with corpus.read() as conn:
        names = names_now(conn)
    with progress.track(f"classifying {len(ids)} texts with intent/{version.version}", None, "texts"):
        model = registry.load_intent(home, version)
        return IntentReading(version.version, ids, dict(texts), model, classify(model, [texts[i] for i in ids]), names)


def transcribe_clips(
    home: Path, how: TranscribeSettings, version: ModelVersion, clips: Clips, locales: Mapping[str, str]
) -> list[AsrOutput]:
    """Return the best transcripts of clips by a speech model, in their order; `locales` are theirs by utterance id.

    What is drawn beside them says how sure a model is of a clip, and nothing reads it here: a seq2seq model, which
    decodes each draw, makes one of them in place of the many that scoring needs.
    """
    from training.asr.transcribe import transcribe

    name = f"transcribing {len(clips)} clips with asr/{version.version}"
    with progress.track(name, len(clips), "clips") as advance:
        asr = registry.load_asr(home, version)
        return transcribe(asr, clips, how.model_copy(update={"draws": 1}), progress.counting(advance), locales)


def evaluate(corpus: Corpus, home: Path, how: TranscribeSettings, audit: AuditSet, version: ModelVersion) -> Evaluation:
    """Evaluate a version on the evaluation set; return its report and the time that it took."""
    started = time.perf_counter()
    opened = door.open(corpus, sorted(audit.labels), "judge", strict=False)
    clips, sounds = _clips(progress.over(opened, "reading the clips of the evaluation set", len(audit.labels), "clips"))
    outputs = transcribe_clips(home, how, audit.speech_model or version, clips, audit.locales())
    texts = {output.utterance_id: output.text for output in outputs}
    if audit.kind == "asr":
        report = _asr_report(
            audit, version, outputs, sounds, classify_texts(corpus, home, registry.champion(corpus, "intent"), texts)
        )
    else:
        report = _intent_report(audit, version, classify_texts(corpus, home, version, texts), sounds)
    took = time.perf_counter() - started
    audio = sum(sound.duration for sound in sounds.values())
    with progress.track(f"measuring the speed of {audit.kind}/{version.version}", None, "clips"):
        speed = _speed(home, how, audit, version, clips, texts)
    return Evaluation(report, EvaluationCost(len(report), round(took, 3), round(audio, 3), speed))


def _clips(opened: Iterable[Content]) -> tuple[Clips, dict[str, SignalQuality]]:
    from training.evaluation.signal_quality import signal_quality

    clips: Clips = []
    sounds = {}
    for content in opened:
        if content.audio is not None:
            clips.append((content.utterance.utterance_id, content.audio))
            sounds[content.utterance.utterance_id] = signal_quality(content.audio, content.sample_rate)
    return clips, sounds


def _asr_report(
    audit: AuditSet,
    version: ModelVersion,
    outputs: Sequence[AsrOutput],
    sounds: Mapping[str, SignalQuality],
    reading: IntentReading,
) -> EvaluationReport:
    """Return the report of a speech model, with the success of the champion intent model on its transcripts."""
    from training.evaluation.report import evaluate_asr, succeeded, with_numbers

    hypotheses = reading.hypotheses()
    references = {i: label.transcript or "" for i, label in audit.labels.items()}
    texts = {output.utterance_id: output.text for output in outputs}
    report = evaluate_asr(
        version.version,
        audit.eval_set_id,
        references,
        texts,
        audit.speaker_ids,
        {output.utterance_id: output.mean_confidence for output in outputs},
        {i: label.intent for i, label in audit.labels.items() if label.intent is not None},
        sounds,
        {
            i: succeeded(label, hypotheses[i].intent, hypotheses[i])
            for i, label in audit.labels.items()
            if i in hypotheses
        },
        reading.version,
    )
    return with_numbers(report, references, texts, audit.numbers, audit.locales())


def _intent_report(
    audit: AuditSet, version: ModelVersion, reading: IntentReading, sounds: Mapping[str, SignalQuality]
) -> EvaluationReport:
    from training.evaluation.report import evaluate_intent

    return evaluate_intent(
        version.version,
        audit.eval_set_id,
        audit.labels,
        reading.intents(),
        reading.confidence(),
        audit.speaker_ids,
        reading.hypotheses(),
        reading.raw_confidence(),
        sounds,
        audit.speech_model.version if audit.speech_model else "",
    )


def _speed(
    home: Path,
    how: TranscribeSettings,
    audit: AuditSet,
    version: ModelVersion,
    clips: Clips,
    texts: Mapping[str, str],
) -> dict[str, Interval]:
    """Return the real-time factor and latency of single clips: of transcription, for `intent` with classification."""
    from training.asr.transcribe import best_texts
    from training.evaluation.latency import judging_speed, spread_over_speakers, time_calls
    from training.intent.model import classify

    asr = registry.load_asr(home, audit.speech_model or version)
    chosen = [clips[row] for row in spread_over_speakers([audit.speaker_ids[i] for i, _ in clips])]
    audio = [len(samples) / asr.sample_rate for _, samples in chosen]
    speakers = [audit.speaker_ids[i] for i, _ in chosen]
    locales = audit.locales()
    if asr.beam is not None:
        for locale in {locales[i] for i, _ in chosen}:
            asr.beam.for_locale(locale)  # made once, when it is first used, and no part of a clip's time
    transcribing = time_calls(
        lambda clip: best_texts(asr, [clip[1]], window=how.window, locales=[locales[clip[0]]]), chosen
    )
    classifying = None
    if audit.kind == "intent":
        model = registry.load_intent(home, version)
        classifying = time_calls(lambda text: classify(model, [text]), [texts[i] for i, _ in chosen])
    return judging_speed(audio, transcribing, classifying, speakers)

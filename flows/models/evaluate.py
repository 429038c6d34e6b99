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
    from training.evaluation.intervals import Numbers
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
class Transcribed:
    """What a speech model wrote for the clips of an evaluation set; intent versions that are judged on it share it.

    Attributes:
        version: of the speech model.
        outputs: its best transcripts, in the order of the clips.
        seconds: how long it took [s].
        single: (n,) how long it takes for each of the clips that are timed one by one [s].
    """

    version: str
    outputs: list[AsrOutput]
    seconds: float
    single: Numbers

    def fits(self, version: ModelVersion, clips: Clips) -> bool:
        """Return whether these are the transcripts of the clips by the speech model."""
        return version.version == self.version and [i for i, _ in clips] == [o.utterance_id for o in self.outputs]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a version: the report, which is the same at each repetition, and the time that it took.

    The transcripts are given to the evaluation of the next version, which may be judged on the same ones.
    """

    report: EvaluationReport
    cost: EvaluationCost
    transcribed: Transcribed


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


def evaluate(
    corpus: Corpus,
    home: Path,
    how: TranscribeSettings,
    audit: AuditSet,
    version: ModelVersion,
    earlier: Transcribed | None = None,
) -> Evaluation:
    """Evaluate a version on the evaluation set; return its report, the time that it took, and its transcripts.

    Args:
        corpus: handle of the home.
        home: folder with the models.
        how: settings of transcription.
        audit: the evaluation set.
        version: a version of the set's kind.
        earlier: transcripts of the version that was evaluated before; no clip is transcribed again where they fit. The
            time that they took counts as if it had been.
    """
    started = time.perf_counter()
    opened = door.open(corpus, sorted(audit.labels), "judge", strict=False)
    clips, sounds = _clips(progress.over(opened, "reading the clips of the evaluation set", len(audit.labels), "clips"))
    reading, speaking = time.perf_counter() - started, audit.speech_model or version
    if earlier is not None and earlier.fits(speaking, clips):
        transcribed = earlier
    else:
        transcribed = _transcribed(home, how, audit, speaking, clips)
    started = time.perf_counter()
    texts = {output.utterance_id: output.text for output in transcribed.outputs}
    if audit.kind == "asr":
        reads = classify_texts(corpus, home, registry.champion(corpus, "intent"), texts)
        report = _asr_report(audit, version, transcribed.outputs, sounds, reads)
    else:
        report = _intent_report(audit, version, classify_texts(corpus, home, version, texts), sounds)
    took = reading + transcribed.seconds + time.perf_counter() - started
    audio = sum(sound.duration for sound in sounds.values())
    speed = _speed(home, audit, version, clips, transcribed)
    return Evaluation(report, EvaluationCost(len(report), round(took, 3), round(audio, 3), speed), transcribed)


def _transcribed(
    home: Path, how: TranscribeSettings, audit: AuditSet, version: ModelVersion, clips: Clips
) -> Transcribed:
    """Return the transcripts of the clips by a speech model, and how fast it is with single ones."""
    from training.asr.transcribe import best_texts
    from training.evaluation.latency import time_calls

    started, locales = time.perf_counter(), audit.locales()
    outputs = transcribe_clips(home, how, version, clips, locales)
    took = time.perf_counter() - started
    asr = registry.load_asr(home, version)
    chosen = _timed(audit, clips)
    with progress.track(f"measuring the speed of asr/{version.version}", None, "clips"):
        if asr.beam is not None:
            for locale in {locales[i] for i, _ in chosen}:
                asr.beam.for_locale(locale)  # made once, when it is first used, and no part of a clip's time
        single = time_calls(
            lambda clip: best_texts(asr, [clip[1]], window=how.window, locales=[locales[clip[0]]]), chosen
        )
    return Transcribed(version.version, outputs, took, single)


def _timed(audit: AuditSet, clips: Clips) -> Clips:
    """Return the clips that are timed one by one."""
    from training.evaluation.latency import spread_over_speakers

    return [clips[row] for row in spread_over_speakers([audit.speaker_ids[i] for i, _ in clips])]


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
    home: Path, audit: AuditSet, version: ModelVersion, clips: Clips, transcribed: Transcribed
) -> dict[str, Interval]:
    """Return the real-time factor and latency of single clips: of transcription, for `intent` with classification."""
    from training.evaluation.latency import judging_speed, time_calls
    from training.intent.model import classify

    chosen = _timed(audit, clips)
    rate = registry.load_asr(home, audit.speech_model or version).sample_rate
    classifying = None
    if audit.kind == "intent":
        texts = {output.utterance_id: output.text for output in transcribed.outputs}
        with progress.track(f"measuring the speed of intent/{version.version}", None, "texts"):
            model = registry.load_intent(home, version)
            classifying = time_calls(lambda text: classify(model, [text]), [texts[i] for i, _ in chosen])
    audio = [len(samples) / rate for _, samples in chosen]
    return judging_speed(audio, transcribed.single, classifying, [audit.speaker_ids[i] for i, _ in chosen])

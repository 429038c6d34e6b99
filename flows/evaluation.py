"""One version on one evaluation set: what it heard and understood, counted, and how fast it was."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus import door
from corpus.content import Content
from corpus.handle import Corpus
from corpus.records import EvaluationReport, Floats, Hypothesis, ModelVersion
from flows import console, models
from flows.settings import Settings

if TYPE_CHECKING:
    from flows.judge import AuditSet
    from training.intent import IntentModel, IntentOutput
    from training.signal import Sound
    from training.transcribe import AsrOutput

Clips = list[tuple[str, Floats]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an intent model made of N texts, in the order of `ids`."""

    version: str
    ids: list[str]
    texts: dict[str, str]
    model: IntentModel
    output: IntentOutput

    def intents(self) -> dict[str, str]:
        """Returns the top intent by utterance id."""
        top = self.output.probs.argmax(axis=1)
        return {i: self.model.intents[int(top[k])] for k, i in enumerate(self.ids)}

    def confidence(self) -> dict[str, float]:
        """Returns the probability of the top intent by utterance id."""
        return {i: float(self.output.probs[k].max()) for k, i in enumerate(self.ids)}

    def raw_confidence(self) -> dict[str, float]:
        """Returns the probability that the top intent had before temperature scaling."""
        raw = np.exp(self.output.logits.max(axis=1) - self.output.logsumexp)
        return {i: float(raw[k]) for k, i in enumerate(self.ids)}

    def hypotheses(self) -> dict[str, Hypothesis]:
        """Returns the text that was read with its slots."""
        found = self.intents()
        return {i: Hypothesis(self.texts[i], 1.0, found[i], self.output.slots[k]) for k, i in enumerate(self.ids)}


def read(settings: Settings, version: ModelVersion, texts: Mapping[str, str]) -> Reading:
    """Returns what an intent model makes of texts by utterance id."""
    from training.intent import classify

    model, ids = models.load_intent(settings, version), sorted(texts)
    return Reading(version.version, ids, dict(texts), model, classify(model, [texts[i] for i in ids]))


def hear(settings: Settings, ears: ModelVersion, clips: Clips) -> list[AsrOutput]:
    """Returns what a speech model hears in clips."""
    from training.transcribe import transcribe

    with console.progress(f"listen with asr {ears.version}", len(clips)) as advance:
        asr = models.load_asr(settings, ears)
        return transcribe(asr, clips, settings.score.transcribe, console.counting(advance))


def evaluate(
    corpus: Corpus, settings: Settings, audit: AuditSet, version: ModelVersion
) -> tuple[EvaluationReport, dict[str, Any]]:
    """Returns the version's report on the audit set and what judging took: seconds, real-time factor, latency.

    Times differ from run to run, so they are no part of the report, which is the same whenever it is made.
    """
    ears = audit.listener or version
    started = time.perf_counter()
    clips, sounds = _clips(door.open(corpus, sorted(audit.labels), "judge", strict=False))
    heard = hear(settings, ears, clips)
    texts = {output.utterance_id: output.text for output in heard}
    if audit.kind == "asr":
        report = _asr_report(audit, version, heard, sounds, read(settings, models.champion(corpus, "intent"), texts))
    else:
        report = _intent_report(audit, version, read(settings, version, texts), sounds)
    took = time.perf_counter() - started
    audio = sum(sound.duration for sound in sounds.values())
    speed = {name: rate.as_json() for name, rate in _speed(settings, audit, version, clips, texts).items()}
    return report, {"rows": len(report), "seconds": round(took, 3), "audio": round(audio, 3), "speed": speed}


def _clips(opened: Any) -> tuple[Clips, dict[str, Sound]]:
    from training.signal import sound_of

    clips: Clips = []
    sounds = {}
    content: Content
    for content in opened:
        if content.audio is not None:
            clips.append((content.utterance.utterance_id, content.audio))
            sounds[content.utterance.utterance_id] = sound_of(content.audio, content.sample_rate)
    return clips, sounds


def _asr_report(
    audit: AuditSet,
    version: ModelVersion,
    heard: Sequence[AsrOutput],
    sounds: Mapping[str, Sound],
    reading: Reading,
) -> EvaluationReport:
    """Returns the report of a speech model, with what the intent model at work made of what was heard."""
    from training.evaluate import evaluate_asr, succeeded

    made = reading.hypotheses()
    return evaluate_asr(
        version.version,
        audit.eval_set_id,
        {i: label.transcript or "" for i, label in audit.labels.items()},
        {output.utterance_id: output.text for output in heard},
        audit.speaker_ids,
        {o.utterance_id: float(o.confidences.mean()) if len(o.confidences) else 0.0 for o in heard},
        {i: label.intent for i, label in audit.labels.items() if label.intent is not None},
        sounds,
        {i: succeeded(label, made[i].intent, made[i]) for i, label in audit.labels.items() if i in made},
        reading.version,
    )


def _intent_report(
    audit: AuditSet, version: ModelVersion, reading: Reading, sounds: Mapping[str, Sound]
) -> EvaluationReport:
    from training.evaluate import evaluate_intent

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
        audit.listener.version if audit.listener else "",
    )


def _speed(
    settings: Settings, audit: AuditSet, version: ModelVersion, clips: Clips, texts: Mapping[str, str]
) -> dict[str, Any]:
    """Returns real-time factor and latency of single clips: of hearing, or of hearing and understanding.

    `own_latency_p50` and `_p95` are the intent model's part.
    """
    from training.intent import classify
    from training.speed import Timing, speed_figures, spread, timed
    from training.transcribe import best_texts

    asr = models.load_asr(settings, audit.listener or version)
    rows = spread([audit.speaker_ids[i] for i, _ in clips])
    chosen = [clips[row] for row in rows]
    audio = np.array([len(samples) / asr.sample_rate for _, samples in chosen])
    speakers = np.array([audit.speaker_ids[i] for i, _ in chosen], dtype=np.str_)
    seconds = timed(lambda clip: best_texts(asr, [clip]), [samples for _, samples in chosen])
    if audit.kind == "asr":
        return dict(speed_figures(Timing(audio, seconds, speakers)))
    model = models.load_intent(settings, version)
    own = timed(lambda text: classify(model, [text]), [texts[i] for i, _ in chosen])
    found = speed_figures(Timing(audio, seconds + own, speakers))
    mine = speed_figures(Timing(audio, own, speakers))
    return {**found, **{f"own_{name}": rate for name, rate in mine.items() if name != "rtf"}}

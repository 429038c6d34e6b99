"""Fine-tune the base model on the labels and pseudo-labels of a plan."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from corpus.errors import TrainingRefused
from corpus.handle import Corpus
from corpus.records.base import Kind, Role
from corpus.records.models import Snapshot, SnapshotRow
from corpus.tables.inventory import names_now
from flows.runtime import progress
from flows.runtime.durations import duration_text
from flows.runtime.results import Result
from flows.steps.decoder import decoder_of
from flows.steps.draw_temperature import decodings, note_draws
from flows.steps.retrain_plan import RetrainPlan
from flows.steps.training_examples import PseudoLabels, asr_examples, intent_examples
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings
from training.loop.base_facts import known
from training.loop.work import Epoch, OnEpoch, Progress

if TYPE_CHECKING:
    from training.asr.finetune import FinetuneResult as AsrResult
    from training.intent.finetune import FinetuneResult as IntentResult

ASR_RATE, INTENT_RATE = "asr.loop.learning_rate", "intent.fit.encoder_rate"

LEARNING_ROLES: tuple[Role, ...] = ("train", "dev")
"""Rows to learn from, and rows of other speakers on which the training is validated."""


@dataclass(frozen=True, slots=True)
class Training(Result):
    """How a fine-tuning ran.

    Attributes:
        examples: how many clips were learned from, those of pseudo-labels included; of an intent model, how many texts:
            the transcript of a label, and the draft of its clip where that differs.
        left_out: how many labels and pseudo-labels could not be learned from, which only the training knows.
        too_long, unspellable: how many of them for which reason, see `training.asr.finetune.FinetuneResult`; None where
            there are none.
        no_words: how many of them say nothing to learn from, such as a clip of silence, or were closed meanwhile; None
            where there are none.
        unmarked_slots: how many slots the tokens of the base can't mark, such as the second of two on one word, so that
            they are not learned; None where there are none.
        lacks: the characters that the base has no token for, with blanks between them; None where there are none.
        resumed_at_step: step at which it was resumed after a kill; None where it was not killed.
        language_model: SHA-256 of the language model and the phrases of its beam; None where it decodes greedily.
        draw_temperature: at which the texts of a seq2seq model are drawn; None for a CTC model, and where labels were
            too few to find it.
        learning_rate: peak learning rate that it ended with; of the encoder for an intent model; None in the results of
            older versions.
        rate_halved: True where its first epoch made dev worse than the base, and it started again at half the rate;
            None where it did not.
        best_epoch: the epoch whose weights it has; None where too few dev rows watched it, and it has the last one's.
        seconds: how long it took [s].
    """

    examples: int
    left_out: int
    too_long: int | None = None
    unspellable: int | None = None
    no_words: int | None = None
    unmarked_slots: int | None = None
    lacks: str | None = None
    resumed_at_step: int | None = None
    language_model: str | None = None
    draw_temperature: float | None = None
    learning_rate: float | None = None
    rate_halved: bool | None = None
    best_epoch: int | None = None
    seconds: float = field(kw_only=True)

    def params(self) -> dict[str, str]:
        """Return what its MLflow run has beside the settings: what it ended with, by name."""
        ended = ("language_model", "draw_temperature", "learning_rate", "best_epoch")
        found = {name: str(getattr(self, name)) for name in ended if getattr(self, name) is not None}
        return found | {"rate_halved": "yes" if self.rate_halved else "no"}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Training:
        """Return the training that was stored."""
        return cls(
            examples=stored["examples"],
            left_out=stored["left_out"],
            too_long=stored.get("too_long"),
            unspellable=stored.get("unspellable"),
            no_words=stored.get("no_words"),
            unmarked_slots=stored.get("unmarked_slots"),
            lacks=stored.get("lacks"),
            resumed_at_step=stored.get("resumed_at_step"),
            language_model=stored.get("language_model"),
            draw_temperature=stored.get("draw_temperature"),
            learning_rate=stored.get("learning_rate"),
            rate_halved=stored.get("rate_halved"),
            best_epoch=stored.get("best_epoch"),
            seconds=stored["seconds"],
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training that passed the check on the dev rows.

    Attributes:
        training: how it ran.
        checked: what the check found, in one sentence.
        series: figures by name and epoch, see `training.evaluation.metrics.learning_series`.
        left_out: ids of the examples that could not be learned from, by reason.
    """

    training: Training
    checked: str
    series: Mapping[str, Mapping[int, float]]
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def checkpoint_folder(folder: Path, kind: Kind) -> Path:
    """Return the folder, beside the work folder, where the training keeps its checkpoints."""
    return folder.with_name(f"{folder.name}-{kind}-kept")


def fine_tune(
    corpus: Corpus,
    base: Path,
    plan: RetrainPlan,
    folder: Path,
    on_epoch: OnEpoch,
) -> Trained:
    """Fine-tune the base and write the model to the folder; resume from the checkpoints of a killed run.

    Every epoch is a note for the person who waits.

    Args:
        corpus: the handle.
        base: folder of the base.
        plan: what is learned, and how.
        folder: of the model.
        on_epoch: called for the base and after each epoch.

    Raises:
        TrainingRefused: the training diverged, or the model is clearly worse than its base on the dev rows.
    """
    how = plan.finetune
    if isinstance(how, AsrFinetuneSettings):
        rate, speech = known(ASR_RATE, how.loop.learning_rate), asr_learner(corpus, base, plan.snapshot, plan.pseudo)
        return _of_asr(speech.learn(how, folder, on_epoch), rate, speech.no_words)
    rate, texts = known(INTENT_RATE, how.fit.encoder_rate), intent_learner(corpus, base, plan.snapshot, plan.pseudo)
    return _of_intent(texts.learn(how, folder, on_epoch), rate, texts.no_words)


S = TypeVar("S", AsrFinetuneSettings, IntentFinetuneSettings)
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Learner(Generic[S, M]):
    """Examples in memory, from which models of one kind are trained, each with settings of its own.

    Attributes:
        learn: takes the settings, the folder of the model and what is called for the base and after each epoch; returns
            the result of the fine-tuning. It resumes from the checkpoints of a killed run, and raises TrainingRefused
            where a loss or a weight is not finite.
        examples: how many examples it learns from.
        dev_ids: (N,) the utterances that watch the training, in the order of the result's `dev_errors`.
        no_words: the utterances of the rows that train of which there is no example.
    """

    learn: Callable[[S, Path, OnEpoch], M]
    examples: int
    dev_ids: tuple[str, ...]
    no_words: tuple[str, ...]


def asr_learner(
    corpus: Corpus, base: Path, snapshot: Snapshot, pseudo: PseudoLabels, *, is_kept: bool = True
) -> Learner[AsrFinetuneSettings, AsrResult]:
    """Open the clips of a snapshot's train and dev rows, and of the pseudo-labels; return what trains on them.

    Of models that are not kept, such as those of a sweep, nobody draws texts, so that the temperature is not found.
    """
    from training.asr.finetune import finetune_asr

    train, dev = (snapshot.of(role) for role in LEARNING_ROLES)
    examples, validation = asr_examples(corpus, train, pseudo), asr_examples(corpus, dev)

    def learn(settings: AsrFinetuneSettings, folder: Path, on_epoch: OnEpoch) -> AsrResult:
        kept, report = _ready(folder, "asr"), _noted("asr", on_epoch, len(validation))
        decoder = decoder_of(corpus, settings, examples, frozenset(pseudo.ids))
        with _steps("asr") as advance, decodings("asr") as on_draws:
            return finetune_asr(
                base,
                examples,
                folder,
                settings,
                advance,
                validation,
                checkpoint=kept,
                on_epoch=report,
                decoder=decoder,
                on_draws=on_draws if is_kept else None,
            )

    given = {example.utterance_id for example in examples}
    return Learner(learn, len(examples), tuple(example.utterance_id for example in validation), _others(train, given))


def intent_learner(
    corpus: Corpus, base: Path, snapshot: Snapshot, pseudo: PseudoLabels
) -> Learner[IntentFinetuneSettings, IntentResult]:
    """Open the texts of a snapshot's train and dev rows, and of the pseudo-labels; return what trains on them."""
    from training.intent.finetune import finetune_intent
    from training.intent.fit import DRAFT

    train, dev = (snapshot.of(role) for role in LEARNING_ROLES)
    examples, validation = intent_examples(corpus, train, pseudo), intent_examples(corpus, dev)
    dev_ids = {example.utterance_id.removesuffix(DRAFT) for example in validation}
    with corpus.read() as conn:
        names = names_now(conn)

    def learn(settings: IntentFinetuneSettings, folder: Path, on_epoch: OnEpoch) -> IntentResult:
        kept, report = _ready(folder, "intent"), _noted("intent", on_epoch, len(dev_ids))
        with _steps("intent") as advance:
            return finetune_intent(
                base, examples, folder, settings, advance, validation, checkpoint=kept, on_epoch=report, names=names
            )

    given = {example.utterance_id.removesuffix(DRAFT) for example in examples}
    return Learner(learn, len(examples), tuple(sorted(dev_ids)), _others(train, given))


def _others(rows: Sequence[SnapshotRow], given: Collection[str]) -> tuple[str, ...]:
    return tuple(row.utterance_id for row in rows if row.utterance_id not in given)


def _ready(folder: Path, kind: Kind) -> Path:
    """Remove what other trainings of the kind left beside the folder of a model; return the folder of checkpoints."""
    checkpoints = checkpoint_folder(folder, kind)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = [other for other in folder.parent.glob(f"*-{kind}-kept") if other != checkpoints]
    # checkpoints that learned from other labels, some of which may be erased by now, and files of a killed run
    for stale in (folder, *others, *folder.parent.glob(".tmp-*")):
        shutil.rmtree(stale, ignore_errors=True)
    return checkpoints


def _noted(kind: Kind, on_epoch: OnEpoch, dev_rows: int) -> OnEpoch:
    """Return what is called after each epoch: it is a note, too."""

    def report(epoch: Epoch) -> None:
        progress.note(epoch_line(kind, epoch, dev_rows))
        on_epoch(epoch)

    return report


def epoch_line(kind: Kind, epoch: Epoch, dev_rows: int) -> str:
    """Return the line on an epoch: loss, figure on the dev rows, time, time left; epoch 0 is the base.

    That of a first epoch that made dev worse says so.

    Args:
        kind: `asr` or `intent`.
        epoch: its figures.
        dev_rows: utterances of the figure, which are others than the audit rows, and were chosen as hard.
    """
    measure = "WER" if kind == "asr" else "intent error"
    rows = f"{dev_rows} dev row{'s' if dev_rows != 1 else ''}"
    dev = "no dev rows" if epoch.dev_error is None else f"{measure} {100 * epoch.dev_error:.1f} % on {rows}"
    if epoch.train_loss is None:
        return f"{kind} base: {dev}"
    line = f"{kind} epoch {epoch.number} of {epoch.epochs}: loss {epoch.train_loss:.4g}, {dev}"
    line += f", {duration_text(epoch.seconds)}"
    if epoch.restarts:
        line += ", worse than the base: starts again at half the rate"
    return line if epoch.seconds_left is None else f"{line}, {duration_text(epoch.seconds_left)} left"


@contextmanager
def _steps(kind: Kind) -> Iterator[Progress]:
    """Report the steps of a training; yield what the training calls after each."""
    with progress.track(f"fine-tuning {kind}", None, "steps") as advance:
        yield lambda done, total, loss: advance(done, total)


def checked(kind: Kind, made: AsrResult | IntentResult, settings: str) -> str:
    """Return in one sentence what the dev rows say about a trained model.

    Args:
        kind: `asr` or `intent`.
        made: the result of the fine-tuning.
        settings: what to change where the model is refused.

    Raises:
        TrainingRefused: the training diverged, or the model is clearly worse than its base.
    """
    from training.evaluation.dev_check import MIN_ROWS, can_tell, why_diverged, why_worse

    why = why_diverged(made.first_loss, made.losses) or why_worse(kind, made.dev_errors)
    if why:
        raise TrainingRefused(f"{kind} training refused, nothing is registered: {why}; {settings}")
    rows = len(made.dev_errors) if made.dev_errors is not None else 0
    if not can_tell(made.dev_errors):
        return f"{rows} dev row{'s' if rows != 1 else ''} can't tell whether it is worse than its base, {MIN_ROWS} can"
    return f"not clearly worse than its base on {rows} dev rows"


def _of_asr(made: AsrResult, rate: float, no_words: tuple[str, ...]) -> Trained:
    """Return the finished training of a speech model at a rate, which passed the check."""
    from training.evaluation.metrics import learning_series

    found = checked("asr", made, "lower asr.loop.learning_rate, or raise asr.interpolate")
    note_draws(made.draws)
    training = Training(
        examples=made.examples,
        left_out=len(made.too_long) + len(made.unspellable) + len(no_words),
        too_long=len(made.too_long) or None,
        unspellable=len(made.unspellable) or None,
        no_words=len(no_words) or None,
        lacks=" ".join(made.lacks) or None,
        resumed_at_step=made.resumed or None,
        language_model=made.decoder.digest() if made.decoder is not None else None,
        draw_temperature=made.draws.value if made.draws is not None and made.draws.known else None,
        learning_rate=rate * made.rate_factor,
        rate_halved=made.rate_factor < 1 or None,
        best_epoch=made.best_epoch,
        seconds=round(made.seconds, 1),
    )
    series = learning_series(made.losses, {"dev_wer": made.dev_wer}, {"dev_wer": made.watched})
    left_out = {"too_long": made.too_long, "unspellable": made.unspellable, "no_words": no_words}
    return Trained(training, found, series, left_out)


def _of_intent(made: IntentResult, rate: float, no_words: tuple[str, ...]) -> Trained:
    """Return the finished training of an intent model at a rate of its encoder, which passed the check."""
    from training.evaluation.metrics import learning_series

    remedy = "lower intent.fit.encoder_rate and intent.fit.head_rate, or raise intent.interpolate"
    found = checked("intent", made, remedy)
    training = Training(
        examples=made.examples,
        left_out=len(no_words),
        no_words=len(no_words) or None,
        unmarked_slots=made.unmarked_slots or None,
        resumed_at_step=made.resumed or None,
        learning_rate=rate * made.rate_factor,
        rate_halved=made.rate_factor < 1 or None,
        best_epoch=made.best_epoch,
        seconds=round(made.seconds, 1),
    )
    before_after = {"dev_accuracy": made.dev_accuracy}
    return Trained(
        training, found, learning_series(made.losses, before_after, {"dev_error": made.watched}), {"no_words": no_words}
    )

"""Plan a sweep: which settings are trained on which labels, with which seeds, and what earlier sweeps trained already.

All trials learn from one snapshot and one base, those that a retraining would take now. The same labels, base, settings
and seed are the same trial in every sweep, so that none is trained twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from corpus.errors import SettingsError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind, Role, digest
from corpus.records.models import Snapshot
from corpus.storage import operation_ids
from corpus.tables import scores, utterances
from corpus.tables.inventory import meaning_digest
from flows.models import registry
from flows.models.by_base import finetune_of, safe_values
from flows.models.eval_set import snapshot_and_account
from flows.runtime.settings import NightSettings
from flows.runtime.settings_parts import (
    HasAsr,
    HasHome,
    HasIntent,
    HasModels,
    HasNight,
    HasPromotion,
)
from flows.steps import sweep_grid
from flows.steps.decoder import decoder_sources
from flows.steps.fine_tune import LEARNING_ROLES
from flows.steps.sweep_grid import SEED, Candidate, Finetune
from flows.steps.sweep_outcome import Outcome, earlier_outcomes
from flows.steps.training_examples import PseudoLabels, choose_pseudo_labels
from training.asr.finetune import AsrFinetuneSettings
from training.pseudo_labels import PseudoSettings
from training.snapshots import LabelAccount

FEWEST_SPEAKERS: Final = 5
"""With fewer speakers an interval over speakers says too little: 11.7 % of best-of-8 settings that are no better
(two speakers, simulated) looked clearly better, 1.5 % with four."""

FOLDS: Final = 5
"""How many folds there are where nobody says so: each trial then learns from four fifths of the labels."""


class SettingsOfSweepPlan(HasHome, HasModels, HasAsr, HasIntent, HasPromotion, HasNight, Protocol):
    """The settings that decide what the trials of a sweep learn from."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep.

    Attributes:
        operation_id: the same for the same labels, base, settings and seed, for intents the same drafts and names, and
            for a beam the same files and examples of the inventory.
        candidate: position of its settings among the plan's candidates.
        name: its settings in a few words.
        finetune: the settings of the training, whole, with the seed of this trial.
        snapshot: the labels: of a fold, where there are folds, those of its speakers are the dev rows.
        pseudo: what is learned in addition to the labels.
    """

    operation_id: str
    candidate: int
    name: str
    finetune: Finetune
    snapshot: Snapshot
    pseudo: PseudoLabels

    @property
    def epochs(self) -> int:
        """Return how many epochs it runs, if it does not end early."""
        steps = self.finetune.loop if isinstance(self.finetune, AsrFinetuneSettings) else self.finetune.fit
        return steps.epochs


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a sweep does.

    Attributes:
        kind: `asr` or `intent`.
        name: the same for all sweeps on these labels and this base; their trials are below one MLflow run.
        snapshot: the labels; of its rows only those that train and the dev rows are opened.
        account: where all current labels are.
        base: digest of the base's weights.
        candidates: the settings that are tried.
        seeds: how many times each is trained, with another seed.
        folds: into how many groups the speakers are split, each of which is the dev rows once; 1 for the dev rows of
            the snapshot.
        trials: all trainings, in the order in which they run.
        done: how those of earlier sweeps ended, by operation id.
    """

    kind: Kind
    name: str
    snapshot: Snapshot
    account: LabelAccount
    base: str
    candidates: tuple[Candidate, ...]
    seeds: int
    folds: int
    trials: tuple[Trial, ...]
    done: Mapping[str, Outcome]

    @property
    def labels(self) -> int:
        """Return how many labels are learned from, each time or, where there are folds, by all but one of them."""
        return sum(row.role in (LEARNING_ROLES if self.folds > 1 else ("train",)) for row in self.snapshot.rows)

    @property
    def waiting(self) -> list[Trial]:
        """Return the trials that are still to be trained."""
        return [trial for trial in self.trials if trial.operation_id not in self.done]


def plan(
    corpus: Corpus,
    settings: SettingsOfSweepPlan,
    kind: Kind,
    tried: Sequence[str],
    trials: int | None = None,
    seeds: int = 1,
    folds: int | None = None,
) -> SweepPlan:
    """Return what a sweep does; nothing is written, and no content is opened.

    Args:
        corpus: the handle.
        settings: what is learned how now, which is tried in any case, as the others are compared with it.
        kind: `asr` or `intent`.
        tried: `key=value,value` for each setting to try.
        trials: how many combinations are drawn at random; None for all.
        seeds: how many times each is trained, with the seeds from that of its settings on.
        folds: 1 to compare on the dev rows; more to split all speakers who train or are dev speakers into groups, each
            of which is measured on once while the others train; None: 1 where the dev rows are enough, else 5.

    Raises:
        SettingsError: a key or value is wrong.
        UsageError: there are no labels to train on, or no dev rows to compare on.
    """
    base = registry.base_to_learn_from(corpus, settings.home, settings.models, kind)
    choices = _by_base(sweep_grid.read_choices(kind, tried), safe_values(base))
    if seeds > 1 and SEED[kind] in choices:
        raise SettingsError(f"--seeds tries seeds: leave {SEED[kind]} out of --set, or give --seeds 1")
    present = finetune_of(settings.asr, settings.intent, base)
    candidates = sweep_grid.candidates(kind, present, choices, trials)
    snapshot, account = snapshot_and_account(corpus, settings.promotion, kind)
    parts = _parts(corpus, snapshot, folds)
    if len(parts) > 1 and any(each.finetune.pseudo.weight for each in candidates):
        raise SettingsError(
            f"folds: the champion that gives pseudo-labels learned from the rows that measure; set {kind}.pseudo.weight"
            " to 0, or label utterances of dev speakers and give --folds 1"
        )
    made = _trials(corpus, settings.night, kind, parts, candidates, seeds, base.digest)
    made, done = _with_earlier(corpus, made)
    name = f"sweep-{kind}-{digest([_learned_rows(snapshot), base.digest])[:8]}"
    return SweepPlan(
        kind, name, snapshot, account, base.digest, tuple(candidates), seeds, len(parts), tuple(made), done
    )


def _by_base(choices: Mapping[str, list[Any]], safe: Mapping[str, bool | float]) -> dict[str, list[Any]]:
    """Return the values to try, each once, with the base's value in place of null where that means by the base."""
    return {
        key: list(dict.fromkeys(safe.get(key) if value is None else value for value in values))
        if key in safe
        else values
        for key, values in choices.items()
    }


def dev_speakers(corpus: Corpus, utterance_ids: Sequence[str]) -> list[str]:
    """Return the speaker of each utterance."""
    with corpus.read() as conn:
        found: list[str] = utterances.pool_columns(conn, list(utterance_ids)).speaker_ids.tolist()
    return found


def _parts(corpus: Corpus, snapshot: Snapshot, folds: int | None) -> list[Snapshot]:
    """Return the snapshot itself or, where there are folds, one for each: its speakers' labels are the dev rows.

    Speakers go to folds in turn, in the order of their keyed ids, so that the folds are random and stay the same.

    Raises:
        UsageError: there is nothing to learn from or nothing to compare on.
    """
    if not snapshot.of("train"):
        raise UsageError("no training label yet; merge annotations, or ingest a manifest with known texts")
    if folds == 1 or (folds is None and _can_tell(corpus, snapshot)):
        if not snapshot.of("dev"):
            raise UsageError("--folds 1: no label of a dev speaker yet; leave it out to compare in folds")
        return [snapshot]
    rows = [row for row in snapshot.rows if row.role in LEARNING_ROLES]
    speakers = dev_speakers(corpus, [row.utterance_id for row in rows])
    names = sorted(set(speakers))
    count = folds or min(FOLDS, len(names))
    fold_of = {speaker: position % count for position, speaker in enumerate(names)}
    if len(fold_of) < max(2, folds or 0):
        raise UsageError(f"{folds or 2} folds: there are labels of {len(fold_of)} speakers only; label more speakers")
    made = []
    for fold in range(count):
        roles: list[Role] = ["dev" if fold_of[speaker] == fold else "train" for speaker in speakers]
        made.append(Snapshot(tuple(replace(row, role=role) for row, role in zip(rows, roles, strict=True))))
    return made


def _can_tell(corpus: Corpus, snapshot: Snapshot) -> bool:
    """Return whether the dev rows are enough to compare on: as many as check a training, of enough speakers."""
    from training.evaluation.dev_check import MIN_ROWS

    dev = [row.utterance_id for row in snapshot.of("dev")]
    return len(dev) >= MIN_ROWS and len(set(dev_speakers(corpus, dev))) >= FEWEST_SPEAKERS


def _learned_rows(snapshot: Snapshot) -> str:
    """Return the digest of the rows that train and of the dev rows; the audit rows have no part in it."""
    return digest([[[r.utterance_id, r.revision, r.weight] for r in snapshot.of(role)] for role in LEARNING_ROLES])


def _with_earlier(corpus: Corpus, made: Sequence[Trial]) -> tuple[list[Trial], dict[str, Outcome]]:
    """Return the trials by the ids that they have now, in their order, and how those of earlier sweeps ended."""
    found: dict[str, str] = {}
    done: dict[str, Outcome] = {}
    with corpus.read() as conn:
        for part in dict.fromkeys(trial.snapshot.snapshot_id for trial in made):
            ids = [trial.operation_id for trial in made if trial.snapshot.snapshot_id == part]
            number, outcomes = earlier_outcomes(conn, ids)
            done |= outcomes
            found |= {each: operation_ids.trial_again(each, number) for each in ids}
    return [replace(trial, operation_id=found[trial.operation_id]) for trial in made], done


def _texts_and_names(corpus: Corpus, kind: Kind, snapshot: Snapshot) -> list[str]:
    """Return digests of what an intent model learns from beside labels: the drafts of the rows, and what names mean."""
    if kind == "asr":
        return []
    ids = sorted(row.utterance_id for role in LEARNING_ROLES for row in snapshot.of(role))
    with corpus.read() as conn:
        return [digest(scores.draft_versions(conn, ids)), meaning_digest(conn)]


def _trials(
    corpus: Corpus,
    night: NightSettings,
    kind: Kind,
    parts: Sequence[Snapshot],
    candidates: Sequence[Candidate],
    seeds: int,
    base: str,
) -> list[Trial]:
    """Return the trainings of all candidates on each part, part by part, since the examples of one are in memory."""
    chosen: dict[tuple[int, PseudoSettings], PseudoLabels] = {}
    made = []
    sources = decoder_sources(corpus, [candidate.finetune for candidate in candidates])
    for fold, part in enumerate(parts):
        rows, texts = _learned_rows(part), _texts_and_names(corpus, kind, part)
        for position, candidate in enumerate(candidates):
            how = (fold, candidate.finetune.pseudo)
            if how not in chosen:
                chosen[how] = choose_pseudo_labels(corpus, night, how[1], kind, part)
            first = sweep_grid.seed_of(kind, candidate.finetune)
            for seed in range(first, first + seeds):
                finetune = sweep_grid.with_values(kind, candidate.finetune, {SEED[kind]: seed})
                beside = [*texts, *filter(None, [sources[position]])]
                learned = digest([finetune.model_dump(mode="json"), base, chosen[how].digest(), *beside])
                name = candidate_name(candidate) + (f" seed={seed}" if seeds > 1 else "")
                name += f" fold={fold + 1}/{len(parts)}" if len(parts) > 1 else ""
                operation_id = operation_ids.trial(kind, rows, learned)
                made.append(Trial(operation_id, position, name, finetune, part, chosen[how]))
    return made


def candidate_name(candidate: Candidate) -> str:
    """Return the settings of a candidate in a few words, such as `epochs=5 encoder_rate=0.001`.

    A key has its last word alone, as MLflow's pages cut long names, and the one before it where two keys end alike.
    """
    ends = [key.rpartition(".")[2] for key in candidate.values]
    words = [
        end if ends.count(end) == 1 else ".".join(key.split(".")[-2:])
        for key, end in zip(candidate.values, ends, strict=True)
    ]
    values = " ".join(f"{word}={value}" for word, value in zip(words, candidate.values.values(), strict=True))
    return f"present: {values}" if candidate.present else values

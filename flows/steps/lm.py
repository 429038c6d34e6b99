"""Build a base with a decoder: lexicon and language model from files and the inventory, its weights from dev rows.

Labels are no part of it, since a base belongs to no snapshot, and no erasure would find it: a retraining with
`asr.decoder: beam` adds them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from corpus.errors import UsageError
from corpus.handle import Corpus
from flows.models import registry
from flows.models.built_base import facts_of_built, facts_on
from flows.models.eval_set import snapshot_and_account
from flows.models.inventory import inventory_of
from flows.runtime import progress
from flows.runtime.output_files import output_errors, output_place
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasAsr, HasHome, HasInventory, HasModels, HasPromotion
from flows.steps.training_examples import asr_examples
from training.evaluation.gate import PromotionSettings

if TYPE_CHECKING:
    from training.asr.beam_weights import KnownClip
    from training.asr.model import AsrModel
    from training.asr.word_beam import DecoderFiles


class SettingsOfLm(HasHome, HasModels, HasAsr, HasInventory, HasPromotion, Protocol):
    """The settings that building a base with a decoder reads."""


@dataclass(frozen=True, slots=True)
class LmReport(Result):
    """The base that was written.

    Attributes:
        folder: its folder, for `models.asr`.
        words: how many words the lexicons of all locales have.
        unspellable: how many words of the language model no token of the base spells.
        phrases: how many phrases are boosted in every clip.
        phrases_by_locale: how many further ones in the clips of a locale.
        digest: SHA-256 of language model and phrases.
        lm_weight, word_score, unknown_score: the weights of the search.
        dev_rows: labelled rows that the weights were chosen on; 0 where there are fewer than 20, and the weights of the
            settings remain.
        wer_greedy, wer_beam: word error rate on these rows, greedily and with the beam.
    """

    folder: str
    words: int
    unspellable: int
    phrases: int
    phrases_by_locale: Mapping[str, int]
    digest: str
    lm_weight: float
    word_score: float
    unknown_score: float
    dev_rows: int
    wer_greedy: float | None = None
    wer_beam: float | None = None


def build_base(corpus: Corpus, settings: SettingsOfLm, out: Path) -> LmReport:
    """Copy the base of the speech model into a new folder, with a decoder from the files of `asr.beam`.

    Examples of the inventory are texts, too. The decoder makes no transcript of a version that is registered already:
    the folder is a base like any other, and the version that starts from it decodes as it does.

    The facts on the base go with it, and say what it was made from.

    Raises:
        UsageError: the base takes no beam, the folder exists, or there is neither a text nor a word to build from.
        SettingsError: a file can't be read, or the extra `beam` is not installed.
    """
    from training.asr.beam_build import build_decoder
    from training.asr.beam_files import with_decoder, write_decoder
    from training.asr.loading import load_asr
    from training.loop.base_facts import write_facts
    from training.loop.model_files import replaced_folder

    base = registry.base_to_learn_from(corpus, settings.home, settings.models, "asr").checked()
    _refuse_without_frames(base)
    given, out = out, output_place(out, "OUT", settings.home)
    if out.exists():
        raise UsageError(f"{out.name} exists; give a new folder")
    names = inventory_of(corpus, settings.home, settings.inventory)
    notes = [note for kind in (names.intents, names.slots) for note in kind.notes.values()]
    decoder = build_decoder(settings.asr.beam, [], [example for note in notes for example in note.examples])
    asr = with_decoder(replace(load_asr(base.folder), beam=None), decoder)
    asr, rows, rates = _weighed(asr, _dev_clips(corpus, settings.promotion, asr))
    assert asr.decoder is not None
    with output_errors(given, "OUT"), replaced_folder(out) as draft:
        shutil.copytree(base.folder, draft, dirs_exist_ok=True)
        write_decoder(draft, asr.decoder)
        write_facts(facts_of_built(facts_on(base), base, draft, out.name), draft)
    return _report(out, asr, asr.decoder, rows, rates)


def _refuse_without_frames(base: registry.Base) -> None:
    """Refuse a base that takes no beam, before anything else is asked for.

    Raises:
        UsageError: it has no CTC head.
    """
    from training.asr.loading import head_of
    from training.loop.base_facts import family_of

    if head_of(base.folder) != "ctc":
        name = f"asr/{base.version}" if base.version else "models.asr"
        raise UsageError(
            f"the speech base {name} is a {family_of(base.folder)}, which takes no beam: only models with a CTC head "
            "do; earmark base use embedded --kind asr takes one, or see earmark base list"
        )


def _report(
    out: Path, asr: AsrModel, decoder: DecoderFiles, rows: int, rates: tuple[float | None, float | None]
) -> LmReport:
    from training.asr.arpa import read_arpa, words_of
    from training.asr.beam_files import model_lexicon

    lists = (decoder.phrases, *decoder.phrases_by_locale.values())
    listed = {word for phrases in lists for phrase in phrases for word in phrase.split()}
    listed |= set(words_of(read_arpa(decoder.arpa, out.name)))
    known = len(model_lexicon(asr, sorted(listed)).spellings)
    return LmReport(
        folder=str(out),
        words=known,
        unspellable=len(listed) - known,
        phrases=len(decoder.phrases),
        phrases_by_locale={locale: len(phrases) for locale, phrases in decoder.phrases_by_locale.items()},
        digest=decoder.digest(),
        lm_weight=decoder.settings.lm_weight,
        word_score=decoder.settings.word_score,
        unknown_score=decoder.settings.unknown_score,
        dev_rows=rows,
        wer_greedy=rates[0],
        wer_beam=rates[1],
    )


def _dev_clips(corpus: Corpus, promotion: PromotionSettings, asr: AsrModel) -> list[KnownClip]:
    """Return the frames of the labelled dev rows with their texts and locales."""
    from training.asr.finetune import known_clip

    snapshot, _ = snapshot_and_account(corpus, promotion, "asr")
    examples = asr_examples(corpus, snapshot.of("dev"))
    read = progress.over(examples, "transcribing dev rows", len(examples), "clips")
    return [known_clip(asr, each) for each in read]


def _weighed(asr: AsrModel, clips: list[KnownClip]) -> tuple[AsrModel, int, tuple[float | None, float | None]]:
    """Return the model with the weights chosen on the clips, their number, and the error rates before and after."""
    from training.asr.beam_files import with_chosen_weights

    with progress.track(f"choosing the weights of the beam on {len(clips)} dev rows", None, "rows"):
        weighed, chosen = with_chosen_weights(asr, clips)
    if not chosen.clips:
        return weighed, 0, (None, None)
    greedy, best = (round(errors / max(1, chosen.words), 4) for errors in chosen.errors)
    return weighed, chosen.clips, (greedy, best)

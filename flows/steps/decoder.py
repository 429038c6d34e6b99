"""The decoder of a speech model from what a home holds: labels that train, and the examples of the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import digest
from corpus.tables import utterances
from corpus.tables.inventory import stored_names
from training.asr.beam_build import FILES, BeamBuildSettings, LabelText, build_decoder, check_files, files_digest
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings

if TYPE_CHECKING:
    from training.asr.fit import AsrExample
    from training.asr.word_beam import DecoderFiles


def decoder_of(
    corpus: Corpus, settings: AsrFinetuneSettings, examples: Sequence[AsrExample], pseudo: frozenset[str] = frozenset()
) -> DecoderFiles | None:
    """Return the decoder that the settings ask for; None where they ask for none.

    Args:
        corpus: the handle.
        settings: the decoder and its language model.
        examples: what the model learns; their texts were opened for training.
        pseudo: utterances among them whose texts nobody confirmed; the language model does not learn these.
    """
    if settings.decoder != "beam":
        return None
    labelled = [each for each in examples if each.utterance_id not in pseudo]
    with corpus.read() as conn:
        examples_of_names = inventory_examples(conn)
        speakers = utterances.pool_columns(conn, [each.utterance_id for each in labelled]).speaker_ids.tolist()
    labels = [LabelText(each.text, each.weight, speaker) for each, speaker in zip(labelled, speakers, strict=True)]
    return build_decoder(settings.beam, labels, examples_of_names)


def check_decoder(settings: AsrFinetuneSettings) -> None:
    """Check that the decoder that the settings ask for can be built: it is installed, and its files can be read.

    Raises:
        SettingsError: it can't.
    """
    from training.asr.word_beam import check_installed

    if settings.decoder == "beam":
        check_installed()
        check_files(settings.beam)


def decoder_sources(corpus: Corpus, finetunes: Sequence[AsrFinetuneSettings | IntentFinetuneSettings]) -> list[str]:
    """Return for each training a digest of what its decoder is built from beside the labels; "" where it has none.

    Files that several of them name are read once, since a language model of many words takes long.

    Raises:
        SettingsError: a file that the settings name is not what it should be.
    """
    beams = [_beam(each) for each in finetunes]
    contents: dict[tuple[Path | str | None, ...], str] = {}
    for beam in filter(None, beams):
        if _files(beam) not in contents:
            check_files(beam)  # better now than after hours of training
            contents[_files(beam)] = files_digest(beam)
    if not contents:
        return [""] * len(beams)
    with corpus.read() as conn:
        examples = inventory_examples(conn)
    return ["" if beam is None else digest([contents[_files(beam)], examples]) for beam in beams]


def _beam(finetune: AsrFinetuneSettings | IntentFinetuneSettings) -> BeamBuildSettings | None:
    """Return how the decoder of a training is built; None where it has none."""
    return finetune.beam if isinstance(finetune, AsrFinetuneSettings) and finetune.decoder == "beam" else None


def _files(beam: BeamBuildSettings) -> tuple[Path | str | None, ...]:
    return tuple(getattr(beam, name) for name in FILES)


def inventory_examples(conn: sa.Connection) -> list[str]:
    """Return the examples of intents and slots that `earmark inventory add` stored, sorted."""
    notes = [note for stored in stored_names(conn).values() for note in stored.notes.values()]
    return sorted(example for note in notes for example in note.examples)

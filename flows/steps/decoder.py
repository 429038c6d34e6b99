"""The decoder of a speech model from what a home holds: labels that train, and the examples of the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import digest
from corpus.tables import utterances
from corpus.tables.inventory import stored_names
from training.asr.beam_build import LabelText, build_decoder, check_files, files_digest
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


def decoder_sources(conn: sa.Connection, finetune: AsrFinetuneSettings | IntentFinetuneSettings) -> str:
    """Return a digest of what a decoder is built from beside the labels; "" where none is asked for.

    Raises:
        SettingsError: a file that the settings name is not what it should be.
    """
    if not isinstance(finetune, AsrFinetuneSettings) or finetune.decoder != "beam":
        return ""
    check_files(finetune.beam)  # better now than after hours of training
    return digest([files_digest(finetune.beam), inventory_examples(conn)])


def inventory_examples(conn: sa.Connection) -> list[str]:
    """Return the examples of intents and slots that `earmark inventory add` stored, sorted."""
    notes = [note for stored in stored_names(conn).values() for note in stored.notes.values()]
    return sorted(example for note in notes for example in note.examples)

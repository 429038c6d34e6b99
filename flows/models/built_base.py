"""The facts on a base that was built from another one: those of the other one, and what was added."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from corpus.errors import Damaged
from flows.models import registry
from flows.models.base_catalog import catalogue
from training.asr.beam_files import read_decoder, summary_of
from training.loop.base_facts import BaseFacts, family_of, read_facts, sampling_rate_of, window_of
from training.loop.model_files import weights_digest
from training.tracking.version_files import files_differ, folder_digest

SHORT: Final = 12
"""Characters of a digest that are in a text."""


def facts_on(base: registry.Base) -> BaseFacts:
    """Return what is known about a speech base: by the facts beside it, by the catalogue, else by its files alone."""
    with suppress(Damaged):
        if (facts := read_facts(base.folder)) is not None:
            return facts
    for each in catalogue():
        if each.hub_id is None and each.kind == base.kind and not files_differ(registry.BASES / each.kind, base.digest):
            return BaseFacts(source=registry.EMBEDDED, **each.model_dump(exclude={"hub_id", "note", "digest"}))
    name = f"{base.kind}/{base.version}" if base.version else base.folder.name
    return BaseFacts(
        name=name,
        kind=base.kind,
        source=f"folder {base.folder.name}",
        family=family_of(base.folder),
        sampling_rate=sampling_rate_of(base.folder),
        window=window_of(base.folder),
    )


def facts_of_built(facts: BaseFacts, base: registry.Base, folder: Path, name: str) -> BaseFacts:
    """Return the facts on the base in `folder`, which was built from `base`, on which `facts` are.

    Raises:
        SettingsError: its decoder can't be read.
    """
    decoder = read_decoder(folder)
    own = {
        "name": name,
        "digest": weights_digest(folder),
        "files": folder_digest(folder),
        "made_from": f"{facts.name} ({base.digest[:SHORT]})",
        "decoder": summary_of(decoder) if decoder else "",
        "added": "",
    }
    return facts.model_copy(update=own)


def base_text(folder: Path) -> str | None:
    """Return what a base is called, where it is from and what was added to it; None where nothing says so."""
    try:
        facts = read_facts(folder)
    except Damaged:
        return None
    if facts is None:
        return None
    built = f", made by earmark lm build from {facts.made_from}" if facts.made_from else ""
    decoder = f", with a decoder: {facts.decoder}" if facts.decoder else ""
    licence = f", {facts.licence}" if facts.licence else ""
    return f"{facts.name}, from {facts.source}{licence}{built}{decoder}"

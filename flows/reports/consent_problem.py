"""What is wrong where no consent to annotation counts, so that nobody may listen to a clip and nothing is learned."""

from __future__ import annotations

from corpus.handle import Corpus
from corpus.ingest.ingest import IngestSettings
from corpus.tables import consent_use
from corpus.tables.consent_use import ClipUses
from corpus.vault import stated_consent

REMEDY = (
    "set ingest.notice to the version of the notice (people may listen) that customers saw, or name it in the field"
    " notice of rows, or by earmark consent set --yes annotate --notice; it counts for what arrives from then on"
)
"""How a notice is named."""


def consent_problem(corpus: Corpus, settings: IngestSettings, uses: ClipUses | None = None) -> str | None:
    """Return why no consent to annotation counts, with the remedy; None where some counts, or may.

    Args:
        corpus: the handle.
        settings: which notices count.
        uses: how many clips may be used for what; None to count them.
    """
    if settings.notices == ():
        return "ingest.notices lists no version, so that no consent to annotate counts; list those that do, or drop it"
    if settings.notice is not None and settings.notices is not None and settings.notice not in settings.notices:
        return (
            "ingest.notice is no version that ingest.notices lists, so that no consent to annotate counts by it; add"
            " it there, or correct it"
        )
    found = uses or consent_use.clip_uses(corpus)
    if settings.notice is not None or not found.score or found.annotate or stated_consent.any_notice(corpus.vault):
        return None
    return (
        f"none of {found.score} clips may be annotated: their customers do not allow it, or no notice that counts is"
        f" named; {REMEDY}"
    )

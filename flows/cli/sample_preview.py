"""What a round would choose, with the drafts that annotators would see, for the terminal alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpus.handle import Corpus
from flows.nights.night import Night
from flows.reports.chosen_drafts import drafts_of
from flows.runtime.results import Result
from flows.steps.sample import DryRun, SettingsOfSample, dry_run


@dataclass(frozen=True, slots=True)
class SamplePreview(Result):
    """What a round would choose.

    Attributes:
        choice: the round.
        drafts: transcripts by utterance id, which are content; empty where nobody asked for them.
    """

    choice: DryRun
    drafts: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the document of the round; a row has its draft where there is one."""
        document, drafts = self.choice.to_json(), self.drafts
        rows = document["rows"]
        return document | {"rows": [row | _draft(drafts.get(row["utterance"])) for row in rows]}


def _draft(text: str | None) -> dict[str, str]:
    return {} if text is None else {"draft": text}


def preview_sample(corpus: Corpus, settings: SettingsOfSample, night: Night, *, show_drafts: bool) -> SamplePreview:
    """Return what a round would choose; reading the drafts is one row on the audit chain, nothing else is written."""
    choice = dry_run(corpus, settings, night)
    ids = [row.utterance for row in choice.rows if row.reason != "audit"] if show_drafts else []
    return SamplePreview(choice, drafts_of(corpus, ids) if show_drafts else {})

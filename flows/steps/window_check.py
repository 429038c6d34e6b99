"""Whether a speech model works in the window in which it learned: two settings say so, and a version keeps one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import EarmarkError
from corpus.records.models import ModelVersion
from flows.models import registry
from flows.runtime import progress

if TYPE_CHECKING:
    from training.asr.model import AsrModel
    from training.asr.transcribe import TranscribeSettings
    from training.tracking.store import TrackingSettings

LEARNED_PARAM = "config.asr.loop.window"
"""Parameter of a version's run in MLflow: the window in which it learned."""


def note_window_of_training(base: Path, learns: float | None, works: TranscribeSettings) -> None:
    """Say so where a version will learn in another window than that in which it will score and be judged.

    Args:
        base: folder of the base.
        learns: `asr.loop.window` [s].
        works: how clips are transcribed.
    """
    from training.asr.loading import load_asr

    if learns != works.window and (both := _other_windows(load_asr(base), learns, works.window)):
        progress.note(
            f"asr: learns in {_window(both[0], True)}, but will work in {_window(both[1], False)}; set both alike"
        )


def note_window_of_version(
    home: Path, tracking: TrackingSettings, works: TranscribeSettings, version: ModelVersion
) -> None:
    """Say so where a version that learned from labels scores in another window than that in which it learned.

    A base learned in its own window, and is used in a shorter one before a version has learned in that.

    Args:
        home: EARMARK_HOME.
        tracking: where runs are tracked.
        works: how clips are transcribed.
        version: the speech model.
    """
    from training.tracking.runs import run_params
    from training.tracking.store import open_tracking

    asr = registry.load_asr(home, version)
    if version.origin != "learned" or asr.head != "seq2seq":
        return
    try:
        logged = run_params(open_tracking(tracking, home), version.run_id).get(LEARNED_PARAM)
    except EarmarkError:  # a server that is away for a moment ends no scoring
        return
    if logged is not None and (both := _other_windows(asr, json.loads(logged), works.window)):
        learns = json.loads(logged)
        progress.note(
            f"asr/{version.version} learned in a window of {both[0]:g} s, but works in {_window(both[1], False)}; "
            f"set that to {'null' if learns is None else f'{learns:g}'}"
        )


def _other_windows(asr: AsrModel, learns: float | None, works: float | None) -> tuple[float, float] | None:
    """Return both windows [s] where they differ for a clip that fits into each; None where they are the same."""
    from training.asr.model import window_samples

    found = [window_samples(asr, 0, each) for each in (learns, works)]
    first, second = ((each or 0) / asr.sample_rate for each in found)
    return None if first == second else (first, second)


def _window(seconds: float, learning: bool) -> str:
    return f"a window of {seconds:g} s ({'asr.loop.window' if learning else 'score.transcribe.window'})"

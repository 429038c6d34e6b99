"""The temperature of a speech model's draws: found on labelled clips, by a training or before a version scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from corpus.errors import EarmarkError
from corpus.handle import Corpus
from corpus.records.base import Role
from corpus.records.models import ModelVersion, SnapshotRow
from corpus.storage import operation_ids
from corpus.tables import draw_temperatures, snapshots
from corpus.tables import models as store
from corpus.tables.draw_temperatures import StoredTemperature
from flows.models import registry
from flows.models.eval_set import current_snapshot
from flows.runtime import progress
from flows.runtime.settings_parts import HasHome, HasPromotion, HasScore, HasTracking
from flows.steps.training_examples import asr_examples

if TYPE_CHECKING:
    from training.asr.draw_temperature import DrawTemperature
    from training.evaluation.gate import PromotionSettings
    from training.score import ScoreSettings
    from training.tracking.store import TrackingSettings


class SettingsOfDraws(HasHome, HasScore, HasPromotion, HasTracking, Protocol):
    """The settings that decide at which temperature texts are drawn."""


def score_settings(corpus: Corpus, settings: SettingsOfDraws, version: ModelVersion) -> ScoreSettings:
    """Return how a version scores, with the temperature of its draws where the settings and its files have none.

    It is looked for once, on clips whose texts are known and which neither taught the version nor judge any, and stays
    as it is: the scores of a version have to compare.

    Args:
        corpus: the handle.
        settings: how to score; which rows judge; where runs are tracked.
        version: the speech model.
    """
    from training.asr.draw_temperature import own_temperature

    score = settings.score
    asr = registry.load_asr(settings.home, version)
    if asr.head != "seq2seq" or score.transcribe.temperature is not None or own_temperature(asr) is not None:
        return score
    found = _temperature(corpus, settings, version)
    progress.note(draws_line(f"asr/{version.version}", found, "labelled clip"))
    return score.model_copy(update={"transcribe": score.transcribe.model_copy(update={"temperature": found.value})})


def _temperature(corpus: Corpus, settings: SettingsOfDraws, version: ModelVersion) -> DrawTemperature:
    """Return the temperature that was found for a version, or find and store it where labels are enough by now.

    Until then a version that learned here has that of its base, if one was found.
    """
    from training.asr.draw_temperature import FEWEST_CLIPS, MOST_CLIPS, UNCALIBRATED, DrawTemperature, calibrate_draws

    with corpus.read() as conn:
        stored, of_base = draw_temperatures.stored(conn, version.version), _of_its_base(conn, version)
    if stored is not None and stored.value is not None:
        return DrawTemperature(stored.value, stored.clips, stored.wrong, stored.expected)
    until = DrawTemperature(of_base or UNCALIBRATED, 0, known=of_base is not None)
    rows = _rows(corpus, settings.promotion, version)[:MOST_CLIPS]
    if len(rows) < FEWEST_CLIPS:
        return replace(until, clips=len(rows))
    if stored is not None and len(rows) <= stored.clips:
        return replace(until, clips=stored.clips, wrong=stored.wrong)
    clips = [(each.utterance_id, each.samples, each.text, each.locale) for each in asr_examples(corpus, rows)]
    asr = registry.load_asr(settings.home, version)
    with decodings(f"asr/{version.version}") as on_draws:
        found = calibrate_draws(asr, clips, settings.score.transcribe.window, on_draws)
    assert found is not None
    if found.wrong is not None:
        _store(corpus, settings.home, settings.tracking, version, replace(found, clips=len(rows)))
    return found if found.expected is not None else replace(until, clips=found.clips, wrong=found.wrong)


def _of_its_base(conn: sa.Connection, version: ModelVersion) -> float | None:
    """Return the temperature that was found for the base from which a version learned; None where none was."""
    if version.origin != "learned":
        return None
    bases = [each for each in store.versions(conn, "asr") if each.origin == "base" and each.base == version.base]
    found = [draw_temperatures.stored(conn, each.version) for each in bases]
    return next((each.value for each in found if each is not None and each.value is not None), None)


def _rows(corpus: Corpus, promotion: PromotionSettings, version: ModelVersion) -> list[SnapshotRow]:
    """Return the labelled rows that may set a version's temperature: of dev speakers; of a base, those to learn, too.

    An external model may have learned from what was handed out to train it.
    """
    snapshot = current_snapshot(corpus, promotion, "asr")
    learned: set[str] = set()
    if version.snapshot_id:
        with corpus.read() as conn:
            learned = {row.utterance_id for row in snapshots.snapshot(conn, version.snapshot_id).of("train")}
    roles: tuple[Role, ...] = ("dev", "train") if version.origin == "base" else ("dev",)
    return [row for role in roles for row in snapshot.of(role) if row.utterance_id not in learned]


def _store(
    corpus: Corpus, home: Path, tracking: TrackingSettings, version: ModelVersion, found: DrawTemperature
) -> None:
    """Keep what was found on labelled clips, also in the version's run in MLflow."""
    from training.tracking.runs import log_params
    from training.tracking.store import open_tracking

    assert found.wrong is not None
    value = None if found.expected is None else found.value
    row = StoredTemperature(version.version, found.clips, found.wrong, value, found.expected)
    with corpus.operation(operation_ids.calibrate_draws(version.version, found.clips), "calibrate") as op:
        if not op.done:
            draw_temperatures.put(op.conn, row)
            op.result = {"clips": found.clips, "wrong": found.wrong, "draw_temperature": value}
    if value is not None:
        with suppress(EarmarkError):  # a server that is away for a moment ends no scoring
            log_params(open_tracking(tracking, home), version.run_id, {"draw_temperature": str(value)})


def note_draws(draws: DrawTemperature | None) -> None:
    """Say at which temperature the texts of a trained model are drawn, where its files say it.

    Else scoring says it: it knows that of the base, or looks for one.
    """
    if draws is not None and draws.known:
        progress.note(draws_line("asr", draws, "dev clip"))


def draws_line(name: str, draws: DrawTemperature, labelled: str) -> str:
    """Return in one sentence at which temperature the texts of a model are drawn, and from what that is known.

    Args:
        name: of the model.
        draws: the temperature.
        labelled: what the labelled clips are called, such as `dev clip`.
    """
    from training.asr.draw_temperature import FEWEST_CLIPS, FEWEST_ERRORS, MOST_CLIPS

    at = f"{name}: alternative texts are drawn at temperature {draws.value:g}"
    clips = f"{draws.clips} {labelled}{'s' if draws.clips != 1 else ''}"
    if draws.expected is not None:
        return f"{at}: they expect {draws.expected:.0f} wrong words in {clips} that have {draws.wrong}"
    origin = ", that of the model it started from" if draws.known else ""
    if draws.wrong is None:
        return f"{at}{origin}: there are {clips}, {FEWEST_CLIPS} can find one"
    wrong = f"{draws.wrong} wrong word{'s' if draws.wrong != 1 else ''}"
    if draws.clips >= MOST_CLIPS:
        return f"{at}{origin}: it stays so, as {clips} with {wrong} are too right to find another"
    return f"{at}{origin}: there are {wrong} in {clips}, {FEWEST_ERRORS} can find one"


@contextmanager
def decodings(name: str) -> Iterator[Callable[[int, int], None]]:
    """Report the search for the temperature of draws, from its first decoding on; yield what is called after each.

    Args:
        name: of the speech model.
    """
    with ExitStack() as stack:
        advance: progress.Advance | None = None

        def report(done: int, total: int) -> None:
            nonlocal advance
            if advance is None:
                work = progress.track(f"finding the temperature of the draws of {name}", total, "decodings")
                advance = stack.enter_context(work)
            advance(done)

        yield report

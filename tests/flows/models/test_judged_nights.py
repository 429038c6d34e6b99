"""Champion, base and challenger night by night, from stored reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from corpus.handle import Corpus
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.storage.database import writing
from corpus.tables import judgements, labels, reports
from corpus.tables import models as store
from corpus.vault import identity
from flows.models.aliases import move_champion
from flows.models.judged_nights import BY_HAND, TOO_FEW, difference, is_paired, judged_nights, rates, slices_of
from flows.models.judgement import Judgement
from tests.corpus.stored import NOON, arrive
from tests.flows.judged_home import AUDIT, NIGHTS, home_of, report_of


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """Give a home of three judged nights that tests only read."""
    made = home_of(tmp_path_factory.mktemp("judged"))
    yield made
    made.close()


def test_each_night_has_the_reports_of_its_own_rows(corpus: Corpus) -> None:
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert [(each.night, each.champion, len(each.rows)) for each in found.growing] == [
        (NIGHTS[0], "1", AUDIT), (NIGHTS[1], "1", 2 * AUDIT), (NIGHTS[2], "3", 3 * AUDIT),
    ]  # fmt: skip
    newest = found.growing[-1]
    shown = [rates(report, found.weights_of(report)).value for report in (newest.of_champion, newest.of_base)]
    assert shown == pytest.approx([0.3, 0.5])
    challengers = [each.of_challenger and each.of_challenger.version for each in found.growing]
    assert challengers == [None, "2", "3"]
    assert set(found.weights.values()) == {2.0}


def test_the_anchor_rows_are_those_of_the_first_decision_and_stay_the_same(corpus: Corpus) -> None:
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1])
        earlier = judged_nights(corpus, conn, "asr", NIGHTS[0])
    assert found.anchor_night == NIGHTS[1]
    assert {each.rows for each in found.anchor} == {found.anchor_rows} == {found.growing[1].rows}
    of_champion = found.anchor[-1].of_champion
    assert of_champion is not None
    assert (of_champion.version, len(of_champion)) == ("3", 2 * AUDIT)  # cut from its report on more rows
    assert [each.night for each in earlier.growing] == [NIGHTS[0]]
    assert earlier.decisions == ()


def test_decisions_have_their_night_and_reasons(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    with writing(corpus.records) as conn:
        judgements.put(conn, "asr", "2", judgements.Judgement("rows", "1", "indicative"))
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1]).decisions
    assert [(each.night, each.version, each.decision, each.look) for each in found] == [
        (NIGHTS[0], "2", "indicative", None),  # learned from rows of the first night
        (NIGHTS[1], "2", "refuse", 1),
        (NIGHTS[2], "3", "promote", 2),
    ]
    assert found[0].reasons == (TOO_FEW,)  # nothing is stored of what was said
    assert found[-1].reasons == ("reason 2",)
    assert found[-1].better_by is not None
    assert (found[-1].better_by.value, found[-1].better_by.low) == pytest.approx((0.2, 0.19))  # more is better
    assert found[-1].level == pytest.approx(1 - 0.05 / 6)


def test_an_indicative_decision_has_the_words_and_the_rows_of_its_time(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    said = Judgement("indicative", "20 audit rows, 100 are needed", "TEXT", "1", "set-1", "1", waits="20 of 100")
    for number, judgement in enumerate((said, replace(said, waits=None, eval_set_id="gone", lead="clearly better"))):
        against = "1" if number else ""
        with corpus.operation(operation_ids.judge("asr", "2", f"rows-{number}", against), "judge") as op:
            judgements.put(op.conn, "asr", "2", judgements.Judgement(f"rows-{number}", "1", "indicative"))
            op.result = judgement.to_json()
    with corpus.read() as conn:
        first, second = judged_nights(corpus, conn, "asr", NIGHTS[-1]).decisions[:2]
    assert first.reasons == ("20 audit rows, 100 are needed", "promotion waits: 20 of 100")
    assert (first.rows, first.against) == (2 * AUDIT, "1")
    assert first.better_by is not None  # from the stored reports: 4 errors of 10 words in place of 5 in every row
    assert (first.better_by.value, first.better_by.n, first.level) == (pytest.approx(0.1), 2 * AUDIT, 0.95)
    assert second.reasons == ("20 audit rows, 100 are needed", "clearly better")


def test_a_version_that_a_person_promoted_is_a_decision_of_its_night(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    with writing(corpus.records) as conn:
        judgements.put(conn, "asr", "2", judgements.Judgement("rows", "1", "indicative"))
        store.put_version(
            conn, ModelVersion("asr", "4", "run", "", "base", "", "elsewhere")
        )  # it learned from no night
    move_champion(corpus, "asr", "3", "2", how="forced", why="it knows the alarm words", actor="lena")
    move_champion(corpus, "asr", "2", "4", how="gate", why="", actor="lena")
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert [(each.night, each.version, each.against, each.decision) for each in found.decisions] == [
        (NIGHTS[0], "2", "1", "indicative"),
        (NIGHTS[0], "2", "3", BY_HAND),
        (NIGHTS[1], "2", "1", "refuse"),
        (NIGHTS[2], "3", "1", "promote"),
        (NIGHTS[2], "4", "2", BY_HAND),
    ]
    assert found.decisions[1].reasons == ("the gate was overruled: it knows the alarm words",)
    assert found.decisions[-1].reasons == ("the gate had allowed it",)
    assert found.growing[0].decision == found.decisions[1]
    assert not any("lena" in str(each) for each in found.decisions)


def test_a_home_without_reports_has_nights_without_rates(tmp_path: Path) -> None:
    corpus = home_of(tmp_path, judged=False)
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert [each.of_base for each in found.growing] == [None] * 3
    assert found.anchor_rows == frozenset()
    assert rates(None, []) is None


def test_an_erased_row_leaves_all_curves(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    with corpus.read() as conn:
        erased = min(judged_nights(corpus, conn, "asr", NIGHTS[-1]).anchor_rows)
    with writing(corpus.records) as conn:
        reports.drop_from_reports(conn, [erased])
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert len(found.anchor_rows) == 2 * AUDIT - 1
    assert all(each.of_base is not None and erased not in each.rows for each in found.anchor)
    assert found.anchor_note == f"anchor set: {2 * AUDIT - 1} of {2 * AUDIT} rows, 1 was erased"


def test_a_row_that_was_withdrawn_leaves_the_anchor_alone_and_keeps_its_weight(
    tmp_path: Path,
) -> None:
    corpus = home_of(tmp_path)
    with corpus.read() as conn:
        before = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert before.anchor_note == ""
    first = identity.utterance_id(corpus.vault, "event-0")  # the only utterance of its account that judges
    other = max(before.anchor_rows)
    assert first in before.anchor_rows - {other}
    later = NOON + timedelta(days=9)  # the account gives no consent any more
    arrive(corpus, 1, start=300, speakers=60, consent=frozenset(), operation_id="later", arrived_at=later)
    with writing(corpus.records) as conn:
        labels.withdraw(conn, [other])
    with corpus.read() as conn:
        found = judged_nights(corpus, conn, "asr", NIGHTS[-1])
    assert found.anchor_rows == before.anchor_rows - {first, other}
    assert found.anchor_note == f"anchor set: {2 * AUDIT - 2} of {2 * AUDIT} rows, 2 were withdrawn"
    assert {each.rows for each in found.anchor} == {found.anchor_rows}
    assert all(each.of_base is not None for each in found.anchor)
    assert [each.rows for each in found.growing] == [each.rows for each in before.growing]
    assert found.weights == before.weights
    assert found.weights[other] == 2.0


def test_reports_of_corrected_labels_are_not_paired() -> None:
    base, champion = report_of("1", ["a", "b"], "set"), report_of("3", ["a", "b"], "set")
    weights = [1.0, 1.0]
    better = difference(base, champion, weights)
    assert better is not None
    assert better.value == pytest.approx(0.2)
    assert not is_paired(base, report_of("3", ["a", "b"], "set", speaker="another"))
    assert difference(base, report_of("3", ["a", "c"], "set"), weights) is None


def test_slices_are_those_of_the_gate_and_bands(corpus: Corpus) -> None:
    with corpus.read() as conn:
        newest = judged_nights(corpus, conn, "asr", NIGHTS[-1]).growing[-1]
        found = slices_of(conn, newest.of_base)
    assert set(found) == {"duration", "snr", "locale", "device", "room"}
    assert {len(values) for values in found.values()} == {3 * AUDIT}

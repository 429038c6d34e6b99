"""A home that an older version wrote works on: it is upgraded, nothing is lost, and every figure is what it was."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from corpus.ingest.ingest import ingest
from corpus.records.base import Kind
from corpus.settings import places
from corpus.storage import database
from corpus.storage import records_schema as schema
from corpus.storage.database import HEADS
from corpus.tables import erasure, left_out, lineage, pseudo_labels, reports, utterances
from corpus.tables import models as store
from corpus.text import NORMALISER
from corpus.vault import event_ids, vault
from flows.cli.main import app
from flows.nights.night import night_named
from flows.nights.sampling_frame import is_sampled, past_sampling, sampling_frame
from flows.runtime.session import opened
from flows.runtime.settings import Settings, load_settings
from flows.steps import retrain_plan
from tests.fixtures import make_old_home
from tests.fixtures.make_old_home import NIGHTS, settings_of
from tests.flows.homes import earmark

OLD = Path(make_old_home.__file__).parent / "old_home"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
"""Documents that the code that wrote the home printed, by command."""

WITHDRAWN = {"retrain intent": 1}
"""Labels fewer than that code learned from: account 3 withdrew its consent and gave it again later, which opened its
older utterances again in that code, and does not any more."""

WITHDRAWN_AT_NIGHT = {"rescore": {"scored": -1 + 2, "not_opened": 1}}
"""How the counts of the later night differ for the same reason; two clips with a verdict and no label, from which that
code did not learn, are scored again, too."""

NIGHTLY = f"nightly --night {NIGHTS[2]}"


def unpacked(folder: Path) -> Path:
    with tarfile.open(OLD / "home.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "home"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home at another place, as it was left, for tests that change nothing that others look at."""
    return unpacked(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def settings(home: Path) -> Settings:
    return load_settings(None, settings_of(home))


def document_of(home: Path, command: str) -> Any:
    """Return the JSON document of a command, run in this process."""
    pairs = [part for pair in settings_of(home) for part in ("--set", pair)]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        app([*command.split(), *pairs, "--json"], standalone_mode=False)
    return json.loads(out.getvalue())


def different(now: Any, then: Any, place: str = "") -> Iterator[str]:
    """Yield every place at which two documents differ by more than the last digits of a number."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted(then.keys() | now.keys()):
            if name not in then or name not in now:
                yield f"{place}.{name} is in one alone"
            else:
                yield from different(now[name], then[name], f"{place}.{name}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for k, pair in enumerate(zip(now, then, strict=True)):
            yield from different(*pair, f"{place}[{k}]")
    elif isinstance(then, float) and isinstance(now, float | int):
        if not math.isclose(now, then, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{place}: {now} was {then}"
    elif now != then:
        yield f"{place}: {now!r} was {then!r}"


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def test_the_upgrade_moves_the_records_on_and_leaves_the_doctor_what_that_code_kept(tmp_path: Path):
    home = unpacked(tmp_path)
    report = document_of(home, "upgrade")
    assert report["records"] == {"from": "0003", "to": HEADS["records"]}
    examined, then = document_of(home, "doctor"), EXPECTED["doctor"]
    assert then["problems"] == []
    (weights,) = examined["problems"]  # that code left them; the next night destroys them
    assert "weights of asr/2 are still there, and what they learned from was erased or withdrawn" in weights
    assert examined["checks"]["counts"].pop("expired") == 0  # that code did not count these
    for name in ("content", "counts", "models", "task folder"):
        assert list(different(examined["checks"][name], then["checks"][name])) == []
    chains = document_of(home, "audit verify")
    assert all(chains[name] >= rows > 0 for name, rows in EXPECTED["audit verify"].items())


def test_the_status_is_what_it_was(home: Path):
    apart = ("home", "queues")  # where it lies, and how long tasks have waited by today
    now = without(document_of(home, "status"), *apart)
    assert now.pop("problems") == []  # what that code did not look for
    nights = {night["night"]: night for night in now.pop("nights")}  # what that code did not list
    assert {name: night["chosen"] for name, night in nights.items() if night["chosen"]} == {
        row["round"]: row["chosen"] for row in EXPECTED["status"]["rounds"]
    }
    learned = sorted(version for night in nights.values() for version in night["learned"])
    assert learned == ["asr/2", "intent/2"]
    assert set(now.pop("champions")) == set(now.pop("promotion")) == {"asr", "intent"}
    assert now.pop("leads") == now.pop("gave_way") == {}
    assert now.pop("key") == str(home / "keys" / "kek")  # it stays in a home of before
    assert now["utterances"].pop("expired") == 0  # that code did not count these
    for kind in ("asr", "intent"):
        assert now["models"][kind].pop("learned_from_expired") == []
    assert now["models"]["asr"].pop("tainted") == ["2"]  # it learned from what was withdrawn
    assert now["models"]["intent"].pop("tainted") == []
    assert now.pop("promotion_budget") is None  # the settings name no clips
    assert now.pop("uses") == {"score": 37, "annotate": 32, "train": 32}  # that code did not count these
    counted = {"current": 20, "in_use": 15, "audit": 5, "held_out": 1, "from_manifest": 3}
    assert now["labels"] == counted  # of the 20, that code also counted those that a withdrawal had closed
    now["labels"] = EXPECTED["status"]["labels"]
    then = copy.deepcopy(without(EXPECTED["status"], *apart))
    assert then["models"]["intent"]["challenger"] == then["models"]["intent"]["champion"] == "2"
    then["models"]["intent"]["challenger"] = None  # that code kept a promoted version as challenger, too
    assert list(different(now, then)) == []


UNJUDGED: dict[str, Any] = dict.fromkeys(("first", "second", "difference"))
"""A figure without a meaning."""


def evaluations(settings: Settings) -> int:
    with opened(settings) as corpus, corpus.read() as conn:
        made = sa.select(sa.func.count()).where(schema.operations.c.act == "evaluate")
        return int(conn.execute(made).scalar_one())


def judged_by_another_form(document: dict[str, Any]) -> dict[str, Any]:
    """Return a comparison without what an evaluation of today gives anew.

    That is the name of the normal form, speeds, and the WER with numbers alike. Unknown minutes were 0.
    """
    names = ("minutes_on_labels", "annotator_minutes")  # the second is that code's
    costs = [
        without(cost, "speed", *names) | {"minutes": next(cost[name] for name in names if name in cost) or None}
        for cost in document["cost"]
    ]
    figures = [row for row in document["figures"] if row["figure"] != "wer_numbers"]
    return without(document, "page", "normaliser", "numbers") | {"cost": costs, "figures": figures}


@pytest.mark.parametrize("command", [name for name in EXPECTED if name.startswith("compare")])
def test_versions_compare_as_they_did_and_are_evaluated_once_under_the_new_normal_form(
    home: Path, settings: Settings, command: str
):
    now, then = document_of(home, command), EXPECTED[command]
    if command.startswith("compare asr"):  # no word is right, which earlier versions called well calibrated
        figures = [row | UNJUDGED if row["figure"] == "ece" else row for row in then["figures"]]
        then = then | {"figures": figures}
    assert now.pop("run")  # what that code did not log
    assert (now["normaliser"], then["normaliser"]) == (NORMALISER, "earmark-1")
    assert list(different(judged_by_another_form(now), judged_by_another_form(then))) == []
    assert any(cost["speed"] for cost in now["cost"])
    before = evaluations(settings)
    assert without(document_of(home, command), "run") == now
    assert evaluations(settings) == before


@pytest.mark.parametrize("command", [name for name in EXPECTED if name.startswith("lineage")])
def test_lineage_is_what_it_was(home: Path, command: str):
    now, then = document_of(home, command), EXPECTED[command]
    if command == "lineage asr/2":
        # one of the utterances that it learned was erased: its id is gone, and the version is tainted
        assert (now["pseudo"]["count"], then["pseudo"]["count"]) == (3, 4)
        assert now["tainted"]
        then["pseudo"] |= {"count": 3, "left_out": {"too_long": 2}}
    if command == "lineage intent/2":
        then["pseudo"]["left_out"] = {}
    if "learned_by" in then:  # that code did not know that asr/2 could not learn it
        (version,) = then["learned_by"]
        then |= {"learned_by": [], "left_out_by": [version | {"left_out": "too_long"}]}
    else:
        then["left_out"] = {}
    assert list(different(now, then)) == []


def test_frames_of_nights_and_retrainings_that_are_due_are_what_they_were(settings: Settings):
    then = EXPECTED["state"]
    with opened(settings) as corpus:
        with corpus.read() as conn:
            nights = {name: night_named(name, "UTC", 0) for name in NIGHTS}
            assert {name: sampling_frame(conn, settings.night, night)[0] for name, night in nights.items()} == then[
                "frames"
            ]
            assert [name for name, night in nights.items() if is_sampled(conn, night)] == then["chosen"]
            assert sorted(past_sampling(conn, settings.night)) == then["passed"]
            tainted = {
                kind for kind in get_args(Kind) if store.versions(conn, kind)[-1].tainted
            }  # due, whatever is new
        for kind in get_args(Kind):
            for due in (True, False):
                now = retrain_plan.plan(corpus, settings, kind, "test", only_if_due=due)
                expected = then["plans"][f"{kind} {due}"]
                assert (now.version, now.changes.count, bool(now.skipped)) == (
                    expected["version"],
                    expected["new"] + WITHDRAWN.get(f"retrain {kind}", 0),
                    bool(expected["skipped"]) and not WITHDRAWN.get(f"retrain {kind}") and kind not in tainted,
                )
                assert list(now.pseudo.ids) == expected["ids"]


def test_pseudo_labels_are_numbers_in_results_and_an_erasure_finds_what_learned_them(tmp_path: Path):
    home = unpacked(tmp_path)
    settings = load_settings(None, settings_of(home))
    engine = database.engine(places(settings.corpus).records_url)
    with database.reading(engine) as conn:
        results = conn.execute(sa.select(schema.operations.c.result).where(schema.operations.c.act == "retrain"))
        ids = {i for text in results.scalars() for i in json.loads(text)["pseudo"]["ids"]}
    engine.dispose()
    assert len(ids) == 8
    with opened(settings) as corpus:
        with corpus.read() as conn:
            left = conn.execute(sa.select(schema.operations.c.result).where(schema.operations.c.act == "retrain"))
            assert [json.loads(text)["pseudo"] for text in left.scalars()] == [4, 4]
            learners = {i: pseudo_labels.learners(conn, [i]) for i in ids}
            kinds: tuple[Kind, ...] = ("asr", "intent")
            counts = {kind: pseudo_labels.of_version(conn, kind, "2") for kind in kinds}
        (erased,) = [i for i, versions in learners.items() if not versions]
        assert {kind: row and row.count for kind, row in counts.items()} == {"asr": 3, "intent": 4}
        assert all(len(versions) == 1 for i, versions in learners.items() if i != erased)
        chosen = next(i for i, versions in learners.items() if ("intent", "2") in versions)
        assert "intent/2" in erasure.erase_utterances(corpus, [chosen])["tainted"]
        with corpus.read() as conn:
            assert store.version(conn, "intent", "2").tainted
            assert pseudo_labels.learners(conn, [chosen]) == set()


def test_an_erasure_finds_the_utterances_of_reports_and_those_left_out(tmp_path: Path):
    home = unpacked(tmp_path)
    settings = load_settings(None, settings_of(home))
    engine = database.engine(places(settings.corpus).records_url)
    with database.reading(engine) as conn:
        stored = conn.execute(sa.text("SELECT kind, version, eval_set_id, numbers FROM reports")).all()
        ids_of = {(kind, version, set_id): json.loads(text)["utterance_ids"] for kind, version, set_id, text in stored}
        texts = conn.execute(sa.text("SELECT result FROM operations WHERE act = 'retrain'")).scalars()
        too_long = [i for text in texts for i in json.loads(text).get("too_long", ())]
    engine.dispose()
    assert (len(ids_of), len(too_long)) == (9, 2)
    judging = ids_of["asr", "2", max(set_id for kind, _, set_id in ids_of if kind == "asr")][0]
    with opened(settings) as corpus:
        with corpus.read() as conn:
            for key, ids in ids_of.items():
                assert reports.report(conn, *key).utterance_ids.tolist() == ids
            judges = [(row["kind"], row["version"]) for row in lineage.judges_of(conn, judging)]
            assert judges == sorted({key[:2] for key, ids in ids_of.items() if judging in ids})
            assert left_out.pseudo_labels_by_reason(conn, "asr", "2") == {"too_long": 2}
            assert "utterance_ids" not in str(conn.execute(sa.select(schema.reports.c.numbers)).all())
            results = conn.execute(sa.select(schema.operations.c.result).where(schema.operations.c.act == "retrain"))
            assert [json.loads(text).get("too_long") for text in results.scalars()] == [2, None]
        erasure.erase_utterances(corpus, [judging, too_long[0]])
        with corpus.read() as conn:
            assert lineage.judges_of(conn, judging) == []
            assert left_out.reasons_by_version(conn, too_long[0]) == {}
            assert left_out.reasons_by_version(conn, too_long[1]) == {("asr", "2"): "too_long"}
            for key, ids in ids_of.items():
                assert reports.report(conn, *key).utterance_ids.tolist() == [i for i in ids if i != judging]


def test_events_of_the_old_home_are_known_to_their_own_accounts_and_to_no_other(tmp_path: Path):
    settings = load_settings(None, settings_of(unpacked(tmp_path)))
    manifest, said = make_old_home.write_manifest(tmp_path / "offered", 0)
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()][: len(said)]

    def offered(name: str, **changes: str) -> tuple[int, dict[str, int]]:
        new = [row | changes | {"attributes": {"offered": name}} for row in rows]
        file = manifest.with_name(name)
        file.write_text("".join(json.dumps(row) + "\n" for row in new), encoding="utf-8")
        report = ingest(corpus, file, settings.ingest)
        return report.accepted, report.refused

    with opened(settings) as corpus:
        with corpus.read() as conn:
            before = utterances.all_ids(conn)
            erased = set(utterances.erased(conn, sorted(before)))
        by_event = event_ids.utterance_ids(corpus.vault, [(row["account"], row["event_id"]) for row in rows])
        ids = set(by_event.values())
        assert ids <= before
        one = sorted(ids - erased)[0]
        erased |= {one} | {each for (account, _), each in by_event.items() if account == "account-7"}
        erasure.erase_utterances(corpus, [one])
        speaker = vault.speaker_of(corpus.vault, "account-7")
        assert speaker is not None
        erasure.erase_speaker(corpus, speaker)
        assert offered("again.jsonl") == (0, {"duplicate": len(ids - erased), "erased": len(ids & erased)})
        assert offered("others.jsonl", account="somebody else") == (len(rows), {})


def test_a_later_night_runs_and_the_doctor_finds_nothing_after_it(tmp_path: Path, prefect_url: str):
    home = unpacked(tmp_path)
    pairs = [*settings_of(home), f"prefect.api_url={prefect_url}"]
    options = ["--json", *(part for pair in pairs for part in ("--set", pair))]
    done = earmark(*NIGHTLY.split(), *options)
    assert done.returncode == 0, done.stderr
    now, then = json.loads(done.stdout), EXPECTED[NIGHTLY]
    assert now.pop("page").startswith("not written: night 2026-11-26: nothing arrived")  # that code wrote none
    assert list(now.pop("replace tainted")) == ["skipped"]  # that code had none of these steps
    assert now.pop("erase")["destroyed"] == ["asr/2"]
    assert list(now.pop("retain")) == ["skipped"]
    assert now.keys() == then.keys()
    for step, report in then.items():
        if step == "retrain intent":
            assert (now[step]["new_labels"], now[step]["labels"]) == (2, 9), report  # see `WITHDRAWN`
        elif step == "retrain asr":  # asr/2 learned from what was withdrawn: due without new labels
            assert (now[step]["version"], now[step]["new_labels"], list(report)) == ("3", 0, ["skipped"])
        elif isinstance(report, dict):
            assert ("skipped" in now[step]) == ("skipped" in report), step
            counts = {name: value for name, value in report.items() if isinstance(value, int | float)}
            counts |= {name: counts[name] + more for name, more in WITHDRAWN_AT_NIGHT.get(step, {}).items()}
            assert list(different({name: now[step].get(name) for name in counts}, counts)) == []
    assert document_of(home, "doctor")["problems"] == []

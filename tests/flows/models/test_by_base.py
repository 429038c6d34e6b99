"""A retraining, its id and its MLflow run have the values that the base gives to what is null."""

from __future__ import annotations

from pathlib import Path

from corpus.handle import open_corpus
from flows.models import registry
from flows.models.by_base import finetune_of, safe_values
from flows.steps import retrain_plan
from flows.steps.retrain import retrain
from flows.steps.sweep_plan import plan as plan_sweep
from tests.flows.labelled_home import labelled_home, settings_of
from training.loop.base_facts import BaseFacts, write_facts
from training.tracking.store import open_tracking

QUICK = ("intent.fit.epochs=1", "intent.replay=0")


def test_the_plan_and_the_run_have_the_values_of_the_base(tmp_path: Path):
    settings = labelled_home(tmp_path, *QUICK)
    corpus = open_corpus(settings.corpus)
    try:
        base = registry.base_to_learn_from(corpus, settings.home, settings.models, "intent")
        assert safe_values(base) == {"intent.fit.encoder_rate": 1e-3, "intent.interpolate": 0.0}
        planned = retrain_plan.plan(corpus, settings, "intent", "by-hand", only_if_due=False)
        assert planned.finetune == finetune_of(settings.asr, settings.intent, base)
        assert planned.finetune.interpolate == 0.0
        same = settings_of(tmp_path, *QUICK, "intent.interpolate=0.0", "intent.fit.encoder_rate=1e-3")
        again = retrain_plan.plan(corpus, same, "intent", "by-hand", only_if_due=False)
        assert again.operation_id == planned.operation_id
        write_facts(BaseFacts(name="x", kind="intent", source="x", safe={"interpolate": 0.1}), base.folder)
        other = retrain_plan.plan(corpus, settings, "intent", "by-hand", only_if_due=False)
        assert other.operation_id != planned.operation_id
        version = retrain(corpus, settings, other, "")
        run = registry.by_name(corpus, "intent", version.version).run_id
        params = open_tracking(settings.tracking, settings.home).client.get_run(run).data.params
        assert params["config.intent.interpolate"] == "0.1"
        assert params["config.intent.fit.encoder_rate"] == "0.001"
    finally:
        corpus.close()


def test_a_sweep_tries_the_value_of_the_base_once(tmp_path: Path):
    settings = labelled_home(tmp_path, *QUICK)
    corpus = open_corpus(settings.corpus)
    try:
        found = plan_sweep(corpus, settings, "intent", ["intent.interpolate=null,0.0,0.6"])
        assert [each.values["intent.interpolate"] for each in found.candidates] == [0.0, 0.6]
        assert [each.present for each in found.candidates] == [True, False]
    finally:
        corpus.close()

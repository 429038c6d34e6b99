"""Registered versions can be served where earmark is not installed, with the same results as in earmark."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from mlflow.models import Model

from corpus import normal_form
from corpus.text import normalise
from tests.surroundings import environment_kept
from tests.training.bare import bare_environment, bare_python
from tests.training.families import FAMILIES, family_folder, hear_nothing
from tests.training.intent.test_convex_heads import CONVEX
from tests.training.tiny import tone_clip
from tests.training.tiny_intent import made_up_words, taught_intent
from tests.training.tiny_intent import rows as commands
from training.asr.arpa import to_arpa
from training.asr.beam_files import write_decoder
from training.asr.language_model import build_ngrams
from training.asr.loading import load_asr, save_asr
from training.asr.transcribe import TranscribeSettings, transcribe
from training.asr.word_beam import BeamSettings, DecoderFiles
from training.intent.finetune import finetune_intent
from training.intent.model import IntentModel, classify, load_intent, save_intent
from training.tracking import (
    aliases,
    export,
    facts,
    registry,
    runs,
    serving_intent,
    serving_speech,
    store,
)

BASES = Path(__file__).resolve().parents[3] / "training" / "bases"

TEXTS = [row.text for row in commands(6)] + ["Play — some JAZZ, by Ann's band!", "", "zwölf uhr"]

ASK = """
import json, sys
import pandas as pd

try:
    import training
except ModuleNotFoundError:
    pass
else:
    sys.exit("earmark is installed here")
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
found = {}
for uri, column, given in json.load(sys.stdin):
    model = mlflow.pyfunc.load_model(uri)
    answers = model.predict(pd.DataFrame({column: given})).to_dict(orient="records")
    example = model.predict(model.input_example).to_dict(orient="records")
    found[uri] = {"answers": answers, "example": example, "schema": str(model.metadata.signature.outputs)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    with environment_kept():
        yield store.open_tracking(store.TrackingSettings(), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> IntentModel:
    """Return a model with slots, a pooling other than the base's, and a temperature."""
    model = taught_intent()
    folder = tmp_path_factory.mktemp("taught") / "model"
    save_intent(IntentModel(model.network, model.tokenizer, temperature=1.7), folder)
    return folder


@pytest.fixture(scope="module")
def reading(tmp_path_factory, taught) -> Path:
    """Return a model that reads n-grams and words of the text, too."""
    model = load_intent(taught)
    model.network.set_words(made_up_words(["play", "jazz", "light", "band", "ann"], 6))
    folder = tmp_path_factory.mktemp("reading")
    save_intent(model, folder / "base")
    finetune_intent(folder / "base", commands(12), folder / "model", CONVEX)
    return folder / "model"


@pytest.fixture(scope="module")
def versions(tracking, taught, reading):
    """Register both bases and the models made here; return the URI of each model's own files."""
    found = {}
    for name, kind, folder in (
        ("asr", "asr", BASES / "asr"),
        ("intent", "intent", BASES / "intent"),
        ("taught", "intent", taught),
        ("reading", "intent", reading),
    ):
        operation_id = f"export/{name}"
        with runs.tracked_run(tracking, facts.RunFacts(operation_id, name, kind)) as run_id:
            number, uri = registry.register(tracking, kind, folder, run_id, operation_id)
        found[name] = (number, uri)
    aliases.set_aliases(tracking, "asr", {"champion": "1"})
    return found


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(3)
    time = np.arange(24_000) / 16_000
    voiced = 0.2 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)
    return [
        (voiced + 0.01 * rng.standard_normal(len(time))).astype(np.float32),
        (0.1 * rng.standard_normal(9_000)).astype(np.float32),
        np.zeros(400, np.float32),
    ]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return bare_python(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def answered(tracking, versions, clips, python, tmp_path_factory):
    """Return what a host without earmark answers."""
    asked = [
        ("models:/earmark-asr@champion", "audio", [[float(x) for x in clip] for clip in clips]),
        ("models:/earmark-intent/1", "text", TEXTS),
        ("models:/earmark-intent/2", "text", TEXTS),
        ("models:/earmark-intent/3", "text", TEXTS),
    ]
    cwd = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(
        [str(python), "-c", ASK, tracking.uri],
        cwd=cwd,
        env=bare_environment(cwd),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_host_without_earmark_transcribes_like_earmark(answered, versions, clips):
    asr = load_asr(versions["asr"][1])
    here = transcribe(
        asr, [(f"u{k}", clip) for k, clip in enumerate(clips)], TranscribeSettings(draws=1, batch_seconds=0.001)
    )  # each clip by itself, as there
    there = answered["models:/earmark-asr@champion"]
    assert [row["text"] for row in there["answers"]] == [output.text for output in here]
    confidences = [float(output.confidences.mean()) for output in here]
    assert [row["confidence"] for row in there["answers"]] == pytest.approx(confidences, abs=1e-5)
    assert len(there["example"]) == 1
    assert "text" in there["schema"]


@pytest.mark.parametrize(("name", "number"), [("intent", "1"), ("taught", "2"), ("reading", "3")])
def test_a_host_without_earmark_predicts_intents_like_earmark(answered, versions, name, number):
    model = load_intent(versions[name][1])
    texts = [normalise(text) for text in TEXTS]
    here = classify(model, texts)
    there = answered[f"models:/earmark-intent/{number}"]["answers"]
    assert [row["text"] for row in there] == texts
    assert [row["intent"] for row in there] == [model.intents[k] for k in here.probs.argmax(axis=1)]
    assert [row["confidence"] for row in there] == pytest.approx(here.probs.max(axis=1).tolist(), abs=1e-5)
    both = zip(texts, here.slots, strict=True)
    spans = [[(s.name, s.start, s.end, text[s.start : s.end]) for s in slots] for text, slots in both]
    assert [[(s["name"], s["start"], s["end"], s["value"]) for s in row["slots"]] for row in there] == spans
    assert name == "intent" or any(spans)


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_the_code_that_serves_has_the_normal_form_of_earmark_and_imports_nothing_of_it(kind):
    code = export.serving_code(kind).decode()
    assert Path(normal_form.__file__).read_text() in code
    roots = {
        alias.name.partition(".")[0] if isinstance(node, ast.Import) else str(node.module).partition(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not roots & {"corpus", "training", "flows", "annotation", "sampling"}


def test_a_version_holds_its_files_once_and_no_path_of_this_machine(versions, tracking, tmp_path):
    outer = Path(versions["asr"][1]).parent
    assert len(list(outer.rglob("model.safetensors"))) == 1
    written = {path.name: path.read_text() for path in outer.iterdir() if path.is_file()}
    written.pop("registered_model_meta", None)  # MLflow's own, once somebody loaded the version by its alias
    assert set(written) == {
        "MLmodel",
        "conda.yaml",
        "input_example.json",
        "python_env.yaml",
        "requirements.txt",
        "serving.py",
        "serving_input_example.json",
    }
    places = (str(outer), str(BASES.parents[1]), tracking.uri, os.environ["MLFLOW_TRACKING_URI"])
    assert [(name, place) for name, text in written.items() for place in places if place in text] == []
    assert "transformers==" in written["requirements.txt"]
    assert "+" not in written["requirements.txt"]


def test_changed_serving_code_is_found_and_earmark_loads_the_model_all_the_same(versions, tracking):
    found = tracking.client.get_model_version("earmark-intent", "2")
    assert registry.changed_files(found) == []
    assert found.tags[export.SERVING_TAG] == export.serving_digest("intent")
    outer = Path(versions["taught"][1]).parent
    kept = (outer / "serving.py").read_bytes()
    (outer / "serving.py").write_bytes(kept + b"raise SystemExit\n")
    try:
        assert "serving.py beside its files is not what was registered" in registry.changed_files(found)[0]
        load_intent(versions["taught"][1])
    finally:
        (outer / "serving.py").write_bytes(kept)


def test_a_plain_text_encoder_answers_other(tmp_path, taught):
    folder = tmp_path / "encoder"
    model = load_intent(taught)
    model.network.encoder.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    import pandas as pd

    answer = serving_intent.intent_model(folder)(pd.DataFrame({"text": ["play some music"]}))
    assert answer.to_dict(orient="records") == [
        {"text": "play some music", "intent": "other", "confidence": 1.0, "slots": []}
    ]
    assert load_intent(folder).intents == ("other",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "body", "columns"),
    [
        ("models:/earmark-asr@champion", {"dataframe_records": [{"audio": [0.0] * 8000}]}, {"text", "confidence"}),
        (
            "models:/earmark-intent/2",
            {"dataframe_records": [{"text": "turn on the attic light"}]},
            {"text", "intent", "confidence", "slots"},
        ),
    ],
)
def test_mlflow_serves_a_version_where_earmark_is_not_installed(
    tracking, versions, python, tmp_path, uri, body, columns
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", uri, "-p", str(port)]
    environment = bare_environment(tmp_path) | {"MLFLOW_TRACKING_URI": tracking.uri}
    environment["PATH"] = f"{python.parent}:{environment['PATH']}"
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        answer = _asked(f"http://127.0.0.1:{port}/invocations", body, server)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        log.close()
    assert answer is not None, (tmp_path / "log").read_text()[-3000:]
    assert set(answer["predictions"][0]) == columns


def _asked(url, body, server):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    for _ in range(240):
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as refused:
            pytest.fail(refused.read().decode()[-2000:])
        except OSError:
            if server.poll() is not None:
                return None
            time.sleep(0.5)
    return None


@pytest.mark.parametrize("family", FAMILIES)
def test_every_model_family_gives_the_same_results_when_served(family, tmp_path):
    serves_the_same(family_folder(family, tmp_path))


def test_silence_and_the_language_are_those_of_earmark_when_served(tmp_path):
    asr = load_asr(family_folder("whisper", tmp_path))
    hear_nothing(asr)
    asr.model.generation_config.lang_to_id = None
    asr.model.generation_config.language = "German"
    save_asr(asr, tmp_path / "silent")
    assert serves_the_same(tmp_path / "silent") == ["", "", ""]


def serves_the_same(folder) -> list[str]:
    """What a folder serves is what earmark transcribes; return the texts."""
    import pandas as pd

    clips = [tone_clip("turn it off"), tone_clip("stop", 1), np.zeros(400, np.float32)]
    settings = TranscribeSettings(draws=1, batch_seconds=0.001)
    here = transcribe(load_asr(folder), [(f"u{k}", clip) for k, clip in enumerate(clips)], settings)
    there = serving_speech.speech_model(folder)(pd.DataFrame({"audio": [clip.tolist() for clip in clips]}))
    assert there["text"].tolist() == [output.text for output in here]
    assert there["confidence"].tolist() == pytest.approx([float(o.confidences.mean()) for o in here], abs=1e-5)
    return there["text"].tolist()


def test_a_version_with_a_beam_says_that_it_is_served_greedily(tmp_path, caplog):
    folder = family_folder("parakeet", tmp_path / "made")
    export.write_wrapper(make(tmp_path / "plain"), "asr", folder, "0" * 64, "run", "model")
    serving_speech.speech_model(folder)
    assert caplog.messages == []
    write_decoder(folder, DecoderFiles(BeamSettings(), to_arpa(build_ngrams([("call anna", 1.0)]))))
    export.write_wrapper(make(tmp_path / "beam"), "asr", folder, "0" * 64, "run", "model")
    serving_speech.speech_model(folder)
    assert caplog.messages == [serving_speech.GREEDILY]
    plain, beam = (Model.load(str(tmp_path / name)).metadata for name in ("plain", "beam"))
    assert "served_decoder" not in plain
    assert (beam["decoder"], beam["served_decoder"]) == ("beam", "greedy")


def test_a_request_may_name_the_locale_of_a_clip_which_a_greedy_answer_does_not_depend_on(versions, clips):
    import pandas as pd
    from mlflow.pyfunc import load_model

    served = load_model(str(Path(versions["asr"][1]).parent))
    asked = pd.DataFrame({"audio": [clip.tolist() for clip in clips]})
    with_locales = asked.assign(locale=["de-AT", "en-GB", ""])
    assert served.predict(with_locales).to_dict() == served.predict(asked).to_dict()


def make(folder):
    folder.mkdir()
    return folder

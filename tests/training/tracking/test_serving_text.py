"""A served version answers what is no text or no clip with an error that names row and type, never the value."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import invocations

from corpus.records.base import Kind
from training.tracking import export
from training.tracking.serving_text import clips_of, texts_of

BASES = Path(__file__).resolve().parents[3] / "training" / "bases"
GOOD, SECRET = "play some jazz", "open sesame"
CLIP = (0.2 * np.sin(np.arange(2000) / 5)).tolist()

NO_TEXTS = {
    "null": (None, "missing (NoneType)"),
    "NaN": (float("nan"), "missing (float)"),
    "NA": (pd.NA, "missing"),
    "NaT": (pd.NaT, "missing (NaTType)"),
    "number": (4711, "of the type int"),
    "fraction": (47.11, "of the type float"),
    "truth": (True, "of the type bool"),
    "bytes": (SECRET.encode(), "of the type bytes"),
    "list": ([SECRET], "of the type list"),
    "mapping": ({SECRET: 1}, "of the type dict"),
    "array": (np.array([SECRET]), "of the type ndarray"),
}

NO_CLIPS = {
    "null": (None, "missing (NoneType)"),
    "NaN": (float("nan"), "missing (float)"),
    "number": (47.11, "of the type float"),
    "text": (SECRET, "of the type str"),
    "bytes": (SECRET.encode(), "of the type bytes"),
    "nothing": ([], "no sample"),
    "a null inside": ([0.1, None, 0.2], "a sample that is missing (NoneType)"),
    "texts": ([SECRET] * 9, "a sample that is of the type str"),
    "truths": ([True, False], "a sample that is of the type bool"),
    "complex": ([47.11j] * 9, "a sample that is of the type complex"),
    "infinite": ([float("inf")] * 9, "not finite or beyond 1"),
    "integers": (np.array([4711, -4711], np.int16), "int16 samples"),
    "stereo": ([CLIP, CLIP], "2 dimensions"),
    "ragged": ([[0.1], [0.1, 0.2]], "unequal length"),
}


def served(folder: Path, kind: Kind) -> PyFuncModel:
    shutil.copytree(BASES / kind, folder / export.INNER)
    export.write_wrapper(folder, kind, folder / export.INNER, "0" * 64, "run", "model")
    return mlflow.pyfunc.load_model(str(folder))


@pytest.fixture(scope="module")
def intent(tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    return served(tmp_path_factory.mktemp("intent"), "intent")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    return served(tmp_path_factory.mktemp("asr"), "asr")


def refusal(model: PyFuncModel, asked: Any) -> str:
    with pytest.raises(ValueError, match=r"^(row|the)") as refused:
        model.predict(asked)
    said = str(refused.value)
    assert "4711" not in said
    assert "47.11" not in said
    assert "sesame" not in said
    return said


@pytest.mark.parametrize("name", NO_TEXTS)
def test_what_is_no_text_is_refused_by_row_and_type_alone_and_beside_others(intent: PyFuncModel, name: str) -> None:
    given, what = NO_TEXTS[name]
    for cells in ([given], [GOOD, given], [GOOD, given, GOOD]):
        expected = f"row {len(cells) > 1:d}: text is {'missing' if 'missing' in what else what}"
        forms: list[Any] = [pd.DataFrame({"text": pd.Series(cells, dtype=object)}), {"text": cells}]
        forms += [[{"text": each} for each in cells], pd.Series(cells, dtype=object, name="text")]
        forms += [pd.DataFrame({"text": cells}), cells] if not isinstance(given, dict) else []  # else a row of its own
        for asked in forms:
            assert refusal(intent, asked).startswith(expected)


@pytest.mark.parametrize("name", NO_CLIPS)
def test_what_is_no_clip_is_refused_by_row_and_type_alone_and_beside_others(speech: PyFuncModel, name: str) -> None:
    given, what = NO_CLIPS[name]
    for cells in ([given], [CLIP, given]):
        for asked in (pd.DataFrame({"audio": pd.Series(cells, dtype=object)}), [{"audio": each} for each in cells]):
            said = refusal(speech, asked)
            assert said.startswith(f"row {len(cells) - 1}: audio")
            assert what in said


def test_a_missing_column_is_named_and_so_is_the_index_of_a_table(intent: PyFuncModel, speech: PyFuncModel) -> None:
    assert refusal(intent, pd.DataFrame({"txt": [SECRET]})) == "the column text is missing; give a table that has it"
    assert refusal(speech, {"sound": [4711.0]}).startswith("the key audio is missing")
    assert refusal(intent, [{"text": GOOD}, {"txt": SECRET}]) == "row 1: text is missing"
    assert refusal(intent, pd.DataFrame({"text": [GOOD, None]}, index=[7, 9])).startswith("row 1 (index 9): text")
    assert refusal(intent, pd.DataFrame({"text": [GOOD, None]}, index=["a", SECRET])).startswith("row 1: text")
    assert refusal(intent, 4711).startswith("the input is of the type int")


@pytest.mark.parametrize(
    "asked",
    [
        pd.DataFrame({"text": [GOOD, ""], "locale": ["en", "de"]}),
        pd.DataFrame({"text": pd.Categorical([GOOD, ""])}),
        pd.DataFrame({"text": pd.array([GOOD, ""], dtype="string")}),
        [GOOD, ""],
        {"text": [GOOD, ""]},
        {"text": np.array([GOOD, ""])},
        [{"text": GOOD}, {"text": ""}],
    ],
)
def test_texts_are_answered_alike_in_every_form(intent: PyFuncModel, asked: Any) -> None:
    answers = intent.predict(asked)
    assert answers["text"].tolist() == [GOOD, ""]
    assert answers["intent"].tolist() == ["play_music", "other"]


def test_forms_of_one_text_and_of_clips() -> None:
    assert texts_of(GOOD) == texts_of({"text": GOOD}) == texts_of(np.array([GOOD])) == [GOOD]
    one = np.array(CLIP, np.float32)
    forms: list[Any] = [{"audio": CLIP}, {"audio": [CLIP]}, [CLIP], np.array([CLIP]), [{"audio": np.array(CLIP)}]]
    for asked in [*forms, pd.DataFrame({"audio": [CLIP]})]:
        (clip,) = clips_of(asked, 16_000)
        assert np.array_equal(clip, one)
    assert clips_of([[0, 1, -1]], 16_000)[0].dtype == np.float32  # JSON writes 1.0 as 1
    assert texts_of(pd.DataFrame({"text": []})) == []


@pytest.mark.parametrize(
    "request_",
    [
        {"dataframe_records": [{"text": GOOD}, {"text": None}]},
        {"dataframe_split": {"columns": ["text"], "data": [[GOOD], [4711]]}},
        {"inputs": {"text": [GOOD, None]}},
        {"instances": [{"text": GOOD}, {"text": None}]},
    ],
)
def test_a_request_to_mlflow_s_server_is_refused_by_its_row(intent: PyFuncModel, request_: dict[str, Any]) -> None:
    with pytest.raises(MlflowException) as refused:
        invocations(json.dumps(request_), "application/json", intent, intent.metadata.get_input_schema())
    assert refused.value.get_http_status_code() == 400
    said = refused.value.serialize_as_json()  # the body of the server's answer
    assert "ValueError: row 1: text is" in said
    assert "4711" not in said

"""Which measure of the speech model ranks its real errors first, by kind of model and by how texts are drawn.

    python -m benchmarks.ranking --base FOLDER --fsdd ../shared/data/fsdd --out FOLDER

Clips: real digits of FSDD's test split, and sentences of the synthesised traffic in unheard accents, noise and rooms,
half of them through the doorbell's microphone. An error is a word that differs in the form in which numbers agree.
AUC is the chance that a clip with an error ranks above one without (Fawcett 2006); rho is Spearman's correlation with
the number of wrong words; both with the standard deviation over 200 bootstrap samples of the clips. Drawing is varied
for seq2seq models alone: draws of a CTC model are exact. An interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.no_speech import digit_clip
from corpus.edits import distance
from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS
from training.evaluation.number_forms import in_number_form

DOUBTS = {"confidence_", "gibbs_", "logprob_"}
"""Beginnings of the columns that are small where the model is unsure."""

LEFT_OUT = ("num_tokens", "duration")
DRAWINGS = (
    (1.0, 1.0), (1.0, 0.7), (0.95, 1.0), (0.9, 1.0), (0.8, 1.0), (1.0, 0.85), (1.0, 0.5), (0.9, 0.7)
)  # fmt: skip
"""(top_p, temperature); the first is the model's own distribution."""


def main() -> None:
    """Measure, print tables and write `ranking.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=200, help="of each kind")
    parser.add_argument("--groups", nargs="+", choices=("digits", "traffic"), default=["digits", "traffic"])
    parser.add_argument("--window", type=float, help="shorter window of a model such as Whisper [s]")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    from training.asr.loading import load_asr

    asr = load_asr(given.base)
    drawings = DRAWINGS if asr.head == "seq2seq" else DRAWINGS[:1]
    given.out.mkdir(parents=True, exist_ok=True)
    report = given.out / "ranking.json"
    found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    clips_of = {"digits": lambda: digits(given.fsdd, given.clips), "traffic": lambda: traffic(given.clips)}
    for name in given.groups:
        clips = clips_of[name]()
        for top_p, temperature in drawings:
            key = f"{name}, top_p {top_p:g}, temperature {temperature:g}"
            if key not in found:
                started = time.process_time()
                table = ranked(asr, clips, top_p, temperature, given.window)
                found[key] = table | {"cpu seconds a clip": (time.process_time() - started) / len(clips)}
                report.write_text(json.dumps(found, indent=2) + "\n")
            show(name, top_p, temperature, found[key])


def digits(folder: Path, count: int) -> list[tuple[Floats, str]]:
    """Return real digits with their words."""
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    order = np.random.default_rng(0).permutation(len(rows))[:count]
    return [(digit_clip(folder, rows[row]), rows[row]["text"]) for row in order]


def traffic(count: int) -> list[tuple[Floats, str]]:
    """Return sentences in unheard accents with their words, half of them through the doorbell's microphone."""
    from corpus.synthetic import pretraining_set
    from corpus.synthetic.acoustics import doorbell

    spoken = pretraining_set(4321, count, accents="drift", phrasings="all")
    return [(doorbell(one.samples) if number % 2 else one.samples, one.text) for number, one in enumerate(spoken)]


def ranked(
    asr: Any, clips: Sequence[tuple[Floats, str]], top_p: float, temperature: float, window: float | None
) -> dict[str, Any]:
    """Return AUC and correlation by column, and what the draws expect beside what is wrong."""
    from training.asr.transcribe import TranscribeSettings, transcribe

    how = TranscribeSettings(top_p=top_p, temperature=temperature, window=window)
    outputs = transcribe(asr, [(str(number), samples) for number, (samples, _) in enumerate(clips)], how)
    wrong = np.array(
        [
            distance(in_number_form(text, "earmark").split(), in_number_form(output.text, "earmark").split())
            for output, (_, text) in zip(outputs, clips, strict=True)
        ]
    )
    columns = np.stack([output.columns for output in outputs]).astype(np.float64)
    words = sum(len(text.split()) for _, text in clips)
    table: dict[str, Any] = {
        "wer": float(wrong.sum() / words),
        "clips with an error": float((wrong > 0).mean()),
        "errors a clip": float(wrong.mean()),
        "expected errors a clip": float(columns[:, ASR_COLUMNS.index("expected_errors")].mean()),
    }
    for place, column in enumerate(ASR_COLUMNS):
        if column not in LEFT_OUT:
            sign = -1.0 if column.startswith(tuple(DOUBTS)) else 1.0
            table[column] = with_spread(sign * columns[:, place], wrong)
    return table


def with_spread(values: Floats, wrong: Floats) -> dict[str, float]:
    """Return AUC and Spearman's rho with their standard deviations over bootstrap samples."""
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    rng, found = np.random.default_rng(0), []
    for turn in range(201):
        rows = np.arange(len(wrong)) if turn == 0 else rng.integers(len(wrong), size=len(wrong))
        if 0 < (wrong[rows] > 0).sum() < len(rows):
            found.append((roc_auc_score(wrong[rows] > 0, values[rows]), spearmanr(values[rows], wrong[rows])[0]))
    whole, spread = np.array(found)[0], np.nanstd(np.array(found)[1:], axis=0)
    return {"auc": whole[0], "auc sd": spread[0], "rho": whole[1], "rho sd": spread[1]}


def show(name: str, top_p: float, temperature: float, table: dict[str, Any]) -> None:
    """Print one table."""
    print(
        f"\n{name}, top_p {top_p:g}, temperature {temperature:g}: WER {100 * table['wer']:.1f} %, errors a clip"
        f" {table['errors a clip']:.2f}, expected {table['expected errors a clip']:.2f}"
    )
    for column, row in table.items():
        if isinstance(row, dict):
            auc, rho = (f"{row[name]:.2f} +- {row[f'{name} sd']:.2f}" for name in ("auc", "rho"))
            print(f"  {column:20} AUC {auc}  rho {rho}")


if __name__ == "__main__":
    main()

"""Speed of scoring against the bare work and against transformers' pipelines, and memory by number of utterances.

    python -m benchmarks.scoring --out FOLDER

Speed is hours of audio scored per hour. The bare work is what every implementation needs: features and the speech
model's forward pass over the same batches, then the intent model's over the same distinct drafts; no draws, no
confidences, no embeddings, no records. The pipelines are the common alternative: `automatic-speech-recognition` in
batches, then `text-classification` on the best transcript of each clip, without the further hypotheses that earmark
draws. All three process the same synthesised commands, in turns in one process with one model in memory, and ratios are
given with their spread. The 90 M model is Wav2Vec2's base with random weights and a likely blank, so that its drafts
are about as long as real ones. With a GPU, everything runs on it. Memory is the peak of a process that streams clips of
half a second through shards of a thousand.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

MODELS = ("embedded", "90M")
WAYS = ("bare", "pipeline", "earmark")
SHARD = 1000
CHARACTERS = "|abcdefghijklmnopqrstuvwxyz'"
PIPELINE_BATCH = 8

AIMS = {"of_bare": 0.9, "of_pipeline": 2.0}
"""Targets of the ratios of speeds."""


def main() -> None:
    """Measure, print a table and write `scoring.json` and `scoring.png` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--clips", type=int, default=200, help="clips to measure speed with, some 2 s each")
    parser.add_argument("--repeats", type=int, default=5, help="turns of the three ways")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument(
        "--utterances", type=int, nargs="*", default=[1000, 10_000, 100_000], help="utterances to measure memory with"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        print(json.dumps(stream(given.memory)))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    report = {
        "throughput": [throughput(name, given.clips, given.repeats, given.threads) for name in given.models],
        "memory": [_streamed(count) for count in given.utterances],
    }
    (given.out / "scoring.json").write_text(json.dumps(report, indent=2) + "\n")
    if report["memory"]:
        _plot(report["memory"], given.out / "scoring.png")
    _show(report)


# --- the three ways ---------------------------------------------------------------------------------------------------


def throughput(name: str, clips: int, repeats: int, threads: int) -> dict[str, Any]:
    """Return the hours of audio per hour of each way, by turn, and their ratios."""
    import torch

    from training.score import ScoreSettings, score_utterances

    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    asr, intent = _models(name, device)
    spoken = speech(clips)
    settings = ScoreSettings()
    hours = sum(len(samples) for _, samples in spoken) / asr.sample_rate / 3600

    def earmark() -> Any:
        return score_utterances(iter(spoken), asr, intent, settings, asr_version="1", intent_version="1")

    drafts = sorted({each.text for found in earmark().hypotheses.values() for each in found})
    transcribe, classify = _pipelines(asr, intent, device)
    ways: dict[str, Callable[[], Any]] = {
        "bare": lambda: _bare(asr, intent, spoken, drafts, settings),
        "pipeline": lambda: classify([each["text"] or "." for each in transcribe(_dicts(spoken, asr.sample_rate))]),
        "earmark": earmark,
    }
    turns: list[dict[str, float]] = []
    for turn in range(-1, repeats):  # the first only warms up
        order = WAYS if turn % 2 == 0 else WAYS[::-1]
        found = {way: hours / _hours(ways[way], device) for way in order}
        print(name, *(f"{way} {found[way]:.0f} h/h" for way in WAYS), file=sys.stderr)
        turns += [found] if turn >= 0 else []
    return {
        "model": name,
        "parameters": sum(weight.numel() for weight in asr.model.parameters()),
        "device": device,
        "threads": threads,
        "clips": clips,
        "distinct_drafts": len(drafts),
        "turns": turns,
        **{f"of_{way}": _ratio(turns, way) for way in ("bare", "pipeline")},
    }


def _bare(asr: Any, intent: Any, spoken: list[Any], drafts: list[str], settings: Any) -> None:
    import torch

    from training.asr.model import extract_features, masks_padding
    from training.intent.network import max_input_tokens
    from training.loop.batching import length_batches

    limit = int(settings.transcribe.batch_seconds * asr.sample_rate)
    with torch.inference_mode():
        lengths = [len(samples) for _, samples in spoken]
        for rows in length_batches(lengths, limit, 256 if masks_padding(asr) else 1):
            inputs = extract_features(asr, [spoken[row][1] for row in rows.tolist()])
            asr.model(**inputs).logits.argmax(-1).cpu()
        limit = max_input_tokens(intent.network)
        for rows in length_batches([min(limit, 2 + len(text)) for text in drafts], settings.text_tokens):
            texts = [drafts[row] for row in rows.tolist()]
            encoded = intent.tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
            intent.network(
                input_ids=encoded["input_ids"].to(asr.device), attention_mask=encoded["attention_mask"].to(asr.device)
            )[0].argmax(-1).cpu()


def _dicts(spoken: list[Any], rate: int) -> list[dict[str, Any]]:
    return [{"raw": samples, "sampling_rate": rate} for _, samples in spoken]


def _pipelines(asr: Any, intent: Any, device: str) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

    transcribe = pipeline(
        "automatic-speech-recognition",
        model=asr.model,
        tokenizer=asr.tokenizer,
        feature_extractor=asr.processor.feature_extractor,
        batch_size=PIPELINE_BATCH,
        device=device,
    )
    encoder = intent.network.config.encoder  # the same encoder with a head that the pipeline supports
    config = AutoConfig.for_model(**encoder) if isinstance(encoder, dict) else encoder
    config.num_labels = len(intent.intents)
    plain = AutoModelForSequenceClassification.from_config(config)
    classify = pipeline(
        "text-classification",
        model=plain.eval(),
        tokenizer=intent.tokenizer,
        batch_size=PIPELINE_BATCH,
        truncation=True,
        max_length=128,
        device=device,
    )
    return transcribe, classify


def _hours(way: Callable[[], Any], device: str) -> float:
    import torch

    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    way()
    if device == "cuda":
        torch.cuda.synchronize()
    return (clock() - started) / 3600


def _ratio(turns: list[dict[str, float]], alternative: str) -> dict[str, float]:
    ratios = [turn["earmark"] / turn[alternative] for turn in turns]
    return {"median": float(np.median(ratios)), "low": min(ratios), "high": max(ratios)}


# --- models and clips -------------------------------------------------------------------------------------------------


def _models(name: str, device: str) -> tuple[Any, Any]:
    from flows.models.registry import BASES
    from training.asr.loading import load_asr
    from training.intent.model import load_intent

    asr = load_asr(BASES / "asr", device=device) if name == "embedded" else _large(device)
    return asr, load_intent(BASES / "intent", device=device)


def _large(device: str) -> Any:
    """Return a model of the size of Wav2Vec2's base (94 M parameters, 12 layers of 768) with random weights."""
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    from training.asr.loading import to_asr_model

    symbols = ["<pad>", "<unk>", *CHARACTERS]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.json"
        vocabulary.write_text(json.dumps({symbol: place for place, symbol in enumerate(symbols)}))
        tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary), bos_token=None, eos_token=None)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    torch.manual_seed(0)
    config = Wav2Vec2Config(vocab_size=len(symbols), feat_extract_norm="layer", do_stable_layer_norm=True)
    model = Wav2Vec2ForCTC(config)
    with torch.no_grad():
        model.lm_head.weight *= 5.0
        model.lm_head.bias[0] = 6.0  # some four fifths of the frames are blank
    processor = Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    return to_asr_model(model.to(device), processor, "wav2vec2-base")


def speech(clips: int) -> list[tuple[str, Any]]:
    """Return (id, samples) of synthesised commands at 16 kHz."""
    from corpus.synthetic.speakers import pretraining_set

    return [(f"u{k:06d}", each.samples) for k, each in enumerate(pretraining_set(0, clips))]


# --- memory -----------------------------------------------------------------------------------------------------------


def stream(utterances: int) -> dict[str, Any]:
    """Score clips of half a second, a shard at a time, and store nothing."""
    import torch

    from corpus.ingest import malloc_trim
    from training.score import score_utterances

    torch.set_num_threads(1)
    asr, intent = _models("embedded", "cpu")
    clips = [samples[: asr.sample_rate // 2] for _, samples in speech(200)]

    def shard(start: int) -> Iterator[tuple[str, Any]]:
        for k in range(start, min(utterances, start + SHARD)):
            yield f"u{k:07d}", clips[k % len(clips)]

    started, scored = time.perf_counter(), 0
    for start in range(0, utterances, SHARD):
        scored += len(score_utterances(shard(start), asr, intent, asr_version="1", intent_version="1").predictions)
        malloc_trim.trim_malloc()
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return {"utterances": utterances, "scored": scored, "seconds": seconds, "peak_mb": peak}


def _streamed(utterances: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scoring", "--out", ".", "--memory", str(utterances)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


# --- printing ---------------------------------------------------------------------------------------------------------


def _show(report: dict[str, Any]) -> None:
    print("| model | parameters | device | bare | pipelines | earmark | of bare | of pipelines |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in report["throughput"]:
        speeds = [float(np.median([turn[way] for turn in row["turns"]])) for way in WAYS]
        ratios = [f"{r['median']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for r in (row["of_bare"], row["of_pipeline"])]
        shown = [f"{speed:,.0f} h/h" for speed in speeds] + ratios
        print(f"| {row['model']} | {row['parameters'] / 1e6:.1f} M | {row['device']} | {' | '.join(shown)} |")
    for row in report["throughput"]:
        for name, aim in AIMS.items():
            met = "met" if row[name]["median"] >= aim else "MISSED"
            print(f"{row['model']} {name.replace('_', ' ')}: aimed at {aim:g}, {met}")
    for row in report["memory"]:
        print(f"{row['utterances']:>8} utterances {row['seconds']:>7.0f} s, peak {row['peak_mb']:.0f} MB")


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    from training.tracking.figures import new_figure

    figure, axes = new_figure(5.0, 3.4)
    axes.plot([row["utterances"] for row in rows], [row["peak_mb"] for row in rows], "o-")
    axes.set(xlabel="utterances", ylabel="peak memory [MB]", xscale="log", ylim=(0, None))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

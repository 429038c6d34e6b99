"""Fine-tuning: the time of a step of earmark's loop against a minimal PyTorch loop over the same batches.

    python -m benchmarks.finetuning --turns 5 --steps 6 --out FOLDER

The minimal loop has features, forward pass, CTC loss, backward pass, clipping, AdamW and a schedule; no weights of
examples, no augmentation, no progress, no checkpoint. Both loops are given the same clips in the same batches on as
many threads, with the embedded base and with a random model of the size of Wav2Vec2-base (some 90 million weights).
They run in turns, and the order alternates; ratios are given with their spread over the turns. Time is CPU time of one
thread, so that other work of the machine has little effect. For the comparison, augmentation is off in earmark's loop;
the loop with its default augmentation is measured, too. Clips are noise, because the time of a step does not depend on
the words.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BASE = Path(__file__).resolve().parent.parent / "training" / "bases" / "asr"

LETTERS = "abcdefghijklmnopqrstuvwxyz'"

TEXTS = ("turn on the light", "what is the time", "play some music", "set a timer for nine")

MODELS = ("embedded", "wav2vec2-base")

TURN = ("bare", "earmark", "earmark augmented")


def main() -> None:
    """Measure, print a table and write `finetuning.json` and `finetuning.png` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps of each turn, after one to warm up")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    report = {name: measure(name, given.turns, given.steps) for name in given.models}
    (given.out / "finetuning.json").write_text(json.dumps(report, indent=2) + "\n")
    _plot(report, given.out / "finetuning.png")
    for name, found in report.items():
        for way in TURN[1:]:
            ratio = found["ratios"][way]
            print(
                f"{name} ({found['parameters'] / 1e6:.1f} M weights): a step of {way} takes {ratio['median']:.3f} "
                f"[{ratio['low']:.3f}, {ratio['high']:.3f}] of the bare loop's {1000 * found['bare_step']:.0f} ms"
            )


def measure(name: str, turns: int, steps: int) -> dict[str, Any]:
    """Return the seconds per step of each turn, and the ratios of earmark's to those of the bare loop."""
    import torch

    asr, examples = MAKERS[name](steps + 1)
    start = {key: tensor.clone() for key, tensor in asr.model.state_dict().items()}
    seconds: list[dict[str, float]] = []
    for turn in range(turns):
        order = TURN if turn % 2 == 0 else TURN[::-1]
        found = {}
        for way in order:
            asr.model.load_state_dict(start)
            times = WAYS[way](asr, examples)
            found[way] = float(np.sum(np.diff(times)) / (len(times) - 1))  # the first step warms up
        seconds.append(found)
        print(name, *(f"{way} {1000 * found[way]:.0f} ms" for way in TURN), file=sys.stderr)
    ratios = {way: [found[way] / found["bare"] for found in seconds] for way in TURN[1:]}
    return {
        "parameters": sum(p.numel() for p in asr.model.parameters()),
        "batch": len(examples) // (steps + 1),
        "torch": torch.__version__,
        "turns": seconds,
        "bare_step": float(np.median([found["bare"] for found in seconds])),
        "ratios": {
            way: {"median": float(np.median(values)), "low": min(values), "high": max(values)}
            for way, values in ratios.items()
        },
    }


# --- models and clips -------------------------------------------------------------------------------------------------


def embedded(batches: int) -> tuple[Any, list[Any]]:
    """Return the embedded base, and clips for batches of eight."""
    from training.asr.loading import load_asr

    return load_asr(BASE), clips(8 * batches, 2.0)


def wav2vec2_base(batches: int) -> tuple[Any, list[Any]]:
    """Return a random model of the size of Wav2Vec2-base, and clips for batches of one, as it masks no padding."""
    import tempfile

    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    import transformers as t

    from training.asr.loading import to_asr_model

    tokens = ["<pad>", "<unk>", "|", *LETTERS]
    with tempfile.TemporaryDirectory() as folder:
        vocab = Path(folder) / "vocab.json"
        vocab.write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
        tokenizer = t.Wav2Vec2CTCTokenizer(str(vocab), pad_token="<pad>", unk_token="<unk>")
    config = t.Wav2Vec2Config(vocab_size=len(tokens), pad_token_id=0, layerdrop=0.0, mask_time_prob=0.0)
    extractor = t.Wav2Vec2FeatureExtractor(return_attention_mask=False)
    processor = t.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    return to_asr_model(t.Wav2Vec2ForCTC(config), processor, "random"), clips(batches, 1.0)


def clips(count: int, seconds: float) -> list[Any]:
    """Return clips of noise, each different, with a text."""
    from training.asr.fit import AsrExample

    rng = np.random.default_rng(0)
    size = int(16_000 * seconds)
    return [
        AsrExample(f"u{i:04d}", (0.1 * rng.standard_normal(size)).astype(np.float32), TEXTS[i % len(TEXTS)])
        for i in range(count)
    ]


MAKERS: dict[str, Callable[[int], tuple[Any, list[Any]]]] = {"embedded": embedded, "wav2vec2-base": wav2vec2_base}


# --- the two loops ----------------------------------------------------------------------------------------------------


def _settings(augmented: bool) -> Any:
    from training.asr.augment import AugmentSettings
    from training.asr.fit import AsrLoopSettings

    plain = AugmentSettings(speeds=(), gain_db=0, noise_share=0, narrow_share=0, time_masks=0, mel_masks=0)
    augment = AugmentSettings() if augmented else plain
    return AsrLoopSettings(epochs=1, batch_seconds=16.0, learning_rate=1e-4, device="cpu", augment=augment)


def earmark(asr: Any, examples: Sequence[Any]) -> list[float]:
    """Return the CPU time at the end of each step of earmark's loop without augmentation [s]."""
    return _timed(asr, examples, augmented=False)


def earmark_augmented(asr: Any, examples: Sequence[Any]) -> list[float]:
    """Return the CPU time at the end of each step of earmark's loop with its default augmentation [s]."""
    return _timed(asr, examples, augmented=True)


def _timed(asr: Any, examples: Sequence[Any], *, augmented: bool) -> list[float]:
    from training.asr.fit import train_asr

    times: list[float] = []
    train_asr(asr, examples, _settings(augmented), lambda done, total, loss: times.append(time.process_time()))
    return times


def bare(asr: Any, examples: Sequence[Any]) -> list[float]:
    """Return the CPU time at the end of each step of the minimal loop [s]."""
    import torch

    size = 8 if len(examples) % 8 == 0 else 1
    model, extractor = asr.model, asr.processor.feature_extractor
    torch.set_num_threads(_settings(False).threads)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(examples) // size)
    model.train()
    times = []
    for first in range(0, len(examples), size):
        batch = examples[first : first + size]
        inputs = extractor(
            [example.samples for example in batch], sampling_rate=16_000, padding="longest", return_tensors="pt"
        )
        targets = [asr.tokenizer(example.text, add_special_tokens=False)["input_ids"] for example in batch]
        log_probs = torch.log_softmax(model(**inputs).logits, dim=-1).transpose(0, 1)
        loss = torch.nn.functional.ctc_loss(
            log_probs,
            torch.tensor([token for target in targets for token in target]),
            torch.full((len(batch),), len(log_probs)),
            torch.tensor([len(target) for target in targets]),
            blank=asr.blank,
            zero_infinity=True,
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        times.append(time.process_time())
    model.eval()
    return times


WAYS: dict[str, Callable[[Any, Sequence[Any]], list[float]]] = {
    "bare": bare,
    "earmark": earmark,
    "earmark augmented": earmark_augmented,
}


def _plot(report: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(report), figsize=(4.5 * len(report), 3.4), layout="constrained", squeeze=False)
    for axis, (name, found) in zip(axes[0], report.items(), strict=True):
        for way in TURN:
            axis.plot([1000 * turn[way] for turn in found["turns"]], "o-", label=way)
        axis.set(title=name, xlabel="turn", ylabel="CPU time of a step [ms]", ylim=(0, None))
        axis.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()

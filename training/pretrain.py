"""Train an embedded base anew: `python -m training.pretrain asr|intent --out FOLDER [--seed N] [--size N]`.

The intent base that comes with earmark has vectors of words by `--teacher FOLDER`, that of all-MiniLM-L6-v2.

The same seed, size and thread count give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from corpus.errors import EarmarkError, SettingsError

KINDS: Final = ("asr", "intent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the base of the command line, write it to its folder and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model; replaced as a whole")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, help="clips (asr) or sentences (intent) to learn from")
    parser.add_argument("--minutes", type=float, help="asr: shorten or lengthen the training to about this long")
    parser.add_argument("--words", type=Path, help="asr: words, one a line, the most frequent first")
    parser.add_argument("--texts", type=Path, help="asr: other texts to speak, one a line")
    parser.add_argument("--start", type=Path, help="asr: base that is trained again, on other clips by --seed")
    parser.add_argument("--checkpoints", type=Path, help="asr: folder from which an interrupted training goes on")
    parser.add_argument("--teacher", type=Path, help="intent: sentence encoder to distil vectors of words from")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(_pretrain(options)))
    except EarmarkError as error:
        print(f"pretrain: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _pretrain(options: argparse.Namespace) -> dict[str, Any]:
    started = time.monotonic()
    if options.kind == "asr":
        from training.asr import pretrain

        if options.teacher is not None:
            raise SettingsError("--teacher is for intent only")
        settings = pretrain.pretrain_settings(options.seed, options.size, options.minutes, options.start is not None)
        settings = settings.model_copy(update={"words_file": options.words, "texts_file": options.texts})
        made = pretrain.pretrain(options.out, settings, _progress, options.checkpoints, options.start)
        facts = {"parameters": made.parameters, "audio_seconds": round(made.audio_seconds), "digest": made.digest}
    else:
        from training.intent import pretrain as pretrain_intent

        for name in ("minutes", "words", "texts", "start", "checkpoints"):
            if getattr(options, name) is not None:
                raise SettingsError(f"--{name} is for asr only")
        chosen = {"seed": options.seed} | ({} if options.size is None else {"sentences": options.size})
        wanted = pretrain_intent.IntentPretrainSettings(**chosen)
        pretrain_intent.pretrain(options.out, wanted, _progress, options.teacher)
        facts = {}
    return {"kind": options.kind, "out": options.out.name, "seconds": round(time.monotonic() - started)} | facts


def _progress(done: int, total: int, loss: float) -> None:
    if done % 50 == 0 or done == total:
        print(f"step {done} of {total}, loss {loss:.3f}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

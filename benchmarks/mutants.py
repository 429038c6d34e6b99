"""Share of small changes of critical code that a test fails on, by module: what `make mutants` shows in the end.

`python -m benchmarks.mutants FOLDER` reads what mutmut left in a folder: for each changed module a file `.meta`, with
the exit status of the tests by change. Changes that were not tried are left out. Words of messages are not changed (see
`[tool.mutmut]` in pyproject.toml); some changes that survive do the same as the code, such as `<=` in place of `<` for
a random number, and count as survivors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from scipy import stats

ENOUGH = 0.9
"""Share of the changes that must fail a test."""

SURVIVED = (0, 5, 33)
"""Exit statuses of a change that no test failed on: all passed, none was collected, none runs the function."""

BROKEN_OFF = (2, None)
"""Exit statuses of a change that was interrupted, and of one that was not tried."""


def results(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield module, name of the change, and whether a test failed, of every change that was tried."""
    for file in sorted(folder.rglob("*.py.meta")):
        module = file.relative_to(folder).as_posix().removesuffix(".meta")
        for name, status in json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            if status not in BROKEN_OFF:
                yield module, name, status not in SURVIVED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    tried = list(results(parser.parse_args().folder))
    if not tried:
        sys.exit("no change was tried; run `make mutants`")
    for name in (name for _, name, killed in tried if not killed):
        print(f"survived: {name}   (.mutants/bin/mutmut show {name})")
    print(f"\n{'module':<36}{'tried':>7}{'killed':>8}")
    for module in sorted({module for module, _, _ in tried}):
        of = [killed for each, _, killed in tried if each == module]
        print(f"{module:<36}{len(of):>7}{sum(of):>8}   {100 * sum(of) / len(of):5.1f} %")
    killed = sum(found for _, _, found in tried)
    low, high = stats.binomtest(killed, len(tried)).proportion_ci()  # Clopper & Pearson 1934
    share = killed / len(tried)
    shown = f"{100 * share:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    print(f"{'all':<36}{len(tried):>7}{killed:>8}   {shown}, at least {100 * ENOUGH:.0f} % are wanted")
    sys.exit(0 if share >= ENOUGH else 1)


if __name__ == "__main__":
    main()

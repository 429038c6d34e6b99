"""A home in which nothing can be written can be read: its state, its health and its audit chains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flows.runtime.session import opened
from tests.corpus.stored import arrive, score
from tests.flows.homes import ROOT, small_settings

READS = """
import sys
from pathlib import Path
from corpus.errors import EarmarkError
from corpus.handle import open_corpus
from flows.reports.audit_verify import verify_audit
from flows.reports.doctor import examine
from flows.reports.status import status_of
from tests.flows.homes import small_settings
settings = small_settings(Path(sys.argv[1]))
print("status", status_of(settings).problems)
print("audit", verify_audit(settings).records)
report = examine(settings, repair=False, deep=True)
print("doctor", sorted(name for name, found in report.checks.items() if found == "failed"))
print("bytes", report.checks["clips"]["clips"], report.checks["parts"]["parts"])
for repair in (True, False):
    try:
        examine(settings, repair=True) if repair else open_corpus(settings.corpus)
    except EarmarkError as error:
        print("refused", error)
"""

NO_OVERRIDE = "-dac_override,-dac_read_search"


def test_status_doctor_and_audit_verify_work_where_nothing_can_be_written(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        score(corpus, arrive(corpus, 3, arrived_at=corpus.clock()))
    before = {path: path.stat().st_mtime_ns for path in settings.home.rglob("*")}
    folders = [settings.home, *(path for path in settings.home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    # root may write everywhere, unless it gives up the right to
    alone = ["setpriv", f"--bounding-set={NO_OVERRIDE}", f"--inh-caps={NO_OVERRIDE}"] if os.getuid() == 0 else []
    try:
        done = subprocess.run(
            [*alone, sys.executable, "-c", READS, str(settings.home)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for folder in folders:
            folder.chmod(0o700)
    lines = done.stdout.splitlines()
    assert lines[:4] == ["status ()", "audit 2", "doctor []", "bytes 3 1"], done.stderr
    assert all("can't be written to" in line for line in lines[4:])
    assert len(lines) == 6
    assert {path: path.stat().st_mtime_ns for path in settings.home.rglob("*")} == before

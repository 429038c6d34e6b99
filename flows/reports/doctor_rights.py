"""What the doctor checks of the rights on a home: nobody but its owner has any."""

from __future__ import annotations

from pathlib import Path

from corpus.storage.private_home import open_to_others
from flows.reports.doctor_content import NAMED, Found


def check_rights(home: Path) -> Found:
    """Return on how many files and folders of the home others have a right, and name the first."""
    found = [path for path, _ in open_to_others(home)]
    if not found:
        return {"open to others": 0}, []
    named = ", ".join(str(path.relative_to(home)) for path in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return {"open to others": len(found)}, [
        f"others than the owner of the home have rights on {named}{more}; run earmark doctor --repair"
    ]

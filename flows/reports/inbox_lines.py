"""The inbox in lines: what a night would read of it, and which files it could not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.runtime import console


def inbox_lines(inbox: Mapping[str, Any]) -> dict[str, int | str]:
    """Return the document of an `InboxPreview` as names and values; a broken file counts no rows."""
    lines: dict[str, int | str] = {"files in the inbox": inbox["manifests"]}
    if inbox["ingested_before"]:
        lines["ingested before"] = inbox["ingested_before"]
    if inbox["to_read"]:
        refused = inbox["refused"]
        but = f", of which {sum(refused.values())} will be refused: {console.cell(refused)}" if refused else ""
        lines["to be read"] = f"{inbox['to_read']} with {inbox['rows']} rows{but}"
    if inbox["failed"]:
        lines["can't be read"] = f"{len(inbox['failed'])}: " + "; ".join(
            f"{n} {why}" for n, why in inbox["failed"].items()
        )
    return lines


def unread_lines(night: Mapping[str, Any]) -> list[str]:
    """Return the last line of a nightly run whose inbox has files that can't be read; nothing where it has none.

    Args:
        night: document of the run.
    """
    unread = night.get("ingest", {}).get("failed") or {}
    if not unread:
        return []
    files = "1 file of the inbox" if len(unread) == 1 else f"{len(unread)} files of the inbox"
    return [f"WARNING  {files} can't be read, in this night and each that follows; mend or remove {', '.join(unread)}"]

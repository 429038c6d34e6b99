"""What is held about a customer as one HTML page, and as a summary in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from flows.reports.access import AccessReport, HeldUtterance
from flows.reports.page_templates import page_template
from flows.runtime import console
from flows.runtime.output_files import write_output

SHOWN: Final = 50
"""How many utterances the terminal lists; the page and `--json` have all."""

REASONS: Final[Mapping[str, str]] = {
    "quarantine": "set aside",
    "erased": "erased",
    "unknown": "without a row",
}
"""Why the door did not open an utterance, in words."""

Cells: TypeAlias = tuple[str | int, ...]
"""The cells of a row of a table."""

HEADERS: Final = (
    "arrived (UTC)",
    "seconds",
    "device",
    "state",
    "heard by",
    "heard (UTC)",
    "handed to",
    "labels",
    "may be used to",
)
STATED: Final = ("received (UTC)", "statement", "uses", "notice")
LEARNED: Final = ("version", "trained (UTC)", "with labels", "without", "marked since (UTC)")
USES: Final = ("use", "now", "since (UTC)", "utterances")


def write_access_page(report: AccessReport, out: Path, home: Path) -> Path:
    """Write the page to a file that only its owner can read; return its place.

    Raises:
        UsageError: it can't be written there.
    """
    page = page_template("access.html").render(
        report=report,
        facts=_facts(report) | ({} if report.serials is None else {"devices": ", ".join(report.serials) or "none"}),
        uses=_uses(report),
        uses_headers=USES,
        stated=_stated(report),
        stated_headers=STATED,
        learned=_learned(report),
        learned_headers=LEARNED,
        headers=HEADERS,
        rows=[(each, _row(each)) for each in report.utterances],
    )
    return write_output(out, page.encode("utf-8", "replace"), "--out", home)


def show_access(report: AccessReport, page: Path | None) -> None:
    """Print counts and times in the terminal, and the place of the page; never content."""
    console.show_pairs("held about the account", _facts(report))
    if report.uses:
        console.show_table("may be used to", USES, _uses(report))
    if report.stated:
        console.show_table("stated", STATED, _stated(report))
    if report.learned:
        console.show_table("learned from it", LEARNED, _learned(report))
    if report.utterances:
        console.show_table("utterances", HEADERS, [_row(each) for each in report.utterances[:SHOWN]])
    if len(report.utterances) > SHOWN:
        console.show_line(f"{len(report.utterances) - SHOWN} more utterances; --out and --json have all of them")
    if page is not None:
        console.show_line(f"page  {page}")


def _facts(report: AccessReport) -> dict[str, str]:
    words = {"held": "utterances are held", "waiting": "its consent, or rows that wait, alone", "erased": "erased"}
    facts = {
        "pseudonym": report.speaker,
        "looked up (UTC), by": f"{_minute(report.at)}, {report.by}",
        "state": words[report.state] + (f" on {report.erased_at:%Y-%m-%d}" if report.erased_at else ""),
        "utterances": str(len(report.utterances)),
        "seconds of speech": f"{report.seconds:.1f}",
        "of these heard by people": str(report.heard),
        "people who heard them": str(report.people),
        "versions that learned from them": str(len(report.learned)),
        "datasets that were handed out with them": str(report.datasets),
        "devices": str(report.devices),
    }
    if report.notice:
        facts["notice that the customer saw"] = report.notice
    if report.closed:
        closed = [f"{count} {REASONS.get(why, why)}" for why, count in sorted(report.closed.items())]
        facts["utterances whose content stays closed"] = ", ".join(closed)
    return facts


def _uses(report: AccessReport) -> list[Cells]:
    return [
        (use, "yes" if now.allowed else "no", _minute(now.since) or "never stated", now.utterances)
        for use, now in report.uses.items()
    ]


def _stated(report: AccessReport) -> list[Cells]:
    return [
        (_minute(each.at), each.kind, ", ".join(each.uses) or "nothing", each.notice or "") for each in report.stated
    ]


def _learned(report: AccessReport) -> list[Cells]:
    return [
        (f"{each.kind}/{each.version}", _minute(each.trained_at), each.labelled, each.pseudo, _minute(each.tainted_at))
        for each in report.learned
    ]


def _row(each: HeldUtterance) -> Cells:
    facts = each.facts
    return (
        _minute(facts.arrived_at) if facts else "",
        f"{facts.seconds:.1f}" if facts else "",
        " ".join(each for each in (facts.device_type, facts.locale) if each) if facts else "",
        facts.state.replace("_", " ") if facts else "in the vault alone",
        each.heard_by,
        ", ".join(dict.fromkeys(_minute(at) for at in each.heard_at)),
        each.handed_to,
        facts.labels if facts else 0,
        ", ".join(each.left) or "nothing",
    )


def _minute(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"

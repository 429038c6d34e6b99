"""What is said of the files in the inbox, before a night and at its end."""

from __future__ import annotations

from flows.reports.inbox_lines import inbox_lines, unread_lines
from flows.steps.ingest import IngestReport
from flows.steps.night_preview import InboxPreview


def test_a_night_ends_with_the_files_that_it_could_not_read():
    failed = {"b.jsonl": "is empty", "c": "is a table"}
    assert unread_lines({"ingest": IngestReport(received=3, failed=failed).to_json()}) == [
        "WARNING  2 files of the inbox can't be read, in this night and each that follows; mend or remove b.jsonl, c"
    ]
    (one,) = unread_lines({"ingest": IngestReport(failed={"b.jsonl": "is empty"}).to_json()})
    assert one.startswith("WARNING  1 file of the inbox can't be read")
    assert unread_lines({"ingest": IngestReport(received=3).to_json()}) == []


def test_an_inbox_without_trouble_has_no_line_on_it():
    inbox = InboxPreview(manifests=0, ingested_before=0, to_read=0, failed={}, rows=0, refused={}, nights={})
    assert inbox_lines(inbox.to_json()) == {"files in the inbox": 0}

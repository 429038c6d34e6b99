"""Check the document of `earmark audit prove` on standard input with a library that shares no code with earmark.

Started by Python 3.12 or later with the package aics-tlog, by `tests/flows/reports/test_audit_proof.py`.
"""

import base64
import json
import sys

from aics_tlog import (
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)


def heads(note_text: str, key: str) -> dict[str, tuple[int, bytes]]:
    """Return size and root by log of a checkpoint, after its signature was verified."""
    note = parse_note(note_text)
    result = verify_checkpoint(note, parse_vkey(key), [], 0)
    assert result.ok, result.error
    checkpoint = parse_checkpoint(note.text)
    word, size, root = checkpoint.extension_lines[0].split(" ")
    assert word == "vault", word
    return {"records": (checkpoint.size, checkpoint.root), "vault": (int(size), base64.b64decode(root))}


def main() -> None:
    document = json.load(sys.stdin)
    new, old = (heads(document[which], document["key"]) for which in ("checkpoint", "older"))
    for row in document["rows"]:
        size, root = new[row["log"]]
        proof = [base64.b64decode(each) for each in row["inclusion"]]
        assert verify_leaf_inclusion(row["leaf"].encode(), row["index"], size, proof, root), row["leaf"]
    for growth in document["growth"]:
        (old_size, old_root), (size, root) = old[growth["log"]], new[growth["log"]]
        proof = [base64.b64decode(each) for each in growth["consistency"]]
        assert verify_consistency(old_size, size, old_root, root, proof), growth["log"]
    print(f"{len(document['rows'])} rows and {len(document['growth'])} logs are proved")


main()

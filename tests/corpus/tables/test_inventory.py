from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from corpus.records.annotations import NameNote
from corpus.records.inventory import make_names
from corpus.tables.inventory import StoredNames, add_names, put_names, stored_names, with_mapping, with_names

NOW = datetime(2026, 11, 28, 4, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 4, tzinfo=UTC)
SHIP = NameNote("asks for a ship", ("find the ship to rome",))
NAME = st.sampled_from(["ship", "boat", "ferry", "lamp"])


def test_names_come_back_oldest_first_with_notes_and_mappings(corpus):
    with corpus.operation("inventory/1", "inventory") as op:
        add_names(op.conn, "intent", ["ship", "lamp"], "labels", LATER)
        add_names(op.conn, "intent", ["boat", "ship"], "added", NOW, SHIP)
        add_names(op.conn, "slot", ["deck"], "labels", NOW)
    with corpus.read() as conn:
        stored = stored_names(conn)
    assert list(stored["intent"].sources.items()) == [("boat", "added"), ("lamp", "labels"), ("ship", "labels")]
    assert stored["intent"].notes["boat"] == stored["intent"].notes["ship"] == SHIP
    assert stored["slot"].sources == {"deck": "labels"}


def test_what_is_written_is_what_is_read(corpus):
    names = with_mapping(with_names(StoredNames(), ["ship", "boat"], "added", SHIP), "ship", "boat")
    with corpus.operation("inventory/1", "inventory") as op:
        add_names(op.conn, "intent", ["ship", "lamp"], "labels", NOW)
        put_names(op.conn, "intent", names, LATER)
    with corpus.read() as conn:
        stored = stored_names(conn)["intent"]
    assert (stored.sources, stored.mapped) == ({"boat": "added"}, {"ship": "boat"})


@given(st.lists(st.tuples(NAME, NAME), max_size=8))
def test_any_chain_of_mappings_leads_to_a_name_in_use(steps):
    stored = with_names(StoredNames(), ["ship", "boat", "ferry", "lamp"], "added", None)
    for name, means in steps:
        if name == means:
            continue
        stored = with_mapping(with_names(stored, [means], "added", None), name, means)
        names = make_names(stored.sources, stored.mapped)
        assert names.resolve(name) == names.resolve(means) == means
        assert set(stored.mapped) & set(stored.sources) == set()
        assert set(stored.mapped.values()) <= set(stored.sources)

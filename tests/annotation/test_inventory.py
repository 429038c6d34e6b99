"""What a configuration may name, and what it can't take from `other`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from annotation.inventory import InventorySettings, join_inventory
from corpus.tables.inventory import StoredNames

NONE = {"intent": StoredNames(), "slot": StoredNames()}


@pytest.mark.parametrize("names", [[{"name": "x"}], ["a", 1], {"a\x00": ""}, {"x" * 129: ""}, {" ": ""}, "abc"])
def test_what_is_no_name_is_refused_as_a_setting(names: object):
    with pytest.raises(ValidationError):
        InventorySettings(intents=names)


@pytest.mark.parametrize(("name", "fold_case"), [("OTHER", True), ("\uff4fther", False), (" other", False)])
def test_other_stays_other_however_a_source_spells_it(name: str, fold_case: bool):
    stored = {"intent": StoredNames({name: "labels"}, {}, {name: "light"}), "slot": StoredNames()}
    settings = InventorySettings(intents=["light", name], fold_case=fold_case)
    intents = join_inventory(settings, stored, {"intent": [name], "slot": []}).intents
    assert intents.names == ("light", "other")
    assert intents.resolve(name) == "other"


def test_without_other_among_its_spellings_a_name_of_another_case_is_its_own():
    intents = join_inventory(InventorySettings(intents=["OTHER"]), NONE, {"intent": [], "slot": []}).intents
    assert intents.names == ("OTHER", "other")

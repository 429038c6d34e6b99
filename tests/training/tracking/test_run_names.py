"""Names of runs, as people read them in lists."""

from __future__ import annotations

from training.tracking import run_names as names


def test_a_name_says_kind_version_night_labels_and_strategy():
    assert names.retrained("asr", "2026-11-02", 74, "margin") == "asr · night 2026-11-02 · 74 labels · margin"
    assert names.retrained("asr", "2026-11-02", 74, "margin", "3") == "asr 3 · night 2026-11-02 · 74 labels · margin"
    assert names.retrained("intent", "by-hand", 1, "default", "2") == "intent 2 · by hand · 1 label · default"


def test_every_kind_of_run_has_a_name_of_one_form():
    assert (names.base("asr"), names.base("asr", "1")) == ("asr · base", "asr 1 · base")
    assert names.external("intent", "theirs", "4") == "intent 4 · external · theirs"
    versions = {"asr": "3", "intent": "1"}
    assert names.estimated("2026-11-02", "2026-11-02", versions) == "estimate · night 2026-11-02 · asr 3, intent 1"
    both = "estimate · nights 2026-11-02 to 2026-11-03 · asr 3, intent 1"
    assert names.estimated("2026-11-02", "2026-11-03", versions) == both
    assert names.compared("asr", "1", "3", 1300) == "compare · asr 1 with asr 3 · 1,300 rows"
    assert names.replayed("snips", "margin", 5) == "replay · snips · margin · 5 seeds"
    assert names.replayed("snips", "", 1) == "replay · snips · 1 seed"


def test_a_night_is_called_so():
    assert names.cycle_name("2026-11-02") == "night 2026-11-02"
    assert names.cycle_name("by-hand") == "by hand"

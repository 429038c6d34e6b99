"""Asking again keeps the caps of a round, also over several calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sampling.budget import SamplingSettings
from sampling.recheck import Candidate, choose_again, random_order


def candidates(speakers: list[int]) -> list[Candidate]:
    return [Candidate(f"u{k}", f"s{speaker}", 10.0) for k, speaker in enumerate(speakers)]


@given(
    st.lists(st.integers(0, 5), max_size=40),
    st.lists(st.integers(0, 5), max_size=10),
    st.integers(1, 20),
    st.integers(1, 4),
    st.floats(0.1, 5),
)
def test_no_cap_is_exceeded_and_every_candidate_is_accounted_for(
    speakers: list[int], before: list[int], clips: int, per_speaker: int, minutes: float
):
    settings = SamplingSettings(clips=clips, max_per_speaker=per_speaker, minutes=minutes, floor=15, max_fraction=0)
    asked = [f"s{speaker}" for speaker in before]
    found = choose_again(candidates(speakers), settings, 1000, asked)
    assert len(found.chosen) + sum(found.left.values()) == len(speakers)
    assert len(found.chosen) <= max(0, min(clips, 15) - len(asked))
    assert found.seconds <= minutes * 60 + 1e-6
    for speaker in range(6):
        of_speaker = sum(each.speaker_id == f"s{speaker}" for each in found.chosen)
        assert of_speaker <= max(0, per_speaker - before.count(speaker))


def test_the_most_suspect_come_first_and_a_cap_skips_only_whom_it_hits():
    found = choose_again(candidates([0, 0, 0, 1, 2]), SamplingSettings(max_per_speaker=1, clips=2), 10)
    assert [each.utterance_id for each in found.chosen] == ["u0", "u3"]
    assert found.left == {"max_per_speaker": 2, "max_fraction, floor or clips": 1}


def test_a_large_pool_allows_its_fraction():
    found = choose_again(candidates(list(range(30))), SamplingSettings(floor=0, max_fraction=0.01), 1200)
    assert len(found.chosen) == 12


def test_the_random_order_is_of_seed_and_ids_alone():
    ids = [f"u{k}" for k in range(50)]
    assert random_order(ids, 1) == random_order(ids[::-1], 1) != random_order(ids, 2)
    assert sorted(random_order(ids, 1)) == sorted(ids)
    assert [i for i in random_order(ids, 1) if i in ids[::2]] == random_order(ids[::2], 1)

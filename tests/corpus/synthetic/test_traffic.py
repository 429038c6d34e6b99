from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import RecordError
from corpus.records.arrivals import check_spans
from corpus.synthetic import (
    BASE_ACCENTS,
    DRIFT_ACCENTS,
    INTENTS,
    PHRASINGS,
    RATE,
    VALUES,
    VARIANTS,
    AugmentSettings,
    TrafficSettings,
    Voice,
    augment,
    background,
    pretraining_set,
    read_truth,
    sentence,
    speak,
    speakers,
    window,
    write_night,
)
from corpus.synthetic.acoustics import NOISES, add_noise, noise, reverberate
from corpus.synthetic.language import number
from corpus.synthetic.nights import BAD_ROWS, DAMAGES

TEXT = "set a timer for twenty five minutes"
SMALL = TrafficSettings(
    seed=5,
    utterances_per_night=40,
    speakers=12,
    repeats=0.1,
    damaged=0.125,
    bad_rows=0.15,
    no_wake=0.05,
    accidental=0.1,
    unintelligible=0.05,
    known=0.2,
    opted_out=0.25,
    first_night=date(2026, 10, 24),
    time_zone="Europe/Berlin",
)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha(p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


# --- speech -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accent", [*BASE_ACCENTS, *DRIFT_ACCENTS])
def test_speech_is_bounded_and_as_long_as_its_words(accent: str) -> None:
    samples = speak(TEXT, Voice(accent))
    assert samples.dtype == np.float32
    assert 0.1 < np.abs(samples).max() <= 1.0
    assert 1.5 < len(samples) / RATE < 4.0


def test_speech_does_not_depend_on_what_was_spoken_before() -> None:
    voices = [Voice(a, v, rate=150, pitch=40) for a in ("en-us", "en-029", "en-x-german") for v in VARIANTS]
    first = {voice: speak(TEXT, voice).tobytes() for voice in voices}
    for voice in reversed(voices):
        speak("so this is something else", Voice("en-gb-scotland", "f3", 190, 70))
        assert speak(TEXT, voice).tobytes() == first[voice]


def test_requests_in_every_accent_sound_the_same_in_any_order() -> None:
    accents = (*BASE_ACCENTS, *DRIFT_ACCENTS)
    jobs = []
    for k in range(132):
        rng = np.random.default_rng(k)
        voice = Voice(accents[k % len(accents)], VARIANTS[k % len(VARIANTS)], 140 + k % 60, 30 + k % 40)
        jobs.append((sentence(rng, "all").text if k % 3 else background(rng), voice))
    first = [sha(speak(*job).tobytes()) for job in jobs]
    order = np.random.default_rng(1).permutation(len(jobs))
    again = {int(k): sha(speak(*jobs[k]).tobytes()) for k in order}
    assert [again[k] for k in range(len(jobs))] == first


def test_a_fresh_process_and_threads_speak_the_same() -> None:
    voices = [Voice("en-us", "f2"), Voice("en-gb-x-gbcwmd", "f5"), Voice("en-x-french", "m2")]
    expected = [sha(speak(TEXT, voice).tobytes()) for voice in voices]
    code = (
        "import hashlib; from corpus.synthetic import Voice, speak\n"
        f"for a, v in {[(v.accent, v.variant) for v in reversed(voices)]!r}:\n"
        f"    print(hashlib.sha256(speak({TEXT!r}, Voice(a, v)).tobytes()).hexdigest())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == expected[::-1]
    with ThreadPoolExecutor(4) as pool:
        spoken = list(pool.map(lambda voice: sha(speak(TEXT, voice).tobytes()), voices * 8))
    assert spoken == expected * 8


def test_accents_timbres_rates_and_pitches_all_sound_different() -> None:
    voices = [Voice(a) for a in (*BASE_ACCENTS, *DRIFT_ACCENTS)] + [Voice(variant=v) for v in VARIANTS if v != "m3"]
    voices += [Voice(rate=140), Voice(pitch=20)]
    assert len({speak(f"{TEXT} with the bath water", voice).tobytes() for voice in voices}) == len(voices)
    assert len(speak(TEXT, Voice(rate=130))) > 1.2 * len(speak(TEXT, Voice(rate=200)))


@pytest.mark.parametrize("wrong", [{"accent": "en-xx"}, {"variant": "m99"}, {"rate": 20}, {"pitch": 100}])
def test_an_impossible_voice_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=str(next(iter(wrong)))):
        Voice(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_to_say_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        speak(text, Voice())


def test_without_the_extra_there_is_one_error_that_names_it() -> None:
    code = (
        "import sys; sys.modules['espeakng_loader'] = None\n"
        "from corpus.errors import SettingsError\nfrom corpus.synthetic import Voice, speak\n"
        "try: speak('hello', Voice())\nexcept SettingsError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'earmark[demo]'" in out.stdout


# --- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", NOISES)
def test_noise_has_its_length_and_a_power_near_one(colour: str) -> None:
    made = noise(np.random.default_rng(1), 20_001, colour)  # type: ignore[arg-type]
    assert made.shape == (20_001,)
    assert made.dtype == np.float32
    assert 0.5 < float(np.mean(made**2)) < 2.0


@given(st.floats(-20, 40))
def test_noise_is_added_at_the_asked_ratio(snr: float) -> None:
    rng = np.random.default_rng(2)
    speech, floor = (rng.standard_normal(4_000).astype(np.float32) * g for g in (0.3, 5.0))
    added = add_noise(speech, floor, snr) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(snr, abs=0.1)


def test_a_room_keeps_length_and_direct_path_and_adds_a_tail() -> None:
    click = np.zeros(16_000, dtype=np.float32)
    click[100] = 1.0
    heard = reverberate(click, np.random.default_rng(3), 0.3)
    assert heard.shape == click.shape
    assert heard[100] == pytest.approx(1.0, abs=1e-3)
    assert np.abs(heard[:100]).max() < 1e-4
    assert float(np.sum(heard[101:] ** 2)) == pytest.approx(0.1, rel=0.05)


@given(st.integers(0, 2**32 - 1))
def test_conditions_are_bounded_and_repeat_with_their_seed(seed: int) -> None:
    speech = np.sin(np.arange(8_000, dtype=np.float32) / 9)
    one, two = (augment(speech, np.random.default_rng(seed)) for _ in range(2))
    assert one.dtype == np.float32
    assert np.array_equal(one, two)
    assert np.isfinite(one).all()
    assert 0.1 < np.abs(one).max() <= 0.91
    assert 8_000 + 2 * 800 <= len(one) <= 8_000 + 2 * 4_800


def test_a_narrow_device_carries_nothing_above_four_kilohertz() -> None:
    speech = np.zeros(16_000, dtype=np.float32)
    heard = augment(speech, np.random.default_rng(0), AugmentSettings(narrow=1.0, noises=("white",)))
    power = np.abs(np.fft.rfft(heard)) ** 2
    above = np.fft.rfftfreq(len(heard), 1 / RATE) > 4_500
    assert power[above].mean() < 1e-3 * power[~above].mean()


# --- language ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.sampled_from(["base", "drift", "all"]), st.sampled_from([None, *INTENTS]))
def test_every_sentence_is_normalised_and_its_slots_fit(seed: int, phrasings: str, intent: str | None) -> None:
    said = sentence(np.random.default_rng(seed), phrasings, intent)  # type: ignore[arg-type]
    assert re.fullmatch(r"[a-z']+( [a-z']+)*", said.text)
    assert said.intent in INTENTS
    assert intent in (None, said.intent)
    check_spans(said.text, said.slots, "sentence")
    for slot in said.slots:
        assert said.text[slot.start : slot.end].strip() == said.text[slot.start : slot.end]


@pytest.mark.parametrize("intent", INTENTS)
def test_every_intent_has_enough_phrasings_and_drift_shares_few_words(intent: str) -> None:
    base, drift = PHRASINGS[intent]["base"], PHRASINGS[intent]["drift"]
    assert len(set(base)) >= 8
    assert len(set(drift)) >= 5
    keywords = {w for p in base for w in re.findall(r"(?<![{\w])[a-z']{4,}", p) if sum(w in q for q in base) >= 4}
    assert all(sum(w in pattern.split() for pattern in drift) <= 1 for w in keywords)


@pytest.mark.parametrize("slot", sorted(VALUES))
def test_every_slot_has_many_values_and_drift_brings_new_ones(slot: str) -> None:
    base, drift = VALUES[slot]["base"], VALUES[slot]["drift"]
    assert len(set(base)) == len(base) >= 20
    assert len(set(drift)) == len(drift) >= 19
    assert not set(base) & set(drift)


def test_phrasings_and_intents_are_balanced_and_varied() -> None:
    rng = np.random.default_rng(4)
    said = [sentence(rng) for _ in range(2_000)]
    assert len({s.text for s in said}) > 1_200
    assert all(140 < sum(s.intent == intent for s in said) < 260 for intent in INTENTS)


def test_numbers_are_words_and_others_are_refused() -> None:
    assert [number(n) for n in (1, 13, 20, 45, 99)] == ["one", "thirteen", "twenty", "forty five", "ninety nine"]
    with pytest.raises(RecordError):
        number(100)
    with pytest.raises(RecordError, match="known are"):
        sentence(np.random.default_rng(0), intent="fly")


def test_background_talk_is_no_request() -> None:
    rng = np.random.default_rng(0)
    lines = {background(rng) for _ in range(500)}
    assert len(lines) > 400
    assert all(re.fullmatch(r"[a-z']+( [a-z']+)*", line) for line in lines)


# --- speakers ---------------------------------------------------------------------------------------------------------


def test_speakers_are_distinct_and_the_first_do_not_depend_on_how_many() -> None:
    many = speakers(7, 60)
    assert many[:9] == speakers(7, 9)
    assert len({s.account for s in many}) == len({s.device_serial for s in many}) == 60
    assert len({s.voice for s in many}) > 55
    assert {s.accent for s in many} == {*BASE_ACCENTS, *DRIFT_ACCENTS}
    assert {s.accent for s in speakers(7, 20, "drift")} == set(DRIFT_ACCENTS)
    assert {s.locale for s in many} == {"en-US", "en-GB"}
    assert {s.device_type for s in many} == {"speaker", "phone", "car"}


def test_examples_repeat_alone_and_in_ranges() -> None:
    whole = list(pretraining_set(1, 6))
    part = list(pretraining_set(1, 3, start=3))
    assert [e.samples.tobytes() for e in whole[3:]] == [e.samples.tobytes() for e in part]
    assert [e.text for e in whole[3:]] == [e.text for e in part]
    assert {e.voice.accent for e in whole} <= set(BASE_ACCENTS)
    assert all(e.samples.dtype == np.float32 and np.abs(e.samples).max() <= 1 for e in whole)
    other = next(islice(pretraining_set(2, 1, accents="drift", phrasings="drift"), 1))
    assert other.voice.accent in DRIFT_ACCENTS
    with pytest.raises(RecordError, match="known are"):
        next(pretraining_set(1, 1, accents="north"))  # type: ignore[arg-type]


# --- nights -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    for night in (1, 2):
        write_night(folder, SMALL, night)
    return folder


def rows(folder: Path, night: int) -> list[dict[str, object]]:
    """Return the rows of a night that can be read."""
    found = []
    for line in (folder / f"night-{night:03d}" / "manifest.jsonl").read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def test_the_same_seed_gives_the_same_bytes_and_a_night_needs_no_other(home: Path, tmp_path: Path) -> None:
    files = write_night(tmp_path, SMALL, 2)
    expected = {name: value for name, value in tree(home).items() if "night-002" in name}
    assert tree(tmp_path) == expected
    other = write_night(tmp_path / "other", SMALL.model_copy(update={"seed": 6}), 2)
    assert other.manifest.read_bytes() != files.manifest.read_bytes()


def test_a_manifest_has_the_lines_that_the_settings_ask_for(home: Path, tmp_path: Path) -> None:
    files = write_night(tmp_path, SMALL, 1)
    assert files.counts == {
        "command": 17,
        "accidental": 4,
        "unintelligible": 2,
        "repeat": 4,
        "damaged": 5,
        "no_wake": 2,
        "bad_row": 6,
    }
    lines = files.manifest.read_text().splitlines()
    assert len(lines) == 40
    assert len(rows(home, 1)) == 39  # one of the bad rows is no JSON
    assert len(BAD_ROWS) == 6
    assert len(DAMAGES) == 5


def test_audio_is_pcm_at_three_rates_and_damage_is_real(home: Path) -> None:
    rates, broken = set(), 0
    for night in (1, 2):
        for row in rows(home, night):
            path = home / f"night-{night:03d}" / str(row["audio"])
            try:
                info = soundfile.info(path)
            except soundfile.LibsndfileError:
                broken += 1
                continue
            assert info.subtype == "PCM_16"
            assert info.channels == 1
            rates.add(info.samplerate)
    assert rates <= {8_000, 16_000, 22_050}
    assert len(rates) >= 2
    assert broken >= 2 * 3 + 2  # empty, text, missing; and the row that points outside


def test_rows_lie_in_the_window_of_their_night_across_a_change_of_clocks(home: Path) -> None:
    start, end = window(SMALL, 2)
    assert (end - start).total_seconds() == 25 * 3600
    assert start == window(SMALL, 1)[1]
    inside = 0
    for row in rows(home, 2):
        moment = datetime.fromisoformat(str(row["arrived_at"]))
        if moment.tzinfo is None or "-n" in str(row["event_id"]):
            continue
        earlier = "-001-" in str(row["event_id"])
        low, high = window(SMALL, 1) if earlier else (start, end)
        assert low <= moment < high
        inside += not earlier
    assert inside > 30


def test_repeats_are_the_same_event_in_this_and_the_next_night(home: Path) -> None:
    first, second = rows(home, 1), rows(home, 2)
    ids = [row["event_id"] for row in first]
    again = {i for i in ids if ids.count(i) > 1}
    assert 1 <= len(again) <= 4
    for event in again:
        same = [row for row in first if row["event_id"] == event]
        assert all(row == same[0] for row in same)
    late = {str(row["event_id"]): row for row in second if "-001-" in str(row["event_id"])}
    assert late
    for event, row in late.items():
        assert row in first
        name = f"audio/{event}.wav"
        assert (home / "night-001" / name).read_bytes() == (home / "night-002" / name).read_bytes()


def test_truth_stands_apart_and_covers_every_event(home: Path) -> None:
    by_event = read_truth(sorted((home / "truth").glob("*.jsonl")))
    truths = {event_id: truth for (_, event_id), truth in by_event.items()}
    assert not list((home / "night-001").rglob("truth*"))
    for row in rows(home, 1):
        truth = truths[str(row["event_id"])]
        check_spans(truth.text, truth.slots, "truth")
        assert truth.verdict in ("labelled", "accidental", "unintelligible")
        assert (truth.intent in INTENTS) == (truth.verdict == "labelled")
        if "text" in row:
            assert (row["text"], row["intent"]) == (truth.text, truth.intent)
    verdicts = [truth.verdict for truth in truths.values()]
    assert verdicts.count("accidental") == 8
    assert any("text" in row for row in rows(home, 1))


def test_consent_belongs_to_the_account_and_some_opted_out(home: Path) -> None:
    given_by: dict[str, set[tuple[str, ...]]] = {}
    for row in rows(home, 1) + rows(home, 2):
        if "account" in row and row["consent"] != ["everything"]:
            given_by.setdefault(str(row["account"]), set()).add(tuple(row["consent"]))  # type: ignore[arg-type]
    assert all(len(kinds) == 1 for kinds in given_by.values())
    out = [account for account, kinds in given_by.items() if "annotate" not in next(iter(kinds))]
    assert 1 <= len(out) <= 3


def test_drift_grows_from_night_to_night() -> None:
    from corpus.synthetic.traffic import arrival

    settings = TrafficSettings(seed=1, drift_growth=0.2, drift_accents=0.3)
    shares = []
    for night in (1, 4):
        events = [arrival(settings, night, index, "command") for index in range(40)]
        shares.append(sum(event.speaker.accent in DRIFT_ACCENTS for event in events) / 40)
    assert shares[0] < 0.5 < 0.7 < shares[1]


def test_settings_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ValidationError, match="add up"):
        TrafficSettings(accidental=0.6, damaged=0.6)
    with pytest.raises(ValidationError, match="time zone"):
        TrafficSettings(time_zone="Mars/Olympus")
    with pytest.raises(ValidationError):
        TrafficSettings(speed=2)  # type: ignore[call-arg]
    with pytest.raises(RecordError, match="count from 1"):
        window(SMALL, 0)

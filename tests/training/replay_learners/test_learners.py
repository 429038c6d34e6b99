import json

import numpy as np
import pytest
import soundfile

from corpus.errors import UsageError
from tests.training.replay_learners.corpora import write_clips, write_texts
from training.replay_learners.clip_features import read_clips, unit_rows
from training.replay_learners.corpora import LabelledRow, read_corpus
from training.replay_learners.learners import LEARNERS
from training.replay_learners.problem import load_problem, make_problem, save_problem, with_neighbourhoods


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts"), pool=240, test=60)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), pool=60, test=20)


def test_a_corpus_is_read_with_its_speakers_and_durations(clips):
    corpus = read_corpus(clips)
    assert corpus.speech
    assert len(corpus.train) == 60
    assert {row.speaker for row in corpus.train} == {"ann", "bob"}
    assert corpus.train[0].duration == pytest.approx(0.3)


@pytest.mark.parametrize("neighbours", [0, 5])
def test_labels_teach_what_texts_mean(texts, neighbours):
    problem = make_problem(read_corpus(texts), neighbours)
    np.testing.assert_allclose(np.linalg.norm(problem.features, axis=1), 1.0, atol=1e-5)
    rows = np.arange(0, 240, 3)
    beliefs = LEARNERS["linear"](problem)(rows, problem.labels[rows])
    assert (beliefs.predicted == problem.test_labels).mean() > 0.9
    np.testing.assert_allclose(beliefs.probs.sum(axis=1), 1.0, atol=1e-5)


def test_labels_teach_what_clips_say(clips):
    problem = make_problem(read_corpus(clips), 3)
    rows = np.arange(0, 60, 2)
    beliefs = LEARNERS["linear"](problem)(rows, problem.labels[rows])
    assert (beliefs.predicted == problem.test_labels).mean() > 0.9
    np.testing.assert_allclose(beliefs.probs.sum(axis=1), 1.0, atol=1e-5)


def test_what_is_learned_does_not_depend_on_earlier_rounds(texts):
    problem = make_problem(read_corpus(texts))
    rows = np.arange(60)
    once = LEARNERS["linear"](problem)(rows, problem.labels[rows])
    learn = LEARNERS["linear"](problem)
    learn(rows[:30], problem.labels[:30])
    again = learn(rows, problem.labels[rows])
    np.testing.assert_allclose(again.probs, once.probs, atol=0.02)
    assert (again.predicted == once.predicted).mean() > 0.97


def test_one_intent_among_the_labels_is_believed_of_all(texts):
    problem = make_problem(read_corpus(texts))
    beliefs = LEARNERS["linear"](problem)(np.arange(3), np.full(3, 1))
    assert (beliefs.predicted == 1).all()


def test_smoothing_reads_neither_labels_nor_test_rows():
    rng = np.random.default_rng(0)
    pool, test = unit_rows(rng.normal(size=(50, 8))), unit_rows(rng.normal(size=(9, 8)))
    whole, asked = with_neighbourhoods(pool, test, 4)
    _, alone = with_neighbourhoods(pool, test[:1], 4)
    np.testing.assert_allclose(asked[:1], alone, atol=1e-6)
    assert whole.shape == (50, 16)


def test_smoothing_draws_a_cluster_together():
    rng = np.random.default_rng(1)
    side = np.repeat([0, 1], 40)
    rows = unit_rows(np.eye(8)[side] + 0.4 * rng.normal(size=(80, 8)))
    near, _ = with_neighbourhoods(rows, rows, 10)

    def gap(found):
        alike = found @ found.T
        return alike[side[:, None] == side].mean() - alike[side[:, None] != side].mean()

    assert gap(near) > gap(rows)


def test_a_problem_is_the_same_from_its_folder(texts, tmp_path):
    problem = make_problem(read_corpus(texts))
    save_problem(problem, tmp_path / "p")
    again = load_problem(tmp_path / "p")
    np.testing.assert_array_equal(again.features, problem.features)
    assert again.intents == problem.intents
    assert not again.speech


def spoil(folder, name, line):
    path = folder / f"{name}.jsonl"
    path.write_text(path.read_text() + line + "\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"text": "a"}', "no intent"),
        ('{"text": " ", "intent": "x"}', "no text"),
        ('{"text": "a", "intent": "x", "audio": "none.wav"}', "names no file"),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, said):
    folder = write_texts(tmp_path, pool=8, test=4)
    spoil(folder, "train", line)
    with pytest.raises(UsageError, match=rf"train\.jsonl line 9.*{said}"):
        read_corpus(folder)


def test_a_corpus_that_can_not_be_replayed_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UsageError, match=r"no train\.jsonl"):
        read_corpus(tmp_path)
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": "a", "intent": "x"}) + "\n")
    with pytest.raises(UsageError, match="one intent only"):
        read_corpus(tmp_path)
    (tmp_path / "test.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"test\.jsonl is empty"):
        read_corpus(tmp_path)


def test_test_rows_of_an_intent_that_the_pool_lacks_are_wrong_for_everybody_and_counted(tmp_path):
    folder = write_texts(tmp_path, pool=80, test=20)
    before = make_problem(read_corpus(folder))
    for name in ("never seen", "never seen", "nor this"):
        spoil(folder, "test", json.dumps({"text": "a", "intent": name}))
    problem = make_problem(read_corpus(folder))
    assert problem.unseen == {"never seen": 2, "nor this": 1}
    assert (before.unseen, before.left_out) == ({}, ())
    assert problem.intents == before.intents
    for rows in (np.arange(80), np.arange(0, 80, 4), np.arange(1)):
        found = LEARNERS["linear"](problem)(rows, problem.labels[rows])
        assert not (found.predicted == problem.test_labels)[20:].any()
        assert found.probs.shape == (80, len(before.intents))
    assert (found.predicted == problem.test_labels).any()


def test_a_clip_that_cant_be_read_is_left_out_and_named_by_file_and_line(tmp_path):
    folder = write_clips(tmp_path, pool=60, test=20)
    whole = make_problem(read_corpus(folder))
    (folder / "train-3.wav").write_bytes((folder / "train-3.wav").read_bytes()[:2000])
    (folder / "test-7.wav").write_bytes(b"")
    (folder / "test-9.wav").unlink()
    corpus = read_corpus(folder)
    steps = []
    problem = make_problem(corpus, on_progress=steps.append)
    assert steps == list(range(1, 81))
    assert [(row.file, row.line, row.clip, row.why.split(":")[0]) for row in problem.left_out] == [
        ("train.jsonl", 4, "train-3.wav", "truncated"),
        ("test.jsonl", 8, "test-7.wav", "empty"),
        ("test.jsonl", 10, "test-9.wav", "missing_file"),
    ]
    kept = np.delete(np.arange(60), 3)
    for name in ("labels", "speakers", "durations", "texts", "clips"):
        np.testing.assert_array_equal(getattr(problem, name), getattr(whole, name)[kept])
    assert len(problem.test_features) == len(problem.test_labels) == len(problem.test_clips) == 18
    assert corpus.digest != read_corpus(write_clips(tmp_path / "again", pool=60, test=20)).digest


def test_a_split_without_a_clip_that_can_be_read_is_one_line(tmp_path):
    folder = write_clips(tmp_path, pool=6, test=2)
    for clip in folder.glob("test-*.wav"):
        clip.unlink()
    with pytest.raises(
        UsageError, match=r"no clip of test\.jsonl can be read, the first is .* line 1: test-0\.wav: missing"
    ):
        make_problem(read_corpus(folder))
    folder = write_clips(tmp_path / "b", pool=6, test=2)
    for k in (1, 2, 4, 5):
        (folder / f"train-{k}.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match="have one intent only"):
        make_problem(read_corpus(folder))


def test_durations_are_those_of_the_decoded_clips(tmp_path):
    folder = write_clips(tmp_path, pool=6, test=3)
    for name in ("train", "test"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        wrong = [{**row, "num_samples": 99_999} if k % 2 else {"sample_rate": None} | row for k, row in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in wrong))
    problem = make_problem(read_corpus(folder))
    np.testing.assert_allclose(problem.durations, 0.3)
    np.testing.assert_array_equal(problem.words, 1)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 4.0])
def test_every_moment_of_a_clip_counts_in_its_features(tmp_path, seconds):
    size = int(16_000 * seconds)
    quiet = 0.01 * np.random.default_rng(0).normal(size=size)
    paths = []
    for k, place in enumerate([None, *np.linspace(0, size - 400, 40).astype(int)]):
        samples = quiet.copy()
        if place is not None:
            samples[place : place + 400] += 0.5 * np.sin(np.arange(400))
        paths.append(tmp_path / f"{k}.wav")
        soundfile.write(paths[-1], samples, 16_000)
    rows = [LabelledRow("a", "a", "", path, 1.0, k, path.name) for k, path in enumerate(paths, 1)]
    vectors = read_clips(rows, "train.jsonl", lambda: None).vectors
    assert vectors.shape == (41, 480)
    changed = np.abs(vectors[1:] - vectors[0]).max(axis=1)
    assert changed.min() > 0.1 * changed.max()


def test_the_real_models_learn_in_the_place_of_the_quick_ones(texts):
    problem = make_problem(read_corpus(texts))
    rows = np.arange(0, 240, 3)
    beliefs = LEARNERS["model"](problem)(rows, problem.labels[rows])
    assert (beliefs.predicted == problem.test_labels).mean() > 0.6
    np.testing.assert_allclose(beliefs.probs.sum(axis=1), 1.0, atol=1e-4)

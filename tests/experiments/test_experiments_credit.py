"""`passatn credit`: which of the sampled answers become accepted ones."""

import json

import pytest

from passatn.sample import Completion
from passatn.sample.store import Chunk, Judged, Manifest, SampleStore

SAMPLES = {
    "a": [" 1/2", " 0.5", " 2/4", " 2/4", " 7", " 0.50"],
    "b": [" 3", " 4", " 4", " 4", " 4", " 4"],
}
CORRECT = {"a": {" 1/2", " 0.5", " 2/4", " 0.50"}, "b": {" 3"}}


def make_store(folder, template="direct", *, judged=True):
    store = SampleStore.create(folder, Manifest(model="a model", template=template))
    # The last one was cut: nobody knows whether it would have been correct.
    completions = [
        Completion(name, index, (), text, -1.0, 2, index < 5)
        for name, texts in SAMPLES.items()
        for index, text in enumerate(texts)
    ]
    store.add(Chunk(tuple(SAMPLES), 0, 6), completions)
    if judged:
        verdicts = [
            Judged(name, text, "correct" if text in CORRECT[name] else "incorrect", text.strip())
            for name, texts in SAMPLES.items()
            for text in sorted(set(texts))
        ]
        store.set_verdicts(verdicts, verifier="math", version="1")
    return folder


@pytest.fixture
def data(tmp_path):
    rows = [
        {"id": "a", "prompt": "1 − 1/2?", "answer": "1/2", "metadata": {"level": 2}},
        {"id": "b", "prompt": "1 + 2?", "answer": "3"},
        {"id": "c", "prompt": "1 + 3?", "answer": "4"},
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path):
    return {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}


def test_correct_samples_become_answers_the_most_frequent_first(passatn, data, tmp_path):
    store, output = make_store(tmp_path / "store"), tmp_path / "credited.jsonl"
    done = passatn("credit", store, "--data", data, "--output", output)
    assert done.code == 0, done.err
    rows = rows_of(output)
    assert rows["a"] == {
        "id": "a", "prompt": "1 − 1/2?", "answer": ["1/2", "2/4", "0.5"], "metadata": {"level": 2},
    }  # fmt: skip
    assert (rows["b"]["answer"], rows["c"]["answer"]) == ("3", "4")
    assert "1 of 3 problems have no samples" in done.err
    assert f"2 new answers of 1 problems, of 3: {output}" in done.err
    refused = passatn("credit", store, "--data", data, "--output", output)
    assert (refused.code, "exists: choose another --output" in refused.err) == (1, True)
    passatn("credit", store, "--data", data, "--output", output, "--most", 1, "--overwrite")
    assert rows_of(output)["a"]["answer"] == ["1/2", "2/4"]


def test_what_has_no_verdict_or_no_place_for_an_answer_alone_is_refused(passatn, data, tmp_path):
    output = tmp_path / "credited.jsonl"
    for store, complaint in (
        (make_store(tmp_path / "open", judged=False), "have no verdict yet"),
        (make_store(tmp_path / "reasons", template="r1"), "an answer alone is no completion"),
    ):
        done = passatn("credit", store, "--data", data, "--output", output)
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert complaint in done.err
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "z", "prompt": "?", "answer": "1"}\n')
    done = passatn("credit", make_store(tmp_path / "store"), "--data", other, "--output", output)
    assert (done.code, "has no samples of these problems" in done.err) == (1, True)
    assert not output.exists()

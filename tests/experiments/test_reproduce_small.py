"""The path of real models and data sets, with a tiny model and a few problems in the layout of MATH and AIME."""

import json
import random

import pytest

from passatn.evaluate import Results
from passatn.experiments.reproduce.command import reproduce
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.workspace import Workspace
from tiny_files import save_tiny_model, write_jsonl


def problems(count, seed):
    rng = random.Random(seed)
    for number in range(count):
        a, b = rng.randrange(100), rng.randrange(100)
        record = {"problem": f"{a}+{b}+{number}", "answer": str((a + b + number) % 10), "solution": "", "subject": "x"}
        yield record | {"level": 1 + number % 3, "unique_id": f"{seed}/{number}"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    data = folder / "data"
    data.mkdir()
    write_jsonl(data / "math_train_40.jsonl", list(problems(40, 1)))
    write_jsonl(data / "math_test_8.jsonl", list(problems(8, 2)))
    write_jsonl(data / "aime24.jsonl", [{"id": f"a{i}", "problem": f"1+{i}", "answer": f"00{i}"} for i in range(5)])
    return save_tiny_model(folder / "model"), data, folder / "out"


def record_of(places, name):
    model, data, output = places
    return reproduce(Context(name, "small", Workspace(output, print), data_dir=data, model=str(model)))


def test_tables_1_and_5_share_one_run(places):
    first, other = record_of(places, "table1"), record_of(places, "table5")
    assert len(list(places[2].glob("shared/run-*"))) == 1
    assert first["ours"]["epochs"] == other["ours"]["epochs"] == [1.0, 2.0, 3.0, 4.0]
    assert first["setting"].startswith(str(places[0]))
    assert "lower bound" in first["setting"]
    results = Results.load(places[2] / other["sources"][0])
    assert results.ids == [f"a{i}" for i in range(5)]


def test_levels_are_those_of_the_data_and_training_examples_stand_in_where_none_is_left(places):
    record = record_of(places, "fig5")
    assert list(record["ours"]["epoch 0"]) == ["level 1", "level 2", "level 3"]
    assert "which the run has trained on" in record["setting"]
    parts = record["ours"]["epoch 4"]["level 1"]["part_sizes"]
    assert sum(parts) == 14
    assert json.loads((places[2] / "reproduce.json").read_text())["scale"] == "small"

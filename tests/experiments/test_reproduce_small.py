"""The path of real models and data sets, with a tiny model and a few problems in the layout of MATH and AIME."""

import json
import random
import shlex
import shutil

import pytest

from hub_stub import stub_hub
from passatn.evaluate import Results
from passatn.experiments.reproduce.command import reproduce
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct
from passatn.experiments.reproduce.identity import model_identity
from passatn.experiments.reproduce.proofs import Proofs
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.workspace import Workspace
from passatn.sample.models import load_tokenizer
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


def test_other_problems_that_cannot_be_used_are_noticed_before_the_training(places, tmp_path):
    data = shutil.copytree(places[1], tmp_path / "data")
    (data / "aime24.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"aime24\.jsonl"):
        record_of((places[0], data, tmp_path / "out"), "table5")
    assert not list((tmp_path / "out").glob("shared/run-*"))


def test_levels_are_those_of_the_data_and_training_examples_stand_in_where_none_is_left(places):
    record = record_of(places, "fig5")
    assert list(record["ours"]["epoch 0"]) == ["level 1", "level 2", "level 3"]
    assert "which the run has trained on" in record["setting"]
    parts = record["ours"]["epoch 4"]["level 1"]["part_sizes"]
    assert sum(parts) == 14
    assert json.loads((places[2] / "reproduce.json").read_text())["scale"] == "small"


def test_another_model_or_other_data_of_the_same_name_is_another_run(places, tmp_path):
    model, data, output = places

    def folder(model, data):
        context = Context("table1", "small", Workspace(output, print), data_dir=data, model=str(model))
        return Direct(context, direct_recipe("small")).run_folder(1)

    (tmp_path / model.name).mkdir()
    copied = shutil.copytree(data, tmp_path / data.name)
    assert folder(model, copied) == folder(model, data), "the same data elsewhere"
    assert folder(tmp_path / model.name, data) != folder(model, data)
    write_jsonl(copied / "math_test_8.jsonl", list(problems(8, 3)))
    assert folder(model, copied) != folder(model, data)


@pytest.fixture
def own(places, tmp_path):
    """Copies of model and data that a test may change, and another output."""
    model, data, _ = places
    return shutil.copytree(model, tmp_path / "model"), shutil.copytree(data, tmp_path / "data"), tmp_path / "out"


def said_by(own, name):
    model, data, output = own
    said = []
    context = Context(name, "small", Workspace(output, said.append), data_dir=data, model=str(model))
    return reproduce(context), said


def test_other_test_problems_are_a_changed_recipe(own, tmp_path):
    first, _ = said_by(own, "table1")
    moved = shutil.copytree(own[1], tmp_path / "moved")
    assert "finished already" in said_by((own[0], moved, own[2]), "table1")[1][0]
    write_jsonl(moved / "math_test_8.jsonl", list(problems(8, 3)))
    second, said = said_by((own[0], moved, own[2]), "table1")
    assert said[0] == "table1: its recipe has changed (data): done again"
    ids = [Results.load(own[2] / record["sources"][0]).ids for record in (first, second)]
    assert ids == [[f"{seed}/{i}" for i in range(8)] for seed in (2, 3)]


def test_other_problems_of_another_kind_are_evaluated_anew_with_the_same_run(own):
    said_by(own, "table5")
    write_jsonl(own[1] / "aime24.jsonl", [{"id": f"b{i}", "problem": f"2+{i}", "answer": f"00{i}"} for i in range(3)])
    record, said = said_by(own, "table5")
    assert said[0] == "table5: its recipe has changed (data): done again"
    assert "CE: trained already" in said
    assert Results.load(own[2] / record["sources"][0]).ids == ["b0", "b1", "b2"]
    (own[2] / "table5" / "results.json").unlink()
    write_jsonl(own[1] / "aime24.jsonl", [{"id": "c", "problem": "2+1", "answer": "003"}])
    record, said = said_by(own, "table5")
    assert Results.load(own[2] / record["sources"][0]).ids == ["c"]
    assert not any("there already" in line for line in said)


def test_other_weights_in_the_same_folder_are_another_run(own):
    first, _ = said_by(own, "table1")
    moved = shutil.move(own[0], own[0].parent / "elsewhere" / "model")
    assert "finished already" in said_by((moved, *own[1:]), "table1")[1][0]
    save_tiny_model(own[0], seed=1)
    proofs = Proofs(Context("table2", "small", Workspace(own[2], print), model=str(own[0]))).recipe
    second, said = said_by(own, "table1")
    assert said[:2] == ["table1: its recipe has changed (model): done again", "CE: training …"]
    assert second["sources"] != first["sources"]
    (own[2] / "table1" / "results.json").unlink()
    save_tiny_model(own[0], seed=2)
    assert "CE: training …" in said_by(own, "table1")[1]
    assert Proofs(Context("table2", "small", Workspace(own[2], print), model=str(own[0]))).recipe != proofs


def test_a_model_is_its_weights_settings_and_tokenizer_and_an_adapters_base(own, tmp_path):
    before = model_identity(str(own[0]))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        content = (own[0] / name).read_bytes()
        (own[0] / name).write_bytes(content + b" ")
        assert model_identity(str(own[0])) != before
        (own[0] / name).write_bytes(content)
    assert model_identity(str(own[0])) == before
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(own[0])}))
    adapter = model_identity(str(tmp_path / "adapter"))
    (own[0] / "model.safetensors").write_bytes(b"other")
    assert model_identity(str(tmp_path / "adapter")) != adapter
    (tmp_path / "m.gguf").write_bytes(b"one")
    assert model_identity(str(tmp_path / "m.gguf")) == "m.gguf 7692c3ad3540bb80"
    assert model_identity("org/name") == "org/name"


def test_long_problems_of_another_kind_are_not_left_out(places, tmp_path):
    model, data, _ = places
    copied = shutil.copytree(data, tmp_path / data.name)
    long = {"id": "long", "problem": "1+" + "0" * 300, "answer": "001"}
    write_jsonl(copied / "aime24.jsonl", [{"id": "short", "problem": "1+1", "answer": "002"}, long])
    context = Context("table5", "small", Workspace(tmp_path / "out", print), data_dir=copied, model=str(model))
    stages = Direct(context, direct_recipe("small"))
    tokenizer = load_tokenizer(str(model))
    assert len(stages.problems("other", tokenizer)) == 2
    write_jsonl(copied / "math_test_8.jsonl", [*problems(3, 2), {**next(problems(1, 4)), "problem": "1+" + "0" * 300}])
    assert len(stages.problems("test", tokenizer)) == 3


def test_without_a_folder_the_data_come_from_the_hub(places, tmp_path, monkeypatch, passatn):
    calls = stub_hub(monkeypatch)
    options = ["--scale", "small", "--model", places[0], "--output", tmp_path / "out"]
    plan = passatn("reproduce", "table1", "--dry-run", *options)
    words = shlex.split(next(line for line in plan.out.splitlines() if "passatn train" in line))[2:]
    assert calls == []
    outcome = passatn(*words)
    assert outcome.code == 0, outcome.err
    math, aime = "nlile/hendrycks-MATH-benchmark", "HuggingFaceH4/aime_2024"
    assert set(calls) == {(math, "train"), (math, "test")}
    outcome = passatn("reproduce", "table5", *options)
    assert outcome.code == 0, outcome.err
    assert "CE: trained already" in outcome.err
    assert (aime, None) in calls
    record = json.loads((tmp_path / "out" / "table5" / "results.json").read_text())
    assert Results.load(tmp_path / "out" / record["sources"][0]).ids == ["a0", "a1", "a2"]
    context = Context("fig5", "small", Workspace(tmp_path / "out", print), model=str(places[0]))
    assert len(Direct(context, direct_recipe("small")).problems("probe", load_tokenizer(str(places[0])))) == 16

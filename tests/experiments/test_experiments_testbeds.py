"""Testbeds at sizes that show that they are made: what is in which file, and that a sweep takes them."""

import json

import pytest

from passatn.experiments import testbeds
from passatn.experiments.config import ConfigError
from passatn.experiments.small_models import byte_pairs
from passatn.experiments.sweep.spec import read_spec
from passatn.experiments.testbeds import KNOWN, goldbach, gym, math, mini_math, programs
from passatn.sample.models import load_model
from passatn.tasks import Problem


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_mini_math_keeps_functions_and_pairs_apart(tmp_path):
    mini_math(tmp_path, num_train=40, num_eval=20, pretrain=150)
    files = {name: rows(tmp_path / f"{name}.jsonl") for name in ("pretrain", "train", "validation", "test")}
    assert {len(files[name]) for name in ("validation", "test")} == {20}
    assert len(files["train"]) == 40
    assert {row["metadata"]["function"] for row in files["pretrain"]} == set(KNOWN)
    for name in ("train", "validation", "test"):
        assert not {row["metadata"]["function"] for row in files[name]} & set(KNOWN)
    pairs = {name: {frozenset(operands(row)) for row in of} for name, of in files.items()}
    assert not pairs["train"] & pairs["test"]
    assert not pairs["validation"] & (pairs["test"] | pairs["train"])
    model, tokenizer = load_model(str(tmp_path / "base" / "model"))
    assert model.config.vocab_size == len(tokenizer)
    spec, _ = read_spec(tmp_path / "sweep.yaml")
    assert spec.baseline.name == "CE"
    assert spec.recipe["model"] == str(tmp_path / "base" / "model")


def operands(row):
    """A and B of a prompt such as <mul>123456=."""
    digits = row["prompt"].split(">")[1]
    return digits[:2], digits[2:4]


@pytest.mark.slow
def test_math_deals_problems_out_once(tmp_path):
    data = tmp_path / "math.jsonl"
    made = [
        {"problem": f"What is ${k} + {k + 3}$?", "solution": f"It is $\\boxed{{{2 * k + 3}}}$.", "level": 1,
         "answer": str(2 * k + 3), "subject": "Algebra", "unique_id": f"t/{k}"}
        for k in range(60)
    ]  # fmt: skip
    data.write_text("".join(json.dumps(row) + "\n" for row in made))
    math(tmp_path / "bed", data, num_train=10, num_eval=5, longest_prompt=40, num_pretrain=30)
    files = {name: rows(tmp_path / "bed" / f"{name}.jsonl") for name in ("pretrain", "train", "validation", "test")}
    assert [len(files[name]) for name in ("pretrain", "train", "validation", "test")] == [30, 10, 5, 5]
    ids = [row["id"] for of in files.values() for row in of]
    assert len(set(ids)) == len(ids)
    assert all("boxed" in str(row) for row in files["pretrain"])
    read_spec(tmp_path / "bed" / "sweep.yaml")
    with pytest.raises(ConfigError, match="only 30 short problems, 100 are wanted"):
        math(tmp_path / "other", data, num_train=60, num_eval=20, longest_prompt=40, num_pretrain=30)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_gym_has_each_prompt_once(tmp_path):
    gym(tmp_path, num_train=40, num_eval=20, pretrain=60)
    files = {name: rows(tmp_path / f"{name}.jsonl") for name in ("pretrain", "train", "validation", "test")}
    assert [len(files[name]) for name in ("train", "validation", "test")] == [40, 20, 20]
    prompts = [row["prompt"] for of in files.values() for row in of]
    assert len(set(prompts)) == len(prompts)
    for words in ("many legs", "Least Common Multiple", "prime numbers"):
        assert any(words in row["prompt"] for row in files["test"])
        assert not any(words in row["prompt"] for row in files["pretrain"])
    read_spec(tmp_path / "sweep.yaml")
    with pytest.raises(ConfigError, match=r"only \d+ different problems, 800 are wanted"):
        gym(tmp_path / "other", num_train=400, num_eval=200, pretrain=6, families=["coin_flip"])
    assert not (tmp_path / "other").exists()


def test_a_model_of_ones_own_is_the_base_and_all_variants_can_be_trained(passatn, workspace, tmp_path, monkeypatch):
    output = tmp_path / "bed"
    words = ["testbeds", "gym", "--output", str(output), "--model", str(workspace / "tiny"), "--arms", "variants"]
    monkeypatch.setattr("sys.argv", [*words, "--num-train", "8", "--num-eval", "4", "--families", "lcm,gcd"])
    testbeds.main()
    assert sorted(path.name for path in output.iterdir()) == [
        "sweep.yaml", "test.jsonl", "testbed.json", "train.jsonl", "validation.jsonl"
    ]  # fmt: skip
    spec, _ = read_spec(output / "sweep.yaml")
    assert spec.recipe["model"] == str(workspace / "tiny")
    assert [arm.name for arm in spec.arms] == [*testbeds.VARIANTS]
    dry = passatn("sweep", output / "sweep.yaml", "--output", tmp_path / "out", "--dry-run")
    assert dry.code == 0, "every setting of every arm is one that the trainer takes"
    assert "trials: 180" in dry.out


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Call the program with words that it refuses, which leaves no file; returns exit code and lines of stderr."""

    def call(words):
        before = sorted(path.name for path in tmp_path.rglob("*"))
        monkeypatch.setattr("sys.argv", ["testbeds", *words, "--output", str(tmp_path / "bed")])
        with pytest.raises(SystemExit) as stop:
            testbeds.main()
        assert sorted(path.name for path in tmp_path.rglob("*")) == before
        return stop.value.code, capsys.readouterr().err.splitlines()

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gym", "--families", "nofam"], "nofam"),
        (["gym", "--families", "gcd,lcm"], "the base learns gcd"),
        (["goldbach", "--num-eval", "3000"], "there are 2000 even numbers"),
        (["math", "--data", "missing.jsonl"], "missing.jsonl"),
        (["gym", "--model", "/nonexist", "--num-train", "20", "--num-eval", "10"], "/nonexist"),
        (["math", "--data", __file__], "test_experiments_testbeds.py"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(refused, words, message):
    code, lines = refused(words)
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("error: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("stored", "message"), [("{}", "was made with {}: choose another --output"), ("{", "testbed.json: Expecting")]
)
def test_a_folder_of_something_else_is_refused(refused, tmp_path, stored, message):
    output = tmp_path / "bed"
    output.mkdir()
    (output / "testbed.json").write_text(stored)
    code, lines = refused(["gym", "--num-train", "9"])
    assert (code, len(lines)) == (1, 1)
    assert message in lines[0]
    assert (output / "testbed.json").read_text() == stored


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["goldbach", "--model", "m"], "--model is not for goldbach"),
        (["mini-math", "--families", "lcm"], "--families is not for mini-math"),
        (["gym", "--model", "m", "--pretrain", "9"], "leave one out"),
        (["gym", "--num-train", "0"], "--num-train must be at least 1, got 0"),
        (["goldbach", "--num-eval", "-3"], "--num-eval must be at least 1, got -3"),
        (
            ["gym", "--arms", "CE;Dco-256"],
            "--arms: unknown arm 'Dco-256'; there are two, variants, or some of: CE; DCO-256;",
        ),
        (["math"], "math needs --data"),
    ],
)
def test_a_wrong_option_is_another_exit_code(refused, words, message):
    code, lines = refused(words)
    assert code == 2
    assert lines[0].startswith("usage: ")
    assert message in lines[-1]


def test_arms_can_be_named():
    assert [*testbeds._chosen_arms("CE; GEM")] == ["CE", "GEM"]
    assert testbeds._chosen_arms("variants") is testbeds.VARIANTS
    assert [*testbeds._chosen_arms("two")] == ["CE", "DCO-256"]


def test_copies_that_differ_in_signs_count_once():
    made = [Problem(str(k), prompt, ("1",)) for k, prompt in enumerate(["x + 1", "x - 1", "x + 2"])]
    assert [problem.prompt for problem in testbeds._distinct(made)] == ["x - 1", "x + 2"]


@pytest.mark.slow
def test_goldbach_has_all_answers_and_no_other(tmp_path):
    goldbach(tmp_path, num_train=30, num_eval=10, pretrain=60)
    files = {name: rows(tmp_path / f"{name}.jsonl") for name in ("pretrain", "train", "validation", "test")}
    assert [len(of) for of in files.values()] == [60, 30, 10, 10]
    sieve = [True] * 4100
    for n in range(2, 65):
        sieve[n * n :: n] = [False] * len(sieve[n * n :: n])
    asked = [row["prompt"] for name in ("train", "validation", "test") for row in files[name]]
    assert len(set(asked)) == 50
    for name in ("train", "test"):
        for row in files[name]:
            answers, n = row["answer"], int(row["prompt"].split()[0])
            pairs = {tuple(map(int, answer.split("+"))) for answer in answers}
            expected = {(p, n - p) for p in range(2, n // 2 + 1) if sieve[p] and sieve[n - p]}
            assert len(pairs) == len(answers)
            assert pairs <= expected
            assert len(pairs) == (min(8, len(expected)) if name == "train" else len(expected))
    for row in files["pretrain"]:
        words = row["prompt"].split()
        said = ("yes" if sieve[int(words[0])] else "no") if words[1] == "prime?" else str(int(words[0]) + int(words[2]))
        assert row["answer"] == said
    spec, _ = read_spec(tmp_path / "sweep.yaml")
    assert len(spec.arms) == 4
    with pytest.raises(ConfigError, match="there are 2000 even numbers to ask for, 4000 are wanted"):
        goldbach(tmp_path / "other", num_train=0, num_eval=2000, pretrain=2)


@pytest.mark.slow
def test_programs_are_trained_on_one_solution_and_scored_with_all(tmp_path):
    programs(tmp_path, num_train=40, num_eval=20, pretrain=120)
    files = {name: rows(tmp_path / f"{name}.jsonl") for name in ("pretrain", "train", "validation", "test")}
    assert [len(of) for of in files.values()] == [120, 40, 20, 20]
    assert all(isinstance(row["answer"], str) for row in files["train"])
    assert any(isinstance(row["answer"], list) for row in files["test"])
    assert all(row["answer"].count("    xs = ") <= 2 for row in files["pretrain"])
    assert all(row["answer"].count("    xs = ") == 3 for row in files["train"])
    assert all(len(row["metadata"]["test_list"]) == 12 for name in ("train", "test") for row in files[name])
    spec, _ = read_spec(tmp_path / "sweep.yaml")
    assert [arm.name for arm in spec.arms] == ["CE", "DCO-256"]
    assert [d.name for d in spec.baseline.space] == ["learning_rate", "weight_ema"]
    assert "new_parameters" not in spec.recipe, "the base has met every token"
    _, tokenizer = load_model(str(tmp_path / "base" / "model"))
    assert len(tokenizer(files["train"][0]["answer"])["input_ids"]) == 5


def test_digits_stay_apart():
    tokenizer = byte_pairs(["1234 1234 12"] * 50, 300)
    assert len(tokenizer("1234")["input_ids"]) == 4


def test_another_size_is_another_folder(tmp_path, monkeypatch, capsys):
    made = []
    make = lambda output, **sizes: made.append(sizes["num_train"])  # noqa: E731
    monkeypatch.setitem(testbeds._MADE, "mini-math", (make, 9))
    for number in ("30", "30", "40"):
        monkeypatch.setattr("sys.argv", ["testbeds", "mini-math", "--output", str(tmp_path), "--num-train", number])
        if number == "40":
            with pytest.raises(SystemExit):
                testbeds.main()
        else:
            testbeds.main()
    assert made == [30, 30]
    assert "was made with {'name': 'mini-math', 'num_train': 30" in capsys.readouterr().err

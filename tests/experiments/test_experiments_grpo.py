"""`passatn train` with `trainer: grpo`: its folder, resuming, held-out samples, the plan, and what is refused."""

import json
import random
import shutil
import socket
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainerState

from passatn.coverage import pass_at_n
from passatn.evaluate import Results
from passatn.experiments import finetune, grpo
from passatn.experiments.candidates import _origin
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.evaluation import objective_of
from passatn.experiments.held_out_samples import HeldOutSamples
from passatn.experiments.run_directory import RunDirectory
from passatn.sample import HFEngine, SampleRequest, SamplingParams
from passatn.sample.models import load_model
from passatn.tasks import encode_prompt, get_template, load_problems
from tiny_files import write_jsonl

JUDGE = '''
def judge(completion, problem):
    """Right if the number of its characters has the parity of the answer."""
    return len(completion) % 2 == int(problem.answers[0]) % 2
'''
TIMINGS = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "step_time")


def questions(count, seed=0):
    rng = random.Random(seed)
    pairs = [(rng.randrange(100), rng.randrange(100)) for _ in range(count)]
    return [{"id": f"{i}", "prompt": f"{a}+{b}", "answer": f"{(a + b) % 10}"} for i, (a, b) in enumerate(pairs)]


@pytest.fixture(scope="module")
def settings(workspace, tmp_path_factory):
    """Ten problems in batches of two groups of four roll-outs; an epoch has five steps."""
    folder = tmp_path_factory.mktemp("grpo")
    (folder / "judge.py").write_text(JUDGE)
    return {
        "trainer": "grpo",
        "model": str(workspace / "tiny"),
        "train_data": str(write_jsonl(folder / "train.jsonl", questions(10))),
        "eval_data": str(write_jsonl(folder / "test.jsonl", questions(5, seed=1))),
        "template": "alpaca",
        "verifier": f"python:{folder / 'judge.py'}:judge",
        "strict_format": False,
        "eval_samples": 6,
        "eval_ns": [1, 2, 4, 64],
        "advantage": "pkpo",
        "advantage_options": {"k": 2},
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 24,
        "num_train_epochs": 2,
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "save_strategy": "steps",
        "save_steps": 2,
        "seed": 3,
    }


@pytest.fixture
def recipe(settings, tmp_path):
    def write(**changes):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in (settings | changes).items() if v is not None}))
        return path

    return write


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """A run that nothing interrupts."""
    run = RunDirectory(tmp_path_factory.mktemp("whole") / "run")
    finetune.train(RunConfig.from_mapping(settings), run, print)
    return run


def entries_of(run):
    entries = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    kept = [entry for entry in entries if "train_runtime" not in entry]
    return [{key: value for key, value in entry.items() if key not in TIMINGS} for entry in kept]


def test_a_run_writes_the_folder_that_every_training_writes(whole):
    assert {path.name for path in whole.path.iterdir()} == {
        "config.yaml", "environment.json", "metrics.jsonl", "checkpoints", "evaluations", "model", "results.json",
    }  # fmt: skip
    assert "training_args.bin" not in {path.name for path in whole.model.iterdir()}
    steps = [entry for entry in entries_of(whole) if "reward" in entry]
    assert [entry["step"] for entry in steps] == list(range(1, 11))
    assert all(entry["groups_in_batch"] == 2 for entry in steps)
    assert [path.name for path in whole.evaluation_files()] == ["step-000005.json", "step-000010.json"]
    state = json.loads((whole.checkpoints / "checkpoint-10" / "coverage_state.json").read_text())
    assert (state["advantage"], state["advantage_options"]) == ("pkpo", {"k": 2})
    load_model(str(whole.model))


def test_held_out_numbers_are_those_of_samples_of_the_stored_model(whole, settings):
    """Drawn and judged anew: the samples of the last model, by the rule that the judge states."""
    results = Results.load(whole.results)
    model, tokenizer = load_model(str(whole.model))
    problems = list(load_problems(settings["eval_data"]))
    requests = [SampleRequest(p.id, encode_prompt(tokenizer, get_template("alpaca"), p)) for p in problems]
    drawn = HFEngine(model, tokenizer).sample(requests, SamplingParams(n=6, max_new_tokens=24, seed=3))
    answers = {problem.id: int(problem.answers[0]) for problem in problems}
    for record in results.problems:
        mine = [completion for completion in drawn if completion.problem_id == record.id]
        right = [c.finished and len(c.text) % 2 == answers[record.id] % 2 for c in mine]
        assert (record.num_samples, record.num_correct) == (6, sum(right))
        assert record.num_truncated == sum(not c.finished for c in mine)
    (curve,) = results.pass_at_n
    assert (curve.source, curve.ns) == ("samples", (1, 2, 4))
    correct = results.column("num_correct")
    assert 0 < correct.sum() < 30
    assert curve.estimate == pytest.approx([pass_at_n(6, correct, n).mean() for n in curve.ns])
    assert (results.run["objective"], results.run["step"]) == ("grpo", 10)
    logged = [entry for entry in entries_of(whole) if "eval_pass@4" in entry]
    assert [entry["step"] for entry in logged] == [5, 10]
    assert logged[-1]["eval_pass@4"] == pytest.approx(curve.estimate[-1])
    assert objective_of(str(whole.model)) == {"objective": "grpo"}


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


def kill(patch, place, step):
    """Die after an optimizer step, or while the model is evaluated that has a checkpoint already."""
    patch.setattr("passatn.experiments.progress.TrainingBar", lambda: KilledAt(step if place == "step" else None))
    results = HeldOutSamples._results

    def deadly(self, state, counts):
        if (place, state.global_step) == ("evaluation", step):
            raise Kill
        return results(self, state, counts)

    patch.setattr(HeldOutSamples, "_results", deadly)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "step", "options"),
    [
        ("step", 3, []),
        ("step", 7, []),
        ("evaluation", 5, ["--save_steps", 1]),
        ("evaluation", 10, []),
    ],
)
def test_a_killed_run_resumes_and_ends_like_the_uninterrupted_one(
    monkeypatch, passatn, recipe, tmp_path, whole, event, step, options
):
    run, arguments = RunDirectory(tmp_path / "run"), ["--config", recipe(), *options, "--output", tmp_path / "run"]
    with monkeypatch.context() as patch:
        kill(patch, event, step)
        with pytest.raises(Kill):
            passatn("train", *arguments)
    assert not run.model.exists()
    assert "holds an unfinished run: --resume continues it" in passatn("train", *arguments).error
    assert (
        "begun with advantage='pkpo', now it is 'maxrl'"
        in passatn("train", *arguments, "--advantage", "maxrl", "--advantage_options", "null", "--resume").error
    )
    outcome = passatn("train", *arguments, "--resume")
    assert outcome.code == 0, outcome.err
    assert "resuming from" in outcome.err
    assert "samples, 5 problems" in outcome.out
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (run.model, whole.model))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert entries_of(run) == entries_of(whole)
    for mine, other in zip(run.evaluation_files(), whole.evaluation_files(), strict=True):
        assert Results.load(mine).problems == Results.load(other).problems
    assert Results.load(run.results).problems == Results.load(whole.results).problems


def test_a_finished_run_is_shown_and_overwritten_only_when_told(passatn, recipe, whole):
    shown = passatn("train", "--config", recipe(), "--output", whole.path)
    assert "is a finished run (--overwrite starts anew)" in shown.err
    other = passatn("train", "--config", recipe(), "--eval_samples", 7, "--output", whole.path)
    assert "was begun with eval_samples=6, now it is 7" in other.error


def test_overwrite_starts_anew_with_other_settings(passatn, recipe, tmp_path):
    short = ["--output", tmp_path / "run", "--max_steps", 1]
    assert passatn("train", "--config", recipe(eval_data=None, eval_samples=None), *short).code == 0
    again = passatn("train", "--config", recipe(eval_data=None, eval_samples=None), *short, "--seed", 4, "--overwrite")
    assert again.code == 0, again.err
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["seed"] == 4
    assert not (tmp_path / "run" / "results.json").exists()


def test_only_the_asked_for_format_is_rewarded(passatn, recipe, tmp_path):
    """The random model never writes r1's tags: no group differs, so that the weights stay as they are."""
    path = recipe(template="r1", strict_format=True, max_completion_length=8, max_generation_rounds=2)
    outcome = passatn("train", "--config", path, "--output", tmp_path / "run", "--max_steps", 1)
    assert outcome.code == 0, outcome.err
    (entry,) = [entry for entry in entries_of(RunDirectory(tmp_path / "run")) if "reward" in entry]
    assert (entry["answer_in_format"], entry["reward"], entry["groups_all_wrong"]) == (0, 0, 1)
    assert set(Results.load(tmp_path / "run" / "results.json").column("num_correct")) == {0}


def plan_of(outcome):
    assert outcome.code == 0, outcome.err
    return dict(line.split(": ", 1) for line in outcome.out.splitlines())


def test_a_dry_run_counts_and_writes_nothing(passatn, recipe, tmp_path):
    lines = plan_of(passatn("train", "--config", recipe(), "--output", tmp_path / "run", "--dry-run"))
    assert (lines["training problems"], lines["held-out problems"]) == ("10", "5")
    assert (lines["optimizer steps"], lines["samples per evaluation"]) == ("10", "30")
    assert (lines["roll-outs per step, at least"], lines["roll-outs per step, at most"]) == ("8", "80")
    assert lines["roll-outs in all, at least"] == "80"
    assert lines["parameters"] == lines["trained parameters"]
    words = lines["arguments"]
    assert "--trainer grpo" in words
    assert "--strict_format false" in words
    assert "patience" not in words
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit": 9, "num_train_epochs": 3},
        {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
        {"gradient_accumulation_steps": 1, "steps_per_generation": 2, "num_iterations": 2},
        {"gradient_accumulation_steps": 3, "steps_per_generation": 2, "num_train_epochs": 1.5},
        {"max_steps": 7},
    ],
)
def test_the_planned_steps_are_those_that_the_trainer_takes(settings, changes, tmp_path):
    chosen = settings | {"refill_groups": False, "eval_data": None, "max_completion_length": 2} | changes
    config, run = RunConfig.from_mapping(chosen), RunDirectory(tmp_path / "run")
    parts = grpo.load(config, run, print)
    planned = grpo.plan(parts, config)["optimizer steps"]
    trainer = grpo.build_trainer(parts, config, run)
    loader = trainer.get_train_dataloader()
    assert trainer.set_initial_training_values(trainer.args, loader)[-1] == planned
    parts.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_generatoins": 4}, "unknown setting 'num_generatoins'; did you mean num_generations"),
        ({"n_passes": 16}, "n_passes is a setting of trainer: coverage, and this is trainer: grpo"),
        ({"stop_at_n": 4}, "stop_at_n goes with trainer: coverage, and this is trainer: grpo"),
        ({"trainer": "gpro"}, "trainer must be coverage or grpo, got 'gpro'"),
        ({"trainer": None}, "advantage is a setting of trainer: grpo, and this is trainer: coverage"),
        ({"eval_samples": 0}, "eval_samples must be a whole number from 1, got 0"),
        ({"eval_ns": [16]}, "eval_ns begins at 16, and eval_samples 6 give pass@N up to that N: raise eval_samples"),
        ({"advantage": "pkop"}, "training settings: "),
        ({"per_device_train_batch_size": 3}, "training settings: "),
        ({"verifier": "maths"}, "unknown verifier 'maths'; there are math, exact"),
        ({"verifier": "python:none.py:judge"}, "none.py"),
        ({"template": "r2"}, "unknown prompt template 'r2'"),
        ({"train_data": "none.jsonl"}, "none.jsonl: no such file"),
        ({"max_prompt_tokens": 1}, "no problem is left; 0 of 10 problems are within the length limits"),
        ({"limit": 1}, "the data set has 1 problems, fewer than the 2 of one batch"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(passatn, recipe, tmp_path, changes, message):
    outcome = passatn("train", "--config", recipe(**changes), "--output", tmp_path / "run")
    assert message in outcome.error
    assert not (tmp_path / "run").exists()


def test_settings_of_grpo_without_the_trainer_say_which_it_is():
    required = {"model": "m", "train_data": "d"}
    with pytest.raises(ConfigError, match="num_generations is a setting of trainer: grpo, and this is trainer: cov"):
        RunConfig.from_mapping(required | {"num_generations": 8})
    with pytest.raises(ConfigError, match="strict_format goes with trainer: grpo, and this is trainer: coverage"):
        RunConfig.from_mapping(required | {"strict_format": False})


def test_settings_survive_config_yaml_and_other_trainings_are_written_as_before(settings):
    config = RunConfig.from_mapping(settings)
    assert RunConfig.from_mapping(yaml.safe_load(yaml.safe_dump(config.to_mapping()))) == config
    plain = RunConfig.from_mapping({"model": "m", "train_data": "d"}).to_mapping()
    assert not {"trainer", "eval_samples", "strict_format"} & plain.keys()


def test_a_verifier_that_compares_leaves_out_problems_without_an_answer(passatn, recipe, tmp_path):
    rows = questions(6)
    rows[2] = {"id": "2", "prompt": "write f", "metadata": {"test": "assert f() == 2"}}
    data = write_jsonl(tmp_path / "some.jsonl", rows)
    outcome = passatn(
        "train", "--config", recipe(verifier=None), "--train_data", data, "--output", tmp_path / "run", "--dry-run"
    )
    assert plan_of(outcome)["training problems"] == "5"
    assert "train data: 1 problems without an accepted answer were left out" in outcome.err
    write_jsonl(data, rows[2:3])
    outcome = passatn("train", "--config", recipe(verifier="exact"), "--train_data", data, "--output", tmp_path / "run")
    assert f"{data}: no problem has an accepted answer, which the verifier exact needs" in outcome.error


def test_a_template_without_place_for_reasoning_is_told(passatn, recipe, tmp_path):
    outcome = passatn("train", "--config", recipe(template="direct"), "--output", tmp_path / "run", "--dry-run")
    assert plan_of(outcome)
    assert "train data: the template direct has no place for reasoning: the model is trained to answer" in outcome.err
    outcome = passatn("train", "--config", recipe(), "--output", tmp_path / "run", "--dry-run")
    assert "no place" not in outcome.err


def test_an_overlap_of_training_and_held_out_problems_is_told(passatn, recipe, settings, tmp_path):
    path = recipe(eval_data=settings["train_data"])
    outcome = passatn("train", "--config", path, "--output", tmp_path / "run", "--dry-run")
    assert "also in the training data" in outcome.err


def test_a_resumed_run_drops_the_evaluations_after_its_checkpoint(whole, settings, tmp_path):
    shutil.copytree(whole.path, tmp_path / "run")
    config, run = RunConfig.from_mapping(settings), RunDirectory(tmp_path / "run")
    parts = grpo.load(config, run, print)
    trainer = grpo.build_trainer(parts, config, run)
    (callback,) = [one for one in trainer.callback_handler.callbacks if isinstance(one, HeldOutSamples)]
    callback.on_train_begin(trainer.args, TrainerState(global_step=5), None)
    assert [path.name for path in run.evaluation_files()] == ["step-000005.json"]
    parts.close()


@pytest.mark.slow
def test_two_processes_share_the_evaluation(settings, tmp_path):
    """With a learning rate of 0 the model is the one that one process samples; five problems are no even split."""
    path = tmp_path / "recipe.yaml"
    still = {"learning_rate": 0, "max_steps": 1, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    path.write_text(yaml.safe_dump(settings | still | {"max_completion_length": 80}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    command += ["-m", "passatn", "train", "--config", str(path), "--output", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["world_size"] == 2
    config, run = RunConfig.from_mapping(yaml.safe_load(path.read_text())), RunDirectory(tmp_path / "one")
    finetune.train(config, run, print)
    shared, alone = Results.load(tmp_path / "two" / "results.json"), Results.load(run.results)
    assert shared.problems == alone.problems
    assert len({problem.num_correct for problem in alone.problems}) > 1


def test_recommend_knows_such_a_run_as_one_without_n(whole):
    run, candidate = _origin(Results.load(whole.results), whole.results)
    assert run == str(whole.path.resolve())
    assert (candidate.objective, candidate.n_passes, candidate.step) == ("grpo", None, 10)
    assert candidate.training == "grpo"


def test_a_run_that_has_gone_over_the_data_says_so(passatn, recipe, tmp_path):
    path = recipe(eval_data=None, eval_samples=None, max_data_passes=1, num_train_epochs=9)
    outcome = passatn("train", "--config", path, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert "of 45: 1 passes over the data are used up" in outcome.err
